"""
Every exception of the package.

::

    GeartrainError
    ├── ProtocolError            a peer broke the protocol
    │   ├── BadMagic                 a packet starts with neither \\0REQ nor \\0RES
    │   ├── UnknownPacket            a packet type nobody defined
    │   ├── MalformedPacket          too few or too many arguments for its type
    │   ├── PacketTooLarge           larger than ``max_packet``
    │   └── LineTooLong              a text line without an end
    ├── ServerError              the server answered with an ERROR packet
    ├── ConnectionFailed         no server could be reached
    ├── ConnectionLost           a connection ended while an answer was due
    │   └── SubmissionUncertain      it ended after a submission, before JOB_CREATED
    ├── PartlySubmitted          of many submissions, some were not accepted
    ├── JobError                 a job did not end well
    │   ├── JobFailed                the worker sent WORK_FAIL
    │   ├── JobException             the worker sent WORK_EXCEPTION
    │   │   └── TaskError                a task of a geartrain worker raised
    │   │       └── GivenUp                  the server tries the job no more
    │   ├── JobTimeout               no result within the time the caller allowed
    │   └── NoResult                 the server keeps no result of the background job
    ├── Fail                     raised by a handler, to end its job with WORK_FAIL
    ├── Retry                    raised by a task, to be run again later
    ├── Reject                   raised by a task, not to be run again
    ├── SoftTimeout              raised inside a task whose time is nearly over
    ├── CodecError               a value can't be written as bytes, or bytes can't be read
    ├── StoreError               the queue store can't do what was asked
    │   ├── StoreUnavailable         now; it may later
    │   │   └── JobsRefused              some of the jobs; the others it can keep
    │   ├── StoreDamaged             ever; a person has to look at it
    │   └── LeaseLost                another server has taken this one's jobs over
    └── UsageError               a setting, an argument or a file is wrong
        ├── CronError                a cron expression can't be read, or would never fire
        ├── EntryNotFound            there is no entry of this name
        └── EntryRefused             an entry can't be changed as asked, as things stand

Errors carry their facts as attributes; the message names the next step where
there is one. What a remote peer did wrong is told to the peer by a code, and
to the log in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

__all__ = [
    "BadMagic",
    "CodecError",
    "ConnectionFailed",
    "ConnectionLost",
    "CronError",
    "EntryNotFound",
    "EntryRefused",
    "Fail",
    "GeartrainError",
    "GivenUp",
    "JobError",
    "JobException",
    "JobFailed",
    "JobTimeout",
    "JobsRefused",
    "LeaseLost",
    "LineTooLong",
    "MalformedPacket",
    "NoResult",
    "PacketTooLarge",
    "PartlySubmitted",
    "ProtocolError",
    "Reject",
    "Retry",
    "ServerError",
    "SoftTimeout",
    "StoreDamaged",
    "StoreError",
    "StoreUnavailable",
    "SubmissionUncertain",
    "TaskError",
    "UnknownPacket",
    "UsageError",
]


class GeartrainError(Exception):
    """Base of all exceptions of this package."""


class ProtocolError(GeartrainError):
    """
    The peer sent bytes that are no packet of the protocol.

    Attributes:
        code: First argument of the ERROR packet that tells the peer, or empty
            where gearmand closes the connection without a word.

    """

    code = b""


class BadMagic(ProtocolError):
    """
    A packet starts with neither ``\\0REQ`` nor ``\\0RES``.

    Attributes:
        magic: The first four bytes, as received.

    """

    def __init__(self, magic: bytes) -> None:
        self.magic = magic
        super().__init__(f"packet starts with {magic!r}, not with \\0REQ or \\0RES")


class UnknownPacket(ProtocolError):
    """
    The packet type is not defined by the protocol.

    Attributes:
        number: The type, unsigned.

    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"packet type {number} is not defined")


class MalformedPacket(ProtocolError):
    """
    The packet's size does not fit the arguments of its type.

    Attributes:
        name: Name of the packet.

    """

    code = b"INVALID_PACKET"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} does not carry the arguments of its type")


class PacketTooLarge(ProtocolError):
    """
    The packet's header announces more bytes than ``max_packet``.

    Attributes:
        size: Size in bytes, as announced.
        limit: ``max_packet``, in bytes.

    """

    code = b"ARGUMENT_TOO_LARGE"

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(f"packet of {size} bytes is larger than max_packet ({limit} bytes)")


