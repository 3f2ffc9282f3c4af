"""
What a configuration says of a program, and what one of its processes is started with.

Values only. They are frozen and compare by value, since what a new
configuration changes is found by comparing it with the old one. Keys that
supervisord has keep its names and its meaning.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "ALERT",
    "ALL_AT_ONCE",
    "BY_DAY",
    "BY_SIZE",
    "EXIT",
    "NEVER",
    "ALWAYS",
    "UNEXPECTED",
    "Autoscale",
    "Backoff",
    "Launch",
    "LogFile",
    "Program",
]

# Whether a process that ended by itself is started again.
ALWAYS: Final = "always"
NEVER: Final = "never"
UNEXPECTED: Final = "unexpected"

# What becomes of the supervisor when a program can't be kept running.
ALERT: Final = "alert"
EXIT: Final = "exit"

# When a log file makes room for a new one.
BY_SIZE: Final = "size"
BY_DAY: Final = "day"

ALL_AT_ONCE: Final = 0


@dataclass(frozen=True)
class Autoscale:
    """
    How many processes a program may have, and how long its jobs may wait.

    Attributes:
        min: Fewest processes.
        max: Most processes.
        target_wait: Seconds that a job may wait before there are to be more processes.
        functions: Functions whose waiting lines count; empty for the one named like the program.
        calm: Seconds without need of a process after which there is to be one less.

    """

    min: int
    max: int
    target_wait: float
    functions: tuple[str, ...] = ()
    calm: float = 60.0


@dataclass(frozen=True)
class Backoff:
    """Seconds to wait before the first retry of a start, doubled for each further, up to most."""

    first: float = 1.0
    most: float = 60.0

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after ``attempt`` starts failed in a row."""
        # The exponent is bounded so that no number gets out of hand.
        return min(self.most, self.first * 2.0 ** min(attempt - 1, 60))


@dataclass(frozen=True)
class LogFile:
    """
    Where one output of a program's processes goes.

    Attributes:
        path: Template of a path; ``-`` for the supervisor's own output, empty for nowhere.
        maxbytes: Size in bytes at which a new file is begun; 0 for never.
        backups: Older files that are kept.

    """

    path: str = "-"
    maxbytes: int = 50_000_000
    backups: int = 10


@dataclass(frozen=True)
class Program:
    """
    One table ``[programs.NAME]``; docs/reference/programs.md says what each key means.

    Attributes:
        command: Templates of the program's file and arguments.
        backoff: Seconds before a start is tried again.
        rolling: Processes that are replaced at a time; ``ALL_AT_ONCE`` for no such care.
        umask: File mode mask, or -1 for the supervisor's own.
        schedule: Cron expression of the moments at which its processes are started, instead of
            being kept running; empty for none.
        timezone: IANA name of the zone of ``schedule``; empty for what the expression says.

    """

    name: str
    command: tuple[str, ...] = ()
    numprocs: int = 1
    numprocs_start: int = 0
    priority: int = 999
    autostart: bool = True
    autorestart: str = UNEXPECTED
    exitcodes: tuple[int, ...] = (0,)
    startsecs: float = 1.0
    startretries: int = 3
    backoff: Backoff = Backoff()
    depends_on: tuple[str, ...] = ()
    ready: str = ""
    ready_timeout: float = 60.0
    stopsignal: int = signal.SIGTERM
    stopwaitsecs: float = 10.0
    stopasgroup: bool = False
    killasgroup: bool = True
    user: str = ""
    directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    umask: int = -1
    max_memory: int = 0
    max_age: float = 0.0
    max_age_jitter: float = 0.1
    max_jobs: int = 0
    rolling: int = ALL_AT_ONCE
    autoscale: Autoscale | None = None
    watch: tuple[str, ...] = ()
    schedule: str = ""
    timezone: str = ""
    on_fatal: str = ALERT
    redirect_stderr: bool = False
    stdout: LogFile = LogFile()
    stderr: LogFile = LogFile()
    log_rotate: str = BY_SIZE
    log_prefix: str = ""
    log_timestamps: bool = True

    @property
    def is_run_once(self) -> bool:
        """Whether it is there to end, and what depends on it waits for that."""
        return self.startsecs == 0 and self.autorestart == NEVER


@dataclass(frozen=True)
class Launch:
    """
    What one process is started with; a process whose launch changed has to be started anew.

    Attributes:
        argv: The program's file and arguments.
        environment: What is added to the supervisor's environment.
        directory: Where it starts; empty for the supervisor's directory.
        user: Whom it runs as; empty for the supervisor's user.
        umask: File mode mask, or -1 for the supervisor's own.
        redirect_stderr: Whether its standard error goes where its standard output goes.

    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = ""
    user: str = ""
    umask: int = -1
    redirect_stderr: bool = False
