"""
One process of a program and its states, in supervisord's words.

::

            start              startsecs over, ready
   STOPPED -------> STARTING ------------------------> RUNNING
      ^             |   ^  |                            |  |
      |    too soon |   |  |                            |  | ended by itself
      |             v   |  `---------> STOPPING <-------'  v
      |          BACKOFF               |  |  |           EXITED --> STARTING
      |             |                  |  |  |                      if autorestart says so
      |             v                  |  |  |
      |           FATAL                |  |  `--> UNKNOWN  not even SIGKILL ended it
      `--------------------------------'  `-----> BACKOFF  was not ready in time

It reads no clock and signals nobody: it is told what happened and when, and
appends what is to be done to the effects. When a process that is wanted and
does not run may start is the fleet's business.
"""

from __future__ import annotations

import signal
from typing import Final

from geartrain.supervisor.effects import Changed, Effect, Probe, SendSignal, Spawn
from geartrain.supervisor.program import ALWAYS, UNEXPECTED, Launch, Program

__all__ = [
    "BACKOFF",
    "DOWN",
    "EXITED",
    "FATAL",
    "NAMES",
    "REPLACE_CHANGED",
    "REPLACE_WORN",
    "RUNNING",
    "STARTING",
    "STOPPED",
    "STOPPING",
    "UNKNOWN",
    "Process",
    "how_it_ended",
]

# supervisord's own numbers.
STOPPED: Final = 0
STARTING: Final = 10
RUNNING: Final = 20
BACKOFF: Final = 30
STOPPING: Final = 40
EXITED: Final = 100
FATAL: Final = 200
UNKNOWN: Final = 1000

NAMES: Final = {
    STOPPED: "STOPPED",
    STARTING: "STARTING",
    RUNNING: "RUNNING",
    BACKOFF: "BACKOFF",
    STOPPING: "STOPPING",
    EXITED: "EXITED",
    FATAL: "FATAL",
    UNKNOWN: "UNKNOWN",
}
_NEXT: Final = {
    STOPPED: (STARTING,),
    STARTING: (RUNNING, BACKOFF, STOPPING, FATAL),
    RUNNING: (STOPPING, EXITED),
    BACKOFF: (STARTING, STOPPED),
    STOPPING: (STOPPED, BACKOFF, FATAL, UNKNOWN),
    EXITED: (STARTING,),
    FATAL: (STARTING,),
    UNKNOWN: (STOPPED,),
}
# States without a process that a start leads out of.
DOWN: Final = (STOPPED, EXITED, FATAL)

# Why a process is to be replaced: it reached a limit, or others are to run in its place.
REPLACE_WORN: Final = 1
REPLACE_CHANGED: Final = 2