class LineTooLong(ProtocolError):
    """
    A text command has no end within the limit.

    Attributes:
        limit: The limit, in bytes.

    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"text line is longer than {limit} bytes")


class ServerError(GeartrainError):
    """
    The server answered with an ERROR packet, or ``ERR`` in the text protocol.

    Attributes:
        code: The error code, such as ``QUEUE_ERROR``.
        text: What the server says about it.

    """

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"{code}: {text}" if text else code)


class ConnectionFailed(GeartrainError):
    """
    No server could be reached.

    Attributes:
        failures: What happened at each address that was tried, by address.

    """

    def __init__(self, failures: dict[str, str]) -> None:
        self.failures = failures
        tried = ", ".join(f"{address} ({reason})" for address, reason in failures.items())
        super().__init__(
            f"no job server could be reached: {tried or 'none is configured'}; start one with "
            "`geartrain serve`, or name others where this is called, or in GEARMAN_SERVERS"
        )


class ConnectionLost(GeartrainError):
    """
    The connection ended while an answer was due.

    Attributes:
        address: The server's address.

    """

    def __init__(self, address: str, message: str | None = None) -> None:
        self.address = address
        super().__init__(message or f"the connection to {address} ended before the answer")


class SubmissionUncertain(ConnectionLost):
    """
    The connection ended after a submission was sent and before JOB_CREATED.

    Nobody can tell whether the job will run. Give the job a unique key: then
    sending it again is safe, and the client does it by itself.
    """

    def __init__(self, address: str, function: bytes) -> None:
        self.function = function
        super().__init__(
            address,
            f"the connection to {address} ended before it said whether the job for {function!r} "
            "was accepted; give it a unique key to make sending it again safe",
        )


class PartlySubmitted(GeartrainError):
    """
    Of many submissions, some were not accepted, and the rest not sent.

    Attributes:
        results: What became of each submission that was sent, in order: what submitting
            it alone returns or raises.

    """

    def __init__(self, results: list[Any]) -> None:
        self.results = results
        errors = [result for result in results if isinstance(result, Exception)]
        first = f"; the first error: {errors[0]}" if errors else ""
        super().__init__(
            f"{len(results) - len(errors)} submissions were accepted, {len(errors)} were not, "
            f"nothing was sent after them{first}"
        )


class JobError(GeartrainError):
    """
    A job did not end well.

    Attributes:
        handle: The job's handle, or empty before it had one.

    """

    def __init__(self, handle: bytes, message: str) -> None:
        self.handle = handle
        super().__init__(message)


class JobFailed(JobError):
    """The worker sent WORK_FAIL, or the server gave the job up."""

    def __init__(self, handle: bytes) -> None:
        super().__init__(handle, f"job {handle.decode('ascii', 'backslashreplace')} failed")


class JobException(JobError):
    """
    The worker sent WORK_EXCEPTION.

    Attributes:
        workload: The exception as the worker's language writes it down.

    """

    def __init__(self, handle: bytes, workload: bytes) -> None:
        self.workload = workload
        name = handle.decode("ascii", "backslashreplace")
        super().__init__(handle, f"job {name} raised: {workload.decode('utf-8', 'replace')}")


class TaskError(JobException):
    """
    A task raised, or could not be run with what it was sent.

    Attributes:
        type: Name of the exception's class on the worker, such as ``ValueError``;
            ``ArgumentsError`` where the arguments did not fit, ``CodecError`` where they
            could not be read, ``ResultTooLarge``, ``HardTimeout``.
        message: What it says.
        traceback: The worker's traceback, where the app sends it; else empty.
        rejected: Whether running it again was ruled out.

    """

    def __init__(
        self,
        handle: bytes,
        workload: bytes,
        type: str,
        message: str,
        traceback: str = "",
        rejected: bool = False,
    ) -> None:
        super().__init__(handle, workload)
        self.type = type
        self.message = message
        self.traceback = traceback
        self.rejected = rejected
        name = handle.decode("ascii", "backslashreplace")
        self.args = (f"job {name} raised {type}: {message}",)


class GivenUp(TaskError):
    """
    The server tries the job no more.

    It has failed too often, too many workers were lost with it, or it has waited for too long.

    ``type`` and ``message`` are those of the last exception where a task raised one.

    Attributes:
        reason: Why, in the server's words.
        server: Where it is kept as a dead letter, to be looked at and run again; empty where
            it is not kept.

    """

    def __init__(
        self,
        handle: bytes,
        workload: bytes,
        reason: str,
        server: str = "",
        type: str = "GivenUp",
        message: str = "",
    ) -> None:
        super().__init__(handle, workload, type, message or reason)
        self.reason = reason
        self.server = server
        name = handle.decode("ascii", "backslashreplace")
        what = f"{reason}: {type}: {message}" if message else reason
        text = f"job {name} was given up: {what}"
        if server:
            command = f"{name} --server {server}"
            text = (
                f"job {name} was given up and is a dead letter: {what}. Look at it with "
                f"`geartrain job show {command}`, run it again with `geartrain job retry {command}`"
            )
        self.args = (text,)


class JobTimeout(JobError, TimeoutError):
    """
    No result came within the time the caller allowed; the job may still run.

    Attributes:
        seconds: The time allowed.

    """

    def __init__(self, handle: bytes, seconds: float) -> None:
        self.seconds = seconds
        name = handle.decode("ascii", "backslashreplace") or "(not yet accepted)"
        text = f"job {name} gave no result within {seconds:g} s"
        if handle:
            text += f"; see whether it waits or runs: geartrain job show {name}"
        super().__init__(handle, text)


class NoResult(JobError):
    """The job failed without a word, or its result was not kept, or no longer is."""

    def __init__(self, handle: bytes, function: str) -> None:
        self.function = function
        name = handle.decode("ascii", "backslashreplace")
        super().__init__(
            handle,
            f"there is no result of job {name}: the task ended it with WORK_FAIL, or the server "
            f"keeps no results of {function!r}, or not for so long; to have them kept write for "
            f'instance @app.task(retention="1d")',
        )


class Fail(GeartrainError):
    """
    Raised by a handler that gives its job up: the client gets WORK_FAIL.

    WORK_FAIL carries no reason; the message goes to the worker's log. Any
    other exception reaches the client as WORK_EXCEPTION, with its message.
    """


class Retry(GeartrainError):
    """
    Raised by a task that wants to be run again; what an agent runs may return it as well.

    The server does so where the function has a policy that allows retries, and
    the job is a background job; else the caller gets it as the task's failure.
    The fire of an entry is run again by the scheduler.

    Attributes:
        countdown: Seconds until then; None leaves it to the policy's ``backoff``.
        at: In place of these, the instant: with a time zone, or in seconds since 1970.

    """

    def __init__(
        self,
        message: str = "",
        *,
        countdown: float | None = None,
        at: datetime | float | None = None,
    ) -> None:
        self.countdown = countdown
        self.at = at
        super().__init__(message or "the task asks to be run again")


class Reject(GeartrainError):
    """Raised by a task that must not be run again, whatever its policy allows."""


class SoftTimeout(GeartrainError, TimeoutError):
    """
    Raised inside a task when its ``soft_timeout`` is over, so that it can tidy up.

    Attributes:
        seconds: The time it had.

    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        super().__init__(f"the task has run for {seconds:g} s, its soft_timeout")


