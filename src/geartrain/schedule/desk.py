"""
What people do with entries: look them up, add, change, pause, resume and remove them.

Plain functions over a store, for whatever shows them: a command line, REST, a page. They check what
is asked against what is there, work out the new row (``standing``) and leave the rest to the store,
which refuses a row that somebody else changed meanwhile. Nothing is printed, nothing asked.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from geartrain.errors import EntryNotFound, EntryRefused, UsageError
from geartrain.schedule.checking import check_after, warnings
from geartrain.schedule.entry import Entry, cron_of, from_definition, read_entry, to_table
from geartrain.schedule.standing import left_out, paused, resumed, to_schedule
from geartrain.store.schedule_rows import Schedule
from geartrain.store.schedule_store import ScheduleStore

__all__ = [
    "Change",
    "add",
    "as_of_now",
    "change",
    "check_parents",
    "entries",
    "find",
    "followers",
    "note_left_out",
    "pause",
    "remarks",
    "remove",
    "resume",
    "rewrite",
]

_PAGE: Final = 1_000
# Among how many names one is looked for that may have been meant.
_NAMES: Final = 5_000


class Change(NamedTuple):
    """An entry's row before and after."""

    before: Schedule
    after: Schedule


def entries(
    store: ScheduleStore,
    *,
    pattern: str = "",
    source: str | None = None,
    group: str = "",
    after: str = "",
) -> Iterator[Schedule]:
    """
    Yield entries by name, read page by page.

    Args:
        store: Where they are.
        pattern: A name with ``*`` and ``?``; any where empty.
        source: Only those that came from there; "" for those a person added.
        group: Only those of a group.
        after: Only names larger than this.

    """
    while page := store.schedules(after, _PAGE):
        for row in page:
            if pattern and not fnmatchcase(row.name, pattern):
                continue
            if source is not None and row.source != source:
                continue
            if group and from_definition(row.definition).group != group:
                continue
            yield row
        if len(page) < _PAGE:
            return
        after = page[-1].name


def find(store: ScheduleStore, name: str) -> Schedule:
    """
    Return the entry of a name.

    Raises:
        EntryNotFound: There is none; says which may have been meant.

    """
    row = store.schedule(name)
    if row is not None:
        return row
    names = [row.name for row in store.schedules("", _NAMES)]
    near = [one for one in names if one.rpartition("/")[2] == name][:3]
    near = near or difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    raise EntryNotFound(name, tuple(near))


def remarks(entry: Entry, now: float) -> tuple[str, ...]:
    """Return what is legal in an entry and probably not meant."""
    return warnings(entry, cron_of(entry), now)


def check_parents(
    store: ScheduleStore, entry: Entry, coming: Mapping[str, Entry] | None = None
) -> None:
    """
    Raise UsageError if an entry waits for one that is not there, or in the end for itself.

    Args:
        store: Where the others are.
        entry: What is about to be saved.
        coming: Others that are saved together with it, by name.

    """

    def parents_of(name: str) -> tuple[str, ...] | None:
        if coming and name in coming:
            return coming[name].after
        row = store.schedule(name)
        return None if row is None else from_definition(row.definition).after

    if entry.after:
        check_after(entry, parents_of)


def followers(store: ScheduleStore, name: str) -> list[str]:
    """Return the names of entries that wait for one."""
    found = []
    for row in entries(store):
        entry = from_definition(row.definition)
        if name in entry.after:
            found.append(row.name)
    return found


def add(store: ScheduleStore, entry: Entry, who: str) -> Schedule:
    """
    Store a new entry; it fires from now on.

    Raises:
        EntryRefused: There is one of this name.
        UsageError: It waits for one that is not there.

    """
    if store.schedule(entry.name) is not None:
        raise EntryRefused(entry.name, "there is one already; change it with geartrain cron edit")
    check_parents(store, entry)
    return store.add(to_schedule(entry, store.now()), who)


