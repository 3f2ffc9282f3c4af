"""
What the fleet promises, under any sequence of commands and whatever processes do.

The machine plays the operating system: it knows which processes live, and answers spawns in
its own time. The promises are judged from that and from the effects alone.
"""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from geartrain.supervisor.commands import (
    Command,
    Configure,
    Ended,
    FilesChanged,
    GroupEnded,
    Measured,
    Ready,
    Restart,
    Scale,
    Shutdown,
    Spawned,
    SpawnFailed,
    Start,
    Stop,
    Tick,
    Waited,
)
from geartrain.supervisor.effects import Exit, SendSignal, Spawn
from geartrain.supervisor.fleet import Fleet
from geartrain.supervisor.order import circle_of
from geartrain.supervisor.process import BACKOFF, DOWN, FATAL, RUNNING, STARTING, STOPPING, UNKNOWN
from geartrain.supervisor.program import ALWAYS, NEVER, UNEXPECTED, Autoscale, Program
from tests.supervisor.story import launch_of

PLAIN = Program("a", ("a",))
PROGRAMS = st.builds(
    replace,
    st.just(PLAIN),
    command=st.sampled_from([("x",), ("y",)]),
    numprocs=st.integers(0, 4),
    numprocs_start=st.sampled_from([0, 0, 2]),
    priority=st.integers(1, 2),
    autostart=st.booleans(),
    autorestart=st.sampled_from([ALWAYS, NEVER, UNEXPECTED]),
    startsecs=st.sampled_from([0.0, 1.0]),
    startretries=st.integers(0, 2),
    ready=st.sampled_from(["", "", "log:ready"]),
    stopasgroup=st.booleans(),
    killasgroup=st.booleans(),
    max_memory=st.sampled_from([0, 1000]),
    max_age=st.sampled_from([0.0, 50.0]),
    max_jobs=st.sampled_from([0, 5]),
    rolling=st.integers(0, 2),
    autoscale=st.none() | st.just(Autoscale(1, 3, 5.0, calm=20.0)),
    on_fatal=st.sampled_from(["alert", "alert", "exit"]),
)
NAMES = ["a", "b", "c"]
CONFIGURATIONS = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(PROGRAMS, st.sets(st.sampled_from(NAMES))),
    max_size=3,
).map(
    lambda found: {
        name: replace(program, name=name, depends_on=tuple(sorted(needs & found.keys())))
        for name, (program, needs) in found.items()
    }
)
CHOICES = st.integers(0, 1000)
STATUSES = st.sampled_from([0, 0, 1, -9, -15])


