"""
What the broker promises, under any sequence of commands.

Whatever the broker does its plain twin does too. Beside that the promises are checked
for themselves, from what sessions were told and what the store was given.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from geartrain.broker.broker import WAKE_PATIENCE, Broker
from geartrain.broker.commands import (
    CancelJob,
    CanDo,
    CantDo,
    Command,
    Connect,
    CreateFunction,
    Disconnect,
    DropFunction,
    Echo,
    GetStatus,
    GetStatusUnique,
    GrabJob,
    Persisted,
    PersistFailed,
    PreSleep,
    ReportFunctions,
    ReportJobs,
    ReportWorkers,
    ResetAbilities,
    Restore,
    SessionCommand,
    SetClientId,
    SetMaxQueue,
    SubmitJob,
    Tick,
    WantExceptions,
    WorkStatus,
)
from geartrain.broker.effects import (
    Bury,
    Effect,
    Forget,
    KeepAttempts,
    Noop,
    Persist,
    SessionEffect,
)
from geartrain.broker.job import STATE_NAMES, Job
from geartrain.server.policies import policy_of
from tests.broker.story import REPORTS, text, words_of
from tests.broker.twin import Twin

NAMES = [b"f", b"g", b"h"]
FUNCTIONS = st.sampled_from([b"f", b"f", b"g", b"f", b"g", b"h"])
UNIQUES = st.sampled_from([b"", b"u", b"v", b"-", b"u:2", b"uv"])
WORKLOADS = st.sampled_from([b"", b"w", b"x"])
PRIORITIES = st.sampled_from([1, 0, 2])
# Connections that may be there; who leaves comes back under a new number. Most are either
# client or worker, for the sake of long stories; one is both.
PEERS = st.integers(0, 4)
CLIENTS = st.integers(0, 2)
WORKERS = st.integers(2, 4)
FORMS = st.integers(0, 2)
WHICH = st.integers(0, 9)
# What would end stories too early happens now and then.
CHANCE = st.integers(0, 3)
TIMES = st.sampled_from([0.125, 0.25, 1.0, 2.0, 5.0])
LIMITS = st.sampled_from([(0, 0, 0), (2, 2, 2), (0, 1, 3)])
HANDLE_LIMIT = 63


# What functions may have for policies, one or two of them at a time; ``h`` never has one.
POLICIES: list[tuple[str, dict[str, Any]]] = [
    ("f", {"retries": 1, "backoff": 2, "retention": 5}),
    ("f", {"max_attempts": 3, "backoff": 0, "poison": 2, "unique": "queued"}),
    ("f", {"concurrency": 1, "retries": 2, "backoff": "exp(0.5s, 2s)", "dead_letters": False}),
    ("f", {"concurrency_per_key": 1, "timeout": 2, "retries": 1, "backoff": "250ms"}),
    ("f", {"rate": "1/s", "retention": 3}),
    ("g", {"concurrency": 2, "rate": "2/2s", "burst": 2}),
    ("g", {"expires": 3, "dead_letters": True, "concurrency_per_key": 1}),
    ("g", {"expires": 2, "max_attempts": 2, "backoff": 5, "unique": "queued"}),
    ("g", {"timeout": 1, "poison": 1}),
    ("g", {"concurrency_per_key": 2, "key_separator": "v"}),
]


class BrokerRules(RuleBasedStateMachine):
    """The broker keeps its promises under any sequence of commands."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.boots = 0
        # Numbers of the connections that are there, and how many there have been.
        self.peers: dict[int, int] = {}
        self.connections = 0
        # What the store has, and what it is to change with its next commit.
        self.stored: dict[int, Job] = {}
        self.storing: list[Job] = []
        self.changes: list[Forget | KeepAttempts | Bury] = []
        self.forgotten: set[int] = set()
        # All handles ever told, in order.
        self.handles: list[bytes] = []
        # Handles of jobs the store refused before they could run.
        self.refused: set[str] = set()
        # When each worker was woken that has not answered since; and how often at all.
        self.woken: dict[int, float] = {}
        self.wake_numbers: dict[int, int] = {}
        self.noops: dict[int, int] = {}
        self.sleeps: dict[int, int] = {}

    @initialize(
        durable=st.sampled_from([True, True, True, False]),
        retries=st.sampled_from([-1, 0, 2, 3]),
        compat=st.sampled_from(["2.0", "1.1", "1.1 with round robin"]),
        workers=st.integers(0, 3),
        asleep=st.booleans(),
        policies=st.lists(
            st.sampled_from(POLICIES), min_size=1, max_size=2, unique_by=lambda one: one[0]
        ),
    )
    def start(
        self,
        durable: bool,
        retries: int,
        compat: str,
        workers: int,
        asleep: bool,
        policies: list[tuple[str, dict[str, Any]]],
    ) -> None:
        """Start with some workers that are ready, so that stories need not begin with them."""
        self.durable = durable
        self.retries = retries
        self.compat = compat
        self.policies = {
            name: policy_of("here", name, {"jitter": 0, **keys}) for name, keys in policies
        }
        self.boot()
        for peer in range(5 - workers, 5):
            for function in NAMES[: peer - 1]:
                self.step(CanDo(self.peer(peer), function, 0.0))
            if asleep:
                self.step(PreSleep(self.peer(peer)))

    def boot(self) -> None:
        """Start a broker and its twin, with what is stored."""
        self.boots += 1
        prefix = f"H:host:{self.boots}"
        jobs = sorted(self.stored.values(), key=lambda job: job.number)
        first_number = max([job.number for job in jobs], default=0) + 1
        self.broker = Broker(
            prefix.encode(),
            first_number,
            self.durable,
            self.retries,
            self.compat != "2.0",
            self.compat != "1.1",
            policies=list(self.policies.values()),
        )
        self.twin = Twin(prefix, self.durable, self.retries, self.compat, self.policies)
        self.twin.first_number = first_number
        self.peers = {}
        self.storing = []
        self.changes = []
        self.forgotten = set()
        self.woken = {}
        self.wake_numbers = {}
        for job in jobs:
            self.step(Restore(copy_of(job)))

    # Stepping both, and comparing.

    def step(self, command: Command) -> list[str]:
        """Step the broker and its twin; return what both say."""
        effects = self.broker.step(self.now, command)
        expected = self.twin.step(self.now, command)
        told = [words_of(effect) for effect in effects if not isinstance(effect, Noop)]
        assert by_receiver(told) == by_receiver(expected)
        self.note(command, effects)
        return told

    def note(self, command: Command, effects: list[Effect]) -> None:
        """Keep the store's books, and those of who was woken."""
        if isinstance(command, SessionCommand):
            if isinstance(command, GrabJob | PreSleep | ResetAbilities | Disconnect):
                self.woken.pop(command.session, None)
            if isinstance(command, PreSleep):
                self.sleeps[command.session] = self.sleeps.get(command.session, 0) + 1
        for effect in effects:
            if isinstance(effect, SessionEffect):
                # Nobody is told anything after it left.
                assert effect.session in self.broker.sessions
            if isinstance(effect, Persist):
                self.storing.append(effect.job)
            elif isinstance(effect, Forget | KeepAttempts | Bury):
                self.changes.append(effect)
                if not isinstance(effect, KeepAttempts):
                    number = effect.job.number if isinstance(effect, Bury) else effect.number
                    assert number not in self.forgotten
                    self.forgotten.add(number)
            elif isinstance(effect, Noop):
                self.noops[effect.session] = self.noops.get(effect.session, 0) + 1
        self.note_woken(command)

    def note_woken(self, command: Command) -> None:
        """Check that those were woken who slept and can be of use, and no more than needed."""
        woken = 0
        for number, session in self.broker.sessions.items():
            if session.wake_number == self.wake_numbers.get(number, 0):
                continue
            assert session.wake_number == self.wake_numbers.get(number, 0) + 1
            self.wake_numbers[number] = session.wake_number
            self.woken[number] = self.now
            woken += 1
            worker = self.twin.session(number)
            assert worker.asleep
            assert self.twin.next_job(worker) is not None
            worker.asleep = False
        if isinstance(command, SubmitJob | CanDo):
            assert woken <= 1

    def peer(self, which: int) -> int:
        """Return the number of a connection, made if need be."""
        if which not in self.peers:
            self.connections += 1
            self.peers[which] = self.connections
            self.step(Connect(self.connections))
        return self.peers[which]

    def picture(self) -> dict[str, tuple[Any, ...]]:
        """Return all that matters of the broker's jobs."""
        return {
            text(job.handle): (
                STATE_NAMES[job.state],
                job.obligation,
                [listener.number for listener in job.listeners or []],
                None if job.worker is None else job.worker.number,
                job.deadline,
                job.attempts,
                (text(job.numerator), text(job.denominator)),
                job.unstored is not None,
            )
            for job in self.broker.jobs.values()
        }

    # Clients.

    @rule(
        peer=CLIENTS,
        function=FUNCTIONS,
        unique=UNIQUES,
        workload=WORKLOADS,
        priority=PRIORITIES,
        background=st.booleans(),
        reducer=st.sampled_from([b"", b"sum"]),
    )
    def submit_any_job(
        self,
        peer: int,
        function: bytes,
        unique: bytes,
        workload: bytes,
        priority: int,
        background: bool,
        reducer: bytes,
    ) -> None:
        """What a client may do."""
        self.submit(peer, function, unique, workload, priority, background, 0, reducer)

    @rule(peer=CLIENTS, function=FUNCTIONS, later=st.integers(-1, 6))
    def submit_job(self, peer: int, function: bytes, later: int) -> None:
        """What most clients do."""
        self.submit(peer, function, b"", b"", 1, later % 2 == 0, 0, b"")

    @rule(peer=CLIENTS, function=FUNCTIONS, background=st.booleans())
    def join_job(self, peer: int, function: bytes, background: bool) -> None:
        """What clients do that want the same."""
        self.submit(peer, function, b"u", b"", 1, background, 0, b"")

    @rule(peer=CLIENTS, function=FUNCTIONS, unique=UNIQUES, later=st.integers(-1, 6))
    def submit_job_epoch(self, peer: int, function: bytes, unique: bytes, later: int) -> None:
        self.submit(peer, function, unique, b"w", 1, True, int(self.now) + later, b"")

    def submit(self, peer: int, *submission: Any) -> None:
        before = set(self.broker.jobs)
        self.step(SubmitJob(self.peer(peer), *submission))
        for handle in self.broker.jobs:
            if handle not in before:
                # Handles never repeat, and fit everywhere.
                assert handle not in self.handles
                assert len(handle) <= HANDLE_LIMIT
                self.handles.append(handle)

    @rule(peer=PEERS, which=WHICH, unique=UNIQUES)
    def ask(self, peer: int, which: int, unique: bytes) -> None:
        """What anybody may ask for."""
        number = self.peer(peer)
        commands: list[Command] = [
            GetStatus(number, self.handle(which)),
            GetStatusUnique(number, unique),
            Echo(number, unique),
            WantExceptions(number, b"exceptions"),
            SetClientId(number, unique),
            ReportFunctions(number),
            ReportFunctions(number, True),
            ReportJobs(number),
            ReportJobs(number, True),
            ReportWorkers(number),
        ]
        self.step(commands[which])

    def handle(self, which: int) -> bytes:
        """Return the handle of some job, the youngest ones first."""
        return self.handles[-1 - which % len(self.handles)] if self.handles else b"H:none:1"

    # Workers.

    @rule(peer=WORKERS, function=FUNCTIONS, timeout=st.sampled_from([0.0, 1.0, 2.5]))
    def can_do(self, peer: int, function: bytes, timeout: float) -> None:
        self.step(CanDo(self.peer(peer), function, timeout))

    @rule(peer=WORKERS, function=FUNCTIONS, chance=CHANCE)
    def cant_do(self, peer: int, function: bytes, chance: int) -> None:
        if chance >= 2:
            number = self.peer(peer)
            self.step(ResetAbilities(number) if chance == 3 else CantDo(number, function))

    @rule(peer=WORKERS, form=FORMS)
    def grab_job(self, peer: int, form: int) -> None:
        told = self.step(GrabJob(self.peer(peer), form))
        for line in told:
            if "JOB_ASSIGN" in line:
                assert line.split()[3] not in self.refused

    @rule(peer=WORKERS, function=FUNCTIONS)
    def learn_and_grab(self, peer: int, function: bytes) -> None:
        self.can_do(peer, function, 0.0)
        self.grab_job(peer, 0)

    @rule(peer=WORKERS)
    def pre_sleep(self, peer: int) -> None:
        self.step(PreSleep(self.peer(peer)))

    @rule(peer=WORKERS, function=FUNCTIONS)
    def learn_and_sleep(self, peer: int, function: bytes) -> None:
        self.can_do(peer, function, 0.0)
        self.pre_sleep(peer)

    @precondition(lambda self: self.running())
    @rule(which=WHICH, report=st.sampled_from(sorted(REPORTS)), workload=WORKLOADS)
    def report(self, which: int, report: str, workload: bytes) -> None:
        """A worker speaks of a job that it holds."""
        job = self.running()[which % len(self.running())]
        workload = b"" if report == "work_fail" else workload
        self.step(REPORTS[report](job.worker, job.handle.encode(), workload))

    @precondition(lambda self: self.running())
    @rule(which=WHICH)
    def work_complete(self, which: int) -> None:
        """A worker does what workers do most of the time."""
        job = self.running()[which % len(self.running())]
        self.step(REPORTS["work_complete"](job.worker, job.handle.encode(), b"r"))

    @precondition(lambda self: self.running() and self.policies)
    @rule(which=WHICH, raises=st.booleans())
    def fail_job(self, which: int, raises: bool) -> None:
        """A worker can't do its job, where the server may have it tried again."""
        job = self.running()[which % len(self.running())]
        report = "work_exception" if raises else "work_fail"
        self.step(REPORTS[report](job.worker, job.handle.encode(), b"e" if raises else b""))

    @rule(peer=CLIENTS, key=st.sampled_from([b"u:1", b"u:2", b"u:3"]), priority=PRIORITIES)
    def submit_jobs_of_a_key(self, peer: int, key: bytes, priority: int) -> None:
        """Clients submit jobs of which few may run at a time."""
        for function in (b"f", b"g"):
            self.submit(peer, function, key, b"", priority, True, 0, b"")

    @precondition(lambda self: self.running())
    @rule(which=WHICH)
    def work_status(self, which: int) -> None:
        job = self.running()[which % len(self.running())]
        self.step(WorkStatus(job.worker, job.handle.encode(), b"%d" % which, b"10"))

    @precondition(lambda self: self.woken)
    @rule(which=WHICH, does=st.sampled_from(["grab", "sleep", "forget", "reset", "leave"]))
    def answer_noop(self, which: int, does: str) -> None:
        """A worker that was woken grabs a job, or does something else."""
        worker = sorted(self.woken)[which % len(self.woken)]
        peer = next(peer for peer, number in self.peers.items() if number == worker)
        if does == "forget":
            abilities = self.twin.session(worker).abilities
            for function, _ in abilities[: which % 3]:
                self.step(CantDo(worker, function.encode()))
        elif does == "grab":
            self.grab_job(peer, 0)
        elif does == "sleep":
            self.pre_sleep(peer)
        elif does == "reset":
            self.step(ResetAbilities(worker))
        else:
            self.disconnect(peer)

    @precondition(lambda self: self.running())
    @rule(which=WHICH)
    def worker_dies(self, which: int) -> None:
        worker = self.running()[which % len(self.running())].worker
        self.disconnect(next(peer for peer, number in self.peers.items() if number == worker))

    def running(self) -> list[Any]:
        return [job for job in self.twin.jobs if job.worker is not None]

    @rule(peer=PEERS, which=WHICH, report=st.sampled_from([*sorted(REPORTS), "work_status"]))
    def speak_of_what_is_not_held(self, peer: int, which: int, report: str) -> None:
        """A worker that lost its job, or never had it, changes nothing by its words."""
        number = self.peer(peer)
        worker = self.twin.session(number)
        handle = self.handle(which)
        if self.twin.held(worker, handle) is not None:
            return
        before = self.picture()
        if report == "work_status":
            told = self.step(WorkStatus(number, handle, b"9", b"9"))
        else:
            told = self.step(REPORTS[report](number, handle, b""))
        assert self.picture() == before
        assert all("ERROR JOB_NOT_FOUND" in line for line in told)

    @rule(peer=PEERS, chance=CHANCE)
    def disconnect(self, peer: int, chance: int = 3) -> None:
        if peer in self.peers and chance >= 2:
            self.step(Disconnect(self.peers.pop(peer)))

    # Administrators.

    @rule(peer=PEERS, which=WHICH)
    def cancel_job(self, peer: int, which: int) -> None:
        handles = [job.handle.encode() for job in self.twin.jobs] or [self.handle(which)]
        self.step(CancelJob(self.peer(peer), handles[which % len(handles)]))

    @rule(peer=PEERS, function=FUNCTIONS, which=WHICH, limits=LIMITS, chance=CHANCE)
    def administer(
        self, peer: int, function: bytes, which: int, limits: tuple[int, int, int], chance: int
    ) -> None:
        if chance < 3:
            return
        number = self.peer(peer)
        commands: list[Command] = [
            CreateFunction(number, function),
            DropFunction(number, function),
            DropFunction(number, function, True),
            SetMaxQueue(number, function, limits),
        ]
        self.step(commands[which % len(commands)])

    # The store.

    @precondition(lambda self: self.storing or self.changes)
    @rule(chosen=st.sets(st.integers(0, 9)), reverse=st.booleans())
    def commit(self, chosen: set[int], reverse: bool) -> None:
        """The store has written some of what it was given, or all of it."""
        jobs = self.taken(chosen)
        for job in jobs:
            if job.number not in self.forgotten:
                self.stored[job.number] = copy_of(job)
        self.carry_out_changes()
        self.step(Persisted(jobs[::-1] if reverse else jobs))

    @precondition(lambda self: self.storing)
    @rule()
    def commit_everything(self) -> None:
        self.commit(set(), False)

    @precondition(lambda self: self.storing)
    @rule(chosen=st.sets(st.integers(0, 9)))
    def refuse(self, chosen: set[int]) -> None:
        """The store can not write some of what it was given, or any of it."""
        jobs = self.taken(chosen)
        self.refused |= {text(job.handle) for job in jobs if STATE_NAMES[job.state] == "storing"}
        self.step(PersistFailed(jobs, b"disk full"))

    def taken(self, chosen: set[int]) -> list[Job]:
        """Take jobs out of what waits for the store, all of them where none is chosen."""
        jobs = [job for n, job in enumerate(self.storing) if n in chosen] or self.storing
        self.storing = [job for job in self.storing if job not in jobs]
        return list(jobs)

    def carry_out_changes(self) -> None:
        for change in self.changes:
            if isinstance(change, Forget):
                self.stored.pop(change.number, None)
            elif isinstance(change, Bury):
                self.stored.pop(change.job.number, None)
            elif change.number in self.stored:
                self.stored[change.number].attempts = change.attempts
                self.stored[change.number].epoch = change.epoch
        self.changes = []

    @precondition(lambda self: self.durable)
    @rule(chance=CHANCE, late=st.booleans())
    def crash(self, chance: int, late: bool) -> None:
        """The server is killed and started again; what was acknowledged is there."""
        if chance < 3:
            return
        owed = {job.handle for job in self.twin.acknowledged if job.owed and job.state != "ended"}
        if late:
            self.carry_out_changes()
        self.boot()
        assert owed <= {text(handle) for handle in self.broker.jobs}

    # Time.

    @rule(seconds=TIMES)
    def wait(self, seconds: float) -> None:
        """Time passes, and the broker is woken whenever it asked for it."""
        until = self.now + seconds
        for _ in range(100):
            deadline = self.broker.next_deadline()
            if deadline is None or deadline > until:
                self.now = until
                return
            self.now = max(self.now, deadline)
            self.step(Tick())
        raise AssertionError("the broker is never done")

    @rule(seconds=TIMES)
    def wait_in_a_busy_server(self, seconds: float) -> None:
        """Time passes, and the broker is woken once, late."""
        self.now += seconds
        self.step(Tick())

    # Promises.

    @invariant()
    def broker_is_where_its_twin_is(self) -> None:
        if not hasattr(self, "twin"):
            return
        assert self.picture() == {
            job.handle: (
                job.state,
                job.owed,
                job.clients,
                job.worker,
                job.due or 0.0,
                job.attempts,
                job.progress,
                job.unstored is not None,
            )
            for job in self.twin.jobs
        }
        for session, twin in zip(self.broker.sessions.values(), self.twin.sessions, strict=True):
            assert session.number == twin.number
            assert session.asleep == twin.asleep
            assert [text(handle) for handle in session.running] == [j.handle for j in twin.holds]

    @invariant()
    def no_worker_sleeps_beside_work(self) -> None:
        """Unless others were woken, one per job, who have not had the time to answer."""
        for sleeper in self.sleepers():
            for function, _ in sleeper.abilities:
                jobs = sum(len(self.twin.waiting_of(function, priority)) for priority in range(3))
                jobs = min(jobs, self.twin.room(function))
                if function in self.policies and self.policies[function].interval:
                    # The next one is woken when this one has taken its job.
                    jobs = min(jobs, 1)
                coming = [
                    number
                    for number, moment in self.woken.items()
                    if self.twin.session(number).can_do(function)
                    and self.now - moment < WAKE_PATIENCE
                ]
                assert len(coming) >= jobs

    def sleepers(self) -> list[Any]:
        return [s for s in self.twin.sessions if s.asleep] if hasattr(self, "twin") else []

    @invariant()
    def nobody_hears_noop_more_often_than_it_went_to_sleep(self) -> None:
        for number, count in self.noops.items():
            assert count <= self.sleeps.get(number, 0)

    @invariant()
    def broker_asks_to_be_woken_in_time(self) -> None:
        if not hasattr(self, "twin"):
            return
        deadline = self.broker.next_deadline()
        expected = self.twin.next_deadline()
        if expected is not None:
            assert deadline is not None
            assert deadline <= expected
        if deadline is not None and deadline != expected:
            # Only workers that were woken may be asked after earlier.
            assert deadline <= self.now + WAKE_PATIENCE

    @invariant()
    def what_was_acknowledged_is_owed_until_it_ended(self) -> None:
        if not hasattr(self, "twin"):
            return
        for job in self.twin.acknowledged:
            if job.state == "ended" or job.cancelled:
                assert not self.durable or job.number in self.forgotten
            else:
                real = self.broker.jobs[job.handle.encode()]
                assert real.obligation
                assert STATE_NAMES[real.state] in ("waiting", "delayed", "running", "held")

    @invariant()
    def store_matches_memory(self) -> None:
        if not hasattr(self, "twin") or not self.durable:
            return
        kept = {number for number in self.stored if number not in self.forgotten}
        assert kept == {
            job.number
            for job in self.broker.jobs.values()
            if job.obligation and job.unstored is None
        }

    @invariant()
    def counts_equal_a_recount(self) -> None:
        if not hasattr(self, "twin"):
            return
        broker = self.broker
        for function in broker.functions.values():
            jobs = [job for job in broker.jobs.values() if job.line is function]
            name = text(function.name)
            assert function.jobs == len(jobs)
            assert function.running == sum(job.worker is not None for job in jobs)
            assert function.workers == len(self.twin.workers_of(name))
            for priority, line in enumerate(function.lines):
                waiting = [
                    text(job.handle)
                    # One that was held meanwhile may stand there twice.
                    for job in dict.fromkeys(line.jobs or [])
                    if STATE_NAMES[job.state] == "waiting"
                ]
                assert waiting == [job.handle for job in self.twin.waiting_of(name, priority)]
                assert line.count == len(waiting)
                open_to_all = bool(waiting) and self.twin.room(name) > 0
                assert (function.name in broker.ready[priority]) == open_to_all
                assert len(line.jobs or []) <= 2 * line.count + 64
        assert broker.running() == sum(job.worker is not None for job in broker.jobs.values())
        assert broker.timetable.timed == sum(job.deadline > 0 for job in broker.jobs.values())
        assert broker.timetable.postponed == sum(
            STATE_NAMES[job.state] == "delayed" for job in broker.jobs.values()
        )
        assert [text(name) for name in broker.functions] == self.twin.functions

    @invariant()
    def sleepers_are_listed_where_they_can_be_woken(self) -> None:
        """A session is listed in each of its functions or knows where it is not."""
        if not hasattr(self, "twin"):
            return
        for number, session in self.broker.sessions.items():
            for ability in session.order:
                listed = number in ability.function.sleepers
                assert listed != (ability.function in session.unlisted)
                assert listed or not session.asleep
            assert len(session.unlisted) <= len(session.order)

    def teardown(self) -> None:
        """Once everybody has left and all work is done, nothing is left."""
        if not hasattr(self, "twin"):
            return
        while self.peers:
            self.disconnect(min(self.peers))
        if self.storing:
            self.commit(set(), False)
        self.wait(10.0)
        worker = self.peer(0)
        for function in NAMES:
            self.step(CanDo(worker, function))
        for _ in range(1000):
            while "JOB_ASSIGN" in self.step(GrabJob(worker, 0))[0]:
                handle = self.twin.session(worker).holds[0].handle.encode()
                self.step(REPORTS["work_complete"](worker, handle, b"r"))
            if not self.twin.jobs:
                break
            # What is left has to wait: for a back-off, or for its turn.
            self.wait(1.0)
        self.disconnect(0)
        self.wait(10.0)
        self.carry_out_changes()
        assert self.stored == {}
        self.check_empty()

    def check_empty(self) -> None:
        broker = self.broker
        assert broker.next_deadline() is None
        assert (broker.jobs, broker.sessions, broker.ready) == ({}, {}, ({}, {}, {}))
        assert (broker.timetable.timed, broker.timetable.postponed, broker.running()) == (0, 0, 0)
        assert (broker.agenda.openings, broker.agenda.expiries, broker.agenda.watched) == (
            [],
            [],
            0,
        )
        assert (
            len(broker.timetable.delayed),
            len(broker.timetable.deadlines),
            len(broker.wakes),
        ) == (0, 0, 0)
        for function in broker.functions.values():
            assert (function.jobs, function.running, function.workers) == (0, 0, 0)
            policing = function.policing
            if policing is not None:
                assert (policing.keys, policing.losses, policing.expiries) == ({}, {}, {})
            assert not function.uniques
            assert not function.workloads
            assert not function.sleepers
            assert not any(line.jobs for line in function.lines)


def by_receiver(lines: list[str]) -> dict[str, list[str]]:
    """Sort lines by whom they are for; each receiver's stay in order."""
    sorted_lines: dict[str, list[str]] = {}
    for line in lines:
        sorted_lines.setdefault(line.split(" <- ")[0], []).append(line)
    return sorted_lines


def copy_of(job: Job) -> Job:
    """Return the job as a store gives it back."""
    return Job(
        job.number,
        job.handle,
        job.function,
        job.unique,
        job.workload,
        job.priority,
        job.epoch,
        job.reducer,
        job.submitted,
        job.attempts,
    )


TestBrokerRules = BrokerRules.TestCase
# Stories have to be long enough to get somewhere. A long run has a profile of its own.
if settings.get_current_profile_name() == "default":
    # From its own, which leave out the checks of health that are about plain functions.
    TestBrokerRules.settings = settings(
        TestBrokerRules.settings, max_examples=300, stateful_step_count=60
    )
    TestBrokerRules = pytest.mark.timeout(120)(TestBrokerRules)
