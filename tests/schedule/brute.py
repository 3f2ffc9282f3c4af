"""
A dumb twin of the evaluator: walks through real time, minute by minute.

Shares nothing with it. Fields are matched by their words, day by day; where
clocks are changed is seen from wall times that jump, as cron itself sees it.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["brute_days", "brute_fires", "value_of"]

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
# How far back clocks may be set, for the walk to know wall times that come again.
MEMORY = timedelta(hours=4)


def brute_fires(
    expression: str, tz: str, after: datetime, until: datetime, dst: str = "vixie"
) -> list[datetime]:
    """Return the fires later than ``after``, up to ``until``."""
    fields = expression.upper().split()
    step = timedelta(minutes=1) if len(fields) == 5 else timedelta(seconds=1)
    if len(fields) == 5:
        fields = ["0", *fields]
    wild = fields[1][0] == "*" or fields[2][0] == "*"
    walk = _walk(ZoneInfo(tz), after - MEMORY, until, step)
    if wild or dst == "strict":
        found = [now for now, wall, _ in walk if _matches(fields, wall)]
    else:
        found = list(_once(fields, walk, step, makes_up=dst == "vixie"))
    return [fire for fire in found if fire > after]


def brute_days(expression: str, first: date, count: int) -> list[date]:
    """Return the days that match, of so many from ``first`` on."""
    day, month, weekday = expression.upper().split()[-3:]
    days = [first + timedelta(days=number) for number in range(count)]
    return [
        today
        for today in days
        if _in(month, today.month, 1, 12) and _day_matches(day, weekday, today)
    ]


def _walk(
    zone: ZoneInfo, start: datetime, until: datetime, step: timedelta
) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Yield instants, their wall times and by how much the wall time jumped."""
    now = start.replace(second=0, microsecond=0)
    last = now.astimezone(zone).replace(tzinfo=None)
    while (now := now + step) <= until:
        wall = now.astimezone(zone).replace(tzinfo=None)
        yield now, wall, wall - last - step
        last = wall


def _once(
    fields: list[str],
    walk: Iterator[tuple[datetime, datetime, timedelta]],
    step: timedelta,
    makes_up: bool,
) -> Iterator[datetime]:
    newest = datetime.min
    for now, wall, jump in walk:
        missed = False
        if makes_up and timedelta(0) < jump <= timedelta(hours=3):
            times = range(1, jump // step + 1)
            missed = any(_matches(fields, wall - number * step) for number in times)
        # Wall times up to the newest have been there before.
        if missed or (wall > newest and _matches(fields, wall)):
            yield now
        newest = max(newest, wall)


def _matches(fields: list[str], wall: datetime) -> bool:
    second, minute, hour, day, month, weekday = fields
    return (
        _in(second, wall.second, 0, 59)
        and _in(minute, wall.minute, 0, 59)
        and _in(hour, wall.hour, 0, 23)
        and _in(month, wall.month, 1, 12)
        and _day_matches(day, weekday, wall.date())
    )


@lru_cache(maxsize=100_000)
def _day_matches(day: str, weekday: str, today: date) -> bool:
    by_day = any(_is_day(part, today) for part in day.split(","))
    by_weekday = any(_is_weekday(part, today) for part in weekday.split(","))
    if day[0] in "*?" or weekday[0] in "*?":
        return by_day and by_weekday
    return by_day or by_weekday


def _is_day(part: str, today: date) -> bool:
    last = calendar.monthrange(today.year, today.month)[1]
    if part == "LW":
        return today == _workday(today.replace(day=last))
    if part == "L":
        return today.day == last
    if part.startswith("L-"):
        return today.day == last - int(part[2:])
    if part.endswith("W"):
        wanted = int(part[:-1])
        return wanted <= last and today == _workday(today.replace(day=wanted))
    return _in(part, today.day, 1, 31)


def _workday(wanted: date) -> date:
    """Return the nearest Monday to Friday in the month, tried by distance, earlier first."""
    for distance in (0, -1, 1, -2, 2):
        found = wanted + timedelta(days=distance)
        if found.month == wanted.month and found.weekday() < 5:
            return found
    raise AssertionError


def _is_weekday(part: str, today: date) -> bool:
    number = today.isoweekday() % 7
    if part.endswith("L"):
        week = timedelta(days=7)
        return value_of(part[:-1]) % 7 == number and (today + week).month != today.month
    if "#" in part:
        name, nth = part.split("#")
        return value_of(name) % 7 == number and (today.day - 1) // 7 + 1 == int(nth)
    body, slash, step = part.partition("/")
    if body.endswith(("-0", "-SUN")) and body not in ("0-0", "SUN-SUN", "0-SUN", "SUN-0"):
        part = f"{body.split('-')[0]}-7{slash}{step}"
    return _in(part, number, 0, 7) or (number == 0 and _in(part, 7, 0, 7))


@lru_cache(maxsize=100_000)
def _in(text: str, value: int, low: int, high: int) -> bool:
    for part in text.split(","):
        body, _, step = part.partition("/")
        if body in ("*", "?"):
            first, last = low, high
        elif "-" in body:
            first, last = (value_of(one) for one in body.split("-"))
        else:
            first = value_of(body)
            last = high if step else first
        if first <= value <= last and (value - first) % int(step or 1) == 0:
            return True
    return False


def value_of(text: str) -> int:
    if text in MONTHS:
        return MONTHS.index(text) + 1
    return WEEKDAYS.index(text) if text in WEEKDAYS else int(text)
