"""
What an entry may not be, and what it may be although hardly anybody means it.

``check`` refuses before anything is stored: an entry that is stored can fire. ``warnings`` are for
whoever saves it; they refuse nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from geartrain.configuration import hint
from geartrain.errors import UsageError
from geartrain.schedule.alarms import read_rules
from geartrain.schedule.calendar import DST_RULES
from geartrain.schedule.cron import AT, MANUALLY, REBOOT, Cron
from geartrain.schedule.days import DAY_MODES
from geartrain.schedule.entry_values import check_agent_name

if TYPE_CHECKING:
    from geartrain.schedule.entry import Entry

__all__ = ["check", "check_after", "warnings"]

_NAME: Final = re.compile(r"[A-Za-z0-9_.:@/-]{1,100}")
_TARGET: Final = re.compile(r"one|all|[1-9][0-9]{0,3}|shards:[1-9][0-9]{0,3}|agent:(.*)", re.DOTALL)
_WINDOW: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]")
_CHOICES: Final = {
    "day_mode": DAY_MODES,
    "dst": DST_RULES,
    "priority": ("low", "normal", "high"),
    "catch_up": ("none", "last", "first", "all"),
    "overlap": ("allow", "skip", "queue_one", "queue_all", "cancel_old", "kill_old"),
    "rule": ("all_success", "all_done", "any"),
}
_RANGES: Final = {
    "max_runs": (0, 10**9),
    "catch_up_max": (1, 1_000),
    "overlap_max": (1, 10_000),
    "retries": (0, 1_000),
    "retry_jitter": (0, 1),
    "pause_on_failure": (0, 10**6),
    "keep": (1, 10**6),
    "result_size": (0, 1024**2),
}
# What a job server's text protocol can't tell from the end of the name.
_BLANK: Final = re.compile(r"[\s\x00]")
_COMMAND_ONLY: Final = ("user", "directory", "environment", "mailto")
# A key that does nothing unless another has one of these values.
_NEEDS: Final = (
    ("overlap_max", "overlap", ("queue_all",)),
    ("catch_up_max", "catch_up", ("all",)),
    ("join_window", "target", ("all",)),
)


def check(entry: Entry) -> None:
    """Raise UsageError for an entry that can't be, and say what to write instead."""
    if not _NAME.fullmatch(entry.name):
        raise UsageError(
            f"{entry.name!r} can't be an entry's name; "
            "write 1 to 100 ASCII letters, digits and _ . : @ / -"
        )
    try:
        _check_values(entry)
        _check_what(entry)
        _check_when(entry)
        _check_where(entry)
    except UsageError as error:
        raise UsageError(f"entry {entry.name}: {error}") from None


def check_after(entry: Entry, parents_of: Callable[[str], Sequence[str] | None]) -> None:
    """
    Raise UsageError if an entry waits for one that is not there, or for itself in the end.

    Args:
        entry: The entry as it is to be saved.
        parents_of: Gives the ``after`` of another entry by its name; None where there is none.

    """
    # Each way up, as far as it is known; a name that was seen leads nowhere new.
    ways: list[tuple[str, ...]] = [(name,) for name in entry.after]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        name = way[-1]
        if name == entry.name:
            raise UsageError(
                f"entry {entry.name}: it would wait for itself: "
                f"{' after '.join((entry.name, *way))}; take one of them out of after"
            )
        if name in seen:
            continue
        seen.add(name)
        parents = parents_of(name)
        if parents is None and name in entry.after:
            raise UsageError(f"entry {entry.name}: after: there is no entry {name!r}; add it first")
        ways += [(*way, parent) for parent in parents or ()]


def warnings(entry: Entry, cron: Cron | None, now: float = 0.0) -> tuple[str, ...]:
    """
    Return what is legal and probably not meant, a line each.

    Args:
        entry: An entry that was checked.
        cron: Its expression, see ``cron_of``.
        now: The time, for what has passed already; 0 to leave that out.

    """
    found = list(cron.warnings) if cron else []
    found += _without_effect(entry)
    if cron and now and not entry.enabled:
        found.append("it is not enabled and will not fire")
    elif cron and now and (past := _past(entry, cron, now)):
        found.append(past)
    if entry.offline and entry.target != "all" and not entry.target.startswith("agent:"):
        found.append("offline: a machine that is cut off may fire it once more than the others")
    if entry.catch_up == "none" and entry.grace < 5:
        found.append(f"grace: a fire that is more than {entry.grace:g} s late is not run at all")
    if entry.deadline and entry.run_timeout > entry.deadline:
        found.append("run_timeout is longer than the deadline, which comes first")
    return tuple(found)


