"""
What servers and workers say of a job, as values.

Numbers come as text that workers wrote; what is no number counts as 0.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from geartrain.errors import ServerError

EventKind: TypeAlias = Literal[
    "data", "warning", "progress", "restarted", "completed", "failed", "raised"
]


class JobHandle(NamedTuple):
    """
    Where to ask for a job: small, picklable, good in any process.

    Attributes:
        server: The server's address, as ``host:port`` or ``unix:/path``.
        handle: The server's name of the job.

    """

    server: str
    handle: bytes


class Progress(NamedTuple):
    """
    How far a job is, in the worker's own units; ``0, 0`` where it has not said.

    Attributes:
        numerator: What is done.
        denominator: What there is to do in all.

    """

    numerator: float
    denominator: float

    @property
    def fraction(self) -> float:
        """What is done, as a part of the whole; 0 where the whole is unknown."""
        return self.numerator / self.denominator if self.denominator else 0.0


class Status(NamedTuple):
    """
    What a server says of a job.

    Attributes:
        known: Whether the server has the job; it forgets jobs that have ended.
        running: Whether a worker has it.
        numerator: What is done, in the worker's units.
        denominator: What there is to do.
        waiting: How many clients wait for the result; None where the job was asked for
            by handle, to which servers don't tell it.

    """

    known: bool
    running: bool
    numerator: float
    denominator: float
    waiting: int | None

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        return Progress(self.numerator, self.denominator)


UNKNOWN_STATUS: Final = Status(False, False, 0, 0, None)


class JobEvent(NamedTuple):
    """
    Something a job's worker reported.

    Attributes:
        kind: ``data``, ``warning``, ``progress``; ``restarted`` where the connection was
            lost and the job submitted again, so that reports start anew; ``completed``,
            ``failed`` or ``raised`` at the end.
        workload: The bytes that came with it; empty for ``progress``, ``restarted``,
            ``failed``.
        progress: How far the job was by then.

    """

    kind: EventKind
    workload: bytes
    progress: Progress


NO_PROGRESS: Final = Progress(0, 0)


def server_error(args: list[bytes]) -> ServerError:
    """Return an ERROR packet's arguments as an exception."""
    return ServerError(args[0].decode("utf-8", "replace"), args[1].decode("utf-8", "replace"))


def number(text: bytes) -> float:
    """Return a number as a worker wrote it, 0 where it is none."""
    if text.isdigit() and len(text) < 20:
        return int(text)
    try:
        value = float(text)
    except ValueError:
        return 0
    return value if abs(value) < 1e300 else 0


def read_progress(args: list[bytes]) -> Progress:
    """Return the arguments of WORK_STATUS as a value."""
    return Progress(number(args[1]), number(args[2]))


def read_status(args: list[bytes]) -> Status:
    """Return the arguments of STATUS_RES or STATUS_RES_UNIQUE as a value."""
    waiting = int(number(args[5])) if len(args) > 5 else None
    return Status(args[1] == b"1", args[2] == b"1", number(args[3]), number(args[4]), waiting)


__all__ = [
    "NO_PROGRESS",
    "UNKNOWN_STATUS",
    "EventKind",
    "JobEvent",
    "JobHandle",
    "Progress",
    "Status",
    "number",
    "read_progress",
    "read_status",
    "server_error",
]
