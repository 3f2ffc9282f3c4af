"""
What every queue store has to keep to. One suite (``tests/store``) checks each rule on each engine.

A store maps jobs to rows and decides nothing. Its methods block: the server
calls them from one writer thread, so that a slow disk never stops the event
loop. ``geartrain.broker.job.Job`` is read here as data; of its attributes a
store touches those of the constructor only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from geartrain.broker.job import Job
from geartrain.store.batch import Batch, Coalesced


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
        there already is left as it is; an unknown number is no error. The batch is not changed.

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

    def close(self) -> None:
        """Release what is held. Safe to call twice."""
        ...
