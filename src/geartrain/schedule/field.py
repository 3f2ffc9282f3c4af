"""
One field of a cron expression: from text to the values it names.

Knows the dialect and nothing of calendars: what ``L`` or ``15W`` mean in a
certain month is said in ``days``. Every reason it gives is one line and
follows the field's name.
"""

from __future__ import annotations

import re
from typing import Final

from geartrain.schedule.spreading import number_for

__all__ = ["DAY", "HOUR", "MINUTE", "MONTH", "SECONDS", "WEEKDAY", "Field", "Kind", "read_field"]


class Kind:
    """
    What a field may hold.

    Attributes:
        low, high: The numbers; 7 is a second name of Sunday.
        hashed: Largest number that ``H`` stands for.
        names: Names of numbers, from ``low`` on.

    """

    __slots__ = ("hashed", "high", "low", "name", "names")

    def __init__(self, name: str, low: int, high: int, hashed: int, names: str = "") -> None:
        self.name = name
        self.low = low
        self.high = high
        self.hashed = hashed
        self.names = {one: low + number for number, one in enumerate(names.split())}


SECONDS: Final = Kind("second", 0, 59, 59)
MINUTE: Final = Kind("minute", 0, 59, 59)
HOUR: Final = Kind("hour", 0, 23, 23)
# The 28th is the last day that every month has.
DAY: Final = Kind("day of month", 1, 31, 28)
MONTH: Final = Kind("month", 1, 12, 12, "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")
WEEKDAY: Final = Kind("day of week", 0, 7, 6, "SUN MON TUE WED THU FRI SAT")

_SUNDAY: Final = 7
_ONE: Final = "([0-9]+|[A-Z]{3})"
_RANGE: Final = re.compile(rf"(?:(\*)|{_ONE}(?:-{_ONE})?)(?:/([0-9]+))?")
_HASH: Final = re.compile(rf"H(?:\({_ONE}-{_ONE}\))?(?:/([0-9]+))?")
_TILDE: Final = re.compile(rf"{_ONE}?~{_ONE}?")
_LAST_DAY: Final = re.compile(r"L(?:-([0-9]+))?")
_NEAREST: Final = re.compile(r"([0-9]+)W")
_LAST_WEEKDAY: Final = re.compile(rf"{_ONE}L")
_NTH_WEEKDAY: Final = re.compile(rf"{_ONE}#([0-9]+)")


class Field:
    """
    The values that a field names.

    Attributes:
        text: The field in capitals.
        values: Numbers, ascending; Sunday is 0.
        from_end: Days of month counted back from the last, which is 0 (``L``, ``L-n``).
        last_workday: Whether the last Monday to Friday of the month is meant (``LW``).
        nearest: Day of month whose nearest Monday to Friday is meant (``nW``); 0 for none.
        nth: Days of week with their number in the month; 0 for the last (``dL``, ``d#n``).
        warnings: What is legal and probably not meant.

    """

    __slots__ = (
        "from_end",
        "last_workday",
        "nearest",
        "nth",
        "text",
        "values",
        "warnings",
    )

    def __init__(self, text: str) -> None:
        self.text = text
        self.values: tuple[int, ...] = ()
        self.from_end: set[int] = set()
        self.last_workday = False
        self.nearest = 0
        self.nth: set[tuple[int, int]] = set()
        self.warnings: list[str] = []

    @property
    def is_star(self) -> bool:
        """Whether the field starts with ``*`` or ``?``: the mark that the rules of cron go by."""
        return self.text[0] in "*?"

    @property
    def is_hashed(self) -> bool:
        """Whether values depend on the schedule's name."""
        return "~" in self.text or re.search(r"(^|,)H", self.text) is not None


def read_field(kind: Kind, text: str, key: str) -> Field:
    """
    Read a field; ``key`` is what ``H`` and ``~`` are hashed from.

    Raises:
        ValueError: It can't be read; says why.

    """
    field = Field(text.upper())
    values: set[int] = set()
    parts = field.text.split(",")
    for number, part in enumerate(parts):
        if not _read_special(kind, field, part, alone=len(parts) == 1):
            seed = f"{key}\0{kind.name}\0{number}"
            values.update(_read_values(kind, field, part, seed))
    if kind is WEEKDAY:
        # After steps are counted, so that */7 is Sunday alone.
        values = {value % _SUNDAY for value in values}
    field.values = tuple(sorted(values))
    return field


def _read_special(kind: Kind, field: Field, part: str, alone: bool) -> bool:
    """Read what only day fields have; return whether it was that."""
    if kind is DAY:
        return _read_special_day(field, part, alone)
    if kind is WEEKDAY:
        return _read_special_weekday(field, part)
    return False