class FleetRules(RuleBasedStateMachine):
    """The fleet keeps its promises, whatever happens to its processes."""

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet(launch_of)
        self.now = 0.0
        # What was asked for and has not been answered, in order.
        self.spawning: list[str] = []
        # Process ids of the living, by name.
        self.living: dict[str, int] = {}
        # Processes that ended and left others of their groups, which are waited for.
        self.groups: set[str] = set()
        self.last_pid = 0
        self.exits: list[int] = []

    def step(self, command: Command) -> None:
        was_ending = self.fleet.is_ending
        ended = command.name if isinstance(command, Ended) else ""
        ended_pid = self.living.get(ended, 0)
        if isinstance(command, Ended | GroupEnded):
            del self.living[command.name]
        for effect in self.fleet.step(self.now, command):
            if isinstance(effect, Spawn):
                assert not was_ending, "it started a process while it was ending"
                assert effect.name not in self.living, "a process was started twice"
                assert effect.name not in self.spawning, "a process was asked for twice"
                self.spawning.append(effect.name)
                process = self.fleet.processes[effect.name]
                assert self.fleet.may_start(process), "it did not wait for what it depends on"
            elif isinstance(effect, SendSignal):
                alive = self.living.get(effect.name) == effect.pid
                swept = (effect.name, effect.pid) == (ended, ended_pid) and effect.group
                assert alive or swept, "a process was signalled that is not there"
            elif isinstance(effect, Exit):
                assert not self.groups, "it left while others of a group ended"
                self.exits.append(effect.code)

    def one_of(self, names: list[str], choice: int) -> str:
        return names[choice % len(names)]

    # Persons.

    @rule(programs=CONFIGURATIONS)
    def configure(self, programs: dict[str, Program]) -> None:
        if not circle_of(programs):
            self.step(Configure(programs))

    @precondition(lambda self: self.fleet.processes)
    @rule(choice=CHOICES, kind=st.sampled_from([Start, Stop, Restart]))
    def order(self, choice: int, kind: type[Start | Stop | Restart]) -> None:
        self.step(kind([self.one_of(list(self.fleet.processes), choice)]))

    @rule(kind=st.sampled_from([Start, Restart]))
    def order_all(self, kind: type[Start | Restart]) -> None:
        self.step(kind(list(self.fleet.processes)))

    @precondition(lambda self: self.fleet.programs)
    @rule(choice=CHOICES, size=st.integers(-1, 5))
    def scale(self, choice: int, size: int) -> None:
        self.step(Scale(self.one_of(list(self.fleet.programs), choice), size))

    @rule(hurry=st.booleans(), chance=st.integers(0, 9))
    def shut_down(self, hurry: bool, chance: int) -> None:
        if chance == 0 or self.fleet.is_ending:
            self.step(Shutdown(hurry))

    # The system.

    @precondition(lambda self: self.spawning)
    @rule(failed=st.integers(0, 4), chance=st.floats(0, 1))
    def answer_spawn(self, failed: int, chance: float) -> None:
        name = self.spawning.pop(0)
        if failed == 0:
            self.step(SpawnFailed(name, "no such file"))
            return
        self.last_pid += 1
        self.living[name] = self.last_pid
        self.step(Spawned(name, self.last_pid, chance))

    @precondition(lambda self: self.living.keys() - self.groups)
    @rule(choice=CHOICES, status=STATUSES, left=st.booleans())
    def end(self, choice: int, status: int, left: bool) -> None:
        name = self.one_of(sorted(self.living.keys() - self.groups), choice)
        pid = self.living[name]
        process = self.fleet.processes[name]
        self.step(Ended(name, status, left))
        if process.is_leaderless:
            assert left
            self.living[name] = pid
            self.groups.add(name)

    @precondition(lambda self: self.groups)
    @rule(choice=CHOICES)
    def end_group(self, choice: int) -> None:
        name = self.one_of(sorted(self.groups), choice)
        self.groups.discard(name)
        self.step(GroupEnded(name))

    @precondition(lambda self: self.living)
    @rule(choice=CHOICES)
    def ready(self, choice: int) -> None:
        self.step(Ready(self.one_of(list(self.living), choice)))

    @precondition(lambda self: self.living)
    @rule(choice=CHOICES, memory=st.sampled_from([500, 5000]))
    def measure(self, choice: int, memory: int) -> None:
        self.step(Measured(self.one_of(list(self.living), choice), memory))

    @rule(name=st.sampled_from(NAMES), seconds=st.sampled_from([0, 0, 9]), running=CHOICES)
    def jobs(self, name: str, seconds: float, running: int) -> None:
        self.step(Waited(name, seconds, running % 3))

    @rule(name=st.sampled_from(NAMES))
    def change_file(self, name: str) -> None:
        self.step(FilesChanged(name))

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 30.0]))
    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(500):
            deadline = self.fleet.next_deadline()
            if deadline is None or deadline > until:
                break
            self.now = max(self.now, deadline)
            self.step(Tick())
        else:
            raise AssertionError("the fleet wants to be woken for ever")
        self.now = until

    # Promises.

    @invariant()
    def it_knows_which_processes_live(self) -> None:
        known = {one.name: one.pid for one in self.fleet.processes.values() if one.pid}
        assert known == self.living

    @invariant()
    def no_deadline_is_left_behind(self) -> None:
        deadline = self.fleet.next_deadline()
        assert deadline is None or deadline > self.now

    @invariant()
    def whatever_may_run_is_started(self) -> None:
        for process in self.fleet.processes.values():
            if process.wanted and process.state in DOWN:
                assert not self.fleet.may_start(process)

    @invariant()
    def as_many_stay_as_are_asked_for(self) -> None:
        for program in self.fleet.programs.values():
            staying = [one for one in self.fleet.processes_of(program.name) if not one.leaving]
            assert len(staying) == self.fleet.size_of(program)
            first = program.numprocs_start
            assert [one.number for one in staying] == list(range(first, first + len(staying)))

    @invariant()
    def what_leaves_is_gone_once_it_does_not_run(self) -> None:
        for process in self.fleet.processes.values():
            if process.leaving:
                assert process.state in (STOPPING, UNKNOWN)

    @invariant()
    def nothing_runs_with_what_it_should_not_for_want_of_others(self) -> None:
        """A process that is to be replaced waits only for others of its program."""
        for process in self.fleet.processes.values():
            if process.replace and process.state == RUNNING and not self.fleet.is_ending:
                assert process.program.rolling
                assert self.fleet.missing(process) >= process.program.rolling

    @invariant()
    def it_leaves_once_and_with_nothing_left(self) -> None:
        assert len(self.exits) <= 1
        if self.exits:
            states = {one.state for one in self.fleet.processes.values()}
            assert states <= {*DOWN, UNKNOWN}

    def teardown(self) -> None:
        """With processes that behave, everything that is wanted runs in the end."""
        for _ in range(400):
            if self.spawning:
                self.last_pid += 1
                name = self.spawning.pop(0)
                self.living[name] = self.last_pid
                self.step(Spawned(name, self.last_pid, 0.5))
                if name in self.living:
                    self.step(Ready(name))
                continue
            if self.groups:
                self.step(GroupEnded(self.groups.pop()))
                continue
            process = next((one for one in self.stopping()), None)
            if process is not None:
                self.step(Ended(process, -signal.SIGTERM))
                continue
            if self.is_settled():
                break
            self.wait(1.0)
        for process in self.fleet.processes.values():
            if process.wanted:
                # A dependency that was stopped, or given up, or has not ended well.
                assert process.state == RUNNING or not self.fleet.may_start(process)
                assert process.state not in (STARTING, STOPPING, BACKOFF, FATAL) or (
                    process.state == BACKOFF and not self.fleet.may_start(process)
                )

    def stopping(self) -> list[str]:
        return [
            one.name
            for one in self.fleet.processes.values()
            if one.state in (STOPPING, UNKNOWN) and one.pid
        ]

    def is_settled(self) -> bool:
        return all(
            one.state in (*DOWN, RUNNING)
            or (one.state == BACKOFF and not self.fleet.may_start(one))
            for one in self.fleet.processes.values()
        )


