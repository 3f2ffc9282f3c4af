"""
When a calendar expression fires: by the fields, and by what clocks do.

Wall times are found by stepping fields, never by trying minutes. A wall time
becomes an instant by one of three rules; *vixie* is what Vixie cron and cronie
do, read from their code:

- A job whose minute or hour starts with ``*`` runs at every real instant whose
  wall time matches. Nothing is made up for times that a change left out.
- Any other job runs once for every wall time: the first time where it comes
  twice, and at the first instant behind a gap that swallowed it. All that one
  gap swallowed is one run. A gap of more than three hours is a correction of
  the clock, and what it swallowed is not run.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from geartrain.schedule.days import Days
from geartrain.schedule.field import Field
from geartrain.schedule.instant import FIRST, LAST, SECOND
from geartrain.schedule.zone import Change, change_at, changes, instant_of, wall_of

__all__ = ["DST_RULES", "LONGEST_GAP", "SKIP", "STRICT", "VIXIE", "Calendar"]

VIXIE: Final = "vixie"
# As vixie, but what a gap swallowed is not run.
SKIP: Final = "skip"
# Every job as if its minute started with a star.
STRICT: Final = "strict"
DST_RULES: Final = (VIXIE, SKIP, STRICT)

LONGEST_GAP: Final = timedelta(hours=3)
# The calendar repeats itself after so many years: what has not fired by then never will.
_CYCLE: Final = 400


class Calendar:
    """
    Fires at the wall times that fields name.

    Instants are naive datetimes in UTC, wall times naive ones of the zone,
    both in whole seconds.

    Attributes:
        times: Hours, minutes and seconds, each ascending.
        is_wildcard: Whether minute or hour starts with ``*``.
        once: Whether a wall time that comes twice fires the first time only.
        makes_up: Whether wall times in a gap fire behind it.

    """

    __slots__ = ("days", "is_wildcard", "makes_up", "once", "times", "zone")

    def __init__(
        self, second: Field, minute: Field, hour: Field, days: Days, zone: ZoneInfo, dst: str
    ) -> None:
        self.times = (hour.values, minute.values, second.values)
        self.days = days
        self.zone = zone
        self.is_wildcard = minute.is_star or hour.is_star
        self.once = not self.is_wildcard and dst != STRICT
        self.makes_up = not self.is_wildcard and dst == VIXIE

    def next(self, after: datetime) -> datetime | None:
        """Return the first fire later than ``after``; None within 400 years."""
        wall = wall_of(self.zone, after)
        overlap = change_at(self.zone, wall)
        start = wall + SECOND
        if overlap and self.once and wall.fold:
            # The rest of the overlap has been there before.
            start = overlap.end
        found = self._next_by_wall(start, after)
        if overlap and not self.once and not wall.fold:
            # Clocks will be set back, to wall times that this one is already past.
            again = self.wall_at_or_after(overlap.begin, overlap.end.year)
            if again is not None and again < overlap.end:
                second = again - overlap.after
                found = second if found is None else min(found, second)
        return found

    def previous(self, before: datetime) -> datetime | None:
        """Return the last fire earlier than ``before``; None within 400 years."""
        wall = wall_of(self.zone, before)
        overlap = change_at(self.zone, wall)
        start = wall - SECOND
        if overlap and self.once and wall.fold:
            start = overlap.end - SECOND
        found = self._previous_by_wall(start, before)
        if overlap and not self.once and wall.fold:
            again = self.wall_at_or_before(overlap.end - SECOND, overlap.begin.year)
            if again is not None and again >= overlap.begin:
                first = again - overlap.before
                found = first if found is None else max(found, first)
        return found

    def correction(self, after: datetime, until: datetime) -> Change | None:
        """Return the first gap between two instants that is too long for its fires to be run."""
        gained = (wall_of(self.zone, until) - until) - (wall_of(self.zone, after) - after)
        # Such a change is not taken back, so that most are spared the search.
        if not self.makes_up or gained <= LONGEST_GAP:
            return None
        for change in changes(self.zone, after, (until - after).days + 1):
            if change.is_gap and change.length > LONGEST_GAP:
                first = self.wall_at_or_after(change.begin, change.end.year)
                if first is not None and first < change.end:
                    return change
        return None

    def wall_at_or_after(self, wall: datetime, last_year: int) -> datetime | None:
        """Return the first wall time from ``wall`` on that the fields name."""
        day = self.days.at_or_after(wall.date(), last_year)
        if day == wall.date():
            found = _at_or_after(self.times, (wall.hour, wall.minute, wall.second))
            if found is not None:
                return _on(day, found)
            day = self.days.at_or_after((wall + timedelta(days=1)).date(), last_year)
        if day is None:
            return None
        return _on(day, [values[0] for values in self.times])

    def wall_at_or_before(self, wall: datetime, first_year: int) -> datetime | None:
        """Return the last wall time up to ``wall`` that the fields name."""
        day = self.days.at_or_before(wall.date(), first_year)
        if day == wall.date():
            found = _at_or_before(self.times, (wall.hour, wall.minute, wall.second))
            if found is not None:
                return _on(day, found)
            day = self.days.at_or_before((wall - timedelta(days=1)).date(), first_year)
        if day is None:
            return None
        return _on(day, [values[-1] for values in self.times])

    def _next_by_wall(self, start: datetime, after: datetime) -> datetime | None:
        last_year = min(start.year + _CYCLE, LAST.year)
        wall = self.wall_at_or_after(start, last_year)
        while wall is not None:
            change = change_at(self.zone, wall)
            if change is None:
                return instant_of(self.zone, wall)
            if not change.is_gap:
                first = wall - change.before
                return first if first > after else wall - change.after
            if self.makes_up and change.length <= LONGEST_GAP:
                return change.at
            wall = self.wall_at_or_after(change.end, last_year)
        return None

    def _previous_by_wall(self, start: datetime, before: datetime) -> datetime | None:
        first_year = max(start.year - _CYCLE, FIRST.year)
        wall = self.wall_at_or_before(start, first_year)
        while wall is not None:
            change = change_at(self.zone, wall)
            if change is None:
                return instant_of(self.zone, wall)
            if not change.is_gap:
                second = wall - change.after
                return second if not self.once and second < before else wall - change.before
            if self.makes_up and change.length <= LONGEST_GAP and change.at < before:
                return change.at
            wall = self.wall_at_or_before(change.begin - SECOND, first_year)
        return None


def _on(day: date, clock: Sequence[int]) -> datetime:
    hour, minute, second = clock
    return datetime(day.year, day.month, day.day, hour, minute, second)


def _at_or_after(
    parts: tuple[tuple[int, ...], ...], least: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Return the smallest tuple, one value from each part, that is not below ``least``."""
    values, want = parts[0], least[0]
    index = bisect_left(values, want)
    if index < len(values) and values[index] == want:
        if len(parts) == 1:
            return (want,)
        rest = _at_or_after(parts[1:], least[1:])
        if rest is not None:
            return (want, *rest)
        index += 1
    if index == len(values):
        return None
    return (values[index], *(part[0] for part in parts[1:]))


def _at_or_before(
    parts: tuple[tuple[int, ...], ...], most: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Return the largest tuple, one value from each part, that is not above ``most``."""
    values, want = parts[0], most[0]
    index = bisect_right(values, want)
    if index and values[index - 1] == want:
        if len(parts) == 1:
            return (want,)
        rest = _at_or_before(parts[1:], most[1:])
        if rest is not None:
            return (want, *rest)
        index -= 1
    if index == 0:
        return None
    return (values[index - 1], *(part[-1] for part in parts[1:]))
