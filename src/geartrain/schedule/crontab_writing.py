"""
From entries to a crontab, with what a crontab can't say as comments.

Only what cron would run at the same moments, as the same user and with the same environment is
written as a line; everything else is written as a comment with its reason. A line whose entry does
more than cron can do (retries, time-outs, other overlaps) has that said above it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from geartrain.schedule.crontab import REMARK, not_in_a_crontab
from geartrain.schedule.crontab_text import join_command, write_assignment
from geartrain.schedule.entry import Entry
from geartrain.schedule.field import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    WEEKDAY,
    Kind,
    read_field,
)

__all__ = ["Written", "line_of", "lost_in_a_crontab", "write_crontab"]

# Keys that cron has no counterpart for, with what an entry of a crontab has.
_CRON_HAS: Final = {
    "overlap": "allow",
    "catch_up": "none",
    "window": "",
    "start": 0,
    "end": 0,
    "max_runs": 0,
    "queue_timeout": 0.0,
    "run_timeout": 0.0,
    "deadline": 0.0,
    "retries": 0,
    "pause_on_failure": 0,
    "priority": "normal",
    "servers": "",
    "tags": (),
    "group": "",
    "alerts": (),
    "owner": "",
}
_LONGEST_DELAY: Final = 999_999


@dataclass(slots=True)
class Written:
    """
    A crontab as text.

    Attributes:
        text: The file.
        left_out: Name and reason of each entry that is a comment only.

    """

    text: str = ""
    left_out: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Standing:
    """What the lines so far have set, for those that follow."""

    timezone: str
    environment: dict[str, str] = field(default_factory=dict)
    mailto: str | None = None
    delay: int = 0


def write_crontab(
    entries: Iterable[Entry], *, system: bool, timezone: str, user: str = "", agent: str = ""
) -> Written:
    """
    Return the crontab that runs what the entries do.

    Args:
        entries: In any order; what has the same environment is put together.
        system: Whether to write the column of users.
        timezone: The zone of the machine it is for, which needs no CRON_TZ.
        user: Whose crontab it is, where it has no column of users.
        agent: Name of the agent of the machine it is for; others' entries say where they ran.

    """
    written = Written()
    standing = _Standing(timezone)
    for entry in sorted(entries, key=lambda one: _order(one, timezone)):
        try:
            lines = _block(entry, standing, system, user, agent)
        except ValueError as error:
            written.left_out.append((entry.name, str(error)))
            lines = [f"# {REMARK} {entry.name} is left out: {error}"]
        if len(lines) > 1 and written.text:
            written.text += "\n"
        written.text += "".join(f"{line}\n" for line in lines)
    return written


def lost_in_a_crontab(entry: Entry, agent: str = "") -> list[str]:
    """Return what an entry has and cron has not, as ``key = value``."""
    lost = [
        f"{key} = {_shown(getattr(entry, key))}"
        for key, usual in _CRON_HAS.items()
        if getattr(entry, key) != usual
    ]
    if entry.target != f"agent:{agent}":
        lost.insert(0, f"target = {_shown(entry.target)}")
    if entry.retries:
        lost.append(f"retry_delay = {_shown(entry.retry_delay)}")
    return lost


def line_of(entry: Entry, *, system: bool) -> str:
    """
    Return the line that runs an entry, without what has to stand above it.

    Raises:
        ValueError: There is none; says why.

    """
    reason = _why_not(entry)
    if reason:
        raise ValueError(reason)
    rest = join_command(entry.command, entry.payload)
    if rest != rest.lstrip() or rest.startswith("*"):
        raise ValueError("its command starts with a blank or *")
    if system and not entry.user:
        raise ValueError("it has no user, which a line of a system crontab needs")
    return " ".join([_fields(entry), *([entry.user] if system else []), rest])


def _why_not(entry: Entry) -> str:
    """Return why no line of a crontab runs an entry, empty where one does."""
    if not entry.command:
        return "it runs a function and no command" if entry.function else "it has no command"
    if entry.after:
        return f"it runs after {', '.join(entry.after)}, and cron knows no order"
    if not entry.enabled:
        return "it is paused or disabled"
    if entry.day_mode != "cron" or entry.dst != "vixie":
        return "it has other rules for days or changes of clocks than cron"
    if entry.jitter % 60 or entry.jitter > 60 * _LONGEST_DELAY:
        return "its jitter is no whole number of minutes, as RANDOM_DELAY is"
    if entry.directory != dict(entry.environment).get("HOME", ""):
        return "its directory is not its HOME, where cron starts commands"
    return not_in_a_crontab(_fields(entry))


def _block(entry: Entry, standing: _Standing, system: bool, user: str, agent: str) -> Sequence[str]:
    """Return the lines of one entry, and note what they set."""
    line = line_of(entry, system=system)
    if not system and entry.user != user:
        raise ValueError(f"it runs as {entry.user or 'whoever the agent runs as'}, not as {user}")
    above = _assignments(entry, standing)
    comments = []
    lost = lost_in_a_crontab(entry, agent)
    if lost:
        comments.append(f"# {REMARK} {entry.name} has {', '.join(lost)}; cron knows none of it")
    if entry.description:
        comments.append(f"# {' '.join(entry.description.split())}")
    return [*above, *comments, line]


def _assignments(entry: Entry, standing: _Standing) -> list[str]:
    """Return the assignments that an entry needs above it."""
    environment = dict(entry.environment)
    stray = [name for name in standing.environment if name not in environment]
    if stray:
        raise ValueError(
            f"{' and '.join(stray)} would be set for it, by lines that others need; "
            "export its source alone"
        )
    lines = [
        write_assignment(name, value)
        for name, value in environment.items()
        if standing.environment.get(name) != value
    ]
    delay = round(entry.jitter / 60)
    if entry.timezone != standing.timezone:
        lines.append(write_assignment("CRON_TZ", entry.timezone))
    if entry.mailto != (entry.user if standing.mailto is None else standing.mailto):
        lines.append(write_assignment("MAILTO", entry.mailto))
        standing.mailto = entry.mailto
    if delay != standing.delay:
        lines.append(write_assignment("RANDOM_DELAY", str(delay)))
    standing.environment, standing.timezone, standing.delay = environment, entry.timezone, delay
    return lines


def _order(entry: Entry, timezone: str) -> tuple[object, ...]:
    """Put entries together that need the same above them; a crontab can't take a variable back."""
    return (
        len(entry.environment),
        entry.environment,
        entry.timezone != timezone,
        entry.timezone,
        entry.jitter,
        entry.mailto != entry.user,
        entry.mailto,
        entry.name,
    )


def _fields(entry: Entry) -> str:
    """Return an expression as cron writes it, where it only differs in how it is written."""
    if not entry.when.startswith("@"):
        kinds = [MINUTE, HOUR, DAY, MONTH, WEEKDAY]
        fields = entry.when.split()
        if len(fields) == 6 and fields[0] in ("0", "00"):
            fields = fields[1:]
        if len(fields) == 5:
            found = zip(kinds, fields, strict=True)
            return " ".join(_field(kind, text, entry.name) for kind, text in found)
    return entry.when


def _field(kind: Kind, text: str, key: str) -> str:
    if text == "?":
        return "*"
    field = read_field(kind, text, key)
    special = field.from_end or field.last_workday or field.nearest or field.nth
    if special or field.is_star or not re.search(r"H|(^|,)[0-9A-Z]+/", field.text):
        return text
    # "H" and "5/15": the same numbers one by one. With a star it would be another rule for days.
    return ",".join(map(str, field.values))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    return f'"{value}"' if isinstance(value, str) else str(value)
