"""
The processes of all programs: which are to run, and what it takes to get there.

A fleet is stepped with commands and answers with effects. It spawns nothing,
signals nobody and reads no clock, so the same commands always give the same
effects: the supervisor, the tests and their stories run this file.

Only differences are acted on. A configuration says what is to be; a process
that runs with what it asks for is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from geartrain.supervisor.commands import (
    Command,
    Configure,
    Due,
    Ended,
    FilesChanged,
    GroupEnded,
    Measured,
    Ready,
    Restart,
    Scale,
    Shutdown,
    Signal,
    Spawned,
    SpawnFailed,
    Start,
    Stop,
    Tick,
    Waited,
)
from geartrain.supervisor.effects import Effect, Exit, Refused, Remove, SendSignal, Skipped
from geartrain.supervisor.order import ranks_of
from geartrain.supervisor.process import (
    BACKOFF,
    DOWN,
    FATAL,
    REPLACE_CHANGED,
    REPLACE_WORN,
    RUNNING,
    STARTING,
    STOPPING,
    UNKNOWN,
    Process,
)
from geartrain.supervisor.program import EXIT, Launch, Program
from geartrain.supervisor.scaling import Scaler

__all__ = ["GAVE_UP", "Fleet"]

# Exit code where a program that everything depends on could not be kept running.
GAVE_UP: Final = 1


class Fleet:
    """
    Sans-I/O supervisor of processes.

    Args:
        expand: Returns what a program's process of a number is started with.

    Attributes:
        programs: The programs, by name.
        processes: Their processes, by ``NAME:NUMBER``; also those that are about to leave.
        sizes: How many processes programs have that are not to have ``numprocs``, by name.
        is_ending: Whether everything is being stopped for good.

    """

    def __init__(self, expand: Callable[[Program, int], Launch]) -> None:
        self.expand = expand
        self.programs: dict[str, Program] = {}
        self.processes: dict[str, Process] = {}
        self.sizes: dict[str, int] = {}
        self.scalers: dict[str, Scaler] = {}
        self.ranks: dict[str, tuple[int, int]] = {}
        self.is_ending = False
        self.has_left = False
        self.exit_code = 0
        self.effects: list[Effect] = []

    def step(self, now: float, command: Command) -> list[Effect]:
        """
        Carry out a command and return what is to be done.

        Args:
            now: Seconds, never less than before.
            command: What happened, or what is wanted.

        """
        if isinstance(command, Spawned | SpawnFailed | Ended | GroupEnded | Ready | Measured):
            self.hear(now, command)
        elif isinstance(command, Configure):
            self.configure(now, command.programs)
        elif isinstance(command, Start):
            self.start(command)
        elif isinstance(command, Stop):
            self.stop(now, command)
        elif isinstance(command, Restart):
            self.restart(command)
        elif isinstance(command, Signal):
            self.signal(command)
        elif isinstance(command, Scale):
            self.scale(now, command)
        elif isinstance(command, Waited):
            self.waited(now, command)
        elif isinstance(command, FilesChanged):
            self.files_changed(command)
        elif isinstance(command, Due):
            self.due(command)
        elif isinstance(command, Shutdown):
            self.shut_down(now, command)
        else:
            assert isinstance(command, Tick)
        for process in self.processes.values():
            process.tick(now, self.effects)
        self.advance(now)
        effects, self.effects = self.effects, []
        return effects

    def next_deadline(self) -> float | None:
        """Return when to step ``Tick``; None for not before something happens."""
        return min(
            (one.deadline for one in self.processes.values() if one.deadline is not None),
            default=None,
        )

    # The configuration.

    def configure(self, now: float, programs: Mapping[str, Program]) -> None:
        if self.is_ending:
            self.refuse("everything is being stopped")
            return
        before = self.programs
        self.programs = dict(programs)
        self.ranks = ranks_of(self.programs)
        for name in [name for name in before if name not in programs]:
            self.forget_program(now, name)
        for name, program in self.programs.items():
            self.configure_program(now, before.get(name), program)

    def forget_program(self, now: float, name: str) -> None:
        self.sizes.pop(name, None)
        self.scalers.pop(name, None)
        for process in self.processes_of(name):
            self.dismiss(now, process)

    def configure_program(self, now: float, before: Program | None, program: Program) -> None:
        if before is not None and before.numprocs != program.numprocs:
            # What the file says anew counts for more than what was said beside it.
            self.sizes.pop(program.name, None)
        if before is None or before.autoscale != program.autoscale:
            self.configure_scaling(program)
        for process in self.processes_of(program.name):
            self.configure_process(now, process, program)
            if before is not None and bool(before.schedule) != bool(program.schedule):
                self.switch_keeping(now, process)
        self.resize(now, program)

    def switch_keeping(self, now: float, process: Process) -> None:
        """Start or stop what is kept running from now on, or was until now."""
        process.wanted = process.program.autostart
        if not process.wanted:
            process.stop(now, self.effects)

    def configure_scaling(self, program: Program) -> None:
        self.scalers.pop(program.name, None)
        if program.autoscale is not None:
            self.scalers[program.name] = Scaler(program.autoscale)

    def configure_process(self, now: float, process: Process, program: Program) -> None:
        process.program = program
        launch = self.expand(program, process.number)
        if launch != process.launch and process.state == FATAL and program.autostart:
            # What kept it from running may be what was changed.
            process.wanted = True
        process.launch = launch
        if program.schedule:
            # What runs ends by itself, and the next start is with what it says now.
            process.replace = 0
        elif process.is_alive or process.state == BACKOFF:
            process.replace = REPLACE_CHANGED if launch != process.running_launch else 0
        if process.state == RUNNING:
            process.set_age_limit()

    # How many processes there are.

    def size_of(self, program: Program) -> int:
        """Return how many processes a program is to have."""
        size = self.sizes.get(program.name, program.numprocs)
        scaler = self.scalers.get(program.name)
        return size if scaler is None else scaler.bounded(size)

    def resize(self, now: float, program: Program) -> None:
        """Add processes that are missing, and dismiss the last of those that are too many."""
        first = program.numprocs_start
        numbers = range(first, first + self.size_of(program))
        for process in self.processes_of(program.name):
            if process.number not in numbers:
                self.dismiss(now, process)
        for number in numbers:
            self.employ(now, program, number)

    def employ(self, now: float, program: Program, number: int) -> None:
        """See to it that there is a process of this number."""
        process = self.processes.get(f"{program.name}:{number}")
        if process is None:
            process = Process(program, number, self.expand(program, number), now)
            self.processes[process.name] = process
        elif not process.leaving:
            return
        process.leaving = False
        process.wanted = program.autostart

    def dismiss(self, now: float, process: Process) -> None:
        process.leaving = True
        process.wanted = False
        process.stop(now, self.effects)

    def scale(self, now: float, command: Scale) -> None:
        program = self.programs[command.program]
        scaler = self.scalers.get(program.name)
        if self.is_ending:
            self.refuse("everything is being stopped")
        elif command.numprocs < 0:
            self.refuse(f"{program.name} can't have {command.numprocs} processes")
        elif scaler is not None and scaler.bounded(command.numprocs) != command.numprocs:
            low, high = scaler.rule.min, scaler.rule.max
            self.refuse(f"autoscale of {program.name} allows {low} to {high} processes")
        else:
            self.resize_to(now, program, command.numprocs)

    def resize_to(self, now: float, program: Program, size: int) -> None:
        before = {process.name for process in self.processes_of(program.name)}
        self.sizes[program.name] = size
        self.resize(now, program)
        for process in self.processes_of(program.name):
            # Asked for, whether or not its like start by themselves.
            if process.name not in before:
                process.wanted = True

    def waited(self, now: float, command: Waited) -> None:
        program = self.programs.get(command.program)
        scaler = self.scalers.get(command.program)
        if program is None or scaler is None or self.is_ending:
            return
        processes = [one for one in self.processes_of(program.name) if not one.leaving]
        # Those that an operator stopped, or that don't start, are no reason to have others.
        if any(process.state != RUNNING for process in processes):
            return
        count = len(processes)
        size = scaler.observe(now, count, command.seconds, command.running)
        if size != count:
            self.resize_to(now, program, size)

    # What a person asks for.

    def start(self, command: Start) -> None:
        if self.is_ending:
            self.refuse("everything is being stopped")
            return
        for process in self.named(command.names):
            if process.leaving:
                continue
            process.wanted = True
            self.want_needed(process.program)

    def want_needed(self, program: Program) -> None:
        """Have what a program depends on started as well."""
        for name in program.depends_on:
            for process in self.processes_of(name):
                if not process.wanted and not process.is_satisfied and not process.leaving:
                    process.wanted = True
                    self.want_needed(process.program)

    def stop(self, now: float, command: Stop) -> None:
        for process in self.named(command.names):
            process.wanted = False
            process.stop(now, self.effects)

    def restart(self, command: Restart) -> None:
        self.start(Start(command.names))
        if not self.is_ending:
            for process in self.named(command.names):
                if process.state in (STARTING, RUNNING, BACKOFF) and not process.leaving:
                    process.replace = REPLACE_CHANGED

    def signal(self, command: Signal) -> None:
        for process in self.named(command.names):
            if process.pid:
                self.effects.append(SendSignal(process.name, process.pid, command.number, False))

    def files_changed(self, command: FilesChanged) -> None:
        if not self.is_ending:
            for process in self.processes_of(command.program):
                if process.state in (STARTING, RUNNING, BACKOFF) and process.wanted:
                    process.replace = REPLACE_CHANGED
                elif process.state == FATAL and not process.leaving:
                    process.wanted = True

    def due(self, command: Due) -> None:
        """Start a program's processes, except those that have not ended since the last time."""
        if self.is_ending:
            return
        for process in self.processes_of(command.program):
            if process.leaving:
                continue
            if process.state in DOWN and not process.wanted:
                process.wanted = True
            else:
                self.effects.append(Skipped(process.name, why_skipped(process)))

    def shut_down(self, now: float, command: Shutdown) -> None:
        self.is_ending = True
        for process in self.processes.values():
            process.wanted = False
            if command.hurry and process.is_alive and process.pid:
                process.stop(now, self.effects)
                if not process.killed:
                    process.kill(now, self.effects)

    # What the system says.

    def hear(
        self,
        now: float,
        command: Spawned | SpawnFailed | Ended | GroupEnded | Ready | Measured,
    ) -> None:
        process = self.processes.get(command.name)
        if process is None:
            # A probe or a measurement may come late.
            assert isinstance(command, Ready | Measured)
            return
        if isinstance(command, Ended):
            process.ended(now, command.status, command.left, self.effects)
        elif isinstance(command, GroupEnded):
            process.group_ended(now, self.effects)
        elif isinstance(command, Spawned):
            process.spawned(now, command.pid, command.chance, self.effects)
        elif isinstance(command, SpawnFailed):
            process.spawn_failed(now, command.reason, self.effects)
        elif isinstance(command, Ready):
            process.became_ready(now, self.effects)
        else:
            self.measured(process, command.memory)

    def measured(self, process: Process, memory: int) -> None:
        limit = process.program.max_memory
        if limit and memory > limit and process.state == RUNNING and not process.replace:
            process.replace = REPLACE_WORN
            process.reason = f"uses {memory} bytes of memory"

    # What follows.

    def advance(self, now: float) -> None:
        """Start, replace, stop and remove what may be by now."""
        if not self.is_ending and any(
            one.state == FATAL and one.program.on_fatal == EXIT and not one.leaving
            for one in self.processes.values()
        ):
            self.exit_code = GAVE_UP
            self.shut_down(now, Shutdown())
        if self.is_ending:
            self.advance_ending(now)
        else:
            self.advance_replacing(now)
            self.advance_starting(now)
        for process in list(self.processes.values()):
            if process.leaving and not process.is_alive and process.state != BACKOFF:
                del self.processes[process.name]
                self.effects.append(Remove(process.name))

    def advance_starting(self, now: float) -> None:
        for process in self.in_order():
            if not process.wanted or not (process.state in DOWN or process.state == BACKOFF):
                continue
            if process.deadline is not None and now < process.deadline:
                continue
            # From here on it waits for others, not for a moment.
            process.deadline = None
            if self.may_start(process):
                process.start(now, self.effects)

    def may_start(self, process: Process) -> bool:
        """Whether everything that it depends on is there."""
        for name in process.program.depends_on:
            needed = [one for one in self.processes_of(name) if not one.leaving]
            if not all(one.is_satisfied for one in needed):
                return False
        return True

    def advance_replacing(self, now: float) -> None:
        for process in self.in_order():
            if not process.replace or process.leaving or process.state == STOPPING:
                continue
            if process.state == BACKOFF:
                # It does not run: what replaces it may try at once, with all its attempts.
                process.stop(now, self.effects)
            elif process.state == STARTING or self.may_replace(process):
                process.stop(now, self.effects)

    def may_replace(self, process: Process) -> bool:
        """Whether there are enough others of its program while a running one is replaced."""
        rolling = process.program.rolling
        if process.state != RUNNING:
            return False
        return not rolling or self.missing(process) < rolling

    def missing(self, process: Process) -> int:
        """Return how many processes of its program are on their way to run."""
        missing = 0
        for other in self.processes_of(process.program.name):
            if other.wanted and not other.leaving and other.state != RUNNING:
                missing += 1
            elif other.state == FATAL and process.replace != REPLACE_WORN:
                # What replaces them does not run: keep those that do.
                missing += 1
        return missing

    def advance_ending(self, now: float) -> None:
        """Stop those that started last, and the others once those are gone."""
        busy = self.busy()
        while busy:
            last = max(self.rank_of(one) for one in busy)
            for process in busy:
                if self.rank_of(process) == last:
                    process.stop(now, self.effects)
            # What only waited to be started is gone at once, and nothing would be heard of it.
            if len(self.busy()) == len(busy):
                return
            busy = self.busy()
        if not self.has_left:
            self.has_left = True
            self.effects.append(Exit(self.exit_code))

    def busy(self) -> list[Process]:
        """Return what is to be stopped before the supervisor leaves."""
        return [
            one
            for one in self.processes.values()
            if one.state in (STARTING, RUNNING, STOPPING, BACKOFF)
        ]

    # Looking up.

    def processes_of(self, program: str) -> list[Process]:
        """Return a program's processes in the order of their numbers."""
        found = [one for one in self.processes.values() if one.program.name == program]
        return sorted(found, key=lambda one: one.number)

    def named(self, names: Iterable[str]) -> list[Process]:
        return [self.processes[name] for name in names if name in self.processes]

    def rank_of(self, process: Process) -> tuple[int, int]:
        # A program that left the configuration stops like those that nothing depends on.
        return self.ranks.get(process.program.name, (0, process.program.priority))

    def in_order(self) -> list[Process]:
        """Return all processes in the order in which they start."""
        return sorted(
            self.processes.values(),
            key=lambda one: (self.rank_of(one), one.program.name, one.number),
        )

    def is_moving(self, process: Process) -> bool:
        """Whether a process is on its way to another state, without anybody's further doing."""
        if is_underway(process):
            return True
        if process.state == RUNNING:
            others = self.processes_of(process.program.name)
            return bool(process.replace) and any(map(is_underway, others))
        if not process.wanted or process.state == UNKNOWN:
            return False
        # It waits for others, and goes on if they do.
        return any(
            self.is_moving(one)
            for name in process.program.depends_on
            for one in self.processes_of(name)
        )

    def refuse(self, reason: str) -> None:
        self.effects.append(Refused(reason))


def why_skipped(process: Process) -> str:
    """Return why a process is not started although a moment of its schedule has come."""
    if process.state in DOWN:
        return f"it still waits for {', '.join(process.program.depends_on)}"
    if process.state == BACKOFF:
        return "its last start is still being tried"
    return "it still runs"


def is_underway(process: Process) -> bool:
    """Whether a process is about to come to another state by itself."""
    if process.state == BACKOFF:
        return process.deadline is not None
    return process.state in (STARTING, STOPPING)