def _read_special_day(field: Field, part: str, alone: bool) -> bool:
    if part == "LW":
        field.last_workday = True
    elif match := _LAST_DAY.fullmatch(part):
        back = int(match[1] or 0)
        if back > DAY.high - 1:
            raise ValueError(f"no month has a day {part}; write L-1 to L-30")
        field.from_end.add(back)
    elif match := _NEAREST.fullmatch(part):
        if not alone:
            raise ValueError(f"{part} can't be in a list; give it a schedule of its own")
        field.nearest = _number(DAY, match[1])
    else:
        return False
    return True


def _read_special_weekday(field: Field, part: str) -> bool:
    if match := _LAST_WEEKDAY.fullmatch(part):
        field.nth.add((_number(WEEKDAY, match[1]) % _SUNDAY, 0))
    elif match := _NTH_WEEKDAY.fullmatch(part):
        nth = int(match[2])
        if not 1 <= nth <= 5:
            raise ValueError(f"a month has no weekday number {nth}; write #1 to #5")
        field.nth.add((_number(WEEKDAY, match[1]) % _SUNDAY, nth))
    else:
        return False
    return True


def _read_values(kind: Kind, field: Field, part: str, seed: str) -> range:
    """Return the numbers that one part of a list names."""
    if part == "?" and field.text == "?" and kind in (DAY, WEEKDAY):
        return range(kind.low, kind.high + 1)
    if match := _RANGE.fullmatch(part):
        return _stepped(kind, field, match)
    if match := _HASH.fullmatch(part):
        return _hashed(kind, field, match, seed)
    if match := _TILDE.fullmatch(part):
        first, last = match.groups()
        low = _number(kind, first) if first else kind.low
        high = _number(kind, last) if last else kind.hashed
        low, high = _ordered(kind, part, low, high)
        value = low + number_for(seed, high - low + 1)
        return range(value, value + 1)
    raise ValueError(_why_not(kind, part))


def _stepped(kind: Kind, field: Field, match: re.Match[str]) -> range:
    star, first, last, step = match.groups()
    if star:
        low, high = kind.low, kind.high
    else:
        low = high = _number(kind, first)
        if last:
            low, high = _ordered(kind, match[0], low, _number(kind, last))
        elif step:
            # As Quartz reads it; cron itself knows no step behind a single number.
            high = kind.high
    return range(low, high + 1, _step(kind, field, step, low, high))


def _hashed(kind: Kind, field: Field, match: re.Match[str], seed: str) -> range:
    """Return the range of ``H``, ``H(a-b)`` or ``H/n``, as Jenkins means them."""
    first, last, step = match.groups()
    low, high = kind.low, kind.hashed
    if first:
        low, high = _ordered(kind, match[0], _number(kind, first), _number(kind, last))
    if not step:
        value = low + number_for(seed, high - low + 1)
        return range(value, value + 1)
    width = _step(kind, field, step, low, high)
    return range(low + number_for(seed, min(width, high - low + 1)), high + 1, width)


def _step(kind: Kind, field: Field, text: str | None, low: int, high: int) -> int:
    step = int(text or 1)
    if step < 1:
        raise ValueError("a step is 1 or more")
    if step > max(high - low, 1):
        field.warnings.append(
            f"{kind.name}: step {step} is larger than the range {low}-{high}; one value is left"
        )
    return min(step, kind.high + 1)


def _ordered(kind: Kind, part: str, low: int, high: int) -> tuple[int, int]:
    if kind is WEEKDAY and high == 0 < low:
        # "FRI-SUN": the only range that may run over the end of the week.
        high = _SUNDAY
    if low > high:
        raise ValueError(
            f"range {part} runs backwards; write it in two parts, "
            f"{low}-{kind.high} and {kind.low}-{high}"
        )
    return low, high


def _number(kind: Kind, text: str) -> int:
    if text in kind.names:
        return kind.names[text]
    if not text.isdigit():
        raise ValueError(_why_not(kind, text))
    value = int(text)
    if not kind.low <= value <= kind.high:
        raise ValueError(f"{text} is not within {kind.low}-{kind.high}")
    return value


def _why_not(kind: Kind, part: str) -> str:
    if not part:
        return "an empty value; remove the comma that is too many"
    if kind.names:
        first, *_, last = kind.names
        return f"{part!r} is no value; write {kind.low}-{kind.high} or {first}-{last}"
    return f"{part!r} is no value; write {kind.low}-{kind.high}, *, ranges, steps or a list"