def _check_values(entry: Entry) -> None:
    for key, choices in _CHOICES.items():
        value = getattr(entry, key)
        if value not in choices:
            raise UsageError(f"{key} is {value!r}; {hint(value, choices)}")
    for key, (least, most) in _RANGES.items():
        value = getattr(entry, key)
        # Not a number is neither less nor more than anything.
        if not least <= value <= most:
            raise UsageError(f"{key} takes {least} to {most}, not {value}")
    read_rules(entry.alerts)
    if entry.window and not _WINDOW.fullmatch(entry.window):
        raise UsageError(f"window is {entry.window!r}; write times of day such as 22:00-06:00")
    if entry.window and entry.window[:5] == entry.window[6:]:
        raise UsageError(f"window {entry.window} is empty; leave it out for the whole day")


def _check_what(entry: Entry) -> None:
    if entry.function and entry.command:
        raise UsageError("it has both a function and a command; keep one of them")
    if not entry.function and not entry.command:
        raise UsageError(
            "it runs nothing; give function, which workers serve, or command, which agents run"
        )
    if _BLANK.search(entry.function):
        raise UsageError(f"function {entry.function!r} holds a blank; no job server takes that")
    if "\0" in entry.command:
        raise UsageError("command holds a NUL, which no shell takes")
    for name, _ in entry.environment:
        if not name or "=" in name or "\0" in name:
            raise UsageError(f"environment: {name!r} can't be a variable's name")


def _check_when(entry: Entry) -> None:
    if entry.after:
        if entry.when:
            raise UsageError("it has both when and after; its moments are those of after")
        if len(set(entry.after)) != len(entry.after):
            raise UsageError("after names an entry twice")
    elif not entry.when:
        raise UsageError('it never fires; give when, such as "0 3 * * *", or after')
    if entry.start and entry.end and entry.start > entry.end:
        raise UsageError("its start is later than its end")


def _check_where(entry: Entry) -> None:
    match = _TARGET.fullmatch(entry.target)
    if match is None:
        raise UsageError(f"target is {entry.target!r}; write one, all, 3, shards:3 or agent:NAME")
    if match[1] is not None:
        check_agent_name(match[1])
    if any(not _NAME.fullmatch(tag) for tag in entry.tags):
        raise UsageError("tags take ASCII letters, digits and _ . : @ / -")
    if entry.when.lower().strip() == "@reboot" and match[1] is None and entry.target != "all":
        raise UsageError(
            f"@reboot is for agents, each as it starts: give target all or agent:NAME, "
            f"not {entry.target}"
        )


def _without_effect(entry: Entry) -> list[str]:
    default = type(entry)(name=entry.name)
    found = []
    if not entry.command:
        found += [
            f"{key} is for commands; a function does not see it"
            for key in _COMMAND_ONLY
            if getattr(entry, key)
        ]
    for key, other, values in _NEEDS:
        if getattr(entry, key) != getattr(default, key) and getattr(entry, other) not in values:
            found.append(f"{key} does nothing unless {other} is {' or '.join(values)}")
    if entry.rule != default.rule and not entry.after:
        found.append("rule does nothing without after")
    if entry.tags and entry.target.startswith("agent:"):
        found.append("tags do nothing for one agent by name")
    return found


def _past(entry: Entry, cron: Cron, now: float) -> str:
    """Say that an entry will never fire, if that is so."""
    if cron.kind in (REBOOT, MANUALLY):
        return ""
    following = cron.next(datetime.fromtimestamp(max(now, entry.start - 1), UTC))
    if following is None:
        return (
            "it will never fire: its moment has passed"
            if cron.kind == AT
            else ("it will never fire again")
        )
    if entry.end and following.timestamp() > entry.end:
        return "it will never fire: nothing falls between now, its start and its end"
    return ""
