"""
What every queue store has to keep to. One suite (``tests/store``) checks each rule on each engine.

A store maps jobs to rows and decides nothing. Its methods block: the server
calls them from one writer thread, so that a slow disk never stops the event
loop. ``geartrain.broker.job.Job`` is read here as data; of its attributes a
store touches those of the constructor only, and ``apart``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from geartrain.broker.job import Job
from geartrain.store.batch import Batch, Coalesced, DeadLetter, Result


class Damaged:
    """
    A row that could not be read as a job. It stays where it is, set aside for a person.

    Attributes:
        row: What identifies it in the store, for the log.
        reason: What is wrong with it, for the log.

    """

    def __init__(self, row: str, reason: str) -> None:
        self.row = row
        self.reason = reason


class QueueStore(Protocol):
    """Keeps background jobs across restarts."""

    @property
    def durable(self) -> bool:
        """Whether a commit outlives the process; False lets the broker acknowledge at once."""
        ...

    @property
    def name(self) -> str:
        """Where the jobs are, for the log; passwords masked."""
        ...

    def open(self) -> int:
        """
        Connect, create or migrate the tables where needed, and start a generation.

        Returns the generation: larger than any that this store returned before,
        from 1. Raises StoreUnavailable when it can't be reached, StoreDamaged
        when what is there is no store; never starts over in silence.
        """
        ...

    def replay(self) -> Iterable[Job | Damaged]:
        """
        Yield every job that was added and is not done, in the order of their numbers.

        A row that can't be a job (wrong type, NULL, unknown priority, too long
        a handle) is set aside, yielded as ``Damaged``, and stops nobody.
        """
        ...

    def commit(self, batch: Batch) -> Sequence[Coalesced]:
        """
        Make all of it durable in one transaction, or none of it.

        ``adds`` come first, then ``updates``, ``dead``, ``results`` and ``dones``. A job that is
        there already is left as it is, and so is a dead letter; an unknown number is no error.
        A later result of a handle replaces the earlier one. The batch is not changed.

        Returns only once a crash can't undo it. Where several servers share the store, it
        returns the adds that it did not keep because another server's job has their unique
        key; otherwise nothing.

        Raises StoreUnavailable within a second when the store is locked, full,
        slow or gone; the next commit tries again by itself (reconnects), no restart needed.
        Raises StoreDamaged when a person has to look first. Jobs of a commit that
        raised are refused: where a part of it may have got through all the same, the
        store takes it out again before it keeps anything else.
        """
        ...

    # What was kept of jobs that ended. Called on the writer thread, between commits; each raises
    # StoreUnavailable and StoreDamaged as ``commit`` does.

    def result(self, handle: bytes) -> Result | None:
        """Return what a job ended with, None where nothing is kept; it may have expired."""
        ...

    def results(self, after: bytes, limit: int) -> Sequence[Result]:
        """
        Return what jobs ended with, in the order of handles.

        Args:
            after: Only those of larger handles; empty for all.
            limit: As many as this at most.

        """
        ...

    def forget_results(self, now: float) -> None:
        """Forget the results that have expired at a time, in seconds since 1970."""
        ...

    def dead_letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """
        Return dead letters in the order of their jobs' numbers.

        Args:
            after: Only those of larger numbers; 0 for all.
            limit: As many as this at most.

        """
        ...

    def dead_letter(self, handle: bytes) -> DeadLetter | None:
        """Return the dead letter of a handle, None where there is none."""
        ...

    def revive(self, handle: bytes) -> Job | None:
        """
        Make a dead letter a job again, in one transaction, and return the job.

        It keeps its number, its handle and the time of its submission; its attempts start
        over, and its epoch is 0. None where there is no such letter.
        """
        ...

    def remove_dead_letter(self, handle: bytes) -> bool:
        """Forget a dead letter for good; return whether there was one."""
        ...

    def close(self) -> None:
        """Release what is held. Safe to call twice."""
        ...
