"""
What a client may ask to be done, checked before a byte of it is sent.

Gearman's packets can't say everything at once: a job at a time has no
priority, and a job with a reducer has neither. What no packet can carry is
refused here with the reason.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NotRequired, TypeAlias, TypedDict, Unpack

from geartrain.errors import UsageError
from geartrain.wire.packet import (
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_EPOCH,
    SUBMIT_JOB_HIGH,
    SUBMIT_JOB_HIGH_BG,
    SUBMIT_JOB_LOW,
    SUBMIT_JOB_LOW_BG,
    SUBMIT_REDUCE_JOB,
    SUBMIT_REDUCE_JOB_BACKGROUND,
)

if TYPE_CHECKING:
    from datetime import datetime

# Text is sent as UTF-8.
Text: TypeAlias = "bytes | str"
Workload: TypeAlias = "bytes | str | bytearray | memoryview"
Priority: TypeAlias = Literal["high", "normal", "low"]
When: TypeAlias = "datetime | float"

# Packet by priority: in the foreground, in the background.
_KINDS: Final[dict[str, tuple[int, int]]] = {
    "high": (SUBMIT_JOB_HIGH, SUBMIT_JOB_HIGH_BG),
    "normal": (SUBMIT_JOB, SUBMIT_JOB_BG),
    "low": (SUBMIT_JOB_LOW, SUBMIT_JOB_LOW_BG),
}


class SubmissionOptions(TypedDict, total=False):
    """What may be said of a job beside its function and workload; see `Submission`."""

    unique: NotRequired[Text | None]
    priority: NotRequired[Priority]
    reducer: NotRequired[Text | None]


class Submission:
    """
    One job to submit.

    Args:
        function: Name of the function.
        workload: What the worker gets. Text is sent as UTF-8.
        unique: Key that joins equal jobs: while a job of this function with this key
            waits or runs, no second one is made. ``-`` makes the workload the key.
        priority: ``high``, ``normal`` or ``low``.
        background: Whether the job runs without anybody waiting for its result.
        at: Don't run it before this time: a datetime with a time zone, or seconds since
            1970. Such a job runs in the background. Fractions of a second are rounded up.
        delay: Don't run it before that many seconds from its submission on.
        reducer: Name of a function that the worker is to hand the parts to
            (SUBMIT_REDUCE_JOB).

    Raises:
        UsageError: An argument can't be sent, or not together with another.

    """

    __slots__ = (
        "background",
        "delay",
        "epoch",
        "function",
        "kind",
        "reducer",
        "unique",
        "workload",
    )

    def __init__(
        self,
        function: Text,
        workload: Workload = b"",
        *,
        unique: Text | None = None,
        priority: Priority = "normal",
        background: bool = False,
        at: When | None = None,
        delay: float | None = None,
        reducer: Text | None = None,
    ) -> None:
        self.function = name_bytes(function, "function")
        self.workload = workload_bytes(workload)
        self.unique = b"" if unique is None else name_bytes(unique, "unique")
        self.reducer = b"" if reducer is None else name_bytes(reducer, "reducer")
        timed = at is not None or delay is not None
        self.background = background or timed
        self.epoch = 0 if at is None else epoch_of(at)
        self.delay = delay
        kinds = _KINDS.get(priority)
        if kinds is None:
            raise UsageError(f"priority {priority!r} is unknown; write high, normal or low")
        self.kind = kinds[1] if self.background else kinds[0]
        if timed:
            self.set_timed(at, delay, priority)
        elif reducer is not None:
            self.set_reduced(priority)

    def set_timed(self, at: When | None, delay: float | None, priority: Priority) -> None:
        """Make it a job at a time, or refuse what such a job can't have."""
        if at is not None and delay is not None:
            raise UsageError("a job takes either at or delay, not both")
        if delay is not None and not 0 <= delay < math.inf:
            raise UsageError(f"delay {delay!r} is not a number of seconds from 0 on")
        if self.reducer:
            raise UsageError("a job with a reducer can't wait for a time: no packet carries both")
        if priority != "normal":
            raise UsageError("a job at a time has normal priority: no packet carries another")
        self.kind = SUBMIT_JOB_EPOCH

    def set_reduced(self, priority: Priority) -> None:
        """Make it a job with a reducer, or refuse what such a job can't have."""
        if not self.reducer:
            raise UsageError("the reducer has no name; leave it out for a plain job")
        if priority != "normal":
            raise UsageError("a job with a reducer has normal priority: no packet carries another")
        self.kind = SUBMIT_REDUCE_JOB_BACKGROUND if self.background else SUBMIT_REDUCE_JOB

    def arguments(self, now: float) -> list[bytes]:
        """Return the packet's arguments for a submission at ``now``, in seconds since 1970."""
        if self.kind == SUBMIT_JOB_EPOCH:
            epoch = self.epoch if self.delay is None else math.ceil(now + self.delay)
            return [self.function, self.unique, b"%d" % epoch, self.workload]
        if self.reducer:
            # libgearman sends a fourth name before the workload, always empty.
            return [self.function, self.unique, self.reducer, b"", self.workload]
        return [self.function, self.unique, self.workload]


def foreground_submission(
    function: Text, workload: Workload, **options: Unpack[SubmissionOptions]
) -> Submission:
    """Return the submission of a job that somebody waits for, or raise `UsageError`."""
    submission = Submission(function, workload, **options)
    if submission.background:
        raise UsageError(
            "this job is waited for, so it takes neither background nor at nor delay; "
            "submit() takes them"
        )
    return submission


def name_bytes(name: Text, what: str) -> bytes:
    """Return a name as bytes, or raise `UsageError` where it can't stand in a packet."""
    if isinstance(name, str):
        name = name.encode()
    elif not isinstance(name, bytes):
        raise UsageError(f"{what} is to be bytes or text, not {type(name).__name__}")
    if 0 in name:
        raise UsageError(f"{what} {name!r} contains a NUL, which ends names in packets")
    return name


def workload_bytes(workload: Workload) -> bytes:
    """Return a workload as bytes, or raise `UsageError`."""
    if isinstance(workload, bytes):
        return workload
    if isinstance(workload, str):
        return workload.encode()
    if isinstance(workload, bytearray | memoryview):
        return bytes(workload)
    raise UsageError(
        f"workload is to be bytes or text, not {type(workload).__name__}; "
        "encode it first, for instance with json.dumps()"
    )


def epoch_of(at: When) -> int:
    """Return a time in whole seconds since 1970, never earlier than ``at``."""
    seconds = at
    if not isinstance(seconds, int | float):
        if at.tzinfo is None:  # type: ignore[union-attr]
            raise UsageError(f"at {at!r} has no time zone; write for instance datetime.now(UTC)")
        seconds = at.timestamp()  # type: ignore[union-attr]
    if not 0 <= seconds < 2**63:
        raise UsageError(f"at {at!r} is not a time after 1970")
    return math.ceil(seconds)


__all__ = [
    "Priority",
    "Submission",
    "SubmissionOptions",
    "Text",
    "When",
    "Workload",
    "epoch_of",
    "foreground_submission",
    "name_bytes",
    "workload_bytes",
]
