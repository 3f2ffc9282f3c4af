"""
A crontab, read as cron reads it: text in, lines with their environment out.

The rules are cronie's, which are Vixie's with ``a~b``, CRON_TZ and RANDOM_DELAY added; what other
schedulers write (``L``, ``#``, ``H``, seconds) is as wrong here as it is to cron. A line that cron
would not run is refused with a reason, and those after it are read all the same. Reads no file, no
clock and no list of users; what becomes of lines is said in ``crontab_entries``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from geartrain.errors import CronError
from geartrain.schedule.cron import Cron
from geartrain.schedule.crontab_text import read_assignment, split_command
from geartrain.schedule.zone import read_zone

__all__ = ["MACROS", "REMARK", "Crontab", "Line", "Note", "not_in_a_crontab", "read_crontab"]

MACROS: Final = (
    "@reboot",
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
)
_OUR_MACROS: Final = ("@every", "@at", "@manually")
_WE_HAVE: Final = "geartrain has: add it with geartrain cron add"

# Cron sets these itself, whatever a crontab says.
_CRONS_OWN: Final = ("LOGNAME", "USER")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*\$?")
_FIELDS: Final = re.compile(r"((?:[^ \t]+[ \t]+){5})(.*)", re.DOTALL)
_MACRO: Final = re.compile(r"(@[^ \t]*)[ \t]+(.*)", re.DOTALL)
# One value of a list as cron knows it: a star, a number or a name, a range, a choice.
_VALUE: Final = re.compile(
    r"(\*|[0-9]+-[0-9]+|[A-Z]{3}-[A-Z]{3}|[0-9]+-[A-Z]{3}|[A-Z]{3}-[0-9]+)(/[0-9]+)?"
    r"|[0-9]+|[A-Z]{3}|([0-9]+|[A-Z]{3})?~([0-9]+|[A-Z]{3})?"
)
_LONGEST_DESCRIPTION: Final = 200
# The mark of what we write above lines ourselves.
REMARK: Final = "geartrain:"
# That, a line that was switched off, and the row of headings that many files start with.
_NOT_A_DESCRIPTION: Final = re.compile(
    rf"{REMARK}|m(in\w*)?\s+h(our\w*)?\s+d"
    r"|(@[a-z]+|[-*0-9,/]+[ \t]+[-*0-9,/~]+([ \t]+[-*0-9A-Za-z,/]+){3})[ \t]",
    re.IGNORECASE,
)
# Programs that a line of a user's own crontab hardly starts with, but as the column of users.
_LOOKS_LIKE_A_USER: Final = ("root", "www-data", "nobody", "postgres", "mysql")


@dataclass(frozen=True, slots=True)
class Note:
    """
    What there is to say of a line.

    Attributes:
        number: The line's, from 1.
        text: The line.
        reason: Why it was refused, or what is strange about it; without full stop.

    """

    number: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One line that runs a command.

    Attributes:
        number: The line's, from 1.
        when: Its fields, or a macro.
        user: Whom it runs as; empty in a user's own crontab.
        command: What the shell is given.
        stdin: What the command reads.
        environment: Assignments above it, without those that follow.
        mailto: MAILTO, None where it is not set.
        timezone: CRON_TZ, empty where it is not set.
        delay: RANDOM_DELAY, in minutes.
        comment: The comment right above it.
        quiet: Whether cron is to write no line to its log (``-`` before the fields).

    """

    number: int
    when: str
    command: str
    user: str = ""
    stdin: bytes = b""
    environment: tuple[tuple[str, str], ...] = ()
    mailto: str | None = None
    timezone: str = ""
    delay: int = 0
    comment: str = ""
    quiet: bool = False


@dataclass(slots=True)
class Crontab:
    """
    What a file says.

    Attributes:
        lines: What runs, in the order of the file.
        refused: What cron would not run.
        remarks: What is probably not meant.

    """

    lines: list[Line] = field(default_factory=list)
    refused: list[Note] = field(default_factory=list)
    remarks: list[Note] = field(default_factory=list)


def read_crontab(text: str, *, system: bool = False) -> Crontab:
    """
    Read a crontab.

    Args:
        text: The file. Bytes that are not UTF-8 are expected as surrogates (``surrogateescape``).
        system: Whether users stand in the sixth column, as in /etc/crontab and /etc/cron.d.

    """
    reading = _Reading(system)
    lines = text.split("\n")
    last = lines.pop()
    for line in lines:
        reading.read(line)
    if last.strip():
        reading.read(last)
        reading.remark("no newline at the end of the file: cron passes over such a line")
    return reading.found


def not_in_a_crontab(when: str) -> str:
    """Return why cron itself can't read an expression that is right, empty where it can."""
    if when.startswith("@"):
        return "" if when in MACROS else f"cron has no {when.partition(' ')[0]}"
    fields = when.upper().split()
    if len(fields) != 5:
        return f"cron has 5 fields, not {len(fields)}"
    for one in fields:
        for value in one.split(","):
            if not _VALUE.fullmatch(value):
                return f"cron has no {value} in a field"
    return ""


