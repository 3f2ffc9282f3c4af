"""
Clients and workers: the sessions of production, in processes that come, go and break.
"""

from __future__ import annotations

from collections.abc import Sequence

from geartrain.client.session import (
    LOST_RUNNING,
    LOST_UNANSWERED,
    LOST_UNSENT,
    Event,
    Request,
    Session,
)
from geartrain.wire.packet import (
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    JOB_CREATED,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_EPOCH,
    SUBMIT_JOB_HIGH,
    SUBMIT_JOB_HIGH_BG,
    SUBMIT_JOB_LOW,
    SUBMIT_JOB_LOW_BG,
    WORK_COMPLETE,
    WORK_EXCEPTION,
    WORK_FAIL,
)
from geartrain.worker.session import Assignment, Slots, WorkerSession
from sim.account import (
    ACCEPTED,
    ANSWERED,
    LEFT,
    REFUSED,
    UNKNOWN,
    Account,
    Run,
    Submission,
)
from sim.machine import Machine
from sim.network import Line
from sim.world import World

FOREGROUND = (SUBMIT_JOB_HIGH, SUBMIT_JOB, SUBMIT_JOB_LOW)
BACKGROUND = (SUBMIT_JOB_HIGH_BG, SUBMIT_JOB_BG, SUBMIT_JOB_LOW_BG)
# Seconds between attempts to connect.
BACKOFF = (0.05, 1.0)


class Person:
    """
    Somebody with one connection at a time to one of the servers.

    Attributes:
        machine: The server of the present connection, or the last one that was tried.

    """

    is_frozen = False

    def __init__(
        self, world: World, machines: Sequence[Machine], account: Account, name: str
    ) -> None:
        self.world = world
        self.machines = machines
        self.machine = machines[0]
        self.account = account
        self.name = name
        self.line: Line | None = None

    def connect(self) -> None:
        """Connect now, or as soon as somebody listens."""
        if self.line is not None:
            return
        self.machine = self.world.random.choice(self.machines)
        line = self.machine.network.connect(self, self.machine)
        if self.machine.accept(line):
            self.line = line
            self.connected()
        else:
            self.world.after(self.world.seconds(*BACKOFF), self.connect)

    def connected(self) -> None:
        """A connection stands."""
        raise NotImplementedError

    def receive(self, line: Line, data: bytes) -> None:
        """Take bytes from the server."""
        raise NotImplementedError

    def lose(self, line: Line) -> None:
        """The connection is gone."""
        if line is not self.line:
            return
        self.line = None
        self.disconnected()
        self.world.after(self.world.seconds(*BACKOFF), self.connect)

    def disconnected(self) -> None:
        """Take note that the connection is gone."""
        raise NotImplementedError

    def cut(self) -> None:
        """Let the connection break."""
        if self.line is not None:
            self.world.note(f"{self.name} is cut off")
            self.account.note_fault()
            self.line.cut()


