"""
Whether an entry that comes after others fires, now that one of these has ended.

Its moments are theirs. With ``all_success`` and ``all_done`` it has the moments that all of them
have, with ``any`` those that one of them has. For each it fires once, or is skipped once it is
clear that it can't fire any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from geartrain.schedule.entry import Entry, from_definition
from geartrain.schedule.planning import admit
from geartrain.schedule.sequence import opening
from geartrain.store.schedule_rows import DONE, FINAL, PENDING, SKIPPED, Agent, Fire, Schedule

__all__ = ["ORIGIN", "follow_up", "verdict"]

ORIGIN: Final = "after"
# The fires of each parent at one moment; None where the moment is none of its.
Parents = Mapping[str, Sequence[Fire] | None]


def verdict(entry: Entry, parents: Parents) -> tuple[str, str]:
    """
    Return PENDING, SKIPPED or nothing yet for an entry at a moment, with the reason.

    Args:
        entry: One with ``after``.
        parents: The fires of each of those at the moment; none of a parent that may have some
            later, None for one that has no such moment.

    """
    good: list[str] = []
    bad: list[str] = []
    absent: list[str] = []
    for name in entry.after:
        fires = parents.get(name, ())
        if fires is None:
            absent.append(name)
        elif fires and all(fire.state in FINAL for fire in fires):
            (good if all(fire.state == DONE for fire in fires) else bad).append(name)
    if entry.rule == "any":
        if good:
            return PENDING, ""
        settled = bad and len(bad) + len(absent) == len(entry.after)
        return (SKIPPED, f"none of {', '.join(bad)} was done") if settled else ("", "")
    if absent:
        return "", ""
    if entry.rule == "all_success" and bad:
        return SKIPPED, f"{', '.join(bad)} was not done"
    return (PENDING, "") if len(good) + len(bad) == len(entry.after) else ("", "")


def follow_up(
    schedule: Schedule,
    ended: Fire,
    parents: Parents,
    now: float,
    open_fires: Sequence[Fire],
    agents: Sequence[Agent],
) -> tuple[list[Fire], list[Fire]]:
    """
    Return the fires of an entry that comes after one which ended, and the earlier ones these end.

    Args:
        schedule: The entry that comes after.
        ended: The fire that ended.
        parents: See ``verdict``.
        now: The time.
        open_fires: Its own fires that have not ended.
        agents: Those alive.

    """
    entry = from_definition(schedule.definition)
    moment = ended.nominal
    if moment < entry.start or (entry.end and moment > entry.end):
        return [], []
    state, reason = verdict(entry, parents)
    if not state:
        return [], []
    fire = Fire(
        schedule=schedule.id,
        generation=schedule.generation,
        nominal=moment,
        previous=ended.previous,
        due=opening(entry, now),
        origin=ORIGIN,
        created=now,
    )
    if state == PENDING and (schedule.paused_at or not schedule.enabled):
        state, reason = SKIPPED, "paused" if schedule.paused_at else "not enabled"
    if state == SKIPPED:
        fire.state, fire.reason, fire.ended, fire.count = state, reason, now, ended.count
        return [fire], []
    return admit(schedule, entry, fire, now, open_fires, agents)
