"""
Carries out what a fleet decides: spawns, signals, reaps, probes, measures.

One event loop with one timer, and nothing that looks around in between: with
all processes running and none of them measured, it sleeps until something
happens. What is to be done is the fleet's business, and not decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import re
import resource
import signal
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import psutil

from geartrain.client.address import Address, parse_addresses
from geartrain.errors import GeartrainError, UsageError
from geartrain.supervisor import waiting, watching
from geartrain.supervisor.alarm import Alarm
from geartrain.supervisor.commands import (
    Command,
    Configure,
    Due,
    Ended,
    FilesChanged,
    GroupEnded,
    Measured,
    Ready,
    Shutdown,
    Spawned,
    SpawnFailed,
    Tick,
    Waited,
)
from geartrain.supervisor.configuration import Configuration, load_configuration
from geartrain.supervisor.descendants import become_subreaper, has_members, next_ended, reap
from geartrain.supervisor.difference import Difference, differences
from geartrain.supervisor.effects import (
    Changed,
    Effect,
    Exit,
    Probe,
    Refused,
    Remove,
    SendSignal,
    Skipped,
    Spawn,
)
from geartrain.supervisor.fleet import Fleet
from geartrain.supervisor.guard import Charge
from geartrain.supervisor.guarding import Guarding
from geartrain.supervisor.measuring import memory_of
from geartrain.supervisor.outputs import Outputs, check_directory
from geartrain.supervisor.process import FATAL, NAMES, RUNNING, STARTING, Process
from geartrain.supervisor.program import Launch, Program
from geartrain.supervisor.readiness import wait_until_ready
from geartrain.supervisor.spawning import Child, SpawnError, spawn
from geartrain.supervisor.templates import expand, launch_of, variables_of

__all__ = ["Supervisor"]

logger = logging.getLogger("geartrain.supervisor")

# Seconds between two looks at the job servers: a quarter of the wait aimed at, within these.
_LOOKS: Final = (0.5, 10.0)
# Longest sleep before a moment of a schedule, in case the system's clock is set or was asleep.
_LONGEST_SLEEP: Final = 15.0
# How often to look for orphans, which may start others while they are killed.
_ROUNDS: Final = 20
# Open files that are not those of processes: sockets, directories, who asks.
_FILES: Final = 128


class Supervisor:
    """
    Keeps the processes of a configuration.

    Args:
        configuration: What to keep.

    Attributes:
        fleet: What is decided.
        outputs: What the processes write.
        alarms: When programs with a schedule are started next, by name.
        observers: Called after each step that changed something.

    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.loop = asyncio.get_running_loop()
        self.fleet = Fleet(self.launch_of)
        self.outputs = Outputs(self.loop)
        self.guarding = Guarding()
        self.alarms: dict[str, Alarm] = {}
        self.children: dict[str, Child] = {}
        self.names: dict[int, str] = {}
        # Groups whose leader has ended, and which are waited for, by the process's name.
        self.groups: dict[str, int] = {}
        self.probes: dict[str, Callable[[], None]] = {}
        self.observers: set[Callable[[], None]] = set()
        self.pending: deque[Command] = deque()
        self.refusals: list[str] = []
        self.is_stepping = False
        self.timer: asyncio.TimerHandle | None = None
        self.exit_code: asyncio.Future[int] = self.loop.create_future()
        # What goes on beside: one task for each program that scales or watches, one to measure.
        self.tasks: dict[Hashable, asyncio.Task[None]] = {}

    # Its life.

    async def run(self, ready: Callable[[], None] = lambda: None) -> int:
        """Keep the processes until told to stop; return the exit code."""
        if not become_subreaper():
            logger.warning("orphans can't be adopted here; what programs leave behind stays")
        self.loop.add_signal_handler(signal.SIGCHLD, self.reap_children)
        check_directory(self.configuration.log_directory)
        self.guarding.start()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self.loop.add_signal_handler(number, self.stop)
        self.loop.add_signal_handler(signal.SIGHUP, self.reload_by_signal)
        self.loop.add_signal_handler(signal.SIGUSR2, self.outputs.reopen)
        self.apply(self.configuration)
        ready()
        try:
            return await self.exit_code
        finally:
            await self.close()

    async def close(self) -> None:
        """Leave nothing behind."""
        for task in self.tasks.values():
            task.cancel()
        for stop_probe in list(self.probes.values()):
            stop_probe()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        if self.timer is not None:
            self.timer.cancel()
        self.end_orphans()
        for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD):
            self.loop.remove_signal_handler(number)
        self.guarding.stop()
        self.outputs.close()

    def stop(self) -> None:
        """Stop all processes in reverse order; asked a second time, kill them."""
        again = self.fleet.is_ending
        logger.info("killing all processes" if again else "stopping all processes")
        self.step(Shutdown(again))

    def end_orphans(self) -> None:
        """Kill what programs have started that left their groups; nobody will look after it."""
        for _ in range(_ROUNDS):
            orphans = [
                one
                for one in psutil.Process().children(recursive=True)
                if one.pid != self.guarding.pid
            ]
            if not orphans:
                return
            for one in orphans:
                logger.warning("killing process %d, which was left behind", one.pid)
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            # What they have started meanwhile becomes ours as they go, and is seen next time.
            psutil.wait_procs(orphans, timeout=1)

    # The configuration.

    def launch_of(self, program: Program, number: int) -> Launch:
        return launch_of(program, number, self.configuration.surroundings)

    def compare(self) -> tuple[Configuration, list[Difference]]:
        """Return the configuration as its file is now, and what it changes; raises UsageError."""
        new = load_configuration(self.configuration.path)
        if self.configuration.is_socket_given:
            new = replace(new, socket=self.configuration.socket, is_socket_given=True)
        return new, differences(self.configuration.programs, new.programs)

    def apply(self, configuration: Configuration) -> None:
        """
        Hold this configuration from now on; only the difference is acted on.

        Raises:
            UsageError: Its logs can't be written; nothing was changed.

        """
        check_directory(configuration.log_directory)
        raise_file_limit(configuration)
        before = self.configuration
        self.configuration = configuration
        if (before.socket, before.socket_mode) != (configuration.socket, configuration.socket_mode):
            logger.warning("another control socket is used after a restart only")
        self.step(Configure(configuration.programs))
        for process in self.fleet.processes.values():
            self.outputs.configure(process, configuration.surroundings)
        self.set_alarms()
        self.start_tasks()

    def set_alarms(self) -> None:
        """Have an alarm for each program with a schedule; what is unchanged goes on."""
        before, self.alarms = self.alarms, {}
        for name, program in self.fleet.programs.items():
            if program.schedule:
                alarm = before.get(name)
                if alarm is None or not alarm.is_of(program):
                    alarm = Alarm(program, datetime.now(UTC))
                self.alarms[name] = alarm

    def reload_by_signal(self) -> None:
        """SIGHUP: log what the file changes, and apply it."""
        try:
            new, found = self.compare()
            if not found:
                logger.info("%s changes nothing", new.path)
            for difference in found:
                for line in difference.lines():
                    logger.info("%s", line)
            self.apply(new)
        except UsageError as error:
            logger.error("the configuration stays as it is: %s", error)

    def servers(self) -> list[Address]:
        """Return the job servers to be asked."""
        return parse_addresses(self.configuration.servers or None)

    # Steps.

    def order(self, command: Command) -> list[str]:
        """Step a person's command and return why it was refused, if it was."""
        self.refusals = []
        self.step(command)
        return self.refusals

    def step(self, command: Command) -> None:
        """Step the fleet, and carry out what it says."""
        self.pending.append(command)
        if self.is_stepping:
            return
        self.is_stepping = True
        try:
            while self.pending:
                for effect in self.fleet.step(self.loop.time(), self.pending.popleft()):
                    self.carry_out(effect)
        finally:
            self.is_stepping = False
        self.set_timer()
        for observer in list(self.observers):
            observer()

    def set_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        deadline = self.fleet.next_deadline()
        if deadline is not None:
            self.timer = self.loop.call_at(deadline, self.step, Tick())

    def carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Spawn):
            self.spawn(effect)
        elif isinstance(effect, SendSignal):
            self.send_signal(effect)
        elif isinstance(effect, Changed):
            self.tell_change(effect)
        elif isinstance(effect, Probe):
            self.start_probe(effect)
        elif isinstance(effect, Skipped):
            logger.warning("%s is not started at this moment: %s", effect.name, effect.reason)
        elif isinstance(effect, Remove):
            self.outputs.remove(effect.name)
        elif isinstance(effect, Refused):
            self.refusals.append(effect.reason)
        else:
            assert isinstance(effect, Exit)
            if not self.exit_code.done():
                self.exit_code.set_result(effect.code)

    def tell_change(self, effect: Changed) -> None:
        if effect.before == STARTING:
            stop_probe = self.probes.pop(effect.name, None)
            if stop_probe is not None:
                stop_probe()
        level = logging.ERROR if effect.after == FATAL else logging.INFO
        logger.log(
            level,
            "= %s %s -> %s%s",
            effect.name,
            NAMES[effect.before],
            NAMES[effect.after],
            f" ({effect.reason})" if effect.reason else "",
        )

    # Processes.

    def spawn(self, effect: Spawn) -> None:
        process = self.fleet.processes[effect.name]
        self.outputs.configure(process, self.configuration.surroundings)
        try:
            child = spawn(effect.launch, self.additions(process), process.program.stopsignal)
        except SpawnError as error:
            self.pending.append(SpawnFailed(effect.name, str(error)))
            return
        self.children[effect.name] = child
        self.names[child.pid] = effect.name
        self.guard(process.program, child.pid)
        self.outputs.connect(effect.name, child)
        self.pending.append(Spawned(effect.name, child.pid, random.random()))

    def additions(self, process: Process) -> dict[str, str]:
        """Return what a process finds in its environment beside what its program says."""
        found = {
            "GEARTRAIN_PROGRAM": process.program.name,
            "GEARTRAIN_PROCESS": process.name,
            # Under these names programs ask whether, and as what, they are supervised.
            "SUPERVISOR_ENABLED": "1",
            "SUPERVISOR_GROUP_NAME": process.program.name,
            "SUPERVISOR_PROCESS_NAME": process.name,
        }
        if self.configuration.servers:
            found["GEARMAN_SERVERS"] = ",".join(self.configuration.servers)
        return found

    def guard(self, program: Program, pid: int) -> None:
        armed = os.path.exists("/proc/self")
        self.guarding.add(
            Charge(
                pid,
                program.stopsignal,
                program.stopwaitsecs,
                program.stopasgroup,
                program.killasgroup,
                armed,
            )
        )

    def send_signal(self, effect: SendSignal) -> None:
        try:
            if effect.group:
                os.killpg(effect.pid, effect.number)
            else:
                os.kill(effect.pid, effect.number)
        except ProcessLookupError:
            # It has ended, and we are about to hear of it; of a group perhaps not, if the last of
            # it was the child of somebody else.
            if self.groups.pop(effect.name, None) is not None:
                self.guarding.remove(effect.pid)
                self.pending.append(GroupEnded(effect.name))
        except PermissionError:
            logger.error("not allowed to send a signal to %s", effect.name)

    def reap_children(self) -> None:
        """Hear of all children that ended, ours and adopted ones."""
        while (found := next_ended()) is not None:
            pid, status = found
            name = self.names.pop(pid, None)
            if name is not None:
                self.child_ended(name, pid, status)
            if pid == self.guarding.pid:
                reap(pid)
                self.guarding.ended(status)
            else:
                # Only now may its number be given to another.
                reap(pid)
        for name, pid in list(self.groups.items()):
            if not has_members(pid):
                del self.groups[name]
                self.guarding.remove(pid)
                self.step(GroupEnded(name))

    def child_ended(self, name: str, pid: int, status: int) -> None:
        child = self.children.pop(name)
        child.process.returncode = status
        self.outputs.finish(pid)
        process = self.fleet.processes[name]
        left = process.program.stopasgroup and has_members(pid)
        self.step(Ended(name, status, left))
        if process.is_leaderless:
            # A group keeps its number for itself as long as somebody is in it.
            self.groups[name] = pid
        else:
            self.guarding.remove(pid)

    # Readiness.

    def start_probe(self, effect: Probe) -> None:
        process = self.fleet.processes[effect.name]
        variables = variables_of(process.program, process.number, self.configuration.surroundings)
        ready = expand(effect.ready, variables)
        kind, _, rest = ready.partition(":")
        if kind == "log":
            self.probes[effect.name] = self.listen(effect.name, re.compile(rest.encode()))
        else:
            task = self.loop.create_task(self.probe(process, ready))
            self.probes[effect.name] = task.cancel  # type: ignore[assignment]

    def listen(self, name: str, pattern: re.Pattern[bytes]) -> Callable[[], None]:
        """Wait for a line of output that has the pattern; return what ends that."""
        sinks = self.outputs.sinks_of(name)

        def look(line: bytes) -> None:
            if pattern.search(line):
                # Not while the line is still being taken.
                self.loop.call_soon(self.step, Ready(name))

        def stop() -> None:
            for sink in sinks:
                sink.listeners.discard(look)

        for sink in sinks:
            sink.listeners.add(look)
        return stop

    async def probe(self, process: Process, ready: str) -> None:
        # Each of the program's processes counts as one worker, to see the new one beside others.
        others = [
            one
            for one in self.fleet.processes_of(process.program.name)
            if one.state == RUNNING and one is not process
        ]
        await wait_until_ready(ready, self.servers(), 1 + len(others))
        self.step(Ready(process.name))

    # What goes on beside.

    def start_tasks(self) -> None:
        """Have a task for each program with something of the kind, and one for all memory."""
        wanted: dict[Hashable, Callable[[], Coroutine[Any, Any, None]]] = {}
        for program in self.fleet.programs.values():
            if program.max_memory:
                wanted["memory"] = self.measure
            if program.autoscale is not None:
                wanted["scale", program.name, program.autoscale] = partial(self.scale, program)
            if program.watch:
                wanted["watch", program.name, program.watch] = partial(self.watch, program)
            if program.schedule:
                alarm = self.alarms[program.name]
                wanted["schedule", program.name, alarm] = partial(self.ring, program.name, alarm)
        for key in self.tasks.keys() - wanted.keys():
            self.tasks.pop(key).cancel()
        for key in wanted.keys() - self.tasks.keys():
            self.tasks[key] = self.loop.create_task(wanted[key]())

    async def measure(self) -> None:
        """Measure processes that have a limit, every few seconds."""
        while True:
            await asyncio.sleep(self.configuration.measure_interval)
            limited = {
                one.pid: one.name
                for one in self.fleet.processes.values()
                if one.pid and one.program.max_memory and one.state == RUNNING
            }
            for pid, memory in memory_of(limited).items():
                self.step(Measured(limited[pid], memory))

    async def scale(self, program: Program) -> None:
        """Look at the waiting lines of a program's functions now and then."""
        rule = program.autoscale
        assert rule is not None
        meter = waiting.WaitMeter(rule.functions or (program.name,))
        is_known = True
        while True:
            try:
                lines = await waiting.ask(self.servers())
                seconds, running = meter.observe(self.loop.time(), lines)
                self.step(Waited(program.name, seconds, running))
                is_known = True
            except (GeartrainError, OSError) as error:
                if is_known:
                    logger.error("%s is not scaled for now: %s", program.name, error)
                is_known = False
            await asyncio.sleep(max(_LOOKS[0], min(_LOOKS[1], rule.target_wait / 4)))

    async def ring(self, name: str, alarm: Alarm) -> None:
        """Have a program started at the moments of its schedule."""
        while (left := alarm.seconds_left(datetime.now(UTC))) is not None:
            await asyncio.sleep(min(left, _LONGEST_SLEEP))
            moment = alarm.look(datetime.now(UTC))
            if moment is not None:
                logger.debug("%s: %s has come", name, moment.isoformat())
                self.step(Due(name))

    async def watch(self, program: Program) -> None:
        """Restart a program when its files change."""
        paths = [os.path.abspath(path) for path in program.watch]  # noqa: ASYNC240
        try:
            await watching.watch(paths, lambda: self.step(FilesChanged(program.name)))
        except OSError as error:
            logger.error("%s is not watched: %s", program.name, error)


def raise_file_limit(configuration: Configuration) -> None:
    """Allow as many open files as the processes' outputs take, if the system does."""
    needed = _FILES
    for program in configuration.programs.values():
        most = program.autoscale.max if program.autoscale is not None else program.numprocs
        # Two pipes, two log files.
        needed += 4 * max(most, program.numprocs)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        # Programs inherit the limit, and some take a large one badly: it is raised for need alone.
        return
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < needed:
        logger.warning(
            "only %d files may be open, and %d may be needed; raise the limit", most, needed
        )
