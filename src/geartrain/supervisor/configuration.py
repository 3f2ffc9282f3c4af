"""
The supervisor's tables of the configuration file: ``[supervisor]`` and ``[programs.NAME]``.

Everything that can be wrong with them is told before the first process is
started: a misspelt key, a user that does not exist, programs that wait for
each other. The keys are those of supervisord where it has them.
"""

from __future__ import annotations

import os
import platform
import pwd
import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from geartrain.client.address import parse_address
from geartrain.configuration import (
    bytes_of,
    check_names,
    checked,
    hint,
    read_tables,
    seconds_of,
    table_of,
)
from geartrain.errors import UsageError
from geartrain.supervisor.alarm import check_schedule
from geartrain.supervisor.order import circle_of
from geartrain.supervisor.program import (
    ALERT,
    ALL_AT_ONCE,
    ALWAYS,
    BY_DAY,
    BY_SIZE,
    EXIT,
    NEVER,
    UNEXPECTED,
    Autoscale,
    Backoff,
    LogFile,
    Program,
)
from geartrain.supervisor.readiness import check_readiness
from geartrain.supervisor.templates import expand, launch_of, variables_of

__all__ = [
    "KEYS",
    "SETTINGS",
    "Configuration",
    "default_socket",
    "load_configuration",
    "socket_of",
]

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_MOST_PROCESSES: Final = 10_000
_SHORTEST_INTERVAL: Final = 0.1
_EXPONENTIAL: Final = re.compile(r"exp\(([^,()]+),([^,()]+)\)")
# What a program with a schedule has where it says nothing else.
_SCHEDULED: Final[dict[str, Any]] = {"autostart": False, "autorestart": NEVER, "startsecs": 0.0}
# What it can't have, and why.
_REPLACED: Final = "it replaces what is kept running"
_AGAINST_SCHEDULE: Final = {
    "autorestart": "what has ended starts at the next moment",
    "startsecs": "a process may end as soon as it is done",
    "ready": "nothing waits for a program that is there to end",
    "autoscale": "it keeps processes running",
    "watch": _REPLACED,
    "max_memory": _REPLACED,
    "max_age": _REPLACED,
    "max_jobs": _REPLACED,
}
_ROLLING: Final = re.compile(r"rolling\((\d+)\)")


@dataclass(frozen=True)
class Configuration:
    """
    What a file says of the supervisor and its programs.

    Attributes:
        path: The file.
        programs: The programs, by name.
        socket: Path of the socket on which `geartrain ctl` is answered.
        socket_mode: Its file mode.
        log_directory: Where the output of programs goes that don't say otherwise; empty for the
            supervisor's own output.
        servers: Job servers, for readiness, scaling and the programs; empty for those of the
            environment.
        measure_interval: Seconds between two looks at the memory of processes that have a limit.
        surroundings: What templates may name beside what a process is.
        is_socket_given: Whether the socket was named elsewhere, and the file has no say in it.

    """

    path: Path
    programs: Mapping[str, Program]
    socket: str
    socket_mode: int = 0o600
    log_directory: str = ""
    servers: tuple[str, ...] = ()
    measure_interval: float = 5.0
    surroundings: Mapping[str, str] = field(default_factory=dict)
    is_socket_given: bool = False


def load_configuration(path: Path) -> Configuration:
    """
    Return what a configuration file says of the supervisor and its programs.

    Raises:
        UsageError: Something about it is wrong; the message names file, table and key.

    """
    tables = read_tables(path)
    table = table_of(path, tables, "supervisor")
    check_names(path, "key of [supervisor]", table, SETTINGS)
    values = {key: _told(path, "supervisor", key, SETTINGS[key], table[key]) for key in table}
    if "socket" in values:
        values["socket"] = _beside(path, values["socket"])
    configuration = Configuration(
        path=path,
        programs={},
        surroundings=surroundings_of(path),
        **{"socket": default_socket(), **values},
    )
    programs = {}
    for name, keys in table_of(path, tables, "programs").items():
        where = f"programs.{name}"
        if not _NAME.fullmatch(name):
            raise UsageError(f"{path}: {name!r} is no name; use letters, digits and _ - .")
        if not isinstance(keys, dict):
            raise UsageError(f"{path}: {where} has to be a table, written [{where}]")
        check_names(path, f"key of [{where}]", keys, KEYS)
        programs[name] = _program_of(configuration, name, keys)
    _check_together(path, programs)
    return replace(configuration, programs=programs)


