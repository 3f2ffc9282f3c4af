"""
How a difference between a file and the store is shown, and how it is carried out.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from geartrain.cli.cron_editing import show_changes
from geartrain.cli.schedules import me
from geartrain.cli.table import shown

if TYPE_CHECKING:
    from geartrain.schedule.declaring import Difference
    from geartrain.schedule.entry import Entry
    from geartrain.store.schedule_store import ScheduleStore

__all__ = ["as_object", "carry_out", "counted", "print_difference"]


def print_difference(found: Difference) -> None:
    """Print what is added (+), changed (~) and removed (-)."""
    from geartrain.schedule.entry import from_definition

    for entry in found.added:
        print(f"+ {entry.name}: {shown(said(entry))}")
        doubts(entry)
    for row, entry in found.changed:
        print(f"~ {entry.name}")
        show_changes(from_definition(row.definition), entry)
        doubts(entry)
    for row in found.removed:
        print(f"- {row.name}: {shown(said(from_definition(row.definition)))}")


def said(entry: Entry) -> str:
    """Return an entry in one line: when, and what."""
    when = entry.when or f"after {', '.join(entry.after)}"
    zone = "" if entry.timezone == "UTC" else f" {entry.timezone}"
    return f"{when}{zone}  {entry.function or entry.command}"


def doubts(entry: Entry) -> None:
    """Say what is legal in an entry and probably not meant."""
    from geartrain.schedule.desk import remarks

    for doubt in remarks(entry, 0.0):
        print(f"geartrain: {entry.name}: {doubt}", file=sys.stderr)


def counted(found: Difference, done: bool) -> str:
    """Return what becomes of how many entries."""
    numbers = [
        (len(found.added), "added", "add"),
        (len(found.changed), "changed", "change"),
        (len(found.removed), "removed", "remove"),
    ]
    if done:
        parts = [f"{number} {word}" for number, word, _ in numbers if number]
    else:
        parts = [f"would {word} {number}" for number, _, word in numbers if number]
    same = [f"{found.same} as they are"] if found.same else []
    return ", ".join([*(parts or ["nothing to do"]), *same])


def as_object(found: Difference, done: bool) -> dict[str, Any]:
    """Return a difference as JSON has it."""
    from geartrain.schedule.declaring import changed_keys
    from geartrain.schedule.entry import from_definition
    from geartrain.schedule.showing import as_entry

    return {
        "source": found.source,
        "applied": done,
        "added": [as_entry(entry) for entry in found.added],
        "changed": [
            {
                "name": entry.name,
                "keys": {
                    key: {"from": old, "to": new}
                    for key, old, new in changed_keys(from_definition(row.definition), entry)
                },
            }
            for row, entry in found.changed
        ],
        "removed": [row.name for row in found.removed],
        "same": found.same,
    }


def carry_out(schedules: ScheduleStore, found: Difference, *, dry_run: bool, as_json: bool) -> None:
    """Show a difference, and make the store like that unless it is only to be shown."""
    from geartrain.schedule.declaring import apply, check

    check(schedules, found)
    if not as_json:
        print_difference(found)
    if not dry_run:
        apply(schedules, found, me())
    if as_json:
        print(json.dumps(as_object(found, not dry_run), ensure_ascii=False))
    else:
        print(counted(found, not dry_run))
