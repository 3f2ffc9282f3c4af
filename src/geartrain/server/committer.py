"""
Group commit: everything that waited for the disk goes there in one transaction.

The store is called from one thread of its own, so the event loop never waits
for a disk or a database. What goes to it when, and who hears of it, are the
rules of ``commits``; here are the thread, the lock and the clock.

Questions to the store are put on the same thread, between two commits.

A store may also hang. When a commit takes too long, the event loop gives up
the submissions that wait for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from geartrain.broker.job import Job
from geartrain.errors import JobsRefused, LeaseLost, StoreError, StoreUnavailable
from geartrain.server.commits import Commits
from geartrain.store.batch import Batch, Coalesced
from geartrain.store.queue_store import QueueStore

logger = logging.getLogger("geartrain.server")

T = TypeVar("T")
# What is told of a commit: the jobs, why they could not be stored or None, and which of them
# the store did not keep because another server's job has their unique key.
Answer = Callable[[list[Job], StoreError | None, Sequence[Coalesced]], None]

# Seconds until what could not be stored is tried again when nothing new comes in.
_RETRY_AFTER = 0.5
# Seconds that pass after a commit that failed before the next is tried. A store that is gone says
# so at once, and clients try again at once: in between others have their turn.
_BREATH = 0.05


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

    def refuse(self, reason: str) -> None:
        """Say that there will be no answer."""
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_exception(StoreUnavailable(reason))


class Committer:
    """
    Carries jobs to the store, and its answers back.

    Args:
        store: An open store; used by this object's thread only, until ``close``.
        answer: Called from that thread after each commit with jobs: the jobs, why they
            could not be stored, or None when they are on disk, and which of them were not
            kept because another server's job has their unique key.

    """

    def __init__(self, store: QueueStore, answer: Answer) -> None:
        self.store = store
        self.answer = answer
        self.changed = threading.Condition()
        # Both threads use these, with ``changed`` held.
        self.commits = Commits()
        self.questions: list[Question] = []
        self.closing = False
        self.thread = threading.Thread(target=self.run, name="geartrain-store", daemon=True)

    # For the event loop.

    def start(self) -> None:
        """Start the writer thread."""
        self.thread.start()

    @property
    def stalled(self) -> bool:
        """Whether what is put now would wait for a commit that takes too long."""
        return self.commits.stalled

    def put(self, batch: Batch) -> None:
        """Let all of it go into the next commit; never waits for the store."""
        with self.changed:
            self.commits.put(batch, time.monotonic())
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
                asked.refuse("the server stops")
            else:
                self.questions.append(asked)
                self.changed.notify()
        return asked.answer

    def time_left(self, timeout: float) -> float | None:
        """Return for how many more seconds to wait for the store; None where nothing waits."""
        with self.changed:
            return self.commits.time_left(time.monotonic(), timeout)

    def give_up(self) -> list[Job]:
        """Return all submissions without an answer; they will get none any more."""
        with self.changed:
            return self.commits.give_up()

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
            self.work()

    def work(self) -> None:
        """Commit what has come in, and put the questions that have."""
        with self.changed:
            questions, self.questions = self.questions, []
            batch = self.commits.start(time.monotonic())
        if batch is not None:
            self.commit(batch)
        for question in questions:
            question.put(self.store)

    def wait(self) -> bool:
        """Wait for something to commit; False when there is nothing more to come."""
        commits = self.commits
        with self.changed:
            while not (commits.has_news() or commits.removing or self.questions):
                if self.closing:
                    return not commits.failing and commits.owes()
                timeout = _RETRY_AFTER if commits.failing else None
                if not self.changed.wait(timeout) and commits.failing:
                    return True
            return True

    def commit(self, batch: Batch) -> None:
        """Try to make a batch durable, and tell what became of its jobs."""
        coalesced: Sequence[Coalesced] = ()
        error: StoreError | None = None
        try:
            coalesced = self.hand_over(batch)
        except StoreError as raised:
            error = raised
        except Exception as raised:
            # A store that fails in a way it did not foresee must not end the thread: then
            # nobody would ever be answered again.
            logger.exception("the store failed in an unexpected way")
            error = StoreError(f"{type(raised).__name__}: {raised}")
        was_failing = self.commits.failing
        with self.changed:
            jobs = self.settle(error)
        self.log_change(was_failing, jobs, error)
        self.tell(batch, jobs, error, coalesced)
        # An error holds the frames it came through, with all jobs of the batch, and one of those
        # frames is this: left to the garbage collector, thousands of them hold up everybody.
        error = None
        if self.commits.failing:
            time.sleep(_BREATH)

    def settle(self, error: StoreError | None) -> list[Job]:
        """End the commit under way, and return the jobs whose submitters are to be told."""
        if error is None:
            return self.commits.succeeded()
        if isinstance(error, JobsRefused) and not error.unknown:
            return self.commits.narrow(error.numbers)
        if not isinstance(error, (StoreUnavailable, LeaseLost)):
            # One row may be in the way of the others.
            return self.commits.narrow(())
        return self.commits.failed()

    def hand_over(self, batch: Batch) -> Sequence[Coalesced]:
        """Have a batch stored."""
        return self.store.commit(batch)

    def tell(
        self,
        batch: Batch,
        jobs: list[Job],
        error: StoreError | None,
        coalesced: Sequence[Coalesced],
    ) -> None:
        """Tell what became of the jobs of a batch that somebody waits for."""
        if jobs:
            self.answer(jobs, error, coalesced)

    def log_change(self, was_failing: bool, jobs: list[Job], error: StoreError | None) -> None:
        """Log once that the store stopped working, and once that it works; and what it refuses."""
        name = self.store.name
        failing = self.commits.failing
        if was_failing and not failing:
            logger.warning("the store %s works again", name)
        elif failing and not was_failing:
            logger.error("the store %s does not work, jobs are refused: %s", name, error)
        elif jobs and error is not None and not failing:
            logger.warning("the store %s does not take %d jobs: %s", name, len(jobs), error)
