"""
What goes to a queue store in one transaction, and what a store says of it. Data only.

The broker decides, the exchange gathers, the writer thread hands it on; a store reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from geartrain.broker.job import Job

__all__ = ["COMPLETED", "EXCEPTED", "FAILED", "Batch", "Coalesced", "DeadLetter", "Result"]

# Outcomes of a job, as they are stored.
COMPLETED: Final = 0
FAILED: Final = 1
EXCEPTED: Final = 2


class DeadLetter:
    """
    A job that was given up, kept for a person to look at.

    Attributes:
        number: The job's number.
        reason: Why it was given up, for people; UTF-8 by us, but it may quote a worker.
        died: When, in seconds since 1970.

    """

    __slots__ = ("died", "number", "reason")

    def __init__(self, number: int, reason: bytes, died: float) -> None:
        self.number = number
        self.reason = reason
        self.died = died


class Result:
    """
    How a job ended, kept for whoever asks for it by the handle.

    Attributes:
        handle: The job's handle.
        number: The job's number.
        outcome: COMPLETED, FAILED or EXCEPTED.
        data: The result, or what the exception says.
        ended: When the job ended, in seconds since 1970.
        expires: When the result may be forgotten, in seconds since 1970.

    """

    __slots__ = ("data", "ended", "expires", "handle", "number", "outcome")

    def __init__(
        self, handle: bytes, number: int, outcome: int, data: bytes, ended: float, expires: float
    ) -> None:
        self.handle = handle
        self.number = number
        self.outcome = outcome
        self.data = data
        self.ended = ended
        self.expires = expires


class Coalesced:
    """
    An add that was not kept, because another server's job has its unique key.

    Attributes:
        number: Of the job that was to be added.
        handle: Of the job that has the key.

    """

    __slots__ = ("handle", "number")

    def __init__(self, number: int, handle: bytes) -> None:
        self.number = number
        self.handle = handle


class Batch:
    """
    Changes that become durable together.

    Attributes:
        adds: Jobs to keep.
        updates: A job's number, its attempts, and its epoch: not before which second since
            1970 it is to run; 0 for at once.
        dones: Numbers of jobs to forget.
        dead: Stored jobs that become dead letters: no longer replayed, but not forgotten.
        results: What jobs ended with.

    """

    __slots__ = ("adds", "dead", "dones", "results", "updates")

    def __init__(
        self,
        adds: Sequence[Job] = (),
        updates: Sequence[tuple[int, int, int]] = (),
        dones: Sequence[int] = (),
        dead: Sequence[DeadLetter] = (),
        results: Sequence[Result] = (),
    ) -> None:
        self.adds = list(adds)
        self.updates = list(updates)
        self.dones = list(dones)
        self.dead = list(dead)
        self.results = list(results)

    def is_empty(self) -> bool:
        """Return whether there is nothing to do."""
        return not (self.adds or self.dones or self.updates or self.dead or self.results)

    def add(self, later: Batch) -> None:
        """Let the changes of a later batch follow these."""
        self.adds += later.adds
        self.updates += later.updates
        self.dones += later.dones
        self.dead += later.dead
        self.results += later.results
