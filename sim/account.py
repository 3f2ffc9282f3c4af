"""
What clients and workers saw, and whether it is what was promised.

The judge believes the logs of clients and workers. Of the server it looks at what
must hold at every moment, and at what must be left when all is over: nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from geartrain.broker.job import ENDING, STORING

if TYPE_CHECKING:
    from sim.machine import Process
    from sim.world import World

# What became of a submission, as its client knows it.
SENT = "sent"
ACCEPTED = "accepted"
REFUSED = "refused"
UNKNOWN = "unknown"
# A foreground submission whose job ended, or whose client was told that nobody knows.
ANSWERED = "answered"
LEFT = "left"

# Seconds that a packet may be on its way.
LATE = 1.5


class BrokenPromise(AssertionError):
    """Something was seen that must never be seen."""


class Submission:
    """One submission, as its client knows it."""

    def __init__(
        self,
        function: bytes,
        unique: bytes,
        workload: bytes,
        priority: int,
        background: bool,
        epoch: int,
        sent: float,
    ) -> None:
        self.function = function
        self.unique = unique
        self.workload = workload
        self.priority = priority
        self.background = background
        self.epoch = epoch
        self.sent = sent
        self.state = SENT
        self.handle = b""

    def __repr__(self) -> str:
        kind = "background" if self.background else "foreground"
        return (
            f"<{kind} {self.function!r} unique={self.unique!r} workload={self.workload!r}"
            f" {self.state} {self.handle!r}>"
        )


class Run:
    """One run of a job, as its worker knows it; its worker lived to its end if ``ended`` is set."""

    def __init__(self, function: bytes, unique: bytes, workload: bytes, started: float) -> None:
        self.function = function
        self.unique = unique
        self.workload = workload
        self.started = started
        self.ended = 0.0
        self.failed = False


class Account:
    """
    The log of one simulation.

    Attributes:
        faults: When something was broken on purpose.
        excused: Workloads of jobs that were refused and may run all the same: the server
            died before it could take them out of a store that kept them although it had said
            otherwise, or nothing for too long.

    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.submissions: list[Submission] = []
        self.runs: dict[bytes, list[Run]] = {}
        self.faults: list[float] = []
        self.excused: set[bytes] = set()
        self.cancelled: set[bytes] = set()
        # When the server was through with a job: the worker's word may be long on its way, and
        # until it comes a submission with the same key joins the job.
        self.forgotten: dict[bytes, float] = {}
        self.known: dict[Process, set[bytes]] = {}
        # How many jobs of a function may run at a time.
        self.limits: dict[bytes, int] = {}
        # Functions whose jobs are tried again when they fail.
        self.retried: set[bytes] = set()
        # Jobs that were given up, and are kept for a person.
        self.dead: set[bytes] = set()
        self.clocks_were_set = False
        self.commits = 0
        self.looks = 0

    def fail(self, what: str) -> None:
        """Say what was broken."""
        raise BrokenPromise(what)

    # The log.

    def note_fault(self) -> None:
        """Something was broken now, so a job in flight may run once more."""
        self.faults.append(self.world.now)

    def server_started(self, process: Process) -> None:
        """A server that starts knows what it was left."""
        self.note_fault()
        self.known[process] = set(process.exchange.broker.jobs)

    def server_died(self, process: Process) -> None:
        """The process is gone, and with it what it had not taken out of the store yet."""
        self.note_fault()
        self.excuse(process)

    def excuse(self, process: Process) -> None:
        """Let jobs run that were refused, and that nobody is there any more to take out."""
        for row in process.refused_rows().values():
            workload = row[4]
            assert isinstance(workload, bytes)
            self.excused.add(workload)

    def submitted(self, submission: Submission) -> None:
        """A client sends a submission."""
        self.submissions.append(submission)

    def started(self, handle: bytes, run: Run) -> None:
        """A worker has been given a job."""
        self.runs.setdefault(handle, []).append(run)

    # At every moment.

    def look_at(self, process: Process) -> None:
        """Check what must hold after each pass of a server."""
        self.looks += 1
        broker = process.exchange.broker
        for handle in self.known.get(process, set()) - broker.jobs.keys():
            self.forgotten[handle] = self.world.now
        self.known[process] = set(broker.jobs)
        if not process.is_certain():
            return
        rows = process.rows()
        for job in broker.jobs.values():
            owed = job.obligation and job.unstored is None and job.state != ENDING
            if owed and job.number not in rows:
                self.fail(f"{job} was acknowledged and is not in the store")
            if job.state == STORING and job.worker is not None:
                self.fail(f"{job} was assigned before it was stored")
        for function in broker.functions.values():
            if function.running > self.limits.get(function.name, function.running):
                self.fail(f"{function.running} jobs of {function.name!r} run at a time")
            if function.name not in self.limits and function.waiting() and not broker.wakes:
                for session in broker.sessions.values():
                    if session.asleep and function.name in session.abilities:
                        self.fail(f"session {session.number} sleeps beside {function.name!r}")

    # When all is over.

    def judge(self) -> None:
        """Check the logs of clients and workers."""
        owners: dict[bytes, tuple[bytes, bytes]] = {}
        for one in self.submissions:
            if one.state == SENT:
                self.fail(f"never answered: {one}")
            if one.handle:
                meant = (one.function, one.unique or one.workload)
                if owners.setdefault(one.handle, meant) != meant:
                    self.fail(f"a handle was given twice: {one} and {owners[one.handle]}")
            if one.state == REFUSED:
                self.judge_refused(one)
            elif one.state == ACCEPTED:
                self.judge_accepted(one)
        for handle, runs in self.runs.items():
            self.judge_runs(handle, runs)

    def judge_accepted(self, one: Submission) -> None:
        """An accepted job ran to its end after it was submitted, as the job it was."""
        if not one.background:
            self.fail(f"accepted, and its client never heard of its end: {one}")
        if one.handle in self.cancelled:
            return
        runs = self.runs.get(one.handle, [])
        ended = self.forgotten.get(one.handle, 0.0)
        if one.handle in self.dead:
            return
        if not any(run.ended >= one.sent or (run.ended and ended >= one.sent) for run in runs):
            self.fail(f"acknowledged and lost: {one}, runs {[vars(run) for run in runs]}")
        alike = {one.workload}
        if one.unique:
            # The first of them decides, and may have been one whose answer was never heard.
            alike = {
                other.workload
                for other in self.submissions
                if (other.function, other.unique) == (one.function, one.unique)
            }
        for run in runs:
            if run.function != one.function or run.workload not in alike:
                self.fail(f"ran as another job: {one} as {vars(run)}")
            if run.unique != one.unique:
                self.fail(f"ran with another key: {one} as {vars(run)}")

    def judge_refused(self, one: Submission) -> None:
        """A refused job never ran."""
        if one.unique or not one.workload or one.workload in self.excused:
            return
        for handle, runs in self.runs.items():
            if any(run.workload == one.workload for run in runs):
                self.fail(f"refused, and ran as {handle!r}: {one}")

    def judge_runs(self, handle: bytes, runs: list[Run]) -> None:
        """A job ran more than once only when something was broken between the runs."""
        for first, second in pairwise(runs):
            if first.failed and first.function in self.retried:
                continue
            # The server had assigned it before its worker knew.
            began = first.started - LATE
            if not any(began <= fault <= second.started for fault in self.faults):
                self.fail(f"{handle!r} ran twice, and nothing was broken between the runs")
        # With a key the first submission decides, and may be one whose answer was never heard.
        mine = [one for one in self.submissions if one.handle == handle]
        epochs = [one.epoch for one in mine if not one.unique]
        if epochs and not self.clocks_were_set:
            due = min(epochs)
            if any(run.started < due for run in runs):
                self.fail(f"{handle!r} ran before its time")

    def judge_rest(self, process: Process) -> None:
        """Nothing is left where nothing is to be done."""
        broker = process.exchange.broker
        if self.dead and not self.retried:
            self.fail("a job was given up, and nobody had said when")
        if broker.jobs:
            self.fail(f"left in the server: {list(broker.jobs.values())[:5]}")
        if process.rows():
            self.fail(f"left in the store: {sorted(process.rows().values())[:5]}")
        for function in broker.functions.values():
            if function.jobs or function.running or function.waiting() or function.uniques:
                self.fail(f"{function.name!r} has not forgotten its jobs")
