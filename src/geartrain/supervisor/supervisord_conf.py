"""
Turns a supervisord.conf into the tables of our own configuration file.

Keys keep their names where both have them. What has no counterpart is named in
a remark and never dropped in silence; nothing is looked up on this machine, so
that a file can be turned where it is not used.
"""

from __future__ import annotations

import configparser
import glob
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from geartrain.configuration import written_table
from geartrain.errors import UsageError

__all__ = ["Conversion", "convert"]

_FLAGS: Final = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
# supervisord counts in units of 1024, whatever they are called.
_UNITS: Final = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}
_PAIR: Final = re.compile(r"""\s*(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^,\s]*))\s*(?:,|$)""")
_DEFAULT_NAMES: Final = (
    "%(program_name)s",
    "%(program_name)s_%(process_num)d",
    "%(program_name)s_%(process_num)02d",
    "%(program_name)s_%(process_num)s",
)
_LOGS: Final = ("stdout_logfile", "stderr_logfile")


class Conversion:
    """
    What a supervisord.conf becomes.

    Attributes:
        supervisor: Keys of ``[supervisor]``.
        programs: Keys of each program, by name.
        remarks: What has no counterpart, or another meaning.

    """

    def __init__(self) -> None:
        self.supervisor: dict[str, Any] = {}
        self.programs: dict[str, dict[str, Any]] = {}
        self.remarks: list[str] = []

    def toml(self) -> str:
        """Return the configuration file, the remarks as comments at its head."""
        blocks = ["".join(f"# {remark}\n" for remark in self.remarks)] if self.remarks else []
        if self.supervisor:
            blocks.append(written_table(["supervisor"], self.supervisor))
        blocks += [written_table(("programs", name), keys) for name, keys in self.programs.items()]
        return "\n".join(blocks)


def convert(path: Path) -> Conversion:
    """
    Read a supervisord.conf, and the files it includes.

    Raises:
        UsageError: It can't be read, or a value is none.

    """
    parser = _read(path)
    found = Conversion()
    environment: dict[str, str] = {}
    for section in parser.sections():
        keys = dict(parser[section])
        kind, _, name = section.partition(":")
        if kind == "supervisord":
            environment = _supervisord(found, keys)
        elif kind == "unix_http_server":
            _unix_http_server(found, keys)
        elif kind == "program":
            found.programs[_name(found, name)] = _program(found, name, keys)
        elif kind not in ("include", "supervisorctl", "rpcinterface"):
            found.remarks.append(f"[{section}] {_why_not(kind)}")
    for program in found.programs.values():
        if environment:
            program["environment"] = {**environment, **program.get("environment", {})}
    if any("killasgroup" not in program for program in found.programs.values()):
        found.remarks.append(
            "killasgroup is true unless a program says otherwise: what a process leaves in its"
            " group ends with it"
        )
    return found


