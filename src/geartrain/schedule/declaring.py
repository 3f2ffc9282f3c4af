"""
Entries as a file declares them: what differs from the store, and making it so.

A file speaks for the entries of its own source and for no others: those of it that are no longer
declared are removed, and everybody else's stay. An entry is changed only if its definition differs;
where it has got to and whether it is paused stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geartrain.configuration import read_tables, table_of
from geartrain.errors import EntryRefused, UsageError
from geartrain.schedule.desk import Change, as_of_now, check_parents, entries, note_left_out
from geartrain.schedule.entry import Entry, from_definition, read_entry, to_table
from geartrain.schedule.standing import to_schedule
from geartrain.store.schedule_rows import Schedule
from geartrain.store.schedule_store import ScheduleStore

__all__ = ["Difference", "apply", "bring", "changed_keys", "check", "compare", "declared"]


@dataclass(slots=True)
class Difference:
    """
    What a file wants and the store has.

    Attributes:
        source: What the file speaks for.
        added: Entries the store has not.
        changed: Rows with the entries they become.
        removed: Rows of this source that are not declared.
        same: How many are as they should be.

    """

    source: str
    added: list[Entry] = field(default_factory=list)
    changed: list[tuple[Schedule, Entry]] = field(default_factory=list)
    removed: list[Schedule] = field(default_factory=list)
    same: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def declared(path: Path, source: str = "") -> list[Entry]:
    """
    Return the entries of a file's ``[schedule.NAME]`` tables.

    Args:
        path: A TOML file; it may hold other tables of ours.
        source: What they get for their source; the file's path where empty.

    Raises:
        UsageError: The file or an entry can't be read.

    """
    tables = table_of(path, read_tables(path), "schedule")
    return entries_of_tables(path, tables, source or str(path.resolve()))


def entries_of_tables(path: Path, tables: dict[str, Any], source: str) -> list[Entry]:
    """Return the entries of tables by name, with their source; raises UsageError."""
    found = []
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(
                f"{path}: schedule.{name} has to be a table, written [schedule.{name}]"
            )
        found.append(replace(read_entry(name, table), source=source))
    return found


def compare(
    store: ScheduleStore, wanted: Iterable[Entry], source: str, *, adopt: bool = False
) -> Difference:
    """
    Return how the store's entries of a source differ from those that are wanted.

    Args:
        store: Where they are.
        wanted: All that are to be there, each of this source.
        source: What they are of.
        adopt: Whether entries of other sources may be taken over by their name.

    Raises:
        EntryRefused: There is one of this name from elsewhere.

    """
    found = Difference(source)
    rows = {row.name: row for row in entries(store, source=source)}
    for entry in wanted:
        row = rows.pop(entry.name, None) or store.schedule(entry.name)
        if row is None:
            found.added.append(entry)
        elif row.source != source and not adopt:
            whose = f"comes from {row.source}" if row.source else "was added by hand"
            raise EntryRefused(entry.name, f"it {whose}; --adopt takes it over")
        elif from_definition(row.definition) == entry:
            found.same += 1
        else:
            found.changed.append((row, entry))
    found.removed = list(rows.values())
    return found


def changed_keys(before: Entry, after: Entry) -> list[tuple[str, Any, Any]]:
    """Return each key that differs, with both values as tables have them; None for the default."""
    old, new = to_table(before), to_table(after)
    keys = [*old, *(key for key in new if key not in old)]
    return [(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def apply(store: ScheduleStore, difference: Difference, who: str) -> None:
    """
    Make the store as the difference wants it: all of it, or nothing.

    Raises:
        EntryRefused: An entry waits for one that would go, or somebody has added or changed one
            meanwhile.
        UsageError: An entry waits for one that is not there, or in the end for itself.

    """
    check(store, difference)
    if not difference:
        return
    try:
        rows = as_of_now(store, [row for row, _ in difference.changed])
        now = store.now()
        wanted = [entry for _, entry in difference.changed]
        changes = [
            Change(row, to_schedule(entry, now, row))
            for row, entry in zip(rows, wanted, strict=True)
        ]
        store.alter(
            [to_schedule(entry, now) for entry in difference.added],
            [change.after for change in changes],
            [row.name for row in difference.removed],
            who,
        )
    except EntryRefused as error:
        reason = f"{error.reason}; nothing of {difference.source} was applied"
        raise EntryRefused(error.name, reason) from None
    note_left_out(store, changes, who)


def bring(
    store: ScheduleStore, wanted: Sequence[Entry], source: str, who: str, *, adopt: bool = False
) -> Difference:
    """
    Make the store's entries of a source those that are wanted; return what had to be done.

    Several may do so at once, as schedulers with the same file do that are started together.

    Raises:
        EntryRefused: See ``compare`` and ``apply``.
        UsageError: See ``apply``.

    """
    tried: Difference | None = None
    while True:
        found = compare(store, wanted, source, adopt=adopt)
        try:
            apply(store, found, who)
        except UsageError:
            # Somebody else was faster, unless it is all as it was.
            if found == tried:
                raise
            tried = found
        else:
            return found


def check(store: ScheduleStore, difference: Difference) -> None:
    """
    Look whether a difference can be applied.

    Raises:
        EntryRefused: An entry waits for one that would go.
        UsageError: An entry waits for one that is not there, or in the end for itself.

    """
    coming = {entry.name: entry for entry in difference.added}
    coming |= {entry.name: entry for _, entry in difference.changed}
    for entry in coming.values():
        check_parents(store, entry, coming)
    gone = {row.name for row in difference.removed}
    if not gone:
        return
    for row in entries(store):
        after = (coming.get(row.name) or from_definition(row.definition)).after
        lost = gone.intersection(after)
        if lost and row.name not in gone:
            raise EntryRefused(row.name, f"it waits for {', '.join(sorted(lost))}, which would go")
    for entry in coming.values():
        if gone.intersection(entry.after):
            raise EntryRefused(entry.name, "it waits for an entry that would go")
