"""
A cron expression: read, checked, and asked when it fires.

Reads no clock: whoever asks says from when on. docs/reference/cron.md is the
dialect; ``field``, ``days`` and ``calendar`` hold its rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from geartrain.errors import CronError
from geartrain.schedule import field
from geartrain.schedule.calendar import DST_RULES, VIXIE, Calendar
from geartrain.schedule.counting import count_fires
from geartrain.schedule.days import CRON, DAY_MODES, Days
from geartrain.schedule.explanation import Explanation, explain_calendar, explain_moments
from geartrain.schedule.field import Field, read_field
from geartrain.schedule.instant import FIRST, LAST, SECOND, aware, naive, read_instant
from geartrain.schedule.moments import At, Every, Unclocked, read_every
from geartrain.schedule.zone import Change, read_zone

__all__ = ["AT", "CALENDAR", "EVERY", "MANUALLY", "REBOOT", "Cron"]

# Kinds of expression.
CALENDAR: Final = "cron"
EVERY: Final = "every"
AT: Final = "at"
REBOOT: Final = "reboot"
MANUALLY: Final = "manually"

_LONGEST_TEXT: Final = 1_000
_MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ZONE_PREFIX: Final = re.compile(r"(?:CRON_)?TZ=([^ \t]*)[ \t]+(.*)")
_KINDS: Final = (
    field.SECONDS,
    field.MINUTE,
    field.HOUR,
    field.DAY,
    field.MONTH,
    field.WEEKDAY,
)
# Far enough that every zone goes by the rules it has for ever.
_REFERENCE: Final = datetime(2100, 1, 1)


class Cron:
    """
    When an entry fires.

    Made by ``Cron.parse``. Instants are aware datetimes, returned in UTC; a fire
    has whole seconds.

    Attributes:
        text: The expression, without the zone before it.
        kind: ``CALENDAR``, ``EVERY``, ``AT``, ``REBOOT`` or ``MANUALLY``. The last two
            never fire by the clock.
        tz: IANA name of the zone.
        day_mode, dst: The rules it goes by.
        warnings: What is legal and probably not meant.

    """

    __slots__ = ("_plan", "day_mode", "dst", "kind", "text", "tz", "warnings")

    def __init__(
        self, text: str, kind: str, plan: Calendar | Every | At | Unclocked, tz: str
    ) -> None:
        self.text = text
        self.kind = kind
        self.tz = tz
        self.day_mode = CRON
        self.dst = VIXIE
        self.warnings: tuple[str, ...] = ()
        self._plan = plan

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        tz: str | None = None,
        key: str = "",
        day_mode: str = CRON,
        dst: str = VIXIE,
    ) -> Cron:
        """
        Read an expression.

        Args:
            text: 5 fields, 6 with seconds first, or a macro; ``CRON_TZ=ZONE`` may come before.
            tz: IANA name of the zone, where the text names none; UTC where neither does.
            key: The schedule's identity, which decides what ``H`` and ``~`` stand for.
            day_mode: ``cron``, ``and`` or ``or``: how the two day fields go together.
            dst: ``vixie``, ``skip`` or ``strict``: what becomes of wall times that a
                change of clocks leaves out or repeats.

        Raises:
            CronError: It can't be read, or would never fire.

        """
        try:
            return _Reading(key, day_mode, dst).read(text, tz)
        except ValueError as error:
            raise CronError(text, str(error)) from None

    def next(self, after: datetime) -> datetime | None:
        """Return the first fire later than ``after``; None if there is none within 400 years."""
        instant = naive(after)
        return None if instant >= LAST else aware(self._plan.next(_floor(instant)))

    def previous(self, before: datetime) -> datetime | None:
        """Return the last fire earlier than ``before``; None if there is none within 400 years."""
        instant = naive(before)
        return None if instant <= FIRST else aware(self._plan.previous(_ceiling(instant)))

    def fires(self, after: datetime, until: datetime | None = None) -> Iterator[datetime]:
        """Yield the fires later than ``after``, in order, up to and including ``until``."""
        fire = self.next(after)
        while fire is not None and (until is None or fire <= until):
            yield fire
            fire = self.next(fire)

    def count(self, after: datetime, until: datetime) -> int:
        """Return how many fires ``fires`` would yield, without going through them."""
        first, last = _floor(naive(after)), _floor(naive(until))
        if isinstance(self._plan, Calendar):
            return count_fires(self._plan, first, last)
        return self._plan.count(first, last) if first < last else 0

    def correction(self, after: datetime, until: datetime) -> Change | None:
        """Return the first correction of the clock in between that keeps it from firing."""
        if not isinstance(self._plan, Calendar):
            return None
        return self._plan.correction(_floor(naive(after)), _floor(naive(until)))

    def explain(self, after: datetime, count: int = 5) -> Explanation:
        """Say in words when it fires, with the next fires and what changes of clocks do to it."""
        if isinstance(self._plan, Calendar):
            explanation = explain_calendar(self._plan, naive(after), self.dst)
        else:
            explanation = explain_moments(self._plan, self.kind)
        explanation.remarks += self.warnings
        for fire in self.fires(after):
            if len(explanation.fires) == count:
                break
            explanation.fires += (fire,)
        return explanation

    def __repr__(self) -> str:
        return f"Cron({self.text!r}, tz={self.tz!r})"


class _Reading:
    """Reads one expression; its methods raise ValueError with the reason."""

    __slots__ = ("day_mode", "dst", "key", "warnings")

    def __init__(self, key: str, day_mode: str, dst: str) -> None:
        self.key = key
        self.day_mode = day_mode
        self.dst = dst
        self.warnings: list[str] = []

    def read(self, text: str, tz: str | None) -> Cron:
        _check_choice("day_mode", self.day_mode, DAY_MODES)
        _check_choice("dst", self.dst, DST_RULES)
        body = _checked(text)
        if match := _ZONE_PREFIX.fullmatch(body):
            if tz is not None:
                raise ValueError(f"it names the zone {match[1]!r} and so does tz; keep one of them")
            tz, body = match[1], match[2].strip()
        zone = read_zone("UTC" if tz is None else tz)
        kind, plan = self._plan(body, zone)
        cron = Cron(body, kind, plan, zone.key)
        cron.day_mode, cron.dst, cron.warnings = self.day_mode, self.dst, tuple(self.warnings)
        return cron

    def _plan(self, body: str, zone: ZoneInfo) -> tuple[str, Calendar | Every | At | Unclocked]:
        if not body.startswith("@"):
            return CALENDAR, self._calendar(body.split(), zone)
        name, _, rest = body.partition(" ")
        name, rest = name.lower(), rest.strip()
        if name == "@every":
            return EVERY, read_every(rest.lower())
        if name == "@at":
            return AT, At(read_instant(rest).replace(tzinfo=None))
        if rest:
            raise ValueError(f"nothing may follow {name}")
        if name == "@reboot":
            return REBOOT, Unclocked()
        if name == "@manually":
            return MANUALLY, Unclocked()
        if name in _MACROS:
            return CALENDAR, self._calendar(_MACROS[name].split(), zone)
        raise ValueError(
            f"there is no {name}; write {', '.join(_MACROS)}, @every, @at, @reboot or @manually"
        )

    def _calendar(self, texts: list[str], zone: ZoneInfo) -> Calendar:
        if len(texts) not in (5, 6):
            raise ValueError(
                f"{len(texts)} fields; write 5 (minute, hour, day of month, month, day of week) "
                "or 6 with seconds first"
            )
        if len(texts) == 5:
            texts = ["0", *texts]
        fields = [self._field(kind, text) for kind, text in zip(_KINDS, texts, strict=True)]
        second, minute, hour, day, month, weekday = fields
        days = Days(day, month, weekday, self.day_mode)
        if days.never:
            raise ValueError(
                f"it would never fire: no year has a day of month {texts[3]}"
                f"{' and' if days.both else ' or'} day of week {texts[5]} in month {texts[4]}"
            )
        calendar = Calendar(second, minute, hour, days, zone, self.dst)
        if not calendar.makes_up and calendar.next(_REFERENCE) is None:
            raise ValueError(
                f"it would never fire: clocks in {zone.key} leave those times out each year"
            )
        self._warn_of_hashes(fields)
        return calendar

    def _field(self, kind: field.Kind, text: str) -> Field:
        try:
            found = read_field(kind, text, self.key)
        except ValueError as error:
            raise ValueError(f"{kind.name}: {error}") from None
        self.warnings += found.warnings
        return found

    def _warn_of_hashes(self, fields: list[Field]) -> None:
        if not self.key and any(one.is_hashed for one in fields):
            self.warnings.append(
                "H and ~ stand for values chosen by the schedule's name; none was given"
            )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; write {', '.join(choices)}")


def _checked(text: str) -> str:
    """Return the text without blanks around it, if it is one that may be looked at closer."""
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"it has {len(text)} characters; {_LONGEST_TEXT} are allowed")
    body = text.strip(" \t").replace("\t", " ")
    if not body:
        raise ValueError("it is empty; write 5 fields, such as 0 3 * * *")
    # Before anything is put into capitals: some letters beyond ASCII turn into ASCII ones.
    if not (body.isascii() and body.isprintable()):
        raise ValueError("it holds a character that is neither printable ASCII nor a blank")
    return body


def _floor(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _ceiling(instant: datetime) -> datetime:
    return instant if not instant.microsecond else _floor(instant) + SECOND
