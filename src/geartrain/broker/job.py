"""
A job, from its submission to its end. Data only: the rules are in ``broker``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

if TYPE_CHECKING:
    from geartrain.broker.effects import JobCreated
    from geartrain.broker.function import Function
    from geartrain.broker.session import Session

HIGH: Final = 0
NORMAL: Final = 1
LOW: Final = 2

# States. A durable job starts as STORING, any other as WAITING or DELAYED.
STORING: Final = 0  # not on disk yet, so nobody may run it
WAITING: Final = 1  # in a waiting line
DELAYED: Final = 2  # its epoch has not come
RUNNING: Final = 3  # assigned to a worker
HELD: Final = 4  # its policy lets it stand in no line for now
# From here on it is over.
ENDED: Final = 5  # completed, failed, cancelled or given up
ENDING: Final = 6  # ended here, but a store that is shared has not removed it yet

STATE_NAMES: Final = ("storing", "waiting", "delayed", "running", "held", "ended", "ending")


# Acyclic: the garbage collector does not look at it. Jobs are held by books that strike them out
# when they end (tests/broker/test_ended_jobs.py), and a million of them cost it half a second.
@mypyc_attr(acyclic=True)
class Job:
    """
    One request to run a function.

    The first block never changes after the submission and is what a queue
    store keeps, with ``attempts``; the rest is the broker's.

    Attributes:
        number: Key in the queue store. Later jobs have larger numbers.
        handle: The server's name of the job, at most 63 bytes, never used twice.
        function: Name of the function.
        unique: The client's key; empty for none, ``-`` for "the workload is the key".
        workload: Opaque bytes.
        priority: HIGH, NORMAL or LOW.
        epoch: Don't run before this time, in whole seconds since 1970; 0 for at once.
        reducer: Name of the function that reduces the results; empty for none.
        submitted: When it was submitted, in seconds since 1970.
        attempts: How often it was assigned and came back without a result.
        apart: No submission at another server may join it, although it has a unique key.

    """

    __slots__ = (
        "apart",
        "attempts",
        "deadline",
        "denominator",
        "epoch",
        "function",
        "handle",
        "line",
        "listeners",
        "number",
        "numerator",
        "obligation",
        "priority",
        "reducer",
        "state",
        "submitted",
        "unique",
        "unstored",
        "worker",
        "workload",
    )

    def __init__(
        self,
        number: int,
        handle: bytes,
        function: bytes,
        unique: bytes,
        workload: bytes,
        priority: int,
        epoch: int,
        reducer: bytes,
        submitted: float,
        attempts: int,
    ) -> None:
        self.number = number
        self.handle = handle
        self.function = function
        self.unique = unique
        self.workload = workload
        self.priority = priority
        self.epoch = epoch
        self.reducer = reducer
        self.submitted = submitted
        self.attempts = attempts
        self.apart = False

        self.state = WAITING
        # The function's books, where the job stands in line.
        self.line: Function | None = None
        # Accepted in the background: it has to run whoever listens.
        self.obligation = False
        # Foreground clients, once per submission; None spares a list for each background job.
        self.listeners: list[Session] | None = None
        # Answers that wait for the commit, while the store writes this job; None otherwise.
        self.unstored: list[JobCreated] | None = None
        self.worker: Session | None = None
        # When the worker's time is up, in seconds since 1970; 0 for never.
        self.deadline = 0.0
        # Progress as the worker sent it, digits.
        self.numerator = b"0"
        self.denominator = b"0"

    def __repr__(self) -> str:
        return f"<Job {self.handle!r} {self.function!r} {STATE_NAMES[self.state]}>"
