"""What sessions keep to, whatever servers say and however handlers end."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from geartrain.wire.packet import (
    CAN_DO,
    CANT_DO,
    ECHO_REQ,
    ECHO_RES,
    GRAB_JOB_ALL,
    JOB_ASSIGN_UNIQ,
    NO_JOB,
    NOOP,
    PRE_SLEEP,
    REQUEST,
    RESET_ABILITIES,
    WORK_COMPLETE,
    WORK_EXCEPTION,
    WORK_FAIL,
)
from geartrain.wire.reader import PacketReader
from geartrain.wire.writer import pack_response
from geartrain.worker.session import Assignment, Slots, WorkerSession

FUNCTIONS = [b"f", b"g"]


class Server:
    """The plainest server that plays by the rules, at the other end of one session."""

    def __init__(self, number: int, slots: Slots) -> None:
        self.number = number
        self.session = WorkerSession(slots, b"", dict.fromkeys(FUNCTIONS, 0), [])
        self.reader = PacketReader(REQUEST)
        self.waiting: list[tuple[bytes, bytes]] = []
        # Handle -> function of the jobs this worker holds.
        self.assigned: dict[bytes, bytes] = {}
        self.able: set[bytes] = set()
        self.asleep = False
        self.gone = False
        # Answers on their way to the worker.
        self.answers: list[bytes] = []

    def take(self) -> None:
        """Act on what the worker sent."""
        for packet in self.reader.receive_data(b"".join(self.session.take_output())):
            kind, args = packet.type, packet.args
            if kind == CAN_DO:
                assert args[0] not in self.able
                self.able.add(args[0])
            elif kind == CANT_DO:
                self.withdraw({args[0]})
            elif kind == RESET_ABILITIES:
                self.withdraw(set(self.able))
            elif kind == GRAB_JOB_ALL:
                self.asleep = False
                self.grab()
            elif kind == PRE_SLEEP:
                self.asleep = True
                self.wake()
            elif kind == ECHO_REQ:
                self.answers.append(pack_response(ECHO_RES, args))
            else:
                assert kind in (WORK_COMPLETE, WORK_FAIL, WORK_EXCEPTION)
                # A job that was ended, or never given, would not be here.
                del self.assigned[args[0]]
        assert self.reader.fault is None

    def withdraw(self, functions: set[bytes]) -> None:
        assert not functions & set(self.assigned.values()), "a held job would be taken away"
        self.able -= functions

    def grab(self) -> None:
        job = next((job for job in self.waiting if job[1] in self.able), None)
        if job is None:
            self.answers.append(pack_response(NO_JOB, []))
            return
        self.waiting.remove(job)
        self.assigned[job[0]] = job[1]
        self.answers.append(pack_response(JOB_ASSIGN_UNIQ, [*job, b"", b""]))

    def wake(self) -> None:
        if self.asleep and any(function in self.able for _, function in self.waiting):
            self.asleep = False
            self.answers.append(pack_response(NOOP, []))


class SessionRules(RuleBasedStateMachine):
    """Sessions keep what a worker promises under any sequence of events."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.running: list[Assignment] = []
        self.stopped = False

    @initialize(capacity=st.integers(1, 5), servers=st.integers(1, 3))
    def connect(self, capacity: int, servers: int) -> None:
        self.slots = Slots(capacity)
        self.servers = [Server(number, self.slots) for number in range(servers)]
        for server in self.servers:
            server.session.announce()
        self.settle()

    def settle(self) -> None:
        """Let every server take what was sent to it."""
        for session in self.slots.take_written():
            server = next(server for server in self.servers if server.session is session)
            server.take()

    @rule(which=st.integers(0, 2), functions=st.lists(st.sampled_from(FUNCTIONS), min_size=1))
    def submit(self, which: int, functions: list[bytes]) -> None:
        server = self.servers[which % len(self.servers)]
        for function in functions:
            self.count += 1
            server.waiting.append((b"H:%d:%d" % (server.number, self.count), function))
        server.wake()

    @rule(which=st.integers(0, 2), answers=st.integers(1, 4), cut=st.integers(0, 40))
    def deliver(self, which: int, answers: int, cut: int) -> None:
        """Deliver some answers, cut somewhere."""
        server = self.servers[which % len(self.servers)]
        if server.gone:
            return
        data = b"".join(server.answers[:answers])
        del server.answers[:answers]
        for part in (data[:cut], data[cut:]):
            self.running += server.session.receive_data(part)
            self.settle()
        assert server.session.fault is None

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 4), ending=st.sampled_from(["complete", "fail", "exception"]))
    def end(self, which: int, ending: str) -> None:
        job = self.running.pop(which % len(self.running))
        session = job.session
        if ending == "complete":
            sent = session.complete(job, b"r")
        elif ending == "exception":
            sent = session.exception(job, b"e")
        else:
            sent = session.fail(job)
        assert sent == session.open
        self.settle()

    # Losing and stopping leave little to happen after them, so they wait for some jobs.

    @precondition(lambda self: self.running and self.count > 4)
    @rule(which=st.integers(0, 2))
    def lose(self, which: int) -> None:
        server = self.servers[which % len(self.servers)]
        server.gone = True
        server.session.lose()
        self.settle()

    @precondition(lambda self: not self.stopped and any(server.gone for server in self.servers))
    @rule()
    def reconnect(self) -> None:
        index = next(index for index, server in enumerate(self.servers) if server.gone)
        self.servers[index] = Server(index, self.slots)
        self.servers[index].session.announce()
        self.settle()

    @precondition(lambda self: self.running and self.count > 8)
    @rule()
    def stop(self) -> None:
        self.stopped = True
        for server in self.servers:
            server.session.stop()
        self.settle()

    @invariant()
    def never_more_jobs_than_slots(self) -> None:
        assert len(self.running) + self.asked() <= self.slots.capacity
        assert self.slots.free == self.slots.capacity - len(self.running) - self.asked()

    def asked(self) -> int:
        return sum(server.session.asked for server in self.servers)

    @invariant()
    def both_ends_agree_on_what_is_held(self) -> None:
        for server in self.servers:
            if not server.gone and not server.answers:
                assert {job.handle for job in server.session.held} == set(server.assigned)

    @invariant()
    def nobody_sleeps_beside_work(self) -> None:
        """With everything delivered, jobs wait only while all slots are taken."""
        if self.stopped or any(server.answers for server in self.servers if not server.gone):
            return
        for server in self.servers:
            if server.waiting and not server.gone:
                assert self.slots.free == 0

    @invariant()
    def sleep_follows_no_job(self) -> None:
        for server in self.servers:
            if server.session.asleep:
                assert server.session.asked == 0
                assert server.session.open

    def teardown(self) -> None:
        """Once told to stop, everything ends, and nothing was ended twice or forgotten."""
        if not hasattr(self, "slots"):
            return
        self.stop()
        for _ in range(1000):
            for which, server in enumerate(self.servers):
                if not server.gone:
                    self.deliver(which, 4, 0)
            while self.running:
                self.end(0, "complete")
            if all(server.gone or server.session.is_done() for server in self.servers):
                break
        for server in self.servers:
            assert server.gone or (server.session.is_done() and not server.assigned)
        assert self.slots.free == self.slots.capacity


TestSessionRules = SessionRules.TestCase