def socket_of(path: Path) -> str:
    """Return where a file has the control socket, whatever else it says; raises UsageError."""
    table = table_of(path, read_tables(path), "supervisor")
    if "socket" not in table:
        return default_socket()
    return _beside(path, _told(path, "supervisor", "socket", SETTINGS["socket"], table["socket"]))


def _beside(path: Path, name: str) -> str:
    """Return a path that is the same for all who read the file, wherever they are."""
    return str(path.absolute().parent / name)


def default_socket() -> str:
    """Return where the control socket is unless the file says otherwise."""
    if os.geteuid() == 0:
        return "/run/geartrain/supervisor.sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR") or str(Path.home() / ".cache")
    return f"{runtime}/geartrain/supervisor.sock"


def surroundings_of(path: Path) -> dict[str, str]:
    """Return what templates may name beside what a process is."""
    environ = {f"ENV_{name}": value for name, value in os.environ.items()}
    return {"here": str(path.resolve().parent), "host_node_name": platform.node(), **environ}


def _told(path: Path, table: str, key: str, parse: Callable[[Any], Any], value: Any) -> Any:
    try:
        return parse(value)
    except UsageError as error:
        raise UsageError(f"{path}: {table}.{key} {error}") from None


def _program_of(configuration: Configuration, name: str, keys: dict[str, Any]) -> Program:
    path = configuration.path
    where = f"programs.{name}"
    changes: dict[str, Any] = {}
    logs: dict[str, dict[str, Any]] = {"stdout": {}, "stderr": {}}
    for key, value in keys.items():
        told = _told(path, where, key, KEYS[key], value)
        stream, is_log, part = key.partition("_logfile")
        if is_log:
            logs[stream][part.lstrip("_") or "path"] = told
        elif key == "task":
            changes["command"] = (sys.executable, "-m", "geartrain", "worker", told)
        else:
            changes["rolling" if key == "restart" else key] = told
    if ("command" in keys) == ("task" in keys):
        raise UsageError(f"{path}: {where} takes either command or task")
    if "task" in keys and changes.get("max_jobs"):
        changes["command"] += ("--max-jobs", "%(max_jobs)s")
    for stream, parts in logs.items():
        changes[stream] = LogFile(**{"path": _default_log(configuration, stream), **parts})
    if changes.get("ready") == "gearman":
        changes["ready"] = f"gearman:{name}"
    if "schedule" in keys:
        _check_scheduled(f"{path}: {where}", changes)
        changes = {**_SCHEDULED, **changes}
    program = Program(name=name, **changes)
    _check_program(configuration, where, program)
    return program


def _default_log(configuration: Configuration, stream: str) -> str:
    if not configuration.log_directory:
        return "-"
    ending = "log" if stream == "stdout" else "err.log"
    directory = configuration.log_directory.replace("%", "%%")
    return f"{directory}/%(program_name)s-%(process_num)s.{ending}"


def _check_program(configuration: Configuration, where: str, program: Program) -> None:
    """Raise UsageError for keys that don't go together or templates that can't be filled in."""
    first = program.numprocs_start
    if program.timezone and not program.schedule:
        raise UsageError(f"{configuration.path}: {where}.timezone is that of a schedule; give one")
    variables = variables_of(program, first, configuration.surroundings)
    try:
        launch_of(program, first, configuration.surroundings)
        for log in (program.stdout, program.stderr):
            expand(log.path, variables)
        expand(program.log_prefix, variables)
        check_readiness(expand(program.ready, variables))
        if program.schedule:
            check_schedule(program)
    except UsageError as error:
        raise UsageError(f"{configuration.path}: {where}: {error}") from None
    several = program.numprocs > 1 or program.autoscale is not None
    if several:
        _check_apart(f"{configuration.path}: {where}", program, configuration.surroundings)


def _check_scheduled(where: str, changes: Mapping[str, Any]) -> None:
    """Raise UsageError for keys of what is kept running, beside a schedule."""
    for key, reason in _AGAINST_SCHEDULE.items():
        if changes.get(key) not in (None, _SCHEDULED.get(key, getattr(Program, key))):
            raise UsageError(f"{where}.{key} does not go with schedule: {reason}; leave it out")


