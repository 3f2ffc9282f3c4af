"""
What a fleet can be stepped with.

From a person or a configuration: ``Configure``, ``Start``, ``Stop``, ``Restart``,
``Signal``, ``Scale``, ``Shutdown``. From the system: ``Spawned``, ``SpawnFailed``,
``Ended``, ``GroupEnded``, ``Ready``, ``Measured``, ``Waited``, ``FilesChanged``, and ``Due`` and
``Tick`` from the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geartrain.supervisor.program import Program

__all__ = [
    "Command",
    "Configure",
    "Due",
    "Ended",
    "FilesChanged",
    "GroupEnded",
    "Measured",
    "Ready",
    "Restart",
    "Scale",
    "Shutdown",
    "Signal",
    "SpawnFailed",
    "Spawned",
    "Start",
    "Stop",
    "Tick",
    "Waited",
]


class Command:
    """Base of all commands."""

    __slots__ = ()


# From a person or a configuration. Processes are named NAME:NUMBER.


@dataclass(frozen=True, slots=True)
class Configure(Command):
    """Hold these programs from now on, by name, and no others."""

    programs: Mapping[str, Program]


@dataclass(frozen=True, slots=True)
class Start(Command):
    """Start these processes, and what they depend on."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Stop(Command):
    """Stop these processes, and leave them stopped."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Restart(Command):
    """Replace these processes, as many at a time as their programs say."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Signal(Command):
    """Send a signal to these processes, to nobody else of their groups."""

    names: Sequence[str]
    number: int


@dataclass(frozen=True, slots=True)
class Scale(Command):
    """Keep so many processes of a program, whatever ``numprocs`` says."""

    program: str
    numprocs: int


@dataclass(frozen=True, slots=True)
class Shutdown(Command):
    """Stop everything in reverse order, for good; at once if there is a hurry."""

    hurry: bool = False


# From the system.


@dataclass(frozen=True, slots=True)
class Spawned(Command):
    """A process runs; ``chance`` is random, from 0 to 1, and spreads what has a jitter."""

    name: str
    pid: int
    chance: float = 0.0


@dataclass(frozen=True, slots=True)
class SpawnFailed(Command):
    """A process could not be started."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ended(Command):
    """
    A process ended; ``status`` is its exit code, or minus the signal that ended it.

    ``left`` says that others of its group have not ended; ``GroupEnded`` follows then.
    """

    name: str
    status: int
    left: bool = False


@dataclass(frozen=True, slots=True)
class GroupEnded(Command):
    """What a process that ended had left of its group has ended as well."""

    name: str


@dataclass(frozen=True, slots=True)
class Ready(Command):
    """The readiness that the program's ``ready`` asks for was seen."""

    name: str


@dataclass(frozen=True, slots=True)
class Measured(Command):
    """A process and its descendants use so many bytes of memory."""

    name: str
    memory: int


@dataclass(frozen=True, slots=True)
class Waited(Command):
    """A program's jobs wait for ``seconds``, and ``running`` of them run."""

    program: str
    seconds: float
    running: int


@dataclass(frozen=True, slots=True)
class FilesChanged(Command):
    """A file that a program watches has changed."""

    program: str


@dataclass(frozen=True, slots=True)
class Due(Command):
    """A moment of a program's schedule has come."""

    program: str


@dataclass(frozen=True, slots=True)
class Tick(Command):
    """The time that ``next_deadline`` named has come."""
