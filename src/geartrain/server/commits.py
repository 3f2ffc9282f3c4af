"""
What goes to the store when, and who hears of it. Rules only: no thread, no clock, no store.

One commit is under way at a time, and what comes in meanwhile gathers for the
next: the slower the disk, the larger the batches. Two kinds of debt outlive a
commit that failed. What happened to jobs that the store has (attempts, ends) is
owed until it takes it. And a commit that nobody waits for any more may have got
through after all: its jobs were refused, so they are taken out before anything
else is stored.

A commit may also fail for the sake of one job, which the store can't take and may be
unable to name. Then batches are halved until it is alone; the others are stored.

The writer thread runs these rules with a real store (``committer``), and a
simulation runs them with one that fails as it likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from geartrain.broker.job import ENDED, Job
from geartrain.store.batch import Batch, Result

# What goes into one commit at most, in jobs and in bytes of their workloads; a single job may be
# larger. However much comes in, a store that works is done with so much long before it counts as
# one that hangs.
_BATCH_JOBS: Final = 10_000
_BATCH_BYTES: Final = 8 * 1024 * 1024
# A commit of less than such a part of that takes long because the store does. Its time counts from
# when the first of its jobs came in, so that they hear of it as soon, whatever was done before.
_SMALL: Final = 10
# Bytes a second that any store can take, for jobs larger than that.
_SLOWEST: Final = 16 * 1024 * 1024
# Results that may wait for a store that does not work, in bytes, and what each takes beside its
# data. Jobs that have ended wait for it too, but are numbers.
_RESULT_BYTES: Final = 64 * 1024 * 1024
_RESULT_SIZE: Final = 512
# So many jobs that are not taken although each is alone, one after the other, and it is the store.
_HOPELESS: Final = 16


class Commits:
    """
    The commits of one store, one after the other.

    Each `start` that returns a batch is followed by one `succeeded` or `failed`.

    Args:
        shared: Several servers use the store. It removes jobs before it adds others, and a job
            that was refused may have been joined by another server's submission before it is
            taken out; others add first, and know their own submissions only.
        sole: One at a time, though: such a store takes out by itself what a commit that failed
            may have left in it.

    Attributes:
        stalled: A commit has taken too long, so its jobs were given up; what is put now
            would wait as well, and should be refused instead.
        failing: The last commit failed.
        most: How many jobs the next commit may add; less than usual while the one is looked
            for that a batch failed for.

    """

    __slots__ = (
        "began",
        "coming",
        "failing",
        "in_vain",
        "is_under_way",
        "most",
        "owed",
        "owed_removals",
        "removing",
        "shared",
        "sole",
        "stalled",
        "under_way",
        "waiting_since",
    )

    def __init__(self, shared: bool = False, sole: bool = False) -> None:
        self.shared = shared
        self.sole = sole
        # What goes into the next commits; the jobs it adds perhaps into several.
        self.coming = Batch()
        # When the first of the jobs that wait came in, or when a commit began that had no room
        # for them: a store that takes as many as it can does not hang.
        self.waiting_since = 0.0
        # Jobs of the commit under way, and when it began, in effect.
        self.is_under_way = False
        self.under_way: list[Job] = []
        self.began = 0.0
        self.stalled = False
        self.failing = False
        self.most = _BATCH_JOBS
        # Jobs that were tried alone and not taken since the store took any.
        self.in_vain = 0
        # What the store could not take yet, in order.
        self.owed = Batch()
        # Jobs that were stored after they had been refused, and have to be taken out; and
        # whether that has just come to light, so that nothing is stored before it is tried.
        self.owed_removals: list[int] = []
        self.removing = False

    # What comes in.

    def put(self, batch: Batch, now: float) -> None:
        """Let all of it go into the next commits; ``now`` is as for ``start``."""
        if batch.adds and not self.coming.adds:
            self.waiting_since = now
        self.coming.add(batch)

    def has_news(self) -> bool:
        """Return whether something came in since the last commit started."""
        return not self.coming.is_empty()

    def owes(self) -> bool:
        """Return whether the store has not taken everything that happened yet."""
        return bool(self.owed_removals) or not self.owed.is_empty()

    # One commit.

    def start(self, now: float) -> Batch | None:
        """
        Start the next commit and return what it is to store, None where there is nothing.

        Args:
            now: Seconds, by a clock that is never set.

        """
        adds = [] if self.removing else self.take_adds(now)
        self.removing = False
        coming = self.coming
        self.coming = Batch(coming.adds)
        coming.adds = []
        owed = self.owed
        owed.add(coming)
        # A job that ended while it waited for its batch may be among the dones of an earlier
        # one, where there was nothing yet to forget.
        owed.dones += [job.number for job in adds if is_over(job)]
        if not (adds or self.failing or self.owes()):
            return None
        self.is_under_way = True
        self.under_way = adds
        if self.owed_removals:
            # A refused submission may have been repeated meanwhile: the same job, now to be kept.
            kept = {job.number for job in adds}
            self.owed_removals = [number for number in self.owed_removals if number not in kept]
        if not self.shared:
            dones = self.owed_removals + owed.dones
            return Batch(adds, owed.updates, dones, owed.dead, owed.results)
        # What is to be removed before it is added would stay.
        adds = [job for job in adds if not is_over(job)]
        refused = self.owed_removals
        return Batch(adds, owed.updates, owed.dones, owed.dead, owed.results, refused)

    def take_adds(self, now: float) -> list[Job]:
        """Take the jobs that go into one commit, and note when it begins."""
        waiting = self.coming.adds
        count = size = 0
        for job in waiting[: min(self.most, _BATCH_JOBS)]:
            if count and size + len(job.workload) > _BATCH_BYTES:
                break
            size += len(job.workload)
            count += 1
        adds = waiting[:count]
        del waiting[:count]
        if adds and not waiting and count * _SMALL < _BATCH_JOBS and size * _SMALL < _BATCH_BYTES:
            self.began = self.waiting_since
        else:
            self.began = now + max(0, size - _BATCH_BYTES) / _SLOWEST
        self.waiting_since = now
        return adds

    def succeeded(self) -> list[Job]:
        """The store has the batch; return the jobs that are stored and still wanted."""
        jobs = self.end()
        self.failing = False
        self.in_vain = 0
        self.most = min(2 * self.most, _BATCH_JOBS)
        self.owed = Batch()
        self.owed_removals = []
        if not self.stalled:
            return jobs
        self.stalled = False
        self.owed_removals = [job.number for job in jobs]
        self.removing = bool(jobs)
        return []

    def failed(self) -> list[Job]:
        """The store has nothing of the batch; return the jobs that are to be refused."""
        jobs = self.end()
        self.failing = True
        self.owed.results = newest(self.owed.results)
        if self.shared and not self.sole:
            # The store may have kept them all the same, where others can see and join them.
            self.owed_removals += [job.number for job in jobs]
        # What came in meanwhile has waited for a store that does not work.
        refused = self.coming.adds if self.stalled else jobs + self.coming.adds
        self.coming.adds = []
        self.stalled = False
        return refused

    def narrow(self, numbers: Sequence[int]) -> list[Job]:
        """
        The store has nothing of the batch, for the sake of some of its jobs.

        Args:
            numbers: Of these jobs; empty where nobody knows which they are.

        Returns the jobs that are to be refused; the others go into the next commits.
        """
        jobs = self.under_way
        named = set(numbers)
        refused = [job for job in jobs if job.number in named]
        if not refused:
            if len(jobs) > 1:
                self.most = len(jobs) // 2
            else:
                refused = jobs
                self.in_vain += 1
        if self.stalled or not jobs or self.in_vain > _HOPELESS:
            return self.failed()
        self.end()
        gone = {job.number for job in refused}
        again, self.owed = self.owed, Batch()
        again.adds = [job for job in jobs if job.number not in gone]
        again.add(self.coming)
        self.coming = again
        return refused

    def end(self) -> list[Job]:
        """End the commit under way and return its jobs."""
        jobs = self.under_way
        self.is_under_way = False
        self.under_way = []
        return jobs

    # A store that takes too long.

    def time_left(self, now: float, timeout: float) -> float | None:
        """Return for how many more seconds to wait for the store; None where nothing waits."""
        if self.stalled or not (self.under_way or self.coming.adds):
            return None
        return (self.began if self.under_way else self.waiting_since) + timeout - now

    def refuse_coming(self) -> list[Job]:
        """Return submissions that waited behind something else which the store did not do."""
        jobs = self.coming.adds
        self.coming.adds = []
        return jobs

    def give_up(self) -> list[Job]:
        """Return all submissions without an answer; they will get none any more."""
        jobs = self.under_way + self.coming.adds
        self.coming.adds = []
        self.stalled = self.is_under_way
        return jobs


def newest(results: list[Result]) -> list[Result]:
    """Return as many of the last results as may wait for a store that does not work."""
    size = 0
    for place in range(len(results) - 1, -1, -1):
        size += _RESULT_SIZE + len(results[place].data)
        if size > _RESULT_BYTES:
            return results[place + 1 :]
    return results


def is_over(job: Job) -> bool:
    """Return whether nobody needs the store to keep a job any more."""
    return job.state >= ENDED or not job.obligation


__all__ = ["Commits"]