class _Reading:
    """Reads a file line by line; knows what the lines above have set."""

    def __init__(self, system: bool) -> None:
        self.system = system
        self.found = Crontab()
        self.number = 0
        self.text = ""
        self.environment: dict[str, str] = {}
        self.mailto: str | None = None
        self.timezone = ""
        self.delay = 0
        self.comments: list[str] = []
        # The line whose CRON_TZ can't be read: what follows it has no known zone.
        self.lost_zone = 0

    def read(self, text: str) -> None:
        """Take one line in."""
        self.number += 1
        self.text = text.removesuffix("\r")
        line = self.text.lstrip(" \t")
        if line.startswith("#"):
            self._comment(line[1:].strip())
            return
        try:
            if line.strip():
                self._statement(line)
        except ValueError as error:
            self.found.refused.append(Note(self.number, _shown(self.text), str(error)))
        if text.endswith("\r") and line:
            self.remark("a carriage return at its end, which cron would take as a part of it")
        self.comments = []

    def remark(self, reason: str) -> None:
        """Note something about the line that was read last."""
        self.found.remarks.append(Note(self.number, _shown(self.text), reason))

    def _comment(self, text: str) -> None:
        if not text or _NOT_A_DESCRIPTION.match(text):
            self.comments = []
        elif text.isprintable():
            self.comments.append(text)

    def _statement(self, line: str) -> None:
        if any("\ud800" <= letter <= "\udfff" for letter in line):
            raise ValueError("it is not UTF-8; convert the file, such as with iconv")
        if "\0" in line:
            raise ValueError("it holds a NUL")
        assignment = read_assignment(line)
        if assignment is None:
            self._entry(line)
        else:
            self._assign(*assignment)

    # Assignments.

    def _assign(self, name: str, value: str) -> None:
        if not name:
            raise ValueError("there is no name before the =")
        if re.search(r"\s#", value):
            self.remark(f"cron knows no comments behind values: {name} is {value!r}")
        if name == "CRON_TZ":
            self._zone(value)
        elif name == "MAILTO":
            self.mailto = value
        elif name == "RANDOM_DELAY":
            if not re.fullmatch(r"[0-9]{1,6}", value):
                raise ValueError(f"RANDOM_DELAY is a number of minutes, not {value!r}")
            self.delay = int(value)
        elif name in _CRONS_OWN:
            self.remark(f"cron sets {name} itself; left out")
        else:
            if "$" in value:
                self.remark(f"cron expands no variables: {name} has the $ in it")
            self.environment[name] = value

    def _zone(self, value: str) -> None:
        self.lost_zone = self.number
        try:
            self.timezone = read_zone(value).key if value else ""
        except ValueError as error:
            raise ValueError(f"CRON_TZ: {error}; what follows has no known zone") from None
        self.lost_zone = 0

    # Entries.

    def _entry(self, line: str) -> None:
        quiet = line.startswith("-")
        when, rest = self._when(line[1:] if quiet else line)
        user = ""
        if self.system:
            user, rest = self._user(rest)
        if rest.startswith("*"):
            raise ValueError("its command starts with *: is there a field too many?")
        if not rest.strip():
            raise ValueError("it has no command")
        if self.lost_zone:
            raise ValueError(f"its zone is not known, because of line {self.lost_zone}")
        command, stdin = split_command(rest)
        if not command.strip():
            raise ValueError(r"its command is empty before the first %; write \% for the sign")
        self.found.lines.append(
            Line(
                number=self.number,
                when=when,
                user=user,
                command=command,
                stdin=stdin,
                environment=tuple(self.environment.items()),
                mailto=self.mailto,
                timezone=self.timezone,
                delay=self.delay,
                comment=" ".join(self.comments)[:_LONGEST_DESCRIPTION],
                quiet=quiet,
            )
        )
        self._doubt(command)

    def _when(self, line: str) -> tuple[str, str]:
        """Return the fields, in single blanks, and what stands behind them."""
        match = (_MACRO if line.startswith("@") else _FIELDS).fullmatch(line)
        if match is None:
            if line.startswith("@"):
                raise ValueError("it has no command")
            raise ValueError("it is neither an assignment nor 5 fields and a command")
        when = " ".join(match[1].split())
        if when in _OUR_MACROS:
            raise ValueError(f"cron has no {when}; {_WE_HAVE}")
        if when.startswith("@") and when not in MACROS:
            raise ValueError(f"cron has no {when}; known are {', '.join(MACROS)}")
        try:
            cron = Cron.parse(when, key=when)
        except CronError as error:
            raise ValueError(error.reason) from None
        if why_not := not_in_a_crontab(when):
            raise ValueError(f"{why_not}; {_WE_HAVE}")
        for warning in cron.warnings:
            self.remark(warning)
        return when, match[2]

    def _user(self, rest: str) -> tuple[str, str]:
        user, _, command = rest.replace("\t", " ", 1).partition(" ")
        if not _USER.fullmatch(user):
            raise ValueError(
                f"{user!r} is no user; is it a crontab of one user, without a column of them?"
            )
        return user, command.lstrip(" \t")

    def _doubt(self, command: str) -> None:
        first = command.split(None, 1)[0]
        if not self.system and first in _LOOKS_LIKE_A_USER:
            self.remark(f"its command is {first}: is it a crontab with a column of users?")
        if command.endswith("\\"):
            self.remark("cron knows no lines that go on in the next one")


def _shown(text: str) -> str:
    """Return a line that may stand in a message."""
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else " " for letter in clean).strip()
