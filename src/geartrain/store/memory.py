"""
The store that keeps nothing on disk: jobs live as long as the server.

``durable`` is False, which lets the broker acknowledge a background job without
waiting for a commit. What was kept of jobs that ended is kept here too, as
long as there is room: the oldest make place for new ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from geartrain.broker.job import Job
from geartrain.store.batch import Batch, Coalesced, DeadLetter, Result
from geartrain.store.queue_store import Damaged

__all__ = ["MemoryStore"]

# What is kept of results and of dead letters, of each, in bytes.
ROOM: Final = 64 * 1024 * 1024
# What one of them takes beside its data, in bytes.
OVERHEAD: Final = 512


class MemoryStore:
    """
    A queue store without a disk.

    Args:
        room: Bytes of results, and as many of dead letters, that are kept at most.

    """

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._generation = 0
        # By handle, in the order in which they came.
        self._results: dict[bytes, Result] = {}
        self._letters: dict[bytes, DeadLetter] = {}
        self._results_size = 0
        self._letters_size = 0

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
        """Keep dead letters and results, and forget all else."""
        for letter in batch.dead:
            if letter.job.handle not in self._letters:
                self._letters[letter.job.handle] = letter
                self._letters_size += size_of_letter(letter)
        while self._letters_size > self.room:
            self.remove_dead_letter(next(iter(self._letters)))
        for result in batch.results:
            self._forget_result(result.handle)
            self._results[result.handle] = result
            self._results_size += size_of_result(result)
        while self._results_size > self.room:
            self._forget_result(next(iter(self._results)))
        return ()

    # What was kept of jobs that ended.

    def result(self, handle: bytes) -> Result | None:
        """Return what a job ended with."""
        return self._results.get(handle)

    def results(self, after: bytes, limit: int) -> Sequence[Result]:
        """Return results in the order of handles."""
        handles = sorted(handle for handle in self._results if handle > after)
        return [self._results[handle] for handle in handles[:limit]]

    def forget_results(self, now: float) -> None:
        """Forget the results that have expired."""
        for result in list(self._results.values()):
            if result.expires <= now:
                self._forget_result(result.handle)

    def dead_letters(self, after: int, limit: int) -> Sequence[DeadLetter]:
        """Return dead letters in the order of their numbers."""
        later = [letter for letter in self._letters.values() if letter.job.number > after]
        return sorted(later, key=lambda letter: letter.job.number)[:limit]

    def dead_letter(self, handle: bytes) -> DeadLetter | None:
        """Return the dead letter of a handle."""
        return self._letters.get(handle)

    def revive(self, handle: bytes) -> Job | None:
        """Make a dead letter a job again."""
        letter = self._letters.get(handle)
        if letter is None:
            return None
        self.remove_dead_letter(handle)
        old = letter.job
        return Job(
            old.number,
            old.handle,
            old.function,
            old.unique,
            old.workload,
            old.priority,
            0,
            old.reducer,
            old.submitted,
            0,
        )

    def remove_dead_letter(self, handle: bytes) -> bool:
        """Forget a dead letter for good."""
        letter = self._letters.pop(handle, None)
        if letter is None:
            return False
        self._letters_size -= size_of_letter(letter)
        return True

    def close(self) -> None:
        """Do nothing."""

    def _forget_result(self, handle: bytes) -> None:
        result = self._results.pop(handle, None)
        if result is not None:
            self._results_size -= size_of_result(result)


def size_of_letter(letter: DeadLetter) -> int:
    """Return about how many bytes a dead letter takes."""
    job = letter.job
    names = len(job.function) + len(job.unique) + len(job.reducer)
    return OVERHEAD + len(job.workload) + names + len(letter.reason)


def size_of_result(result: Result) -> int:
    """Return about how many bytes a result takes."""
    return OVERHEAD + len(result.function) + len(result.data)