def _check_apart(where: str, program: Program, surroundings: Mapping[str, str]) -> None:
    """Raise UsageError where several processes would write into one file."""
    first = program.numprocs_start
    one, other = (variables_of(program, number, surroundings) for number in (first, first + 1))
    for key, log in (("stdout", program.stdout), ("stderr", program.stderr)):
        path = expand(log.path, one)
        if path == expand(log.path, other) and path not in ("-", ""):
            raise UsageError(
                f"{where}.{key}_logfile is the same for all processes; put %(process_num)s into it"
            )


def _check_together(path: Path, programs: Mapping[str, Program]) -> None:
    for name, program in programs.items():
        for needed in program.depends_on:
            if needed not in programs:
                raise UsageError(
                    f"{path}: programs.{name}.depends_on names {needed!r}, which is no program; "
                    + hint(needed, programs)
                )
            if programs[needed].schedule:
                raise UsageError(
                    f"{path}: programs.{name}.depends_on names {needed!r}, which has a schedule and"
                    " is not kept running"
                )
    circle = circle_of(programs)
    if circle:
        raise UsageError(f"{path}: these wait for each other: {' -> '.join(circle)}")


# What values may be. Each raises UsageError with what the key takes.


def _kind(kind: str) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        try:
            return checked("", "", kind, value)
        except UsageError as error:
            raise UsageError(f"takes {str(error).partition('takes ')[2]}") from None

    return parse


_text: Final = _kind("str")
_flag: Final = _kind("bool")


def _number(least: int, most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise UsageError(f"takes {least} to {most}, not {value!r}")
        return value

    return parse


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_kind("list[str]")(value))


