"""Defaults and checks of what users pass to a worker; each check returns the value."""

from __future__ import annotations

from typing import Final

from geartrain.errors import UsageError

# Both in seconds.
ANSWER_TIMEOUT: Final = 30.0
DEFAULT_GRACE: Final = 30.0


def check_count(name: str, value: int, least: int) -> int:
    """Return a number of jobs. Raises UsageError unless it is whole and at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{name} is {value!r}; give a whole number from {least} up")
    return value


def check_seconds(name: str, value: float) -> float:
    """Return a time. Raises UsageError unless it is a number from 0 up."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise UsageError(f"{name} is {value!r}; give seconds, from 0 up")
    return float(value)


def check_client_id(value: str | bytes) -> bytes:
    """Return a worker's name in the server's lists. Raises UsageError where it would break them."""
    name = value.encode() if isinstance(value, str) else bytes(value)
    if any(byte <= 0x20 or byte == 0x7F for byte in name):
        raise UsageError(
            f"client_id {value!r} has blanks or control characters in it; servers list workers "
            "one a line, in columns separated by blanks"
        )
    return name


__all__ = ["ANSWER_TIMEOUT", "DEFAULT_GRACE", "check_client_id", "check_count", "check_seconds"]
