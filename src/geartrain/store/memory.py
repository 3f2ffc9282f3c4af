"""
The store that keeps nothing: jobs live as long as the server.

Its answer to everything is yes. ``durable`` is False, which lets the broker
acknowledge a background job without waiting for a commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from geartrain.broker.job import Job
from geartrain.store.batch import Batch, Coalesced
from geartrain.store.queue_store import Damaged

__all__ = ["MemoryStore"]


class MemoryStore:
    """A queue store without a disk."""

    def __init__(self) -> None:
        self._generation = 0

    @property
    def durable(self) -> bool:
        """False: a commit ends with the process."""
        return False

    @property
    def name(self) -> str:
        """``memory:``."""
        return "memory:"

    def open(self) -> int:
        """Return the next generation, from 1 in every process."""
        self._generation += 1
        return self._generation

    def replay(self) -> Iterable[Job | Damaged]:
        """Return nothing."""
        return ()

    def commit(self, batch: Batch) -> Sequence[Coalesced]:
        """Forget all of it."""
        return ()

    def close(self) -> None:
        """Do nothing."""
