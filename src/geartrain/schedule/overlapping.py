"""
What becomes of a fire while an earlier one of its entry has not ended.

An earlier one counts until its row says how it ended. That is found out for each of them: by what
the job server says while somebody listens, and by whoever takes over what a dead scheduler had.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from geartrain.schedule.entry import Entry
from geartrain.schedule.sequence import opening
from geartrain.schedule.targeting import by_agent
from geartrain.store.schedule_rows import (
    CANCELLED,
    PENDING,
    RUNNING,
    SKIPPED,
    SUBMITTED,
    WAITING,
    Fire,
)

__all__ = [
    "BACKFILL",
    "CATCH_UP",
    "REPLACED",
    "Decision",
    "decide",
    "in_doubt",
    "is_replaced",
    "promoted",
]

# Where a fire comes from that makes up for one that was missed.
CATCH_UP: Final = "catch-up"
# And one that a person asks for, of a moment that has passed.
BACKFILL: Final = "backfill"
# Seconds for which others wait for whoever has taken a fire over to find out what became of it.
_ASKED_FOR: Final = 5.0
_NOT_ENDED: Final = "an earlier fire has not ended"
# Why a fire was cancelled.
REPLACED: Final = "cancelled by the next fire"


class Decision(NamedTuple):
    """How a fire begins, why, and the earlier ones that its coming ends."""

    state: str
    reason: str = ""
    cancelled: Sequence[Fire] = ()


def decide(entry: Entry, origin: str, before: Sequence[Fire], now: float) -> Decision:
    """
    Return how a fire begins.

    Args:
        entry: Its entry.
        origin: See ``Fire``.
        before: Fires of the same entry, and target where each goes on by itself, that have not
            ended.
        now: The time.

    """
    if not before:
        return Decision(PENDING)
    waiting = sum(fire.state == WAITING for fire in before)
    if entry.catch_up == "all" and (
        origin == CATCH_UP or any(fire.origin == CATCH_UP for fire in before)
    ):
        # All of them were asked for, one after the other; the moments of now come behind them.
        limit = entry.catch_up_max + entry.overlap_max
        return Decision(WAITING) if waiting < limit else _skip(waiting)
    if entry.overlap == "allow":
        return Decision(PENDING)
    if entry.overlap == "queue_one":
        return Decision(WAITING) if not waiting else _skip(waiting)
    if entry.overlap == "queue_all":
        return Decision(WAITING) if waiting < entry.overlap_max else _skip(waiting)
    if entry.overlap == "skip":
        return Decision(SKIPPED, _NOT_ENDED)
    return _replacing(entry, before, now)


def in_doubt(fire: Fire, now: float, me: str, alive: Collection[str]) -> bool:
    """
    Whether a fire may have ended long ago, since its scheduler is gone and nobody has asked yet.

    Args:
        fire: One that has not ended by its row.
        now: The time.
        me: The scheduler that wants to know; what it has itself is not in doubt.
        alive: The names of the schedulers that are there.

    """
    if fire.state not in (SUBMITTED, RUNNING) or fire.owner == me:
        return False
    return fire.owner not in alive or (fire.taken > 0 and now < fire.taken + _ASKED_FOR)


def promoted(entry: Entry, open_fires: Sequence[Fire], now: float) -> list[Fire]:
    """Return the waiting fires of an entry that go now, since what they waited for has ended."""
    lines: dict[str, list[Fire]] = {}
    for fire in open_fires:
        lines.setdefault(fire.target if by_agent(entry) else "", []).append(fire)
    found = []
    for line in lines.values():
        if any(fire.state != WAITING for fire in line):
            continue
        first = min(line, key=lambda fire: (fire.due, fire.nominal, fire.id))
        found.append(replace(first, state=PENDING, due=opening(entry, max(now, first.due))))
    return found


def is_replaced(entry: Entry, fire: Fire, open_fires: Sequence[Fire]) -> bool:
    """Whether a fire that a job server has is to be taken back, unless a worker has it by now."""
    if entry.overlap != "cancel_old":
        return False
    line = [one for one in open_fires if not by_agent(entry) or one.target == fire.target]
    if entry.catch_up == "all" and any(one.origin == CATCH_UP for one in line):
        return False
    return any(one.state == WAITING and one.origin != BACKFILL for one in line)


def _skip(waiting: int) -> Decision:
    return Decision(SKIPPED, f"{_NOT_ENDED}, and {waiting} wait already")


def _replacing(entry: Entry, before: Sequence[Fire], now: float) -> Decision:
    """
    The new fire ends the old ones: all of them, or those that no worker has.

    Whether a worker has what is at a job server is known there alone; see ``is_replaced``.
    """
    spared = [fire for fire in before if _may_run(fire) and entry.overlap == "cancel_old"]
    ended = [
        replace(fire, state=CANCELLED, reason=REPLACED, ended=now)
        for fire in before
        if fire not in spared
    ]
    return Decision(WAITING if spared else PENDING, "", ended)


def _may_run(fire: Fire) -> bool:
    """Whether a fire is at a job server, or just on its way to one."""
    return fire.state in (SUBMITTED, RUNNING) or (fire.state == PENDING and bool(fire.owner))
