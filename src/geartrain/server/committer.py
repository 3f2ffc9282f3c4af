"""
Group commit: everything that waited for the disk goes there in one transaction.

The store is called from one thread of its own, so the event loop never waits
for a disk or a database. While one commit is under way, what comes in gathers
for the next: the slower the disk, the larger the batches.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from geartrain.broker.job import Job
from geartrain.errors import StoreError
from geartrain.store.queue_store import QueueStore

logger = logging.getLogger("geartrain.server")

# Seconds until what could not be stored is tried again when nothing new comes in.
_RETRY_AFTER = 0.5


class Committer:
    """
    Carries jobs to the store, and its answers back.

    Args:
        store: An open store; used by this object's thread only, until ``close``.
        answer: Called from that thread after each commit with jobs: the jobs, and why
            they could not be stored, or None when they are on disk.

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
        # What the store could not take yet. Owed by the thread alone; in order.
        self.owed_updates: list[tuple[int, int]] = []
        self.owed_dones: list[int] = []
        self.failing = False
        self.thread = threading.Thread(target=self.run, name="geartrain-store", daemon=True)

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

    def close(self, timeout: float) -> bool:
        """Commit what waits and end the thread; False when that took longer than allowed."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join(timeout)
        return not self.thread.is_alive()

    def run(self) -> None:
        """The writer thread: commit while there is something to commit."""
        while self.wait():
            with self.changed:
                adds, self.adds = self.adds, []
                updates, self.updates = self.updates, []
                dones, self.dones = self.dones, []
            self.owed_updates += updates
            self.owed_dones += dones
            self.commit(adds)

    def wait(self) -> bool:
        """Wait for something to commit; False when there is nothing more to come."""
        with self.changed:
            while not (self.adds or self.updates or self.dones):
                if self.closing:
                    return not self.failing and bool(self.owed_updates or self.owed_dones)
                timeout = _RETRY_AFTER if self.failing else None
                if not self.changed.wait(timeout) and self.failing:
                    return True
            return True

    def commit(self, adds: list[Job]) -> None:
        """Try to make one batch durable, and say how it went."""
        try:
            self.store.commit(adds, self.owed_updates, self.owed_dones)
        except StoreError as error:
            self.failed(adds, error)
            return
        except Exception as error:
            # A store that fails in a way it did not foresee must not end the thread: then
            # nobody would ever be answered again.
            logger.exception("the store failed in an unexpected way")
            self.failed(adds, StoreError(f"{type(error).__name__}: {error}"))
            return
        self.owed_updates = []
        self.owed_dones = []
        if self.failing:
            self.failing = False
            logger.warning("the store %s works again", self.store.name)
        if adds:
            self.answer(adds, None)

    def failed(self, adds: list[Job], error: StoreError) -> None:
        """Refuse a batch. What came in meanwhile has waited long enough, and is refused too."""
        with self.changed:
            adds = adds + self.adds
            self.adds = []
        if not self.failing:
            self.failing = True
            logger.error("the store %s does not work, jobs are refused: %s", self.store.name, error)
        if adds:
            # Should the commit have got through after all, these must not come back to life.
            self.owed_dones += [job.number for job in adds]
            self.answer(adds, error)
