"""
Group commit: everything that waited for the disk goes there in one transaction.

The store is called from one thread of its own, so the event loop never waits
for a disk or a database. While one commit is under way, what comes in gathers
for the next: the slower the disk, the larger the batches.

Questions to the store are put on the same thread, between two commits.

A store may also hang. When a commit takes too long, the event loop gives up
the submissions that wait for it (``give_up``); should it get through after all,
the thread takes them out again before it does anything else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from geartrain.broker.job import ENDED, Job
from geartrain.errors import StoreError, StoreUnavailable
from geartrain.store.batch import Batch, Coalesced
from geartrain.store.queue_store import QueueStore

logger = logging.getLogger("geartrain.server")

T = TypeVar("T")
# What is told of a commit: the jobs, why they could not be stored or None, and which of them
# the store did not keep because another server's job has their unique key.
Answer = Callable[[list[Job], StoreError | None, Sequence[Coalesced]], None]

# Seconds until what could not be stored is tried again when nothing new comes in.
_RETRY_AFTER = 0.5
# What goes into one commit at most, in jobs and in bytes of their workloads; a single job may be
# larger. However much comes in, a store that works is done with so much long before it counts as
# one that hangs.
_BATCH_JOBS = 10_000
_BATCH_BYTES = 8 * 1024 * 1024
# Bytes a second that any store can take, for jobs larger than that.
_SLOWEST = 16 * 1024 * 1024


class Question:
    """
    Something the store is asked between two commits.

    Attributes:
        answer: What the question returned or raised, once it was put.

    """

    def __init__(self, question: Callable[[QueueStore], Any]) -> None:
        self.question = question
        self.answer: Future[Any] = Future()

    def put(self, store: QueueStore) -> None:
        """Ask, unless nobody wants to know any more."""
        if not self.answer.set_running_or_notify_cancel():
            return
        try:
            self.answer.set_result(self.question(store))
        except Exception as error:
            self.answer.set_exception(error)

    def refuse(self) -> None:
        """Say that there will be no answer."""
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_exception(StoreUnavailable("the server stops"))


class Committer:
    """
    Carries jobs to the store, and its answers back.

    Args:
        store: An open store; used by this object's thread only, until ``close``.
        answer: Called from that thread after each commit with jobs: the jobs, why they
            could not be stored, or None when they are on disk, and which of them were not
            kept because another server's job has their unique key.

    Attributes:
        stalled: The store has kept a commit waiting for too long; what is put now would
            wait as well, so it should be refused instead.

    """

    def __init__(self, store: QueueStore, answer: Answer) -> None:
        self.store = store
        self.answer = answer
        self.changed = threading.Condition()
        # What goes into the next commits; the jobs it adds perhaps into several.
        self.coming = Batch()
        self.questions: list[Question] = []
        self.closing = False
        # Jobs of the commit under way; when it began, in effect, or 0 when there is none.
        self.under_way: list[Job] = []
        self.began = 0.0
        self.stalled = False
        # What the store could not take yet, in order. The thread's own.
        self.owed = Batch()
        # Jobs that were stored after they had been refused, and have to be taken out.
        self.owed_removals: list[int] = []
        self.failing = False
        self.thread = threading.Thread(target=self.run, name="geartrain-store", daemon=True)

    # For the event loop.

    def start(self) -> None:
        """Start the writer thread."""
        self.thread.start()

    def put(self, batch: Batch) -> None:
        """Let all of it go into the next commit; never waits for the store."""
        with self.changed:
            self.coming.add(batch)
            self.changed.notify()

    def ask(self, question: Callable[[QueueStore], T]) -> Future[T]:
        """
        Have a question put to the store by the writer thread, after what waits is committed.

        Args:
            question: Called with the store; what it returns is the answer. It reads, and
                may write in a transaction of its own.

        Returns the answer to come: what the question returned or raised. StoreUnavailable
        when the server stops before. ``asyncio.wrap_future`` makes it one to await.
        """
        asked = Question(question)
        with self.changed:
            if self.closing:
                asked.refuse()
            else:
                self.questions.append(asked)
                self.changed.notify()
        return asked.answer

    def time_left(self, timeout: float) -> float | None:
        """Return for how many more seconds to wait for the store; None where nothing waits."""
        with self.changed:
            if self.stalled or not (self.under_way or self.coming.adds):
                return None
            return self.began + timeout - time.monotonic() if self.began else timeout

    def give_up(self) -> list[Job]:
        """Return all submissions without an answer; they will get none any more."""
        with self.changed:
            jobs = self.under_way + self.coming.adds
            self.coming.adds = []
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
                questions, self.questions = self.questions, []
                self.under_way = self.take_batch()
            # A job that ended while it waited for its batch may be among the dones of an earlier
            # one, where there was nothing yet to forget.
            self.owed.dones += [job.number for job in self.under_way if is_over(job)]
            if self.under_way or self.failing or self.owes():
                self.commit_batch()
            for question in questions:
                question.put(self.store)

    def commit_batch(self) -> None:
        """Commit what was taken, and tell what became of its jobs."""
        error, coalesced = self.commit(self.under_way)
        with self.changed:
            jobs, self.under_way = self.under_way, []
            self.began = 0.0
            given_up, self.stalled = self.stalled, False
            if error is not None:
                # What came in meanwhile has waited for a store that does not work.
                jobs = self.coming.adds if given_up else jobs + self.coming.adds
                self.coming.adds = []
        if jobs and given_up and error is None:
            self.take_out(jobs)
        elif jobs:
            self.answer(jobs, error, coalesced)

    def take_batch(self) -> list[Job]:
        """Take jobs that go into the next commit, all else too, and note when that begins."""
        coming = self.coming
        adds = coming.adds
        count = size = 0
        for job in adds[:_BATCH_JOBS]:
            if count and size + len(job.workload) > _BATCH_BYTES:
                break
            size += len(job.workload)
            count += 1
        batch = adds[:count]
        del adds[:count]
        self.coming = Batch()
        self.coming.adds = adds
        coming.adds = []
        self.owed.add(coming)
        self.began = time.monotonic() + max(0, size - _BATCH_BYTES) / _SLOWEST
        return batch

    def wait(self) -> bool:
        """Wait for something to commit; False when there is nothing more to come."""
        with self.changed:
            while self.coming.is_empty() and not self.questions:
                if self.closing:
                    return not self.failing and self.owes()
                timeout = _RETRY_AFTER if self.failing else None
                if not self.changed.wait(timeout) and self.failing:
                    return True
            return True

    def owes(self) -> bool:
        """Return whether the store has not taken everything yet."""
        return bool(self.owed_removals) or not self.owed.is_empty()

    def commit(self, adds: list[Job]) -> tuple[StoreError | None, Sequence[Coalesced]]:
        """Try to make jobs and what is owed durable; return why they are not, and who coalesced."""
        if self.owed_removals:
            # A refused submission may have been repeated meanwhile: the same job, now to be kept.
            kept = {job.number for job in adds}
            self.owed_removals = [number for number in self.owed_removals if number not in kept]
        owed = self.owed
        dones = self.owed_removals + owed.dones
        batch = Batch(adds, owed.updates, dones, owed.dead, owed.results)
        try:
            coalesced = self.store.commit(batch)
        except StoreError as error:
            return self.failed(error), ()
        except Exception as error:
            # A store that fails in a way it did not foresee must not end the thread: then
            # nobody would ever be answered again.
            logger.exception("the store failed in an unexpected way")
            return self.failed(StoreError(f"{type(error).__name__}: {error}")), ()
        self.owed = Batch()
        self.owed_removals = []
        if self.failing:
            self.failing = False
            logger.warning("the store %s works again", self.store.name)
        return None, coalesced

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