class CodecError(GeartrainError):
    """A value can't be written with the task's codec, or bytes can't be read with it."""


class StoreError(GeartrainError):
    """The queue store can't do what was asked."""


class StoreUnavailable(StoreError):
    """
    The store can't be written or read now: full, locked, down or slow. It is tried again.

    Attributes:
        unknown: A commit may have got through all the same. Where servers share the store,
            another one could run its jobs, so nobody may be told that they will not run.

    """

    unknown = False


class JobsRefused(StoreUnavailable):
    """
    The store does not take some of the jobs it was given, and has stored nothing of that commit.

    Without these jobs it may be tried again.

    Attributes:
        numbers: Of the jobs; empty where the store can't tell which they are.

    """

    def __init__(self, message: str, numbers: Sequence[int] = ()) -> None:
        self.numbers = numbers
        super().__init__(message)


class StoreDamaged(StoreError):
    """The store holds what can't be read. Nothing was thrown away; a person has to look at it."""


class LeaseLost(StoreError):
    """Another server or scheduler has taken this one's work over. It holds none of it any more."""


class UsageError(GeartrainError):
    """A setting, an argument or a file is wrong; the message says which and what to do instead."""


class CronError(UsageError):
    """
    A cron expression can't be read, or would never fire.

    Attributes:
        expression: The expression, as it was given.
        reason: What is wrong with it, on one line.

    """

    def __init__(self, expression: str, reason: str) -> None:
        self.expression = expression
        self.reason = reason
        shown = expression if len(expression) <= 80 else expression[:77] + "..."
        super().__init__(f"cron expression {shown!r}: {reason}")


class EntryNotFound(UsageError):
    """
    There is no entry of this name.

    Attributes:
        name: The name.
        near: Names that may have been meant.

    """

    def __init__(self, name: str, near: tuple[str, ...] = ()) -> None:
        self.name = name
        self.near = near
        meant = f"did you mean {' or '.join(near)}?" if near else "geartrain cron ls shows them"
        super().__init__(f"there is no entry {name}; {meant}")


class EntryRefused(UsageError):
    """
    What was asked of an entry is right, and can't be done as things stand.

    There is one of its name, somebody else changed it meanwhile, or others depend on it.

    Attributes:
        name: The entry's name.
        reason: Why not, and what to do.

    """

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"entry {name}: {reason}")
