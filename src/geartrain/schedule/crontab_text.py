"""
The two places where a crontab escapes something, each in both directions.

An assignment may have quotes around its name and its value. In a command a per cent sign ends the
command and starts its standard input, where each further one is a newline. What is done with
backslashes before them is cronie's (``env.c``, ``do_command.c``), which Vixie's cron does as well;
command and input differ in it, so neither direction is written as the other's mirror: what is
written is read again, and refused when it comes out as something else.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["join_command", "read_assignment", "split_command", "write_assignment"]

_ASSIGNMENT: Final = re.compile(
    r"""\s*(?:"(?P<double>[^"=]*)"|'(?P<single>[^'=]*)'|(?P<plain>[^\s"'=][^\s=]*|))\s*=\s*(?P<rest>.*)""",
    re.DOTALL,
)
_QUOTED: Final = re.compile(r"""(?:"([^"]*)"|'([^']*)')\s*""", re.DOTALL)


def read_assignment(line: str) -> tuple[str, str] | None:
    """Return name and value where a line is an assignment, None where it is something else."""
    match = _ASSIGNMENT.fullmatch(line)
    if match is None:
        return None
    name = next(found for found in match.group("double", "single", "plain") if found is not None)
    rest = match["rest"]
    if rest[:1] not in ("'", '"'):
        return name, rest.rstrip()
    quoted = _QUOTED.fullmatch(rest)
    # A quote that is not closed, or followed by something, is no assignment for cron.
    return None if quoted is None else (name, quoted[1] if quoted[1] is not None else quoted[2])


def write_assignment(name: str, value: str) -> str:
    """
    Return the line that assigns a value.

    Raises:
        ValueError: No line of a crontab does; says why.

    """
    if "\n" in value or "\0" in value:
        raise ValueError(f"{name} has a value of several lines")
    quoted = [f'"{value}"', f"'{value}'"]
    values = [value, *quoted] if value else quoted
    for line in (f"{left}={right}" for left in (name, f'"{name}"') for right in values):
        if line[0] != "#" and line[0] != "-" and read_assignment(line) == (name, value):
            return line
    raise ValueError(f"no line of a crontab sets {name} to {value!r}")


def split_command(text: str) -> tuple[str, bytes]:
    """Return the command and its standard input, from all that stands behind a line's fields."""
    command: list[str] = []
    escaped = False
    for place, letter in enumerate(text):
        if escaped:
            if letter == "%":
                command.pop()
            escaped = False
        elif letter == "%":
            return "".join(command), _input(text[place + 1 :]).encode("utf-8", "surrogateescape")
        else:
            escaped = letter == "\\"
        command.append(letter)
    return "".join(command), b""


def join_command(command: str, payload: bytes) -> str:
    """
    Return what stands behind a line's fields for a command and its standard input.

    Raises:
        ValueError: A crontab has no way to say it; says why.

    """
    if "\n" in command:
        raise ValueError("its command has several lines")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise ValueError("its standard input is not UTF-8") from None
    written = command.replace("%", r"\%")
    for given in _inputs(text):
        if split_command(written + given) == (command, payload):
            return written + given
    if split_command(written)[0] != command:
        raise ValueError(r"its command has \% where a crontab only has %")
    raise ValueError(
        "its standard input has no newline at its end, or a backslash before a newline or %"
    )


def _input(text: str) -> str:
    r"""Return standard input: ``%`` is a newline and ``\%`` a per cent sign; a last newline."""
    found: list[str] = []
    escaped = False
    unfinished = False
    for letter in text:
        if escaped and letter != "%":
            found.append("\\")
        written = "\n" if letter == "%" and not escaped else letter
        escaped = written == "\\"
        if not escaped:
            found.append(written)
            unfinished = written != "\n"
    if escaped:
        found.append("\\")
    return "".join(found) + ("\n" if unfinished else "")


def _inputs(text: str) -> list[str]:
    """Return what may stand for a standard input: the last newline comes by itself, or not."""
    if not text:
        return [""]
    lines = text.replace("%", r"\%").split("\n")
    written = "%" + "%".join(lines)
    return [written.removesuffix("%"), written] if text.endswith("\n") else [written]
