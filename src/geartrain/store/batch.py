"""
What goes to a queue store in one transaction, and what a store says of it. Data only.

The broker decides, the exchange gathers, the writer thread hands it on; a store reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from geartrain.broker.job import Job

__all__ = [
    "COMPLETED",
    "EXCEPTED",
    "FAILED",
    "OUTCOME_NAMES",
    "STREAMED",
    "TOO_LARGE",
    "Batch",
    "Coalesced",
    "DeadLetter",
    "Joined",
    "Result",
]

# Outcomes of a job, as they are stored.
COMPLETED: Final = 0
FAILED: Final = 1
EXCEPTED: Final = 2
# Completed, but the result is larger than those that are kept; its data are empty.
TOO_LARGE: Final = 3

# Completed; the data are parts, as the broker has framed them.
STREAMED: Final = 4

OUTCOME_NAMES: Final = (
    "completed",
    "failed",
    "exception",
    "completed, result too large",
    "completed",
)


class DeadLetter:
    """
    A job that was given up, kept for a person to look at.

    Attributes:
        job: The job as it was, with its workload and attempts.
        reason: Why it was given up, for people; it may quote a worker, so it may be any bytes.
        died: When, in seconds since 1970.

    """

    __slots__ = ("died", "job", "reason")

    def __init__(self, job: Job, reason: bytes, died: float) -> None:
        self.job = job
        self.reason = reason
        self.died = died


class Result:
    """
    How a job ended, kept for whoever asks for it by the handle.

    Attributes:
        handle: The job's handle.
        number: The job's number.
        function: Name of the job's function.
        outcome: COMPLETED, FAILED, EXCEPTED, TOO_LARGE or STREAMED.
        data: The result, or what the exception says.
        ended: When the job ended, in seconds since 1970.
        expires: When the result may be forgotten, in seconds since 1970.

    """

    __slots__ = ("data", "ended", "expires", "function", "handle", "number", "outcome")

    def __init__(
        self,
        handle: bytes,
        number: int,
        function: bytes,
        outcome: int,
        data: bytes,
        ended: float,
        expires: float,
    ) -> None:
        self.handle = handle
        self.number = number
        self.function = function
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


class Joined(Coalesced):
    """
    A job that was refused, was stored all the same, and another server's submission coalesced with.

    That one was acknowledged, so the job was not taken out, and has to run.

    Attributes:
        job: The job as the store has it.

    """

    __slots__ = ("job",)

    def __init__(self, job: Job) -> None:
        super().__init__(job.number, job.handle)
        self.job = job


class Batch:
    """
    Changes that become durable together.

    Attributes:
        adds: Jobs to keep.
        updates: A job's number, its attempts, and its epoch: not before which second since
            1970 it is to run; 0 for at once.
        dones: Numbers of jobs to forget.
        dead: Jobs that become dead letters: forgotten as jobs, kept as letters.
        results: What jobs ended with.
        refused: Numbers of jobs whose submission was refused and which the store may have all
            the same: to be taken out, unless another server's submission has joined one.

    """

    __slots__ = ("adds", "dead", "dones", "refused", "results", "updates")

    def __init__(
        self,
        adds: Sequence[Job] = (),
        updates: Sequence[tuple[int, int, int]] = (),
        dones: Sequence[int] = (),
        dead: Sequence[DeadLetter] = (),
        results: Sequence[Result] = (),
        refused: Sequence[int] = (),
    ) -> None:
        self.adds = list(adds)
        self.updates = list(updates)
        self.dones = list(dones)
        self.dead = list(dead)
        self.results = list(results)
        self.refused = list(refused)

    def is_empty(self) -> bool:
        """Return whether there is nothing to do."""
        ends = self.dones or self.dead or self.results or self.refused
        return not (self.adds or self.updates or ends)

    def add(self, later: Batch) -> None:
        """Let the changes of a later batch follow these."""
        self.adds += later.adds
        self.updates += later.updates
        self.dones += later.dones
        self.dead += later.dead
        self.results += later.results
        self.refused += later.refused
