"""
An expression in words: when it fires, by which rules, and what the next changes of clocks do to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from itertools import product
from typing import Final

from geartrain.rfc3339 import written
from geartrain.schedule.calendar import LONGEST_GAP, SKIP, STRICT, Calendar
from geartrain.schedule.days import Days
from geartrain.schedule.field import Field
from geartrain.schedule.instant import LAST, SECOND, aware
from geartrain.schedule.moments import At, Every, Unclocked
from geartrain.schedule.zone import Change, changes

__all__ = ["Explanation", "explain_calendar", "explain_moments"]

_WEEKDAYS: Final = (
    *("Sunday", "Monday", "Tuesday", "Wednesday"),
    *("Thursday", "Friday", "Saturday"),
)
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
# Times of day that are worth listing one by one.
_FEW: Final = 6
_YEAR: Final = 366


class Explanation:
    """
    What an expression means.

    Attributes:
        words: When it fires, without full stop.
        remarks: What else there is to know, a sentence each.
        fires: The next fires, in UTC.

    """

    __slots__ = ("fires", "remarks", "words")

    def __init__(self, words: str, remarks: tuple[str, ...] = ()) -> None:
        self.words = words
        self.remarks = remarks
        self.fires: tuple[datetime, ...] = ()


def explain_moments(plan: Every | At | Unclocked, kind: str) -> Explanation:
    """Say when an expression without fields fires."""
    if isinstance(plan, Every):
        late = f", {plan.phase} seconds later each time" if plan.phase else ""
        words = f"every {timedelta(seconds=plan.seconds)} (h:mm:ss)"
        return Explanation(f"{words} counted from 1970-01-01T00:00:00Z{late}")
    if isinstance(plan, At):
        instant = aware(plan.instant) or plan.instant
        return Explanation(f"once, at {written(instant)}")
    if kind == "reboot":
        return Explanation("once whenever an executor starts, not by the clock")
    return Explanation("only when somebody asks for it")


def explain_calendar(plan: Calendar, after: datetime, dst: str) -> Explanation:
    """Say when an expression with fields fires; changes of clocks are looked for from ``after``."""
    words = ", ".join([_times(plan), _days(plan.days), *_months(plan.days.month)])
    coming = list(changes(plan.zone, min(after, LAST - timedelta(_YEAR)), _YEAR))
    remarks = [_day_rule(plan.days)]
    if coming:
        remarks.append(_change_rule(plan, dst))
        remarks += [_effect(plan, change) for change in coming]
    return Explanation(f"{words}, {plan.zone.key} time", tuple(filter(None, remarks)))


# When: words.


def _times(plan: Calendar) -> str:
    hours, minutes, seconds = plan.times
    if len(hours) * len(minutes) * len(seconds) <= _FEW:
        clock = [time(*found) for found in product(hours, minutes, seconds)]
        return "at " + _and([_shown(one) for one in clock])
    parts = [_unit("minute", minutes, 60), _unit("hour", hours, 24)]
    if seconds != (0,):
        parts.insert(0, _unit("second", seconds, 60))
    return " of ".join(parts)


def _unit(name: str, values: tuple[int, ...], count: int) -> str:
    """Return ``every minute``, ``every 5th minute from 0`` or ``minute 3, 5-9``."""
    if len(values) == count:
        return f"every {name}"
    step = values[1] - values[0] if len(values) > 2 else 0
    if step > 1 and values == tuple(range(values[0], count, step)):
        return f"every {_ordinal(step)} {name} from {values[0]}"
    return f"{name} {_numbers(values)}"


def _days(days: Days) -> str:
    by_day, by_weekday = _by_day(days.day), _by_weekday(days.weekday)
    if days.both:
        if days.any_day:
            return "every day" if days.any_weekday else f"on {by_weekday}"
        return f"on {by_day}" + ("" if days.any_weekday else f" if that is {by_weekday}")
    return f"on {by_day} and on {by_weekday}"


def _by_day(field: Field) -> str:
    found = [f"day {_numbers(field.values)} of the month"] if field.values else []
    found += [f"the {_from_end(back)} of the month" for back in sorted(field.from_end)]
    if field.last_workday:
        found.append("the last Monday to Friday of the month")
    if field.nearest:
        found.append(f"the Monday to Friday nearest to day {field.nearest}")
    return _and(found)


def _from_end(back: int) -> str:
    return f"{_ordinal(back + 1)} day from the end" if back else "last day"


def _by_weekday(field: Field) -> str:
    # Monday first, so that a working week is a range.
    week = [
        [_WEEKDAYS[value % 7] for value in run]
        for run in _runs(sorted(value or 7 for value in field.values))
    ]
    found = [f"{run[0]} to {run[-1]}" if len(run) > 2 else _and(run) for run in week]
    for weekday, nth in sorted(field.nth):
        found.append(f"the {_ordinal(nth) if nth else 'last'} {_WEEKDAYS[weekday]} of the month")
    return _and(found)


def _months(field: Field) -> list[str]:
    if len(field.values) == len(_MONTHS):
        return []
    return ["in " + _and([_MONTHS[value - 1] for value in field.values])]


# What else there is to know: remarks.


def _day_rule(days: Days) -> str:
    if days.any_day or days.any_weekday:
        return ""
    if days.both:
        return "A day has to match both day of month and day of week."
    return "A day that matches either day of month or day of week is enough."


def _change_rule(plan: Calendar, dst: str) -> str:
    if dst == STRICT:
        rule = "times that are left out are not run, times that come twice are run twice"
    elif plan.is_wildcard:
        rule = (
            "minute or hour starts with *, so it follows the clock: "
            "times that are left out are not run, times that come twice are run twice"
        )
    elif dst == SKIP:
        rule = "times that are left out are not run, times that come twice are run the first time"
    else:
        rule = (
            "times that are left out are run once, right behind the gap, "
            "times that come twice are run the first time"
        )
    return f"When clocks are changed: {rule}."


def _effect(plan: Calendar, change: Change) -> str:
    """Say what one change does to the entry; nothing if it does nothing."""
    first = plan.wall_at_or_after(change.begin, change.end.year)
    if first is None or first >= change.end:
        return ""
    last = plan.wall_at_or_before(change.end - SECOND, change.begin.year) or first
    walls = _shown(first.time()) + (f" to {_shown(last.time())}" if last != first else "")
    when = f"On {first.date()} in {plan.zone.key}, {walls}"
    if not change.is_gap:
        return f"{when} comes twice and is run {'the first time' if plan.once else 'both times'}."
    if plan.makes_up and change.length <= LONGEST_GAP:
        return f"{when} is left out and run at {_shown(change.end.time())}."
    return f"{when} is left out and not run."


# Grammar.


def _shown(clock: time) -> str:
    return clock.isoformat("seconds" if clock.second else "minutes")


def _numbers(values: tuple[int, ...]) -> str:
    """Return numbers with neighbours drawn together: ``0, 5-9``."""
    return ", ".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in _runs(values)
    )


def _runs(values: Sequence[int]) -> list[list[int]]:
    """Return ascending numbers cut where one is left out."""
    found: list[list[int]] = []
    for value in values:
        if found and found[-1][-1] == value - 1:
            found[-1].append(value)
        else:
            found.append([value])
    return found


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _ordinal(number: int) -> str:
    if number // 10 % 10 == 1:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
