"""
Times and lengths of time as people read and write them on a command line.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from geartrain.configuration import seconds_of
from geartrain.errors import UsageError
from geartrain.schedule.instant import read_instant

__all__ = ["ago", "at", "length", "read_length", "read_moment"]

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"))
# Beyond so many days hours do not matter.
_DAYS_ALONE: Final = 10 * 86_400


def length(seconds: float) -> str:
    """Return a length of time in at most two units: ``350ms``, ``42s``, ``5h12m``, ``12d``."""
    if seconds < 10 and seconds != round(seconds):
        return f"{seconds * 1_000:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"
    whole = round(seconds)
    for number, (size, unit) in enumerate(_UNITS):
        count, rest = divmod(whole, size)
        if not count:
            continue
        lesser, name = (_UNITS[number + 1]) if number + 1 < len(_UNITS) else (1, "s")
        more = rest // lesser
        return f"{count}{unit}{more}{name}" if more and whole < _DAYS_ALONE else f"{count}{unit}"
    return f"{whole}s"


def ago(moment: float, now: float) -> str:
    """Return a moment as seen from now: ``in 5h12m``, ``3m ago``; nothing for 0."""
    if not moment:
        return ""
    late = now - moment
    if abs(late) < 1:
        return "now"
    return f"{length(round(late))} ago" if late > 0 else f"in {length(round(-late))}"


def at(moment: float, tz: str) -> str:
    """Return a moment on the clocks of a zone: ``Mon 2026-02-02 03:15 CET``."""
    local = datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(tz))
    return local.strftime("%a %Y-%m-%d %H:%M" + (":%S" if local.second else "") + " %Z")


def read_length(option: str, text: str) -> float:
    """
    Return a length of time in seconds, given as ``90`` or ``1m30s``.

    Args:
        option: Where it was given, for the message.
        text: What was given.

    Raises:
        UsageError: It is none.

    """
    try:
        return seconds_of(int(text) if text.isdecimal() else text)
    except UsageError as error:
        raise UsageError(f"{option} {error}") from None


def read_moment(option: str, text: str, *, ahead: bool) -> int:
    """
    Return the moment somebody has written: an instant, or how far it is away from now.

    Args:
        option: Where it was given, for the message.
        text: Such as ``2026-02-01T00:00:00Z`` or ``2h``.
        ahead: Whether a length of time leads into the future; into the past otherwise.

    Raises:
        UsageError: It is neither.

    """
    if text == "now":
        return int(time.time())
    try:
        return round(read_instant(text).timestamp())
    except ValueError as error:
        try:
            seconds = seconds_of(text)
        except UsageError:
            raise UsageError(f"{option}: {error}; or a length of time such as 2h") from None
    return round(time.time() + (seconds if ahead else -seconds))
