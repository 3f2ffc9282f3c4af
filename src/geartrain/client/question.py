"""
What a client asks a server, other than to run a job.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from geartrain.client.address import Address, parse_address
from geartrain.client.job import JobRecord
from geartrain.client.reports import JobHandle, server_error
from geartrain.client.session import Event, Request
from geartrain.client.submission import Text, name_bytes
from geartrain.errors import GeartrainError, UsageError
from geartrain.wire.packet import ERROR, GET_STATUS, GET_STATUS_UNIQUE


@mypyc_attr(allow_interpreted_subclasses=True)
class Question:
    """
    A request that is answered by one packet: ECHO_REQ, OPTION_REQ, GET_STATUS.

    Attributes:
        answer: Arguments of the answer.
        ended: Whether it was answered, refused or cut off.

    """

    __slots__ = ("_error", "answer", "ended", "request")

    def __init__(self, kind: int, args: list[bytes]) -> None:
        self.answer: list[bytes] = []
        self.ended = False
        self.request = Request(kind, args, self)
        self._error: GeartrainError | None = None

    def receive(self, event: Event) -> None:
        """Take in the answer."""
        if event.kind == ERROR:
            self.fail(server_error(event.args))
        else:
            self.answer = event.args
            self.ended = True
            self.note_change()

    def fail(self, error: GeartrainError) -> None:
        """End it with ``error``."""
        self._error = error
        self.ended = True
        self.note_change()

    def note_change(self) -> None:
        """Tell those who wait for the answer; the asyncio client knows how."""

    def done(self) -> bool:
        """Return whether it has ended."""
        return self.ended

    def forget(self) -> None:
        """Stop listening: the answer is dropped when it comes."""
        self.request.owner = None

    def outcome(self) -> list[bytes]:
        """Return the answer, or raise what came instead."""
        if self._error is not None:
            raise self._error
        return self.answer


def status_question(
    job: JobHandle | JobRecord | Text | None, unique: Text | None
) -> tuple[int, bytes, Address | None]:
    """
    Return what to ask for a job's status: packet, its argument, and the server to ask.

    Args:
        job: What submitting returned, or a handle, which any server may know.
        unique: The unique key, in the place of ``job``.

    Raises:
        UsageError: Neither or both were given.
        GeartrainError: The job was never accepted.

    """
    if (job is None) == (unique is None):
        raise UsageError("status takes a job, its handle, or unique=, and one of them only")
    if unique is not None:
        return GET_STATUS_UNIQUE, name_bytes(unique, "unique"), None
    if isinstance(job, JobRecord):
        job = job.ticket()
    if isinstance(job, JobHandle):
        return GET_STATUS, job.handle, parse_address(job.server)
    return GET_STATUS, name_bytes(job or b"", "handle"), None


__all__ = ["Question", "status_question"]
