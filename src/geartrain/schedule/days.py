"""
The days on which an entry fires.

A month is known by two numbers, how long it is and on which day of the week it
starts, so there are 28 kinds of month. What an expression means in each is
worked out when it is first needed; afterwards finding a day is looking it up,
and an expression that no kind of month can satisfy is one that never fires.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date
from typing import Final

from geartrain.schedule.field import Field

__all__ = ["AND", "CRON", "DAY_MODES", "OR", "Days"]

# How day of month and day of week go together: by the first character, always both, or
# one is enough unless the other is left open.
CRON: Final = "cron"
AND: Final = "and"
OR: Final = "or"
DAY_MODES: Final = (CRON, AND, OR)

_LENGTHS: Final = [
    (length,) if length else (28, 29) for length in (31, 0, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
]
_SATURDAY: Final = 6
_EVERY_DAY: Final = 31
_EVERY_WEEKDAY: Final = 7


class Days:
    """
    The day rule of an expression.

    Attributes:
        both: Whether a day has to match both fields; else one is enough.

    """

    __slots__ = ("_months", "_table", "both", "day", "month", "weekday")

    def __init__(self, day: Field, month: Field, weekday: Field, mode: str) -> None:
        self.day = day
        self.month = month
        self.weekday = weekday
        if mode == CRON:
            self.both = day.is_star or weekday.is_star
        else:
            self.both = mode == AND or self.any_day or self.any_weekday
        self._months = frozenset(month.values)
        # By length and by the weekday of the first.
        self._table: dict[tuple[int, int], tuple[int, ...]] = {}

    @property
    def any_day(self) -> bool:
        """Whether day of month is left open."""
        return self.day.is_star and len(self.day.values) == _EVERY_DAY

    @property
    def any_weekday(self) -> bool:
        """Whether day of week is left open."""
        return self.weekday.is_star and len(self.weekday.values) == _EVERY_WEEKDAY

    @property
    def never(self) -> bool:
        """Whether no day of any year matches."""
        # Every month of every length begins with every day of the week in some year.
        return not any(
            self._days(length, first)
            for month in self.month.values
            for length in _LENGTHS[month - 1]
            for first in range(7)
        )

    def of_month(self, year: int, month: int) -> tuple[int, ...]:
        """Return the days of a month that match, ascending."""
        if month not in self._months:
            return ()
        first = date(year, month, 1).isoweekday() % 7
        return self._days(_length(year, month), first)

    def at_or_after(self, day: date, last_year: int) -> date | None:
        """Return the first matching day from ``day`` on, to the end of ``last_year``."""
        year, month, least = day.year, day.month, day.day
        while year <= last_year:
            days = self.of_month(year, month)
            index = bisect_left(days, least)
            if index < len(days):
                return date(year, month, days[index])
            least = 1
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        return None

    def at_or_before(self, day: date, first_year: int) -> date | None:
        """Return the last matching day up to ``day``, back to the start of ``first_year``."""
        year, month, most = day.year, day.month, day.day
        while year >= first_year:
            days = self.of_month(year, month)
            index = bisect_right(days, most)
            if index:
                return date(year, month, days[index - 1])
            most = _EVERY_DAY
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        return None

    def _days(self, length: int, first: int) -> tuple[int, ...]:
        """Return the days that match in a month of this kind, ascending."""
        found = self._table.get((length, first))
        if found is None:
            by_day = self._by_day(length, first)
            by_weekday = self._by_weekday(length, first)
            days = by_day & by_weekday if self.both else by_day | by_weekday
            found = self._table[length, first] = tuple(sorted(days))
        return found

    def _by_day(self, length: int, first: int) -> set[int]:
        """Return the days that day of month names, in a month of this kind."""
        field = self.day
        days = {day for day in field.values if day <= length}
        days |= {length - back for back in field.from_end if back < length}
        if field.last_workday:
            days.add(_nearest_workday(length, length, first))
        if field.nearest and field.nearest <= length:
            days.add(_nearest_workday(field.nearest, length, first))
        return days

    def _by_weekday(self, length: int, first: int) -> set[int]:
        """Return the days that day of week names, in a month of this kind."""
        days: set[int] = set()
        for weekday in range(7):
            found = range(1 + (weekday - first) % 7, length + 1, 7)
            if weekday in self.weekday.values:
                days.update(found)
            for nth in range(len(found) + 1):
                if (weekday, nth) in self.weekday.nth:
                    days.add(found[nth - 1])
        return days


def _nearest_workday(day: int, length: int, first: int) -> int:
    """Return the Monday to Friday nearest to a day, within its month."""
    weekday = (first + day - 1) % 7
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else 3
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


def _length(year: int, month: int) -> int:
    lengths = _LENGTHS[month - 1]
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return lengths[-1] if leap else lengths[0]
