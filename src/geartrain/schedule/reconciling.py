"""
The second look: moments that should have a row and have none.

Claims write an entry's next moment and its rows together, so there is nothing to find. This is here
because nobody should have to believe that: it works the moments out again from the expression and
compares.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from geartrain.schedule.entry import Entry, from_definition
from geartrain.schedule.sequence import count, newest
from geartrain.store.schedule_rows import MISSED, Fire, Schedule

__all__ = ["LOOKBACK", "ORIGIN", "first_moment", "missing"]

ORIGIN: Final = "reconcile"
# Seconds of the past that are looked at.
LOOKBACK: Final = 48 * 3_600
# How many moments of an entry are, the newest of them.
_MOST: Final = 10_000


def first_moment(schedule: Schedule, now: float) -> int:
    """Return the moment behind which an entry's rows are looked at."""
    entry = from_definition(schedule.definition)
    return max(schedule.since, int(now - min(LOOKBACK, entry.keep_for)))


def missing(schedule: Schedule, fires: Sequence[Fire], now: float) -> list[Fire]:
    """
    Return a row for each stretch of an entry's moments that no row stands for.

    Args:
        schedule: An entry that fires by the clock.
        fires: Its rows from ``first_moment`` on, and the last ones before that: one of these may
            count moments that are later.
        now: The time.

    """
    entry = from_definition(schedule.definition)
    begin, end = first_moment(schedule, now), schedule.last_nominal
    rows = [fire for fire in fires if fire.generation == schedule.generation]
    if len(fires) >= entry.keep:
        # Older ones were forgotten, as it was asked for.
        begin = max(begin, min(fire.nominal for fire in fires))
    moments = newest(entry, begin, end, _MOST)
    if not moments:
        return []
    covered = bytearray(len(moments))
    for row in rows:
        _cover(entry, moments, covered, row)
    found: list[Fire] = []
    for index, moment in enumerate(moments):
        if covered[index]:
            continue
        if found and index and not covered[index - 1]:
            found[-1].count += 1
        else:
            found.append(_missed(schedule, moment, now))
    return found


def _cover(entry: Entry, moments: Sequence[int], covered: bytearray, row: Fire) -> None:
    """Mark the moments that a row stands for."""
    first = bisect_left(moments, row.nominal)
    number = row.count
    if first == 0 and row.nominal < moments[0] and count(entry, row.nominal - 1, row.nominal):
        number -= count(entry, row.nominal - 1, moments[0] - 1)
    elif first == len(moments) or moments[first] != row.nominal:
        # Asked for by a person, at a moment that is none of the clock's.
        return
    for index in range(first, min(first + number, len(moments))):
        covered[index] = 1


def _missed(schedule: Schedule, moment: int, now: float) -> Fire:
    return Fire(
        schedule=schedule.id,
        generation=schedule.generation,
        nominal=moment,
        state=MISSED,
        origin=ORIGIN,
        reason="no row stood for it when the entry was looked at again",
        due=float(moment),
        created=now,
        ended=now,
    )
