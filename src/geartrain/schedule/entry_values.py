"""
Values of an entry's keys: as a table of TOML or JSON has them, and as the entry has them.

Durations are written ``"90s"``, ``"1h30m"`` or as seconds; instants as RFC 3339; a payload that is
no text as ``{base64 = "..."}``. What is given back by ``written_value`` is read as the same value.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from geartrain.configuration import bytes_of, checked, seconds_of
from geartrain.errors import UsageError
from geartrain.rfc3339 import written
from geartrain.schedule.instant import read_instant

__all__ = [
    "AFTER",
    "AGENT_NAME",
    "check_agent_name",
    "read_value",
    "written_seconds",
    "written_value",
]

# The kind of an entry that fires when others have ended; see ``cron`` for the other kinds.
AFTER: Final = "after"

# What an agent may be called: it is part of a function's name, of keys and of listings.
AGENT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")

_INSTANTS: Final = ("start", "end")
_SIZES: Final = ("result_size",)
_PARTS: Final = ("retry_jitter",)
_TEXTS: Final = "tuple[str, ...]"
_PAIRS: Final = "tuple[tuple[str, str], ...]"
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
# A hundred years; nothing that a person means is longer.
_LONGEST: Final = 36_525 * 86_400


def check_agent_name(name: str) -> str:
    """Return an agent's name. Raises UsageError for one that can't be."""
    if not AGENT_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be an agent's name; write 1 to 63 letters, digits and _ . -, "
            "a letter or digit first"
        )
    return name


def read_value(where: str, key: str, kind: str, value: Any) -> Any:
    """
    Return the value of a key as the entry has it.

    Args:
        where: What is read, for the message.
        key: The entry's attribute.
        kind: Its annotation.
        value: What the table says.

    Raises:
        UsageError: The value is none of this key.

    """
    try:
        if key in _INSTANTS:
            return _instant(value)
        if key in _SIZES:
            return bytes_of(value)
        if kind == "float" and key not in _PARTS:
            return _duration(value)
        if kind == "bytes":
            return _payload(value)
        if kind == _PAIRS:
            return _pairs(value)
    except ValueError as error:
        raise UsageError(f"{where}: {key}: {error}") from None
    except UsageError as error:
        raise UsageError(f"{where}: {key} {error}") from None
    if kind == _TEXTS:
        return tuple(checked(where, key, "list[str]", value))
    return checked(where, key, kind, value)


def written_value(key: str, value: Any) -> Any:
    """Return an entry's value as a table has it: of types that TOML and JSON both know."""
    if key in _INSTANTS:
        return written(datetime.fromtimestamp(value, UTC))
    if isinstance(value, float) and key not in _PARTS:
        return written_seconds(value)
    if isinstance(value, bytes):
        return _written_payload(value)
    if key == "environment":
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def written_seconds(seconds: float) -> str | float:
    """Return a length of time as people write it, ``1h30m``; a number if it has a fraction."""
    rest = round(seconds)
    if rest != seconds:
        return seconds
    text = ""
    for unit, length in _UNITS:
        count, rest = divmod(rest, length)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _instant(value: Any) -> int:
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.isoformat()
    if not isinstance(value, str):
        raise ValueError(f"takes an instant such as 2026-02-01T00:00:00Z, not {value!r}")
    instant = round(read_instant(value).timestamp())
    if instant < 1:
        raise ValueError(f"{value} is before 1970")
    return instant


def _duration(value: Any) -> float:
    seconds = float(seconds_of(value))
    if not seconds <= _LONGEST:
        raise ValueError(f"{value!r} is longer than 36525d")
    return seconds


def _payload(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, Mapping) and list(value) == ["base64"] and type(value["base64"]) is str:
        try:
            return base64.b64decode(value["base64"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"is no base64: {error}") from None
    raise ValueError(f'takes a text or {{base64 = "..."}}, not {value!r}')


def _written_payload(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode("ascii")}


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(value, Mapping) and all(
        type(name) is str and type(text) is str for name, text in value.items()
    ):
        return tuple(value.items())
    raise ValueError(f"takes a table of texts, such as {{PATH = '/usr/bin'}}, not {value!r}")
