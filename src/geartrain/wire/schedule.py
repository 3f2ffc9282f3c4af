"""
When a SUBMIT_JOB_SCHED job is due.

PROTOCOL gives it five numbers: minute (0-59), hour (0-23), day of month
(1-31), month (1-12), day of week (0-6, Monday is 0). A field that is empty
or ``*`` fits any value. Times are UTC, since a packet names no zone.
"""

from __future__ import annotations

from typing import Final

_LOWEST: Final = (0, 0, 1, 1, 0)
_HIGHEST: Final = (59, 23, 31, 12, 6)
_ANY: Final = -1
_WRONG: Final = -2

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_SHORTEST_MONTH: Final = 28
# Any date that exists comes again within eight years (February 29 around 2100); a date on a
# given day of the week within forty.
_HORIZON_DAYS: Final = 40 * 366


def next_minute(
    now: int, minute: bytes, hour: bytes, day: bytes, month: bytes, weekday: bytes
) -> int:
    """
    Return the first full minute after ``now`` that fits all fields, in seconds since 1970.

    Returns -1 where a field is no number, out of range, or the date does not exist.
    """
    fields = [_field(index, text) for index, text in enumerate((minute, hour, day, month, weekday))]
    if _WRONG in fields:
        return -1
    start = now - now % _MINUTE + _MINUTE
    days = start // _DAY
    horizon = days + _HORIZON_DAYS
    while days < horizon:
        later = _days_until(days, fields[2], fields[3], fields[4])
        if later == 0:
            second = _first_time(start - days * _DAY, fields[0], fields[1])
            if second >= 0:
                return days * _DAY + second
            later = 1
        days += later
    return -1


def _field(index: int, text: bytes) -> int:
    if text in (b"", b"*"):
        return _ANY
    if not text.isdigit() or len(text) > 2:
        return _WRONG
    value = int(text)
    return value if _LOWEST[index] <= value <= _HIGHEST[index] else _WRONG


def _days_until(days: int, day: int, month: int, weekday: int) -> int:
    """
    Return 0 where the day fits, else after how many days to look again.

    Days are skipped as far as every month has them: a date that does not exist
    must not take the server thousands of steps to find out.
    """
    if day != _ANY or month != _ANY:
        this_month, this_day = _month_and_day(days)
        to_next_month = max(1, _SHORTEST_MONTH + 1 - this_day)
        if month not in (_ANY, this_month):
            return to_next_month + ((month - this_month) % 12 - 1) * _SHORTEST_MONTH
        if day != _ANY and this_day > day:
            return to_next_month
        if this_day < day:
            return day - this_day
    # 1970-01-01 was a Thursday, which is 3 when Monday is 0.
    return 0 if weekday in (_ANY, (days + 3) % 7) else 1


def _month_and_day(days: int) -> tuple[int, int]:
    """Return month and day of month of a day since 1970, in the Gregorian calendar."""
    # Counted from 0000-03-01, so that a leap day is the last of its year; 400 years have
    # 146,097 days, and months from March on repeat every five in 153 days.
    days += 719_468
    day_of_era = days % 146_097
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    return (shifted + 3 if shifted < 10 else shifted - 9), day


def _first_time(earliest: int, minute: int, hour: int) -> int:
    """Return the first second of the day, not before ``earliest``, that fits, or -1."""
    for this_hour in range(24) if hour == _ANY else (hour,):
        for this_minute in range(60) if minute == _ANY else (minute,):
            second = this_hour * _HOUR + this_minute * _MINUTE
            if second >= earliest:
                return second
    return -1


__all__ = ["next_minute"]
