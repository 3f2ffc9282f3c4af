"""
Fires that a person asks for: one now, or those of a time that has passed.

They are rows like any others, for the scheduler to submit; none of them moves an entry's next
moment. A fire of now has a moment of its own. Those of the past have the moments that the entry
would have fired at, and there is one row for each of these: one that has ended is begun anew only
where that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from geartrain.errors import EntryRefused, UsageError
from geartrain.schedule.desk import find
from geartrain.schedule.entry import Entry, from_definition
from geartrain.schedule.overlapping import BACKFILL
from geartrain.schedule.planning import admit
from geartrain.schedule.sequence import count, newest
from geartrain.schedule.targeting import targets_of
from geartrain.store.schedule_rows import (
    DONE,
    FINAL,
    MISSED,
    PENDING,
    SKIPPED,
    WAITING,
    Fire,
    Schedule,
)
from geartrain.store.schedule_store import ScheduleStore

__all__ = ["LIMIT", "MODES", "MOST", "Backfill", "backfill", "plan_backfill", "run_now"]

RUN_NOW: Final = "run-now"
# Which moments that have a row already are fired again: none, those that did not end well, all.
MODES: Final = ("none", "failed", "completed")
# Moments of one backfill: as long as nobody says how many, and at all, since each scheduler goes
# through what waits of an entry whenever one of its fires ends.
MOST: Final = 1_000
LIMIT: Final = 10_000
# Fires that are inserted at once, so that nobody has to wait for long.
_LOT: Final = 500
_PAGE: Final = 1_000


@dataclass(slots=True)
class Backfill:
    """
    What a backfill does.

    Attributes:
        row: The entry.
        fires: What is fired, in the order it is.
        kept: Moments that have a row and are left alone, with its state.
        serial: Whether they run one after the other.

    """

    row: Schedule
    fires: list[Fire] = field(default_factory=list)
    kept: list[tuple[int, str]] = field(default_factory=list)
    serial: bool = True


def run_now(store: ScheduleStore, name: str, who: str, *, overlap: str = "") -> list[Fire]:
    """
    Fire an entry now, for each of its targets, and return the rows.

    Args:
        store: Where it is.
        name: The entry's; it may be paused or disabled.
        who: For the book of changes.
        overlap: What happens while an earlier fire has not ended, in place of the entry's own rule.

    Raises:
        EntryNotFound: There is none.
        EntryRefused: An earlier fire has not ended, or nobody is there to run it.

    """
    row, now = find(store, name), store.now()
    entry = _under(from_definition(row.definition), overlap)
    fire = _fire(row, int(now), now, RUN_NOW)
    fire.previous = row.last_nominal
    open_fires = store.open_fires([row.id]).get(row.id, ())
    fires, ended = admit(row, entry, fire, now, open_fires, store.agents())
    going = [one for one in fires if one.state in (PENDING, WAITING)]
    if not going:
        hint = "; --overlap allow runs it all the same" if fires[0].state == SKIPPED else ""
        raise EntryRefused(name, f"{fires[0].reason}{hint}")
    if ended:
        raise EntryRefused(name, f"overlap = {entry.overlap} would end what runs; give --overlap")
    found = store.insert(going, who)
    if not found:
        raise EntryRefused(name, "it has fired within this second already")
    return list(found)


def plan_backfill(
    store: ScheduleStore,
    name: str,
    start: int,
    end: int,
    *,
    mode: str = "none",
    reverse: bool = False,
    overlap: str = "",
    most: int = MOST,
) -> Backfill:
    """
    Return what a backfill would do.

    Args:
        store: Where the entry is.
        name: The entry's.
        start, end: The first and the last moment, included; seconds since 1970.
        mode: One of ``MODES``.
        reverse: Newest first.
        overlap: ``allow`` to run them at once; one after the other otherwise, unless the entry
            itself allows overlaps.
        most: How many moments there may be, up to ``LIMIT``.

    Raises:
        EntryNotFound: There is none.
        UsageError: There is nothing to fire by the clock, too much, or the times are wrong.

    """
    row = find(store, name)
    entry = _under(from_definition(row.definition), overlap)
    now = store.now()
    moments = _moments(entry, start, min(end, int(now)), most)
    known = _known(store, row, start, end)
    found = Backfill(row, serial=entry.overlap != "allow")
    agents = store.agents()
    previous = dict(zip(moments, [newest_before(entry, moments), *moments], strict=False))
    for moment in reversed(moments) if reverse else moments:
        for target in targets_of(entry, row.id, moment, agents):
            before = known.get((moment, target))
            if before and not _again(before, mode):
                found.kept.append((moment, before.state))
                continue
            # What is due a little later goes a little later.
            fire = _fire(row, moment, now + len(found.fires) / 1_000, BACKFILL)
            fire.target, fire.previous = target, previous[moment]
            fire.generation = before.generation if before else row.generation
            fire.state = WAITING if found.serial else PENDING
            found.fires.append(fire)
    return found


def backfill(store: ScheduleStore, plan: Backfill, who: str) -> list[Fire]:
    """
    Carry a backfill out; return the rows, without those that somebody else fired meanwhile.

    What breaks off has begun with the first of them. Planning and doing it once more adds the
    others; with ``completed``, it fires those of the first again that have ended meanwhile.
    """
    found: list[Fire] = []
    for start in range(0, len(plan.fires), _LOT):
        found += store.insert(plan.fires[start : start + _LOT], who, again=True)
    return found


def newest_before(entry: Entry, moments: Sequence[int]) -> int:
    """Return the moment before the first of some, 0 where there is none."""
    found = newest(entry, 0, moments[0] - 1, 1) if moments else []
    return found[0] if found else 0


def _moments(entry: Entry, start: int, end: int, most: int) -> list[int]:
    if start > end:
        raise UsageError("nothing can be fired again there: FROM has to be before TO, and past")
    number = count(entry, start - 1, end)
    if number > most:
        raise UsageError(
            f"these are {number} moments, and a backfill has {most} at most; take a shorter time"
            + (f", or --most {number}" if number <= LIMIT else "")
        )
    if not number:
        raise UsageError(f"entry {entry.name} has no moment in that time")
    return newest(entry, start - 1, end, most)


def _known(
    store: ScheduleStore, row: Schedule, start: int, end: int
) -> dict[tuple[int, str], Fire]:
    """Return the newest row of each moment and target."""
    found: dict[tuple[int, str], Fire] = {}
    for fire in _fires(store, row.id, start, end):
        key = (fire.nominal, fire.target)
        if key not in found or found[key].generation < fire.generation:
            found[key] = fire
    return found


def _fires(store: ScheduleStore, schedule: int, start: int, end: int) -> Iterator[Fire]:
    before = 0
    while page := store.fires(
        schedule=schedule, since=start, until=end, before=before, limit=_PAGE
    ):
        yield from page
        if len(page) < _PAGE:
            return
        before = page[-1].id


def _again(fire: Fire, mode: str) -> bool:
    """Whether a moment whose row has come so far is fired again."""
    if fire.state not in FINAL:
        return False
    if fire.state in (SKIPPED, MISSED):
        # It never ran.
        return True
    return mode == "completed" or (mode == "failed" and fire.state != DONE)


def _fire(row: Schedule, moment: int, due: float, origin: str) -> Fire:
    return Fire(
        schedule=row.id, generation=row.generation, nominal=moment, due=due, origin=origin,
        created=due,
    )  # fmt: skip


def _under(entry: Entry, overlap: str) -> Entry:
    return replace(entry, overlap=overlap) if overlap else entry
