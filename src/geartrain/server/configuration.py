"""
The configuration file: TOML, checked key by key.

A key nobody knows is an error that names the nearest one, since a misspelt
setting that is passed over in silence is found out in production.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from geartrain.errors import UsageError
from geartrain.server.settings import DEFAULT_LISTEN, Settings

_TABLE = "server"
_KINDS: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_COMPAT = ("2.0", "1.1")
# A day, for what is counted in seconds; the least is what the event loop can tell from nothing.
_PATIENCE = (0.001, 86_400)
# The most are what Linux takes.
_RANGES: dict[str, tuple[float, float]] = {
    "job_retries": (-1, 255),
    "max_packet": (1024, 2**31 - 1),
    "backlog": (1, 2**31 - 1),
    "keepalive_idle": (0, 32_767),
    "keepalive_interval": (0, 32_767),
    "keepalive_count": (0, 127),
    "partial_timeout": _PATIENCE,
    "store_timeout": _PATIENCE,
    "stalled_timeout": _PATIENCE,
    "output_limit": (1024, 2**40),
    "grace": (0, 86_400),
}


def load_settings(path: Path) -> Settings:
    """Return the settings of a configuration file; raises UsageError, which names file and key."""
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    check_names(path, "table", tables, [_TABLE])
    table = tables.get(_TABLE, {})
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {_TABLE} has to be a table, written [{_TABLE}]")
    settings = Settings()
    known = {field.name: str(field.type) for field in fields(Settings)}
    check_names(path, f"key of [{_TABLE}]", table, list(known))
    for name, value in table.items():
        setattr(settings, name, checked(path, name, known[name], value))
    try:
        check(settings)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return settings


def check_names(path: Path, what: str, found: dict[str, Any], known: list[str]) -> None:
    """Raise UsageError for the first name that is not known."""
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
            raise UsageError(f"{path}: {name!r} is no {what}; {hint}")


def checked(path: Path, name: str, kind: str, value: Any) -> Any:
    """Return the value as its setting has it; raises UsageError where it is of another type."""
    if kind == "list[str]":
        if isinstance(value, str):
            return [value]
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        raise UsageError(f"{path}: {name} takes an address or a list of addresses, not {value!r}")
    wanted = _KINDS[kind]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        raise UsageError(f"{path}: {name} takes {_WORDS[wanted]}, not {value!r}")
    return value


def check(settings: Settings) -> None:
    """Raise UsageError for values that no server can run with."""
    if settings.compat not in _COMPAT:
        raise UsageError(f"compat takes {' or '.join(_COMPAT)}, not {settings.compat!r}")
    for name, (least, most) in _RANGES.items():
        value = getattr(settings, name)
        # Not a number is neither less nor more than anything.
        if not least <= value <= most:
            raise UsageError(f"{name} takes {least} to {most}, not {value}")
    if not settings.listen:
        raise UsageError(f"listen takes at least one address, such as {DEFAULT_LISTEN}")