class Process:
    """
    A process of a program.

    Args:
        program: What the configuration says of it.
        number: Which of the program's processes it is.
        launch: What it is started with next time.
        now: Seconds.

    Attributes:
        name: ``NAME:NUMBER``.
        state: One of the states above.
        since: When it came to that state.
        reason: Why, where that is not plain.
        wanted: Whether it is to run, now or as soon as it may.
        leaving: Whether it leaves the fleet once it does not run.
        replace: Why it is to be replaced, or 0.
        pid: Its process id, 0 where it does not run.
        started: When it was last started.
        attempts: Starts in a row that failed.
        starts: Starts in all.
        status: How it last ended: exit code, or minus a signal. None before that.
        deadline: When something about it is due; None for never.

    """

    __slots__ = (
        "attempts",
        "deadline",
        "failure",
        "is_leaderless",
        "is_ready",
        "killed",
        "launch",
        "leaving",
        "name",
        "number",
        "pid",
        "program",
        "reason",
        "replace",
        "running_launch",
        "since",
        "spare",
        "started",
        "starts",
        "state",
        "status",
        "wanted",
    )

    def __init__(self, program: Program, number: int, launch: Launch, now: float) -> None:
        self.program = program
        self.number = number
        self.name = f"{program.name}:{number}"
        self.launch = launch
        self.running_launch = launch
        self.state = STOPPED
        self.since = now
        self.reason = ""
        self.wanted = False
        self.leaving = False
        self.replace = 0
        self.pid = 0
        self.started = now
        self.attempts = 0
        self.starts = 0
        self.status: int | None = None
        self.deadline: float | None = None
        # Whether what `ready` asks for was seen.
        self.is_ready = False
        # Why it is stopped although it is wanted to start: it was not ready in time.
        self.failure = ""
        # Whether it has ended, and others of its group, which were asked to end too, have not.
        self.is_leaderless = False
        # How often SIGKILL was due.
        self.killed = 0
        # Which part of the jitter's range falls to it.
        self.spare = 0.0

    # What the fleet asks.

    @property
    def is_alive(self) -> bool:
        """Whether there is a process, or one is just being started."""
        return self.state in (STARTING, RUNNING, STOPPING, UNKNOWN)

    @property
    def is_satisfied(self) -> bool:
        """Whether what depends on it may start: it runs, or has done what it was there for."""
        if self.state == EXITED:
            return self.status in self.program.exitcodes
        return self.state == RUNNING and not self.program.is_run_once

    def change(self, now: float, state: int, effects: list[Effect], reason: str = "") -> None:
        assert state in _NEXT[self.state], f"{NAMES[self.state]} -> {NAMES[state]}"
        effects.append(Changed(self.name, self.state, state, reason))
        self.state = state
        self.since = now
        self.reason = reason
        self.deadline = None

    # Starting.

    def start(self, now: float, effects: list[Effect]) -> None:
        """Start it, or try again; the fleet has seen that it may."""
        assert self.state in DOWN or self.state == BACKOFF
        if self.state != BACKOFF:
            self.attempts = 0
        self.change(now, STARTING, effects)
        self.started = now
        self.starts += 1
        self.is_ready = not self.program.ready
        self.failure = ""
        self.replace = 0
        self.running_launch = self.launch
        effects.append(Spawn(self.name, self.launch))

    def spawned(self, now: float, pid: int, chance: float, effects: list[Effect]) -> None:
        """It runs, as process ``pid``."""
        assert not self.pid
        assert self.is_alive
        self.pid = pid
        self.started = now
        self.spare = chance
        if self.state == STOPPING:
            # It was stopped before it was there.
            self.send_stop(now, effects)
            return
        self.deadline = now + self.program.startsecs
        if self.program.ready:
            effects.append(Probe(self.name, self.program.ready))
        self.tick(now, effects)

    def spawn_failed(self, now: float, reason: str, effects: list[Effect]) -> None:
        """It could not be started."""
        assert not self.pid
        if self.state == STOPPING:
            self.change(now, STOPPED, effects)
        else:
            self.retry_later(now, reason, effects)

    def became_ready(self, now: float, effects: list[Effect]) -> None:
        """What ``ready`` asks for was seen."""
        if self.state == STARTING and self.pid:
            self.is_ready = True
            self.tick(now, effects)

    def run(self, now: float, effects: list[Effect]) -> None:
        self.change(now, RUNNING, effects)
        self.attempts = 0
        self.set_age_limit()

    def set_age_limit(self) -> None:
        """Set the time at which a running process is too old."""
        limit = self.program.max_age
        if limit:
            self.deadline = self.started + limit * (1 + self.program.max_age_jitter * self.spare)
        else:
            self.deadline = None

    def retry_later(self, now: float, reason: str, effects: list[Effect]) -> None:
        """A start failed: wait and try again, unless it was the last attempt."""
        self.attempts += 1
        if self.attempts > self.program.startretries:
            self.wanted = False
            starts = "a start" if self.attempts == 1 else f"{self.attempts} starts"
            self.change(now, FATAL, effects, f"{reason}; gave up after {starts}")
            return
        self.change(now, BACKOFF, effects, reason)
        self.deadline = now + self.program.backoff.delay(self.attempts)

    # Ending.

    def ended(self, now: float, status: int, left: bool, effects: list[Effect]) -> None:
        """The process ended, by itself or because it was told to."""
        assert self.pid
        assert not self.is_leaderless
        self.status = status
        if left and self.state == STOPPING and self.program.stopasgroup and not self.killed:
            # They were asked to end as well, and have their time.
            self.is_leaderless = True
            return
        if self.program.killasgroup:
            # Whatever it started and left behind. Nobody else can have its number yet.
            effects.append(SendSignal(self.name, self.pid, signal.SIGKILL, True))
        self.finish(now, status, effects)

    def group_ended(self, now: float, effects: list[Effect]) -> None:
        """Nobody is left of the group of a process that was stopped."""
        assert self.is_leaderless
        assert self.status is not None
        self.finish(now, self.status, effects)

    def finish(self, now: float, status: int, effects: list[Effect]) -> None:
        self.pid = 0
        self.is_leaderless = False
        if self.state == STARTING:
            self.ended_soon(now, effects)
        elif self.state == RUNNING:
            self.ended_by_itself(now, effects)
        elif self.failure and self.wanted:
            self.retry_later(now, self.failure, effects)
        else:
            self.change(now, STOPPED, effects, how_it_ended(status))

    def ended_soon(self, now: float, effects: list[Effect]) -> None:
        assert self.status is not None
        if self.program.max_jobs and self.status == 0:
            # It has had its jobs, if only by waiting for them a moment. Not faster than that, so
            # that one which does not know what to do does not keep the machine busy.
            self.change(now, BACKOFF, effects, "has had its jobs")
            self.deadline = self.started + max(self.program.startsecs, self.program.backoff.first)
            return
        self.retry_later(now, f"{how_it_ended(self.status)} too quickly", effects)

    def ended_by_itself(self, now: float, effects: list[Effect]) -> None:
        status = self.status
        assert status is not None
        expected = status in self.program.exitcodes
        reason = how_it_ended(status) if expected else f"{how_it_ended(status)}, unexpectedly"
        self.change(now, EXITED, effects, reason)
        again = self.program.autorestart
        if again == ALWAYS or (again == UNEXPECTED and not expected):
            return
        # One that ends after so many jobs does so in order to be replaced.
        if self.replace or (self.program.max_jobs and status == 0):
            return
        self.wanted = False

    def stop(self, now: float, effects: list[Effect]) -> None:
        """End it; whether it starts again depends on whether it is wanted."""
        self.replace = 0
        if self.state == BACKOFF:
            self.change(now, STOPPED, effects)
        elif self.state in (STARTING, RUNNING):
            self.change(now, STOPPING, effects)
            self.killed = 0
            if self.pid:
                self.send_stop(now, effects)

    def send_stop(self, now: float, effects: list[Effect]) -> None:
        program = self.program
        effects.append(SendSignal(self.name, self.pid, program.stopsignal, program.stopasgroup))
        self.deadline = now + program.stopwaitsecs

    def kill(self, now: float, effects: list[Effect]) -> None:
        """Have the system end it; one that survives that is not known to be anything."""
        if self.killed and self.state == STOPPING:
            self.change(now, UNKNOWN, effects, "did not end although it was killed")
            return
        self.killed += 1
        group = self.program.killasgroup or self.program.stopasgroup
        effects.append(SendSignal(self.name, self.pid, signal.SIGKILL, group))
        if self.state == STOPPING:
            # Long enough for a machine under load to give back a large process's memory.
            self.deadline = now + max(self.program.stopwaitsecs, 10.0)

    # Time.

    def tick(self, now: float, effects: list[Effect]) -> None:
        """Do what is due, except for what only the fleet may do."""
        if self.state == STARTING and self.pid:
            self.tick_starting(now, effects)
        elif self.deadline is None or now < self.deadline:
            return
        elif self.state == RUNNING:
            self.deadline = None
            self.replace = self.replace or REPLACE_WORN
            self.reason = "is too old"
        elif self.state == STOPPING:
            self.kill(now, effects)

    def tick_starting(self, now: float, effects: list[Effect]) -> None:
        lasted = now >= self.started + self.program.startsecs
        if lasted and self.is_ready:
            self.run(now, effects)
        elif not lasted:
            self.deadline = self.started + self.program.startsecs
        elif now < self.started + max(self.program.ready_timeout, self.program.startsecs):
            self.deadline = self.started + max(self.program.ready_timeout, self.program.startsecs)
        else:
            self.failure = f"was not ready within {self.program.ready_timeout:g} s"
            self.change(now, STOPPING, effects, self.failure)
            self.killed = 0
            self.send_stop(now, effects)


def how_it_ended(status: int) -> str:
    """Return in words how a process ended."""
    if status >= 0:
        return f"exited with code {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
