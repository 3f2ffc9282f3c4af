"""
What a broker can be stepped with where several servers share the store.

These come from the store and from the other servers; see ``shared`` for the rules.
"""

from __future__ import annotations

from geartrain.broker.commands import Command
from geartrain.broker.effects import ServersReport, StatusResult
from geartrain.broker.job import Job


class Coalesced(Command):
    """The store did not keep this job: another server's job, ``handle``, has its unique key."""

    __slots__ = ("handle", "job")

    def __init__(self, job: Job, handle: bytes) -> None:
        self.job = job
        self.handle = handle


class Uncertain(Command):
    """Nobody can know whether the store has these jobs: it may have, and will take them out."""

    __slots__ = ("jobs",)

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs


class Forgotten(Command):
    """The store has removed the jobs with these numbers."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers


class DoubtLease(Command):
    """Other servers may have taken over what this one holds; nobody knows yet."""

    __slots__ = ()


class TrustLease(Command):
    """What this server holds is its own."""

    __slots__ = ()


class LoseLease(Command):
    """Another server has taken over what this one held."""

    __slots__ = ()


class JoinStore(Command):
    """
    A server that had lost its lease takes part again, as a new one.

    Attributes:
        handle_prefix: Start of handles from now on; never used before.
        first_number: What numbers of jobs are counted from now.

    """

    __slots__ = ("first_number", "handle_prefix")

    def __init__(self, handle_prefix: bytes, first_number: int) -> None:
        self.handle_prefix = handle_prefix
        self.first_number = first_number


class StatusFound(Command):
    """
    What another server knows of a job, or why none could be asked.

    Attributes:
        answer: Of the effect ``AskOthers``.
        known: Whether it has such a job.
        running: Whether a worker has it.
        numerator: Progress, digits.
        denominator: Progress, digits.
        listeners: How many clients wait for it.
        refusal: Why there is no answer; the session gets ERROR then.

    """

    __slots__ = ("answer", "denominator", "known", "listeners", "numerator", "refusal", "running")

    def __init__(
        self,
        answer: StatusResult,
        known: bool = False,
        running: bool = False,
        numerator: bytes = b"0",
        denominator: bytes = b"0",
        listeners: int = 0,
        refusal: bytes = b"",
    ) -> None:
        self.answer = answer
        self.known = known
        self.running = running
        self.numerator = numerator
        self.denominator = denominator
        self.listeners = listeners
        self.refusal = refusal


class ServersFound(Command):
    """
    Who shares the store, or why that can't be told.

    Attributes:
        answer: Of the effect ``AskOthers``.
        rows: As in ``ServersReport``, and so is ``problem``.

    """

    __slots__ = ("answer", "problem", "rows")

    def __init__(
        self,
        answer: ServersReport,
        rows: list[tuple[str, str, int, bool, float, int]],
        problem: bytes = b"",
    ) -> None:
        self.answer = answer
        self.rows = rows
        self.problem = problem


__all__ = [
    "Coalesced",
    "DoubtLease",
    "Forgotten",
    "JoinStore",
    "LoseLease",
    "ServersFound",
    "StatusFound",
    "TrustLease",
    "Uncertain",
]
