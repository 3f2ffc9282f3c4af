"""
What a fleet answers with; the supervisor carries effects out in their order.
"""

from __future__ import annotations

from dataclasses import dataclass

from geartrain.supervisor.program import Launch

__all__ = [
    "Changed",
    "Effect",
    "Exit",
    "Probe",
    "Refused",
    "Remove",
    "SendSignal",
    "Skipped",
    "Spawn",
]


class Effect:
    """Base of all effects."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Spawn(Effect):
    """Start a process, then step ``Spawned`` or ``SpawnFailed``."""

    name: str
    launch: Launch


@dataclass(frozen=True, slots=True)
class SendSignal(Effect):
    """Send a signal to a process, or to its whole group."""

    name: str
    pid: int
    number: int
    group: bool


@dataclass(frozen=True, slots=True)
class Probe(Effect):
    """Look for what ``ready`` asks for until it is seen, then step ``Ready``."""

    name: str
    ready: str


@dataclass(frozen=True, slots=True)
class Changed(Effect):
    """A process went from one state to another; the reason is empty where it is plain."""

    name: str
    before: int
    after: int
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped(Effect):
    """A process was not started at a moment of its schedule."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remove(Effect):
    """The process is no longer part of the fleet; forget it."""

    name: str


@dataclass(frozen=True, slots=True)
class Refused(Effect):
    """The command was not carried out."""

    reason: str


@dataclass(frozen=True, slots=True)
class Exit(Effect):
    """Nothing runs any more: leave, with this exit code."""

    code: int