class Client(Person):
    """A client: it submits, and hears what becomes of it."""

    def __init__(
        self, world: World, machines: Sequence[Machine], account: Account, name: str
    ) -> None:
        super().__init__(world, machines, account, name)
        self.session = Session()
        self.waiting: list[tuple[int, list[bytes], Submission]] = []

    def submit(self, submission: Submission) -> None:
        """Send a submission, once there is a connection."""
        self.account.submitted(submission)
        if submission.epoch:
            kind = SUBMIT_JOB_EPOCH
            args = [b"%d" % submission.epoch]
        else:
            kind = (BACKGROUND if submission.background else FOREGROUND)[submission.priority]
            args = []
        args = [submission.function, submission.unique, *args, submission.workload]
        self.waiting.append((kind, args, submission))
        self.flush()

    def connected(self) -> None:
        self.session = Session()
        self.flush()

    def flush(self) -> None:
        if self.line is None:
            return
        for kind, args, submission in self.waiting:
            submission.sent = self.world.now
            self.world.note(f"{self.name} submits {submission}")
            self.session.send(Request(kind, args, submission))
        self.waiting = []
        data = b"".join(self.session.take_output())
        self.session.note_sent(len(data))
        self.line.send(self, data)

    def receive(self, line: Line, data: bytes) -> None:
        if line is self.line:
            for event in self.session.receive_data(data):
                self.hear(event)
            if self.session.fault is not None:
                self.account.fail(f"{self.name} does not understand: {self.session.fault}")

    def hear(self, event: Event) -> None:
        """Note what became of a submission."""
        one = event.request.owner
        assert isinstance(one, Submission)
        if event.kind == JOB_CREATED:
            one.handle = event.args[0]
            one.state = ACCEPTED
        elif event.kind == ERROR:
            one.state = REFUSED
        elif event.kind in (LOST_UNANSWERED, LOST_UNSENT):
            one.state = UNKNOWN
        elif event.kind == LOST_RUNNING:
            one.state = ANSWERED
        elif event.kind in (WORK_COMPLETE, WORK_FAIL, WORK_EXCEPTION):
            one.state = ANSWERED
            self.check_result(event, one)
        self.world.note(f"{self.name} hears of {one}")

    def check_result(self, event: Event, one: Submission) -> None:
        """A result is the one of a job with this function that really ran."""
        if event.kind == WORK_COMPLETE:
            runs = self.account.runs.get(one.handle, [])
            if event.args[1] not in {result_of(run.workload) for run in runs}:
                self.account.fail(
                    f"a result that no run of the job had: {event.args[1]!r} of {one}"
                )

    def disconnected(self) -> None:
        for event in self.session.end():
            self.hear(event)

    def leave(self) -> None:
        """Close the connection, whatever is still awaited; another one follows."""
        if self.line is None:
            return
        self.world.note(f"{self.name} leaves")
        line, self.line = self.line, None
        for event in self.session.end():
            self.hear(event)
            one = event.request.owner
            assert isinstance(one, Submission)
            if one.state == ANSWERED:
                one.state = LEFT
        line.close(self)
        self.world.after(self.world.seconds(*BACKOFF), self.connect)


class Bystander(Person):
    """A client with nothing to do with jobs. Whatever the store does, it is served in time."""

    # Seconds between its questions.
    INTERVAL = 0.7

    def connected(self) -> None:
        self.session = Session()
        self.ask(self.line)

    def ask(self, line: Line | None) -> None:
        """Send an echo, and see to it that the answer comes in time."""
        if line is None or line is not self.line:
            return
        request = Request(ECHO_REQ, [b"are you there"], self)
        self.session.send(request)
        line.send(self, b"".join(self.session.take_output()))
        pauses = self.machine.pauses
        is_stopped = self.machine.is_frozen
        # A tenth of a second, beside what the network takes at most.
        patience = 0.1 + 2 * 20 * self.machine.network.slowness

        def check() -> None:
            was_there = not is_stopped and pauses == self.machine.pauses and line.is_open
            if was_there and line is self.line and request.owner is not None:
                self.account.fail("a bystander was not served within a tenth of a second")

        self.world.after(patience, check)
        self.world.after(self.INTERVAL, lambda: self.ask(line))

    def receive(self, line: Line, data: bytes) -> None:
        if line is self.line:
            for event in self.session.receive_data(data):
                if event.kind == ECHO_RES:
                    event.request.owner = None

    def disconnected(self) -> None:
        """It asks again once it is connected."""


class Administrator(Person):
    """Somebody who cancels jobs now and then."""

    def connected(self) -> None:
        """There is nothing to say first."""

    def cancel(self) -> None:
        """Cancel some job that was accepted."""
        handles = [one.handle for one in self.account.submissions if one.handle]
        if self.line is None or not handles:
            return
        handle = self.world.random.choice(handles)
        self.world.note(f"{self.name} cancels {handle!r}")
        # Whether it still was there to be cancelled, the answer may be too late to tell.
        self.account.cancelled.add(handle)
        self.line.send(self, b"cancel job " + handle + b"\r\n")

    def receive(self, line: Line, data: bytes) -> None:
        """The answer says nothing that the logs of the others don't."""

    def disconnected(self) -> None:
        """What was asked for may have been done, or not."""