def _read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        parser.read_string(path.read_text(), str(path))
        patterns = parser.get("include", "files", fallback="").split()
        for pattern in patterns:
            pattern = pattern.replace("%(here)s", str(path.parent))
            for name in sorted(glob.glob(str(path.parent / pattern))):
                parser.read_string(Path(name).read_text(), name)
    except OSError as error:
        raise UsageError(f"can't read {error.filename or path}: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise UsageError(f"{path} is no supervisord.conf: {text}") from None
    return parser


def _why_not(kind: str) -> str:
    reasons = {
        "group": "has no counterpart; a wildcard names several programs at once",
        "inet_http_server": "has no counterpart; control goes over a unix socket",
        "eventlistener": "has no counterpart",
        "fcgi-program": "has no counterpart",
    }
    return reasons.get(kind, "is nothing that supervisord documents")


# Sections.


def _supervisord(found: Conversion, keys: dict[str, str]) -> dict[str, str]:
    """Take the keys of [supervisord], and return the environment it gives to all programs."""
    if "childlogdir" in keys:
        found.supervisor["log_directory"] = keys.pop("childlogdir")
    environment = _environment("supervisord", keys.pop("environment", ""))
    own = {
        "user": "start geartrain up as that user",
        "directory": "start geartrain up there",
        "umask": "give it to each program",
        "pidfile": "geartrain up stays in the foreground; a service manager knows its process",
        "minfds": "set it where geartrain up is started",
        "minprocs": "set it where geartrain up is started",
    }
    # How supervisord itself logs and goes to the background is a service manager's business here.
    passed = ("logfile", "logfile_maxbytes", "logfile_backups", "loglevel", "nodaemon", "silent")
    for key, value in keys.items():
        if key in own:
            found.remarks.append(f"[supervisord] {key} = {value} is left out: {own[key]}")
        elif key not in passed:
            found.remarks.append(f"[supervisord] {key} = {value} has no counterpart")
    return environment


def _unix_http_server(found: Conversion, keys: dict[str, str]) -> None:
    for key, value in keys.items():
        if key == "file":
            found.supervisor["socket"] = value
        elif key == "chmod":
            found.supervisor["socket_mode"] = value[-3:]
        else:
            found.remarks.append(f"[unix_http_server] {key} has no counterpart; file modes count")


def _name(found: Conversion, name: str) -> str:
    """Return a name that a program may have here."""
    allowed = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    if allowed != name:
        found.remarks.append(f"[program:{name}] is called {allowed} here")
    return allowed


def _program(found: Conversion, name: str, keys: dict[str, str]) -> dict[str, Any]:
    section = f"program:{name}"
    program: dict[str, Any] = {}
    for key, value in keys.items():
        parse = _KEYS.get(key)
        if parse is not None:
            try:
                program[key] = parse(value)
            except (ValueError, KeyError):
                raise UsageError(f"[{section}] {key} = {value!r} can't be read") from None
        elif key == "environment":
            program[key] = _environment(section, value)
        elif key in _LOGS:
            _take_log(program, key, value)
        elif key != "process_name" or value not in _DEFAULT_NAMES:
            why = "; processes are called NAME:NUMBER" if key == "process_name" else ""
            found.remarks.append(f"[{section}] {key} = {value} has no counterpart{why}")
    if program.get("numprocs", 1) > 1:
        _part_logs(found, section, program)
    return program


def _take_log(program: dict[str, Any], key: str, value: str) -> None:
    if value.upper() == "NONE":
        program[key] = "NONE"
    elif value.upper() != "AUTO":
        program[key] = value


def _part_logs(found: Conversion, section: str, program: dict[str, Any]) -> None:
    """Give each of several processes a log file of its own."""
    for key in _LOGS:
        path = program.get(key, "NONE")
        if path == "NONE" or path.startswith("/dev/") or "%(process_num)" in path:
            continue
        stem, dot, ending = path.rpartition(".")
        if not dot or "/" in ending:
            stem, dot, ending = path, "", ""
        program[key] = f"{stem}-%(process_num)s{dot}{ending}"
        found.remarks.append(f"[{section}] {key} is {program[key]}: each process has its own")


# Values.


def _environment(section: str, text: str) -> dict[str, str]:
    found = {}
    at = 0
    text = text.strip()
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None or match.end() == at:
            raise UsageError(f"[{section}] environment can't be read from {text[at:]!r} on")
        name, *values = match.groups()
        found[name] = next(value for value in values if value is not None)
        at = match.end()
    return found


def _flag(value: str) -> bool:
    return _FLAGS[value.lower()]


def _restart(value: str) -> bool | str:
    return "unexpected" if value.lower() == "unexpected" else _flag(value)


def _size(value: str) -> int:
    unit = _UNITS.get(value[-2:].lower())
    return int(value[:-2]) * unit if unit else int(value)


def _codes(value: str) -> list[int]:
    return [int(one) for one in value.split(",")]


def _text(value: str) -> str:
    # A value may go on over several lines.
    return " ".join(value.split("\n"))


_KEYS: Final[dict[str, Callable[[str], Any]]] = {
    "command": _text,
    "numprocs": int,
    "numprocs_start": int,
    "priority": int,
    "autostart": _flag,
    "autorestart": _restart,
    "startsecs": int,
    "startretries": int,
    "exitcodes": _codes,
    "stopsignal": _text,
    "stopwaitsecs": int,
    "stopasgroup": _flag,
    "killasgroup": _flag,
    "user": _text,
    "directory": _text,
    "umask": _text,
    "redirect_stderr": _flag,
    "stdout_logfile_maxbytes": _size,
    "stdout_logfile_backups": int,
    "stderr_logfile_maxbytes": _size,
    "stderr_logfile_backups": int,
}
