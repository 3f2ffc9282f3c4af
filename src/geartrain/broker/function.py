"""
The books of one function: its waiting lines, its unique keys, who sleeps.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from geartrain.broker.job import WAITING, Job

if TYPE_CHECKING:
    from geartrain.broker.policing import Policing
    from geartrain.broker.session import Session

# A line is swept when it holds more ended jobs than this, and more of them than others.
_SWEEP_FROM: Final = 64


class WaitingLine:
    """
    Jobs of one function and priority that nobody has yet, first come first.

    A job that ends while it waits stays where it is, marked ENDED, and is
    passed over: taking it out of the middle would cost a walk.
    """

    __slots__ = ("count", "jobs")

    def __init__(self) -> None:
        # None until the first job: most lines of most functions stay empty.
        self.jobs: deque[Job] | None = None
        # Jobs that really wait.
        self.count = 0

    def append(self, job: Job) -> None:
        """Let the job wait behind all others."""
        if self.jobs is None:
            self.jobs = deque()
        self.jobs.append(job)
        self.count += 1

    def appendleft(self, job: Job) -> None:
        """Let the job wait before all others."""
        if self.jobs is None:
            self.jobs = deque()
        self.jobs.appendleft(job)
        self.count += 1

    def popleft(self) -> Job:
        """Take the first job out; there has to be one."""
        assert self.jobs is not None
        self.count -= 1
        job = self.jobs.popleft()
        while job.state != WAITING:
            job = self.jobs.popleft()
        if len(self.jobs) > self.count:
            self.sweep()
        return job

    def take(self, job: Job) -> None:
        """Take a job out of the middle, which is a walk."""
        assert self.jobs is not None
        self.jobs.remove(job)
        self.count -= 1
        self.sweep()

    def leave(self) -> None:
        """A job of this line has just ended."""
        self.count -= 1
        self.sweep()

    def sweep(self) -> None:
        """Throw ended jobs out, all of them once nobody waits."""
        assert self.jobs is not None
        ended = len(self.jobs) - self.count
        if self.count == 0:
            self.jobs = None
        elif ended > _SWEEP_FROM and ended > self.count:
            self.jobs = deque(self.waiting())

    def first(self) -> Job | None:
        """Return the first job, which stays where it is; None where nobody waits."""
        jobs = self.jobs
        while jobs and jobs[0].state != WAITING:
            jobs.popleft()
        return jobs[0] if jobs else None

    def waiting(self) -> list[Job]:
        """Return the jobs that wait, in order; one that was held meanwhile may stand twice."""
        jobs = self.jobs or deque()
        return list(dict.fromkeys([job for job in jobs if job.state == WAITING]))

    def take_all(self) -> list[Job]:
        """Take all jobs out, in order."""
        jobs = self.waiting()
        self.jobs = None
        self.count = 0
        return jobs


class Function:
    """
    The books of one function.

    Attributes:
        name: The function's name.
        limits: Most jobs it may hold, by priority of the next submission; 0 for no limit.
        kept: An administrator created it or set its limits, so it stays when it is idle.
        policing: How its policy is kept, None where it has none.
        closed: Whether its policy lets no job start now.

    """

    __slots__ = (
        "closed",
        "jobs",
        "kept",
        "limits",
        "lines",
        "name",
        "policing",
        "running",
        "sleepers",
        "uniques",
        "workers",
        "workloads",
    )

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.limits = (0, 0, 0)
        self.kept = False
        self.policing: Policing | None = None
        self.closed = False
        self.lines = (WaitingLine(), WaitingLine(), WaitingLine())
        # All jobs that have not ended, and those of them that a worker has.
        self.jobs = 0
        self.running = 0
        # Sessions that announced the function.
        self.workers = 0
        # Of these, who may be asleep, longest first. Who is not is passed over.
        self.sleepers: OrderedDict[int, Session] = OrderedDict()
        # Jobs that have not ended by unique key, and by workload for those with the key "-".
        self.uniques: dict[bytes, Job] = {}
        self.workloads: dict[bytes, Job] = {}

    def waiting(self) -> int:
        """Return how many jobs could be assigned now."""
        return 0 if self.closed else self.lined()

    def lined(self) -> int:
        """Return how many jobs stand in line."""
        return self.lines[0].count + self.lines[1].count + self.lines[2].count

    def waited(self, now: float) -> float:
        """
        Return for how many seconds the longest-waiting first of a line has waited; -1 for none.

        From its submission, or from the moment before which it was not to run.
        """
        longest = -1.0
        for line in self.lines:
            job = line.first()
            if job is not None:
                longest = max(longest, now - max(job.submitted, float(job.epoch)), 0.0)
        return longest

    def find(self, unique: bytes, workload: bytes) -> Job | None:
        """Return the job that a submission with this unique key joins, if there is one."""
        if not unique:
            return None
        if unique == b"-":
            return self.workloads.get(workload) if workload else None
        return self.uniques.get(unique)

    def add(self, job: Job) -> None:
        """Enter a job that has not ended."""
        self.jobs += 1
        self.offer_unique(job)

    def offer_unique(self, job: Job) -> None:
        """Let submissions with the job's unique key join it, unless another job has the key."""
        if not job.unique:
            return
        if job.unique == b"-":
            if job.workload:
                self.workloads.setdefault(job.workload, job)
        else:
            self.uniques.setdefault(job.unique, job)

    def claim_unique(self, job: Job) -> None:
        """Let submissions with the job's unique key join this one, whoever had the key."""
        if job.unique == b"-":
            if job.workload:
                self.workloads[job.workload] = job
        elif job.unique:
            self.uniques[job.unique] = job

    def remove(self, job: Job) -> None:
        """Strike out a job that has just ended."""
        self.jobs -= 1
        self.release_unique(job)

    def release_unique(self, job: Job) -> None:
        """Let the next submission with the job's unique key be a job of its own."""
        if not job.unique:
            return
        if job.unique == b"-":
            if self.workloads.get(job.workload) is job:
                del self.workloads[job.workload]
        elif self.uniques.get(job.unique) is job:
            del self.uniques[job.unique]