class Link(Person):
    """A worker's connection to one of the servers."""

    def __init__(self, worker: Worker, machine: Machine) -> None:
        super().__init__(worker.world, [machine], worker.account, worker.name)
        self.worker = worker
        self.session: WorkerSession | None = None

    def connected(self) -> None:
        worker = self.worker
        self.session = WorkerSession(worker.slots, self.name.encode(), worker.functions, [])
        self.session.announce()
        worker.flush()

    def receive(self, line: Line, data: bytes) -> None:
        if line is not self.line or self.session is None:
            return
        for job in self.session.receive_data(data):
            self.worker.start(job)
        if self.session.fault is not None:
            self.account.fail(f"{self.name} does not understand: {self.session.fault}")
        self.worker.flush()

    def disconnected(self) -> None:
        self.account.note_fault()
        self.forget()
        self.worker.flush()

    def forget(self) -> None:
        """Take note that the connection is gone."""
        if self.session is not None:
            self.session.lose()
            self.session = None


class Worker:
    """
    A worker process, connected to every server, with room for some jobs.

    Args:
        functions: What it can do, with a time limit in milliseconds or 0.
        capacity: How many jobs it does at once.
        longest: Seconds that a job takes at most.

    """

    def __init__(
        self,
        world: World,
        machines: Sequence[Machine],
        account: Account,
        name: str,
        functions: dict[bytes, int],
        capacity: int,
        longest: float,
    ) -> None:
        self.world = world
        self.account = account
        self.name = name
        self.functions = functions
        self.capacity = capacity
        self.longest = longest
        self.chance_to_fail = 0.0
        self.chance_to_hang = 0.0
        self.slots = Slots(capacity)
        self.life = 0
        self.links = [Link(self, machine) for machine in machines]

    def connect(self) -> None:
        """Connect to every server, or go on trying to."""
        for link in self.links:
            link.connect()

    def flush(self) -> None:
        """Send what there is to be sent, to whom it may concern."""
        self.slots.take_written()
        for link in self.links:
            if link.session is not None and link.line is not None:
                link.line.send(link, b"".join(link.session.take_output()))

    def start(self, job: Assignment) -> None:
        """Run a job."""
        world = self.world
        run = Run(job.function, job.unique, job.workload, world.now)
        world.note(f"{self.name} runs {job.handle!r} {job.function!r} {job.workload!r}")
        self.account.started(job.handle, run)
        lasts = world.seconds(0, self.longest)
        limit = self.functions[job.function]
        if limit and world.happens(self.chance_to_hang):
            lasts += limit / 1000 + 1
        if limit and lasts * 1000 > limit / 2:
            # With what is long on its way, the server may give the job to another worker.
            self.account.note_fault()
        life = self.life
        world.after(lasts, lambda: self.end(life, job, run))

    def end(self, life: int, job: Assignment, run: Run) -> None:
        """A job has been done, unless its process is gone."""
        if life != self.life:
            return
        run.ended = self.world.now
        session = job.session
        run.failed = self.world.happens(self.chance_to_fail)
        if run.failed:
            if self.world.happens(0.5):
                session.fail(job)
            else:
                session.exception(job, b"it broke")
        else:
            session.complete(job, result_of(job.workload))
        self.world.note(f"{self.name} has done {job.handle!r}")
        self.flush()

    def cut(self) -> None:
        """Let one of its connections break."""
        self.world.random.choice(self.links).cut()

    def crash(self) -> None:
        """Kill the process; another one follows."""
        self.world.note(f"{self.name} is killed")
        self.account.note_fault()
        self.life += 1
        for link in self.links:
            link.forget()
        self.slots = Slots(self.capacity)
        for link in self.links:
            if link.line is not None:
                line, link.line = link.line, None
                line.close(link)
        self.world.after(self.world.seconds(*BACKOFF), self.connect)


def result_of(workload: bytes) -> bytes:
    """Return what doing a job results in."""
    return b"done: " + workload
