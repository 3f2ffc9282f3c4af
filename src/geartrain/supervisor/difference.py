"""
What a new configuration changes, in words, before it is applied.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from geartrain.supervisor.program import Program

__all__ = ["ADDED", "CHANGED", "REMOVED", "Difference", "differences"]

ADDED: Final = "added"
CHANGED: Final = "changed"
REMOVED: Final = "removed"

# What a process has from its start to its end, so that a change has it replaced.
_LASTING: Final = ("command", "directory", "environment", "redirect_stderr", "umask", "user")


@dataclass(frozen=True)
class Difference:
    """
    What becomes of one program.

    Attributes:
        program: Its name.
        kind: ``added``, ``removed`` or ``changed``.
        keys: What its processes are told apart by, as lines ``key: old -> new``.
        restarts: Whether processes that run are replaced.

    """

    program: str
    kind: str
    keys: tuple[str, ...] = ()
    restarts: bool = False

    def lines(self) -> list[str]:
        """Return it as a person reads it."""
        sign = {ADDED: "+", REMOVED: "-", CHANGED: "~"}[self.kind]
        head = f"{sign} {self.program}"
        if self.restarts:
            head += " (its processes are replaced)"
        return [head, *(f"    {key}" for key in self.keys)]


def differences(old: Mapping[str, Program], new: Mapping[str, Program]) -> list[Difference]:
    """Return what ``new`` changes, by the programs' names; empty where it changes nothing."""
    found = []
    for name in sorted({*old, *new}):
        if name not in new:
            found.append(Difference(name, REMOVED, (_count("stops", old[name]),)))
        elif name not in old:
            found.append(Difference(name, ADDED, _of_new(new[name])))
        elif old[name] != new[name]:
            found.append(_between(old[name], new[name]))
    return found


def _of_new(program: Program) -> tuple[str, ...]:
    command = f"command: {shlex.join(program.command)}"
    lines = [command]
    if program.schedule:
        lines.append(f"starts at: {program.schedule}{_zone(program)}")
    if program.autostart:
        lines.append(_count("starts", program))
    elif not program.schedule:
        lines.append("starts nothing by itself")
    return tuple(lines)


def _zone(program: Program) -> str:
    return f" ({program.timezone})" if program.timezone else ""


def _between(old: Program, new: Program) -> Difference:
    keys: list[str] = []
    restarts = False
    for one in fields(Program):
        before, after = getattr(old, one.name), getattr(new, one.name)
        if before != after:
            keys += _key_lines(one.name, before, after)
            restarts = restarts or one.name in _LASTING
    if new.schedule:
        # What runs ends by itself.
        restarts = False
    if bool(old.schedule) != bool(new.schedule):
        keys.append(_count("starts" if new.autostart else "stops", new))
    return Difference(new.name, CHANGED, tuple(keys), restarts)


def _key_lines(key: str, before: object, after: object) -> list[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        # Values may be secrets, and the difference goes to logs.
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        return [f"{key}: {', '.join(changed)}"]
    line = f"{key}: {_words(before)} -> {_words(after)}"
    if key == "numprocs" and isinstance(before, int) and isinstance(after, int):
        more = after - before
        line += f" ({'starts' if more > 0 else 'stops'} {abs(more)})"
    return [line]


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return shlex.join(map(str, value)) or "none"
    return str(value) if value not in ("", None) else "none"


def _count(verb: str, program: Program) -> str:
    return f"{verb} {program.numprocs} process{'' if program.numprocs == 1 else 'es'}"
