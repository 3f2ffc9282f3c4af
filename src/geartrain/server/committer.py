"""
Group commit: everything that waited for the disk goes there in one transaction.

The store is called from one thread of its own, so the event loop never waits
for a disk or a database. While one commit is under way, what comes in gathers
for the next: the slower the disk, the larger the batches.

A store may also hang. When a commit takes too long, the event loop gives up
the submissions that wait for it (``give_up``); should it get through after all,
the thread takes them out again before it does anything else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from geartrain.broker.job import ENDED, Job
from geartrain.errors import StoreError
from geartrain.store.queue_store import QueueStore

logger = logging.getLogger("geartrain.server")

# Seconds until what could not be stored is tried again when nothing new comes in.
_RETRY_AFTER = 0.5
# What goes into one commit at most, in jobs and in bytes of their workloads; a single job may be
# larger. However much comes in, a store that works is done with so much long before it counts as
# one that hangs.
_BATCH_JOBS = 10_000
_BATCH_BYTES = 8 * 1024 * 1024
# Bytes a second that any store can take, for jobs larger than that.
_SLOWEST = 16 * 1024 * 1024


class Committer:
    """
    Carries jobs to the store, and its answers back.

    Args:
        store: An open store; used by this object's thread only, until ``close``.
        answer: Called from that thread after each commit with jobs: the jobs, and why
            they could not be stored, or None when they are on disk.

    Attributes:
        stalled: The store has kept a commit waiting for too long; what is put now would
            wait as well, so it should be refused instead.

    """

    def __init__(
        self, store: QueueStore, answer: Callable[[list[Job], StoreError | None], None]
    ) -> None:
        self.store = store
        self.answer = answer
        self.changed = threading.Condition()
        self.adds: list[Job] = []
        self.updates: list[tuple[int, int]] = []
        self.dones: list[int] = []
        self.closing = False
        # Jobs of the commit under way; when it began, in effect, or 0 when there is none.
        self.under_way: list[Job] = []
        self.began = 0.0
        self.stalled = False
        # What the store could not take yet, in order. The thread's own.
        self.owed_updates: list[tuple[int, int]] = []
        self.owed_dones: list[int] = []
        # Jobs that were stored after they had been refused, and have to be taken out.
        self.owed_removals: list[int] = []
        self.failing = False
        self.thread = threading.Thread(target=self.run, name="geartrain-store", daemon=True)

    # For the event loop.

    def start(self) -> None:
        """Start the writer thread."""
        self.thread.start()

    def put(self, adds: list[Job], updates: list[tuple[int, int]], dones: list[int]) -> None:
        """Let all of it go into the next commit; never waits for the store."""
        with self.changed:
            self.adds += adds
            self.updates += updates
            self.dones += dones
            self.changed.notify()

    def time_left(self, timeout: float) -> float | None:
        """Return for how many more seconds to wait for the store; None where nothing waits."""
        with self.changed:
            if self.stalled or not (self.under_way or self.adds):
                return None
            return self.began + timeout - time.monotonic() if self.began else timeout

    def give_up(self) -> list[Job]:
        """Return all submissions without an answer; they will get none any more."""
        with self.changed:
            jobs = self.under_way + self.adds
            self.adds = []
            self.stalled = self.began > 0
            return jobs

    def close(self, timeout: float) -> bool:
        """Commit what waits and end the thread; False when that took longer than allowed."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join(timeout)
        return not self.thread.is_alive()

    # The thread.

    def run(self) -> None:
        """Commit while there is something to commit."""
        while self.wait():
            with self.changed:
                self.under_way = self.take_batch()
                updates, self.updates = self.updates, []
                dones, self.dones = self.dones, []
            self.owed_updates += updates
            self.owed_dones += dones
            # A job that ended while it waited for its batch may be among the dones of an earlier
            # one, where there was nothing yet to forget.
            self.owed_dones += [job.number for job in self.under_way if is_over(job)]
            error = self.commit(self.under_way)
            with self.changed:
                jobs, self.under_way = self.under_way, []
                self.began = 0.0
                given_up, self.stalled = self.stalled, False
                if error is not None:
                    # What came in meanwhile has waited for a store that does not work.
                    jobs = self.adds if given_up else jobs + self.adds
                    self.adds = []
            if jobs and given_up and error is None:
                self.take_out(jobs)
            elif jobs:
                self.answer(jobs, error)

    def take_batch(self) -> list[Job]:
        """Take what goes into the next commit, and note when that begins."""
        count = size = 0
        for job in self.adds[:_BATCH_JOBS]:
            if count and size + len(job.workload) > _BATCH_BYTES:
                break
            size += len(job.workload)
            count += 1
        batch = self.adds[:count]
        del self.adds[:count]
        self.began = time.monotonic() + max(0, size - _BATCH_BYTES) / _SLOWEST
        return batch

    def wait(self) -> bool:
        """Wait for something to commit; False when there is nothing more to come."""
        with self.changed:
            while not (self.adds or self.updates or self.dones):
                if self.closing:
                    return not self.failing and self.owes()
                timeout = _RETRY_AFTER if self.failing else None
                if not self.changed.wait(timeout) and self.failing:
                    return True
            return True

    def owes(self) -> bool:
        """Return whether the store has not taken everything yet."""
        return bool(self.owed_updates or self.owed_dones or self.owed_removals)

    def commit(self, adds: list[Job]) -> StoreError | None:
        """Try to make one batch durable; return why it is not."""
        if self.owed_removals:
            # A refused submission may have been repeated meanwhile: the same job, now to be kept.
            kept = {job.number for job in adds}
            self.owed_removals = [number for number in self.owed_removals if number not in kept]
        try:
            self.store.commit(adds, self.owed_updates, self.owed_removals + self.owed_dones)
        except StoreError as error:
            return self.failed(error)
        except Exception as error:
            # A store that fails in a way it did not foresee must not end the thread: then
            # nobody would ever be answered again.
            logger.exception("the store failed in an unexpected way")
            return self.failed(StoreError(f"{type(error).__name__}: {error}"))
        self.owed_updates = []
        self.owed_dones = []
        self.owed_removals = []
        if self.failing:
            self.failing = False
            logger.warning("the store %s works again", self.store.name)
        return None

    def failed(self, error: StoreError) -> StoreError:
        """Note that the store does not work, once for each time it stops working."""
        if not self.failing:
            self.failing = True
            logger.error("the store %s does not work, jobs are refused: %s", self.store.name, error)
        return error

    def take_out(self, jobs: list[Job]) -> None:
        """Forget jobs that were stored after they had been refused."""
        self.owed_removals += [job.number for job in jobs]
        self.commit([])


def is_over(job: Job) -> bool:
    """Return whether nobody needs the store to keep a job any more."""
    return job.state == ENDED or not job.obligation
