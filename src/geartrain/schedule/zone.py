"""
Time zones: which wall time an instant has, and where clocks are changed.

The names are those of the IANA database, since only they know the future. A
change is found by PEP 495: a wall time that a change left out, or repeated,
has one offset with ``fold=0`` and another with ``fold=1``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from geartrain.schedule.instant import SECOND

__all__ = ["Change", "change_at", "changes", "instant_of", "offset_of", "read_zone", "wall_of"]

_DAY: Final = timedelta(days=1)
# Names that depend on the machine or count leap seconds.
_NO_ZONE: Final = re.compile(r"(posix|right)/.*|localtime|posixrules|Factory|leap.*", re.DOTALL)


class Change:
    """
    One change of a zone's offset: a gap or an overlap of wall times.

    Attributes:
        at: First instant with the new offset.
        before, after: The offsets.
        begin, end: First wall time left out or repeated, and the first behind those.

    """

    __slots__ = ("after", "at", "before", "begin", "end")

    def __init__(self, at: datetime, before: timedelta, after: timedelta) -> None:
        self.at = at
        self.before = before
        self.after = after
        self.begin = at + min(before, after)
        self.end = at + max(before, after)

    @property
    def is_gap(self) -> bool:
        """Whether wall times are left out; else they are repeated."""
        return self.after > self.before

    @property
    def length(self) -> timedelta:
        """How much wall time is left out or repeated."""
        return self.end - self.begin


def read_zone(name: str) -> ZoneInfo:
    """
    Return the zone of an IANA name.

    Raises:
        ValueError: There is no such zone; says what to write.

    """
    try:
        if not _NO_ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        pass
    raise ValueError(
        f"there is no time zone {name!r}; write an IANA name such as Europe/Berlin or UTC, "
        "not an offset or an abbreviation"
    )


def wall_of(zone: ZoneInfo, instant: datetime) -> datetime:
    """Return the wall time at an instant; its ``fold`` is 1 where it comes the second time."""
    return zone.fromutc(instant.replace(tzinfo=zone)).replace(tzinfo=None)


def offset_of(zone: ZoneInfo, wall: datetime, fold: int = 0) -> timedelta:
    """Return the offset from UTC at a wall time."""
    return zone.utcoffset(wall.replace(tzinfo=zone, fold=fold)) or timedelta(0)


def instant_of(zone: ZoneInfo, wall: datetime) -> datetime:
    """Return the first instant with a wall time that no change left out."""
    return wall - offset_of(zone, wall)


def change_at(zone: ZoneInfo, wall: datetime) -> Change | None:
    """Return the change that leaves this wall time out, or repeats it; None where none does."""
    before = offset_of(zone, wall)
    after = offset_of(zone, wall, 1)
    if before == after:
        return None
    early, late = sorted((wall - before, wall - after))
    return _change_between(zone, early, late)


def changes(zone: ZoneInfo, start: datetime, days: int) -> Iterator[Change]:
    """Yield the changes of so many days from an instant on, looked for once a day."""
    for number in range(days):
        early = start + number * _DAY
        if _offset_at(zone, early) != _offset_at(zone, early + _DAY):
            yield _change_between(zone, early, early + _DAY)


def _change_between(zone: ZoneInfo, early: datetime, late: datetime) -> Change:
    """Return the change between two instants whose offsets differ, by halving."""
    before, after = _offset_at(zone, early), _offset_at(zone, late)
    while late - early > SECOND:
        middle = early + (late - early) // 2
        middle = middle.replace(microsecond=0)
        if _offset_at(zone, middle) == before:
            early = middle
        else:
            late = middle
    return Change(late, before, after)


def _offset_at(zone: ZoneInfo, instant: datetime) -> timedelta:
    return wall_of(zone, instant) - instant