def _choice(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise UsageError(f"takes {' or '.join(map(repr, choices))}, not {value!r}")
        return str(value)

    return parse


def _command(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            words = tuple(shlex.split(value))
        except ValueError as error:
            raise UsageError(f"{value!r} can't be split into words: {error}") from None
    else:
        words = _texts(value)
    if not words or not words[0]:
        raise UsageError("takes a program and its arguments, as a text or a list of texts")
    if any("\0" in word for word in words):
        raise UsageError("can't hold a zero byte")
    return words


def _task(value: Any) -> str:
    text = str(_text(value))
    if not re.fullmatch(r"[\w.]+(:[\w.]+)?", text):
        raise UsageError(f"takes module:app, not {value!r}")
    return text


def _autorestart(value: Any) -> str:
    words = {True: ALWAYS, False: NEVER, UNEXPECTED: UNEXPECTED}
    if not isinstance(value, bool | str) or value not in words:
        raise UsageError(f"takes true, false or 'unexpected', not {value!r}")
    return words[value]


def _exitcodes(value: Any) -> tuple[int, ...]:
    codes = value if isinstance(value, list) else [value]
    return tuple(_number(0, 255)(code) for code in codes)


def _backoff(value: Any) -> Backoff:
    match = _EXPONENTIAL.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    if match is None:
        raise UsageError(f"takes a text such as 'exp(1s, 1m)', not {value!r}")
    first, most = (seconds_of(part) for part in match.groups())
    return Backoff(max(first, 0.01), max(first, most))


def _signal(value: Any) -> int:
    name = str(value).upper().removeprefix("SIG")
    for one in signal.Signals:
        if one.name == f"SIG{name}" or str(int(one)) == name:
            return int(one)
    names = [one.name.removeprefix("SIG") for one in signal.Signals]
    raise UsageError(f"takes a signal, not {value!r}; {hint(name, names)}")


def _user(value: Any) -> str:
    name = str(_text(value))
    try:
        found = pwd.getpwnam(name)
    except (KeyError, ValueError):
        names = [one.pw_name for one in pwd.getpwall()]
        raise UsageError(f"{name!r} is no user of this system; {hint(name, names)}") from None
    if os.geteuid() not in (0, found.pw_uid):
        raise UsageError(f"{name!r}: only root can start programs as another user")
    return name


def _mode(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"0?o?[0-7]{3}", value):
        return int(value.replace("o", ""), 8)
    if type(value) is int and 0 <= value <= 0o777:
        return value
    raise UsageError(f"takes a file mode such as 0o022 or '022', not {value!r}")


def _environment(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise UsageError('takes a table of texts, such as { LANG = "C.UTF-8" }')
    for name in value:
        if not name or "=" in name or "\0" in name + value[name]:
            raise UsageError(f"can't set {name!r}")
    return value


def _rolling(value: Any) -> int:
    if value == "all":
        return ALL_AT_ONCE
    match = _ROLLING.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    if match is None or not int(match[1]):
        raise UsageError(f"takes 'all', or 'rolling(1)' for one at a time, not {value!r}")
    return int(match[1])


def _autoscale(value: Any) -> Autoscale:
    known: dict[str, Callable[[Any], Any]] = {
        "min": _number(0, _MOST_PROCESSES),
        "max": _number(1, _MOST_PROCESSES),
        "target_wait": seconds_of,
        "functions": _texts,
        "calm": seconds_of,
    }
    example = '{ min = 1, max = 10, target_wait = "30s" }'
    if not isinstance(value, dict):
        raise UsageError(f"takes a table, such as {example}")
    for key in value:
        if key not in known:
            raise UsageError(f"has no {key!r}; {hint(key, known)}")
    if not {"min", "max", "target_wait"} <= value.keys():
        raise UsageError(f"takes min, max and target_wait, such as {example}")
    rule = Autoscale(**{key: known[key](one) for key, one in value.items()})
    if rule.min > rule.max or rule.target_wait <= 0:
        raise UsageError("takes a min that is not above max, and a target_wait above 0")
    return rule


def _jitter(value: Any) -> float:
    part = float(_kind("float")(value))
    if not 0 <= part <= 1:
        raise UsageError(f"takes a part from 0 to 1, not {value!r}")
    return part


def _log_path(value: Any) -> str:
    path = str(_text(value))
    if path in ("NONE", "", "/dev/null"):
        return ""
    if path in ("-", "/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2"):
        return "-"
    if path == "syslog":
        raise UsageError("takes a file, '-' for the supervisor's own output, or 'NONE'")
    return path


def _servers(value: Any) -> tuple[str, ...]:
    return tuple(str(parse_address(one)) for one in _texts(value))


def _interval(value: Any) -> float:
    seconds = seconds_of(value)
    if seconds < _SHORTEST_INTERVAL:
        raise UsageError(f"takes {_SHORTEST_INTERVAL} s or more, not {value!r}")
    return seconds


def _absolute(value: Any) -> str:
    return str(Path(_text(value)).absolute())


# The keys of [supervisor].
SETTINGS: Final[dict[str, Callable[[Any], Any]]] = {
    "socket": _text,
    "socket_mode": _mode,
    "log_directory": _absolute,
    "servers": _servers,
    "measure_interval": _interval,
}

# The keys of [programs.NAME].
KEYS: Final[dict[str, Callable[[Any], Any]]] = {
    "command": _command,
    "task": _task,
    "numprocs": _number(0, _MOST_PROCESSES),
    "numprocs_start": _number(0, 1_000_000),
    "priority": _number(-1_000_000, 1_000_000),
    "autostart": _flag,
    "autorestart": _autorestart,
    "exitcodes": _exitcodes,
    "startsecs": seconds_of,
    "startretries": _number(0, 1_000_000),
    "backoff": _backoff,
    "depends_on": _texts,
    "ready": _text,
    "ready_timeout": seconds_of,
    "stopsignal": _signal,
    "stopwaitsecs": seconds_of,
    "stopasgroup": _flag,
    "killasgroup": _flag,
    "user": _user,
    "directory": _text,
    "environment": _environment,
    "umask": _mode,
    "max_memory": bytes_of,
    "max_age": seconds_of,
    "max_age_jitter": _jitter,
    "max_jobs": _number(0, 2**53),
    "restart": _rolling,
    "autoscale": _autoscale,
    "watch": _texts,
    "schedule": _text,
    "timezone": _text,
    "on_fatal": _choice(ALERT, EXIT),
    "redirect_stderr": _flag,
    "stdout_logfile": _log_path,
    "stdout_logfile_maxbytes": bytes_of,
    "stdout_logfile_backups": _number(0, 10_000),
    "stderr_logfile": _log_path,
    "stderr_logfile_maxbytes": bytes_of,
    "stderr_logfile_backups": _number(0, 10_000),
    "log_rotate": _choice(BY_SIZE, BY_DAY),
    "log_prefix": _text,
    "log_timestamps": _flag,
}
