"""
The configuration file, as every command reads it: TOML, checked name by name.

One file may configure several commands. Each reads its own tables and leaves
the others' alone; a table or key that nobody knows is an error that names the
nearest one, since a misspelt setting that is passed over in silence is found
out in production. Which keys a table has is said where they are used.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from geartrain.errors import UsageError

__all__ = [
    "TABLES",
    "bytes_of",
    "check_names",
    "checked",
    "hint",
    "read_tables",
    "seconds_of",
    "table_of",
    "written_table",
]

# Every table of the file, whichever command reads it.
TABLES: Final = [
    "server",
    "functions",
    "supervisor",
    "programs",
    "scheduler",
    "schedule",
    "agent",
    "alerts",
]

_KINDS: Final[dict[str, type]] = {"str": str, "int": int, "float": float, "bool": bool}
_WORDS: Final = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES: Final = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def read_tables(path: Path) -> dict[str, Any]:
    """
    Return the tables of a configuration file.

    Raises:
        UsageError: It can't be read, is not TOML, or has a table nobody knows.

    """
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    check_names(path, "table", tables, TABLES)
    return tables


def table_of(path: Path, tables: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one table of a file, empty where there is none; raises UsageError."""
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {name} has to be a table, written [{name}]")
    return table


def check_names(path: Path | str, what: str, found: Iterable[str], known: Iterable[str]) -> None:
    """Raise UsageError for the first name that is not known."""
    names = list(known)
    for name in found:
        if name not in names:
            raise UsageError(f"{path}: {name!r} is no {what}; {hint(name, names)}")


def hint(name: str, known: Iterable[str]) -> str:
    """Return what a person may have meant who wrote a name that is not known."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names)}"


def checked(path: Path | str, name: str, kind: str, value: Any) -> Any:
    """
    Return a value as its setting has it.

    Args:
        path: The file, for the message.
        name: The key.
        kind: Type of the setting: ``str``, ``int``, ``float``, ``bool`` or ``list[str]``.
        value: What the file says.

    Raises:
        UsageError: The value is of another type.

    """
    if kind == "list[str]":
        if isinstance(value, str):
            return [value]
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        raise UsageError(f"{path}: {name} takes a text or a list of texts, not {value!r}")
    wanted = _KINDS[kind]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        raise UsageError(f"{path}: {name} takes {_WORDS[wanted]}, not {value!r}")
    return value


def seconds_of(value: Any) -> float:
    """
    Return a length of time in seconds.

    Args:
        value: Seconds as a number, or a text such as ``"90s"``, ``"1h30m"`` or ``"14d"``; units
            are ms, s, m, h, d and w.

    Raises:
        UsageError: It is neither.

    """
    return _amount(value, _SECONDS, "seconds, or a text such as '90s', '1h30m' or '14d'")


def bytes_of(value: Any) -> int:
    """
    Return a size in bytes.

    Args:
        value: Bytes as a number, or a text such as ``"64KiB"`` or ``"500MB"``; units are B, KB,
            MB, GB (thousands) and KiB, MiB, GiB (1024).

    Raises:
        UsageError: It is neither.

    """
    return round(_amount(value, _BYTES, "bytes, or a text such as '64KiB' or '500MB'"))


def written_table(path: Iterable[str], keys: Mapping[str, Any]) -> str:
    """
    Return a table as TOML, its head first.

    Args:
        path: The table's name, part by part.
        keys: Texts, numbers, truth values, lists and tables of them.

    """
    head = ".".join(_written_key(part) for part in path)
    return f"[{head}]\n" + "".join(
        f"{_written_key(key)} = {_written(one)}\n" for key, one in keys.items()
    )


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_written_key(key)} = {_written(one)}" for key, one in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, float):
        return repr(value)
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _written_key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    # JSON's texts are TOML's, but for one character, and for what it makes of rare ones.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _amount(value: Any, units: Mapping[str, float], takes: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    if isinstance(value, str):
        text = value.strip().lower()
        parts = _AMOUNT.findall(text)
        if text and not _AMOUNT.sub("", text) and all(unit in units for _, unit in parts):
            return sum(float(number) * units[unit] for number, unit in parts)
    raise UsageError(f"takes {takes}, not {value!r}")
