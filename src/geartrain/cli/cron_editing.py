"""
``geartrain cron add`` and ``edit``.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geartrain.cli.cron_entries import Name, print_moments
from geartrain.cli.entry_options import table_from, with_entry_options
from geartrain.cli.schedules import Config, Json, Store, me, opened
from geartrain.cli.table import shown
from geartrain.errors import UsageError

if TYPE_CHECKING:
    from geartrain.schedule.entry import Entry
    from geartrain.store.schedule_rows import Schedule
    from geartrain.store.schedule_store import ScheduleStore

__all__ = ["add_entry", "edit_entry"]

Expression = Annotated[
    str, typer.Argument(metavar="EXPR", help='When it fires, such as "30 2 * * 1-5".')
]
_INTRODUCTION = """\
# Entry {name}. Save and leave the editor to change it; leave it as it is to change nothing.
# A key that is taken out is as it is by default; docs/reference/schedules.md has all of them.
"""


@with_entry_options
def add_entry(
    name: Name,
    expression: Expression = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be.")] = False,
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
    **keys: Any,
) -> None:
    """Add an entry: when it fires, and the function or command it runs."""
    from geartrain.schedule.desk import add, check_parents
    from geartrain.schedule.entry import read_entry

    table = table_from(keys)
    if expression:
        if "when" in table:
            raise UsageError("the expression was given twice, as an argument and by --when")
        table["when"] = expression
    entry = read_entry(name, table)
    with opened(store, config, adds=not dry_run) as schedules:
        if dry_run:
            check_parents(schedules, entry)
        row = None if dry_run else add(schedules, entry, me())
        now = schedules.now()
    tell("would be added" if dry_run else "added", entry, row, now, as_json)


@with_entry_options
def edit_entry(
    name: Name,
    unset: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Make a key what it is by default. May be repeated."),
    ] = None,
    revision: Annotated[
        int, typer.Option(help="Refuse if the entry's revision is another.", show_default=False)
    ] = 0,
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
    **keys: Any,
) -> None:
    """Change an entry by options; without any, as a text in your editor."""
    from geartrain.schedule.desk import change
    from geartrain.schedule.entry import from_definition

    table = table_from(keys)
    cleared = tuple(checked_keys(unset or []))
    with opened(store, config) as schedules:
        if table or cleared:
            done = change(schedules, name, table, me(), unset=cleared, revision=revision)
        else:
            done = edited(schedules, name)
        now = schedules.now()
    entry = from_definition(done.after.definition)
    if not as_json:
        show_changes(from_definition(done.before.definition), entry)
        if done.after.generation != done.before.generation:
            print("it fires from now on; what it would have fired before is not made up for")
    tell("changed", entry, done.after, now, as_json)


def tell(done: str, entry: Entry, row: Schedule | None, now: float, as_json: bool) -> None:
    """Say what an entry is, when it fires, and what of it is probably not meant."""
    from geartrain.rfc3339 import written
    from geartrain.schedule.desk import remarks
    from geartrain.schedule.showing import as_entry, as_schedule, explained

    found = explained(entry, now)
    # What the expression itself is warned of is among the words' remarks already.
    doubts = [one for one in remarks(entry, now) if one not in found.remarks]
    if as_json:
        facts = {
            **(as_schedule(row) if row else as_entry(entry)),
            "words": found.words,
            "remarks": [*found.remarks, *doubts],
            "next": [written(fire) for fire in found.fires],
        }
        print(json.dumps(facts, ensure_ascii=False))
        return
    print(f"{done} {entry.name}: {shown(entry.function or entry.command)}, {found.words}.")
    for remark in found.remarks:
        print(remark)
    print_moments(found.fires, entry.timezone, now)
    for doubt in doubts:
        print(f"geartrain: {entry.name}: {doubt}", file=sys.stderr)


def show_changes(before: Entry, after: Entry) -> None:
    """Print each key that has changed, with both values."""
    from geartrain.schedule.declaring import changed_keys

    for key, old, new in changed_keys(before, after):
        was = "default" if old is None else json.dumps(old, ensure_ascii=False)
        becomes = "default" if new is None else json.dumps(new, ensure_ascii=False)
        print(f"  {key}: {was} -> {becomes}")


def checked_keys(keys: list[str]) -> list[str]:
    """Return keys as attributes are written; raises UsageError for one that nobody knows."""
    from geartrain.configuration import check_names
    from geartrain.schedule.entry import KEYS

    found = [key.replace("-", "_").removeprefix("__") for key in keys]
    check_names("--unset", "key of an entry", found, KEYS)
    return found


def edited(schedules: ScheduleStore, name: str) -> Any:
    """Let a person change an entry in an editor, again and again until it can be like that."""
    from geartrain.configuration import written_table
    from geartrain.schedule.desk import check_parents, find, rewrite
    from geartrain.schedule.entry import from_definition, read_entry, to_table

    if not sys.stdin.isatty():
        raise UsageError(f"nothing to change: give options, such as --when; {name} stays as it is")
    row = find(schedules, name)
    before = from_definition(row.definition)
    text = _INTRODUCTION.format(name=name) + written_table(("schedule", name), to_table(before))
    while True:
        text = in_editor(text)
        try:
            tables = tomllib.loads(text).get("schedule", {})
            if list(tables) != [name]:
                raise UsageError(f"write one table [schedule.{name}]; a name can't be changed")
            entry = read_entry(name, tables[name])
            check_parents(schedules, entry)
        except (UsageError, tomllib.TOMLDecodeError) as error:
            print(f"geartrain: {error}", file=sys.stderr)
            if not typer.confirm("Edit it again?", default=True):
                raise UsageError(f"{name} stays as it is") from None
            continue
        if entry == before:
            raise UsageError(f"{name} stays as it is")
        return rewrite(schedules, row, entry, me())


def in_editor(text: str) -> str:
    """Return a text as a person leaves it; raises UsageError where the editor fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w", suffix=".toml", delete=False, encoding="utf-8") as file:
        file.write(text)
    path = Path(file.name)
    try:
        subprocess.run([*shlex.split(editor), str(path)], check=True)
        return path.read_text(encoding="utf-8")
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(f"the editor {editor} failed: {error}; set EDITOR") from None
    finally:
        path.unlink(missing_ok=True)
