"""
Options of a command for the keys of an entry: one for each, with dashes.

They are made from the entry's own attributes, so that a key that is added there is an option here.
Values are read as a table of TOML has them; only what is a number, a list or a table there needs
help, since a command line has nothing but texts.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from geartrain.errors import UsageError
from geartrain.schedule.entry import Entry

__all__ = ["table_from", "with_entry_options"]

_WHAT: Final = "What it runs"
_WHEN: Final = "When"
_WHERE: Final = "Where"
_LATE: Final = "Late, overlapping"
_FAILED: Final = "Time-outs, retries"
_COMMAND: Final = "Commands"
_KEPT: Final = "Kept, told"

# Each key: where its option stands in the help, the value's form, what it says.
HELP: Final = {
    "when": (_WHEN, "EXPR", "Cron expression or macro, as an option."),
    "timezone": (_WHEN, "ZONE", "IANA name of its zone."),
    "day_mode": (_WHEN, "MODE", "How the two day fields go together: cron, and, or."),
    "dst": (_WHEN, "RULE", "What changes of clocks do: vixie, skip, strict."),
    "function": (_WHAT, "NAME", "Function that workers serve."),
    "command": (_WHAT, "TEXT", "Shell command that agents run."),
    "payload": (_WHAT, "TEXT", "Workload; a command's standard input. @FILE, or - to read it."),
    "envelope": (_WHAT, "", "Whether the workload is JSON that names the fire."),
    "priority": (_WHAT, "NAME", "low, normal or high."),
    "servers": (_WHAT, "GROUP", "Group of job servers in the configuration."),
    "target": (_WHERE, "TARGET", "one, all, 3, shards:3 or agent:NAME."),
    "tags": (_WHERE, "TAG", "What an agent must have."),
    "join_window": (_WHERE, "TIME", "How late an agent may come to get a fire of all."),
    "offline": (_WHERE, "", "Whether a machine that is cut off may fire it too."),
    "enabled": (_WHEN, "", "Whether it fires."),
    "start": (_WHEN, "INSTANT", "First moment it may fire at."),
    "end": (_WHEN, "INSTANT", "Last moment it may fire at."),
    "max_runs": (_WHEN, "N", "After so many fires it is disabled."),
    "jitter": (_WHEN, "TIME", "Be late by a fixed part of this."),
    "window": (_WHEN, "HH:MM-HH:MM", "Times of day between which it may run."),
    "grace": (_LATE, "TIME", "How late is still on time."),
    "catch_up": (_LATE, "RULE", "Which missed moments run: none, last, first, all."),
    "catch_up_window": (_LATE, "TIME", "How old these may be."),
    "catch_up_max": (_LATE, "N", "How many of all run."),
    "overlap": (
        _LATE,
        "RULE",
        "While the last has not ended: allow, skip, queue_one, queue_all, cancel_old, kill_old.",
    ),
    "overlap_max": (_LATE, "N", "How many wait under queue_all."),
    "queue_timeout": (_FAILED, "TIME", "How long it may wait for a worker."),
    "run_timeout": (_FAILED, "TIME", "How long it may run."),
    "deadline": (_FAILED, "TIME", "How long it may take in all."),
    "retries": (_FAILED, "N", "How many more attempts a failed fire has."),
    "retry_delay": (_FAILED, "TIME", "First pause between them, which doubles."),
    "retry_max": (_FAILED, "TIME", "Longest pause."),
    "retry_jitter": (_FAILED, "PART", "By what part of itself each pause differs."),
    "pause_on_failure": (_FAILED, "N", "After so many failures in a row it is paused."),
    "after": (_WHEN, "NAME", "Entry whose fires it waits for, in place of an expression."),
    "rule": (_WHEN, "RULE", "How these have to end: all_success, all_done, any."),
    "keep": (_KEPT, "N", "How many ended fires are remembered."),
    "keep_for": (_KEPT, "TIME", "For how long."),
    "result_size": (_KEPT, "SIZE", "How much of a result is kept."),
    "user": (_COMMAND, "NAME", "Whom it runs as."),
    "directory": (_COMMAND, "PATH", "Where it runs."),
    "environment": (_COMMAND, "NAME=VALUE", "Variable that is set."),
    "mailto": (_COMMAND, "ADDRESS", "Who gets its output."),
    "group": (_KEPT, "NAME", "What listings and alerts put together."),
    "alerts": (_KEPT, "RULE", "Alert rules, such as missed or failed:3."),
    "description": (_KEPT, "TEXT", "For people."),
    "owner": (_KEPT, "NAME", "Who answers for it."),
    "source": (_KEPT, "NAME", "Where it comes from."),
}
_KINDS: Final = {field.name: str(field.type) for field in fields(Entry) if field.name in HELP}
_LISTS: Final = "tuple[str, ...]"
_PAIRS: Final = "tuple[tuple[str, str], ...]"


def with_entry_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose ``**keys`` are options, one for each key of an entry."""
    own = [
        one
        for one in inspect.signature(command, eval_str=True).parameters.values()
        if one.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    options = [_parameter(key) for key in _KINDS]

    def run(**values: Any) -> None:
        command(**values)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *options)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def table_from(keys: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the table that options stand for; what was not given is left out.

    Raises:
        UsageError: An option's value is none of its key.

    """
    return {
        key: _value(key, value)
        for key, value in keys.items()
        if value is not None and value != [] and key in _KINDS
    }


def _parameter(key: str) -> inspect.Parameter:
    panel, form, text = HELP[key]
    kind = _KINDS[key]
    name = key.replace("_", "-")
    names = (f"--{name}/--no-{name}",) if kind == "bool" else (f"--{name}",)
    if kind in (_LISTS, _PAIRS):
        text += " May be repeated."
    shape: Any = bool | None
    if kind != "bool":
        shape = list[str] | None if kind in (_LISTS, _PAIRS) else str | None
    option = typer.Option(
        *names, help=text, metavar=form or None, rich_help_panel=panel, show_default=False
    )
    return inspect.Parameter(
        key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[shape, option]
    )


def _value(key: str, value: Any) -> Any:
    kind = _KINDS[key]
    option = f"--{key.replace('_', '-')}"
    if kind == _PAIRS:
        return dict(_pair(option, one) for one in value)
    if kind == _LISTS:
        # "--tags web,db" is what everybody tries; "--tags ''" takes all of them away.
        return [part for one in value for part in one.split(",") if part]
    if kind == "bytes":
        return _payload(option, value)
    if kind in ("int", "float") and isinstance(value, str):
        return _number(value)
    return value


def _number(text: str) -> Any:
    """Return a number where a text is one; a length of time or a size is read by its key."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{option} takes NAME=VALUE, not {text!r}")
    return name, value


def _payload(option: str, text: str) -> Any:
    import base64

    if text == "-":
        data = sys.stdin.buffer.read()
    elif text.startswith("@"):
        try:
            data = Path(text[1:]).read_bytes()
        except OSError as error:
            raise UsageError(f"{option}: can't read {text[1:]}: {error.strerror}") from None
    else:
        return text
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}
