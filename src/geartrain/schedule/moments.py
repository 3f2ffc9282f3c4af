"""
When expressions fire that no calendar is needed for: at an interval, once, or not by the clock.

Like ``calendar``, in naive datetimes in UTC.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from geartrain.schedule.instant import SECOND

__all__ = ["At", "Every", "Unclocked", "read_every"]

_EPOCH: Final = datetime(1970, 1, 1)
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LENGTH: Final = re.compile(r"(?:[0-9]{1,9}[wdhms])+")
# A hundred years of days.
_LONGEST: Final = 36_525 * 86_400


class Every:
    """
    Fires at an interval, counted from the start of 1970, not from the last run.

    Attributes:
        seconds: The interval.
        phase: Seconds by which each fire is later; less than the interval.

    """

    __slots__ = ("phase", "seconds")

    def __init__(self, seconds: int, phase: int) -> None:
        self.seconds = seconds
        self.phase = phase

    def next(self, after: datetime) -> datetime | None:
        """Return the first fire later than ``after``."""
        elapsed = (after - _EPOCH) // SECOND - self.phase
        return self._fire(elapsed // self.seconds + 1)

    def previous(self, before: datetime) -> datetime | None:
        """Return the last fire earlier than ``before``."""
        elapsed = (before - _EPOCH) // SECOND - self.phase
        return self._fire((elapsed - 1) // self.seconds)

    def count(self, after: datetime, until: datetime) -> int:
        """Return how many fires are later than ``after``, up to and including ``until``."""
        early, late = ((one - _EPOCH) // SECOND - self.phase for one in (after, until))
        return late // self.seconds - early // self.seconds

    def _fire(self, number: int) -> datetime | None:
        try:
            return _EPOCH + timedelta(seconds=number * self.seconds + self.phase)
        except OverflowError:
            return None


class At:
    """Fires once."""

    __slots__ = ("instant",)

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def next(self, after: datetime) -> datetime | None:
        """Return the instant, if it is later than ``after``."""
        return self.instant if self.instant > after else None

    def previous(self, before: datetime) -> datetime | None:
        """Return the instant, if it is earlier than ``before``."""
        return self.instant if self.instant < before else None

    def count(self, after: datetime, until: datetime) -> int:
        """Return how many fires are later than ``after``, up to and including ``until``."""
        return int(after < self.instant <= until)


class Unclocked:
    """Fires when something happens or somebody asks, and at no instant known before."""

    __slots__ = ()

    def next(self, after: datetime) -> datetime | None:
        """Return None."""
        return None

    def previous(self, before: datetime) -> datetime | None:
        """Return None."""
        return None

    def count(self, after: datetime, until: datetime) -> int:
        """Return 0."""
        return 0


def read_every(text: str) -> Every:
    """
    Read an interval, with a phase behind a slash: ``90s``, ``1h30m``, ``1h/5m``.

    Raises:
        ValueError: It can't be read; says why.

    """
    length, slash, phase = text.partition("/")
    seconds = _seconds(length)
    late = _seconds(phase) if slash else 0
    if not 1 <= seconds <= _LONGEST:
        raise ValueError("an interval lasts from 1s to 36525d")
    if late >= seconds:
        raise ValueError(f"the phase {phase} has to be shorter than the interval {length}")
    return Every(seconds, late)


def _seconds(text: str) -> int:
    if not _LENGTH.fullmatch(text):
        raise ValueError(f"{text!r} is no interval; write one such as 90s, 15m, 1h30m or 1d")
    return sum(int(part[:-1]) * _UNITS[part[-1]] for part in re.findall(r"[0-9]+[wdhms]", text))