def change(
    store: ScheduleStore,
    name: str,
    values: Mapping[str, Any],
    who: str,
    *,
    unset: tuple[str, ...] = (),
    revision: int = 0,
) -> Change:
    """
    Change some keys of an entry, and leave the others as they are.

    Args:
        store: Where it is.
        name: The entry's.
        values: What the keys become, as a table has them.
        who: For the book of changes.
        unset: Keys that become what they are by default.
        revision: The revision that was looked at; 0 for any.

    Raises:
        EntryNotFound: There is none.
        EntryRefused: Somebody has changed it meanwhile.
        UsageError: The entry can't be like that.

    """
    row = find(store, name)
    if revision and row.revision != revision:
        raise EntryRefused(name, f"its revision is {row.revision} by now, not {revision}")
    table = to_table(from_definition(row.definition))
    table = {key: value for key, value in table.items() if key not in unset} | dict(values)
    entry = read_entry(name, table)
    check_parents(store, entry)
    return rewrite(store, row, entry, who)


def rewrite(store: ScheduleStore, row: Schedule, entry: Entry, who: str) -> Change:
    """Write an entry that was checked over its row; raises EntryRefused as ``change`` does."""
    (row,) = as_of_now(store, [row])
    return _replaced(store, row, to_schedule(entry, store.now(), row), who)


def as_of_now(store: ScheduleStore, rows: Sequence[Schedule]) -> list[Schedule]:
    """
    Read rows again that were looked at for long: what has fired meanwhile is in them.

    Raises:
        EntryRefused: Somebody has changed or removed one meanwhile.

    """
    found = {}
    if rows:
        found = {it.id: it for it in store.schedules(ids=[it.id for it in rows], limit=len(rows))}
    for row in rows:
        if row.id not in found:
            raise EntryRefused(row.name, "somebody has removed it meanwhile: add it anew")
        if found[row.id].revision != row.revision:
            raise EntryRefused(
                row.name, "somebody has changed it meanwhile: read it again, then change it"
            )
    return [found[row.id] for row in rows]


def pause(
    store: ScheduleStore, name: str, who: str, *, why: str = "", until: float = 0.0
) -> Change:
    """
    Keep an entry from firing, until somebody resumes it or a time has come.

    Raises:
        EntryNotFound: There is none.
        EntryRefused: Somebody has changed it meanwhile.
        UsageError: The time has passed already.

    """
    row, now = find(store, name), store.now()
    if until and until <= now:
        raise UsageError("the pause would be over before it begins: --until is in the past")
    return _replaced(store, row, paused(row, now, who, why, until), who)


def resume(store: ScheduleStore, name: str, who: str) -> Change:
    """
    End an entry's pause; what fell into it is not fired.

    Raises:
        EntryNotFound: There is none.
        EntryRefused: It is not paused, or somebody has changed it meanwhile.

    """
    row = find(store, name)
    if not row.paused_at:
        hint = "" if row.enabled else "; it is disabled: geartrain cron edit NAME --enabled"
        raise EntryRefused(name, f"it is not paused{hint.replace('NAME', name)}")
    return _replaced(store, row, resumed(row, store.now()), who)


def remove(store: ScheduleStore, name: str, who: str) -> Schedule:
    """
    Forget an entry; its history stays.

    Raises:
        EntryNotFound: There is none.
        EntryRefused: Others wait for it.

    """
    row = find(store, name)
    waiting = followers(store, name)
    if waiting:
        raise EntryRefused(
            name, f"{', '.join(waiting)} would wait for it for ever; remove it first"
        )
    store.remove(name, who)
    return row


def _replaced(store: ScheduleStore, row: Schedule, wanted: Schedule, who: str) -> Change:
    changed = Change(row, store.replace(replace(wanted, revision=row.revision), who))
    note_left_out(store, [changed], who)
    return changed


def note_left_out(store: ScheduleStore, changes: Iterable[Change], who: str) -> None:
    """Write down the moments that entries had, and that nobody dealt with, before a change."""
    fires = [fire for one in changes if (fire := left_out(*one)) is not None]
    if fires:
        store.insert(fires, who)
