"""
How often a calendar expression fires between two instants, without going through the fires.

What was missed during a year of silence has to be counted in the time that one claim may take. So
time is cut where clocks change; in each piece wall times are counted by days, and what a change
leaves out or repeats is put right at the cuts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from geartrain.schedule.calendar import LONGEST_GAP, Calendar
from geartrain.schedule.instant import FIRST, SECOND
from geartrain.schedule.zone import Change, changes, wall_of

__all__ = ["count_fires"]

_DAY: Final = timedelta(days=1)
# How far back a change may have been that still repeats wall times.
_BEFORE: Final = timedelta(days=3)


def count_fires(calendar: Calendar, after: datetime, until: datetime) -> int:
    """Return how many fires are later than ``after``, up to and including ``until``."""
    first, last = after + SECOND, until + SECOND
    if first >= last:
        return 0
    total = 0
    for begin, end, change in _pieces(calendar, first, last):
        early = max(begin, first)
        offset = wall_of(calendar.zone, early) - early
        start = early + offset
        if change is not None:
            if not change.is_gap and calendar.once:
                # The rest of the overlap has been there before.
                start = max(start, change.end)
            elif first <= change.at < last and _made_up(calendar, change):
                total += 1
        total += _count_walls(calendar, start, end + offset)
    return total


def _pieces(
    calendar: Calendar, first: datetime, last: datetime
) -> Iterator[tuple[datetime, datetime, Change | None]]:
    """Yield begin and end of each stretch without a change, with the change it began with."""
    begin = max(first - _BEFORE, FIRST)
    found: Change | None = None
    for change in changes(calendar.zone, begin, (last - begin) // _DAY + 1):
        if change.at >= last:
            break
        if change.at > first:
            yield begin, change.at, found
        begin, found = change.at, change
    yield begin, last, found


def _made_up(calendar: Calendar, gap: Change) -> bool:
    """Whether a gap swallowed fires that are made up for by one that would not be there."""
    if not gap.is_gap or not calendar.makes_up or gap.length > LONGEST_GAP:
        return False
    swallowed = calendar.wall_at_or_after(gap.begin, gap.end.year)
    return (
        swallowed is not None
        and swallowed < gap.end
        and not _count_walls(calendar, gap.end, gap.end + SECOND)
    )


def _count_walls(calendar: Calendar, start: datetime, end: datetime) -> int:
    """Return how many wall times from ``start`` on and before ``end`` the fields name."""
    if start >= end:
        return 0
    each = len(calendar.times[0]) * len(calendar.times[1]) * len(calendar.times[2])
    total = -_earlier(calendar, start)
    # The last day counts up to its time only, so it is not among the whole ones.
    total += each * _count_days(calendar, start.date(), end.date())
    return total + _earlier(calendar, end)


def _earlier(calendar: Calendar, wall: datetime) -> int:
    """Return how many wall times of a day are named and earlier than this one."""
    if calendar.days.at_or_after(wall.date(), wall.year) != wall.date():
        return 0
    return _smaller(calendar.times, (wall.hour, wall.minute, wall.second))


def _smaller(parts: Sequence[tuple[int, ...]], bound: Sequence[int]) -> int:
    """Return how many tuples, one value from each part, are smaller than ``bound``."""
    total = 0
    for place, values in enumerate(parts):
        index = bisect_left(values, bound[place])
        rest = 1
        for others in parts[place + 1 :]:
            rest *= len(others)
        total += index * rest
        if index == len(values) or values[index] != bound[place]:
            break
    return total


def _count_days(calendar: Calendar, first: date, last: date) -> int:
    """Return how many days from ``first`` on and before ``last`` match."""
    total = 0
    day = calendar.days.at_or_after(first, last.year)
    while day is not None and day < last:
        total += 1
        day = calendar.days.at_or_after(day + _DAY, last.year)
    return total
