"""
The language in which tests speak with a fleet: a line per command, a line per effect.

Programs are told with the keys of the configuration file that are numbers or words::

    program web numprocs=2 startsecs=1 depends_on=db
    configure
    spawned web:0
    ended web:0 1

and effects come as ``spawn web:0``, ``signal web:0 SIGTERM``, ``= web:0 STOPPED -> STARTING`` for a
change of state, ``probe``, ``remove``, ``refused`` and ``exit 0``. Every process that is asked for
gets the next process id, from 101 on.
"""

from __future__ import annotations

import signal
from dataclasses import replace

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
from geartrain.supervisor.process import NAMES
from geartrain.supervisor.program import Autoscale, Backoff, Launch, Program

FLAGS = {"yes": True, "no": False}
TEXTS = ("autorestart", "ready", "on_fatal", "directory", "schedule")
TOLD = (Restart, Start, Stop)
BY_NAMES = {one.__name__.lower(): one for one in TOLD}


def program_of(name: str, words: list[str]) -> Program:
    """Return the program that the words of a line tell of."""
    changes: dict[str, object] = {"command": (name,)}
    for word in words:
        key, _, value = word.partition("=")
        changes[key] = value_of(key, value)
    return replace(Program(name), **changes)


def value_of(key: str, value: str) -> object:
    if key in TEXTS:
        return value
    if key in ("depends_on", "command"):
        return tuple(value.split(","))
    if key == "exitcodes":
        return tuple(map(int, value.split(",")))
    if key == "autoscale":
        low, high, target, calm = map(float, value.split(","))
        return Autoscale(int(low), int(high), target, calm=calm)
    if key == "backoff":
        first, most = map(float, value.split(","))
        return Backoff(first, most)
    if value in FLAGS:
        return FLAGS[value]
    return float(value) if "." in value else int(value)


def launch_of(program: Program, number: int) -> Launch:
    """Return what a process is started with; it is told apart by command and directory."""
    return Launch((*program.command, str(number)), directory=program.directory)


def words_of(effect: Effect) -> str:
    """Return the line that tells of an effect."""
    if isinstance(effect, Changed):
        states = f"= {effect.name} {NAMES[effect.before]} -> {NAMES[effect.after]}"
        return f"{states} ({effect.reason})" if effect.reason else states
    if isinstance(effect, Spawn):
        return f"spawn {effect.name}"
    if isinstance(effect, SendSignal):
        whom = f"group of {effect.name}" if effect.group else effect.name
        return f"signal {whom} {signal.Signals(effect.number).name}"
    if isinstance(effect, Probe):
        return f"probe {effect.name} {effect.ready}"
    if isinstance(effect, Remove):
        return f"remove {effect.name}"
    if isinstance(effect, Skipped):
        return f"skipped {effect.name}: {effect.reason}"
    if isinstance(effect, Refused):
        return f"refused: {effect.reason}"
    assert isinstance(effect, Exit)
    return f"exit {effect.code}"


class Stage:
    """
    A fleet with a clock.

    Called with lines, it carries them out and returns the lines of their effects.
    What is killed off after a process has ended is left out: it comes with every end.
    """

    def __init__(self) -> None:
        self.fleet = Fleet(launch_of)
        self.now = 1000.0
        self.programs: dict[str, Program] = {}
        self.last_pid = 100

    def __call__(self, *lines: str) -> list[str]:
        return [words for line in lines for words in self.play(line)]

    def play(self, line: str) -> list[str]:
        first, *rest = line.split()
        if first == "program":
            self.programs[rest[0]] = program_of(rest[0], rest[1:])
            return []
        if first == "forget":
            del self.programs[rest[0]]
            return []
        if first == "wait":
            return self.wait(float(rest[0]))
        if first == "run":
            return self.run(rest)
        return self.step(self.command_of(first, rest))

    def command_of(self, first: str, rest: list[str]) -> Command:
        if first in BY_NAMES:
            return BY_NAMES[first](rest)
        if first == "configure":
            return Configure(dict(self.programs))
        if first == "shutdown":
            return Shutdown(rest == ["hurry"])
        if first == "spawned":
            self.last_pid += 1
            return Spawned(rest[0], self.last_pid, float(rest[1]) if rest[1:] else 0.0)
        if first == "failed":
            return SpawnFailed(rest[0], " ".join(rest[1:]))
        if first == "ended":
            return Ended(rest[0], int(rest[1]), rest[2:] == ["left"])
        if first == "group_ended":
            return GroupEnded(rest[0])
        if first == "ready":
            return Ready(rest[0])
        if first == "uses":
            return Measured(rest[0], int(rest[1]))
        if first == "signal":
            return Signal(rest[1:], signal.Signals[rest[0]])
        if first == "scale":
            return Scale(rest[0], int(rest[1]))
        if first == "jobs":
            return Waited(rest[0], float(rest[1]), int(rest[2]))
        if first == "due":
            return Due(rest[0])
        if first == "changed":
            return FilesChanged(rest[0])
        assert first == "tick", f"nobody knows {first!r}"
        return Tick()

    def step(self, command: Command) -> list[str]:
        """Step the fleet and return the lines of its effects."""
        effects = self.fleet.step(self.now, command)
        if isinstance(command, Ended) and effects and isinstance(effects[0], SendSignal):
            assert effects[0].group
            effects = effects[1:]
        return [words_of(effect) for effect in effects]

    def run(self, names: list[str]) -> list[str]:
        """Let these processes be spawned and last."""
        for name in names:
            self.play(f"spawned {name}")
        return self.wait(1.0)

    def wait(self, seconds: float) -> list[str]:
        """Let time pass as the supervisor does: tick whenever the fleet asked for it."""
        until = self.now + seconds
        told: list[str] = []
        for _ in range(1000):
            deadline = self.fleet.next_deadline()
            if deadline is None or deadline > until:
                self.now = until
                return told
            self.now = max(self.now, deadline)
            told += self.step(Tick())
        raise AssertionError(f"the fleet is never done at {self.now}")