TestFleetRules = FleetRules.TestCase
TestFleetRules.settings = settings(TestFleetRules.settings, max_examples=60, stateful_step_count=50)


@pytest.mark.parametrize("rolling", [1, 2, 3])
def test_rolling_keeps_all_but_so_many_running(rolling: int) -> None:
    fleet = Fleet(launch_of)
    program = replace(PLAIN, numprocs=5, rolling=rolling)
    pids = iter(range(1, 100))
    now = 0.0
    effects = fleet.step(now, Configure({"a": program}))
    for effect in effects:
        if isinstance(effect, Spawn):
            fleet.step(now, Spawned(effect.name, next(pids)))
    now += 1.0
    fleet.step(now, Tick())
    assert [one.state for one in fleet.processes.values()] == [RUNNING] * 5
    effects = fleet.step(now, Configure({"a": replace(program, command=("z",))}))
    least = 5
    replaced = 0
    while effects:
        running = [one for one in fleet.processes.values() if one.state == RUNNING]
        least = min(least, len(running))
        answers: list[Command] = []
        for effect in effects:
            if isinstance(effect, Spawn):
                replaced += 1
                answers.append(Spawned(effect.name, next(pids)))
            elif isinstance(effect, SendSignal) and effect.number == signal.SIGTERM:
                answers.append(Ended(effect.name, 0))
        effects = [effect for answer in answers for effect in fleet.step(now, answer)]
        if not effects:
            now += 1.0
            effects = fleet.step(now, Tick())
    assert replaced == 5
    assert least == 5 - rolling
    assert {one.running_launch.argv[0] for one in fleet.processes.values()} == {"z"}
