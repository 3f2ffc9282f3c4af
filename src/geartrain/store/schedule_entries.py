"""
Entries in the tables, and the book of who changed them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace as copied
from typing import Final

from sqlalchemy import bindparam, delete, insert, select, update

from geartrain.errors import EntryRefused, UsageError
from geartrain.store.schedule_mapping import (
    AUDIT,
    SCHEDULE,
    audit_of,
    clean,
    schedule_of,
    schedule_values,
)
from geartrain.store.schedule_place import SchedulePlace
from geartrain.store.schedule_rows import CANCELLED, PENDING, WAITING, Audit, Schedule
from geartrain.store.schedule_tables import (
    ENDED,
    OPEN,
    alerts,
    audit,
    fires,
    schedule_revision,
    schedules,
)
from geartrain.store.schedule_transactions import LONG, Transaction, lots

__all__ = ["Entries"]

# What a claim writes; left alone by people unless the generation rises.
PROGRESS: Final = ("next_fire", "last_nominal", "since", "runs", "failures")
REVISION: Final = select(schedule_revision.c.number)


class Entries(SchedulePlace):
    """The part of ``ScheduleStore`` about entries."""

    def revision(self) -> int:
        """Return a number that rises with every change by a person; see ``ScheduleStore``."""
        rows = self._writer.read(lambda one: one.rows(REVISION))
        return rows[0][0] if rows else 0

    def add(self, schedule: Schedule, who: str) -> Schedule:
        """Store a new entry; see ``ScheduleStore``."""
        return self.add_all([schedule], who)[0]

    def add_all(self, added: Sequence[Schedule], who: str) -> Sequence[Schedule]:
        """Store new entries, all or none; see ``ScheduleStore``."""
        # Before anybody has to wait.
        rows = [schedule_values(schedule) for schedule in added]

        def work(one: Transaction) -> list[Schedule]:
            found = insert_all(one, added, rows, who)
            count_change(one, len(found))
            return found

        return self._writer.run(work, durable=True, patience=LONG)

    def replace(self, schedule: Schedule, who: str) -> Schedule:
        """Write an entry that was read before; see ``ScheduleStore``."""

        def work(one: Transaction) -> Schedule:
            (found,) = replace_all(one, [schedule], who)
            count_change(one, 1)
            return found

        return self._writer.run(work, durable=True)

    def remove(self, name: str, who: str) -> bool:
        """Forget an entry; see ``ScheduleStore``."""

        def work(one: Transaction) -> int:
            found = remove_all(one, [name], who)
            count_change(one, found)
            return found

        return self._writer.run(work, durable=True) > 0

    def alter(
        self,
        added: Sequence[Schedule],
        replaced: Sequence[Schedule],
        removed: Sequence[str],
        who: str,
    ) -> None:
        """Add, replace and remove entries, all or none; see ``ScheduleStore``."""

        rows = [schedule_values(schedule) for schedule in added]

        def work(one: Transaction) -> None:
            # First, since another may take its name.
            found = remove_all(one, removed, who)
            found += len(replace_all(one, replaced, who))
            found += len(insert_all(one, added, rows, who))
            count_change(one, found)

        self._writer.run(work, durable=True, patience=LONG)

    def schedule(self, name: str) -> Schedule | None:
        """Return the entry of a name; see ``ScheduleStore``."""
        query = select(*SCHEDULE).where(schedules.c.name == name)
        rows = self._writer.read(lambda one: one.rows(query))
        return schedule_of(rows[0]) if rows else None

    def schedules(
        self, after: str = "", limit: int = 1_000, *, kind: str = "", ids: Sequence[int] = ()
    ) -> Sequence[Schedule]:
        """Return entries in the order of names; see ``ScheduleStore``."""
        query = select(*SCHEDULE).order_by(schedules.c.name).limit(limit)
        if after:
            query = query.where(schedules.c.name > after)
        if kind:
            query = query.where(schedules.c.kind == kind)
        if not ids:
            return [schedule_of(row) for row in self._read(lambda one: one.rows(query))]
        found = self._writer.read(
            lambda one: [
                schedule_of(row)
                for some in lots(ids)
                for row in one.rows(query.where(schedules.c.id.in_(some)))
            ]
        )
        return sorted(found, key=lambda schedule: schedule.name)[:limit]

    def audit(self, before: int = 0, limit: int = 100) -> Sequence[Audit]:
        """Return lines of the book, newest first; see ``ScheduleStore``."""
        query = select(*AUDIT).order_by(audit.c.id.desc()).limit(limit)
        if before:
            query = query.where(audit.c.id < before)
        return [audit_of(row) for row in self._read(lambda one: one.rows(query))]


# Columns of the same names as parameters are what is set.
REPLACE: Final = update(schedules).where(schedules.c.id == bindparam("entry"))
CANCEL: Final = (
    update(fires)
    .values(
        state=CANCELLED,
        stage=ENDED,
        reason="its entry was removed",
        ended=bindparam("now"),
    )
    .where(
        fires.c.stage == OPEN,
        fires.c.schedule.in_(bindparam("entries", expanding=True)),
        fires.c.state.in_((PENDING, WAITING)),
    )
)


def insert_all(
    one: Transaction, added: Sequence[Schedule], rows: Sequence[dict[str, object]], who: str
) -> list[Schedule]:
    """
    Store new entries, whose rows were made before; return them with their ids.

    Raises EntryRefused for a name that is taken.
    """
    refuse_taken(one, [schedule.name for schedule in added])
    numbered = {schedule.name: copied(schedule) for schedule in added}
    one.many(insert(schedules), rows)
    for some in lots(list(numbered)):
        query = select(schedules.c.name, schedules.c.id).where(schedules.c.name.in_(some))
        for name, identity in one.rows(query):
            numbered[name].id = identity
    note(one, who, "add", [(name, "", it.definition) for name, it in numbered.items()])
    return list(numbered.values())


def replace_all(one: Transaction, changed: Sequence[Schedule], who: str) -> list[Schedule]:
    """Write entries over their rows; return them. Raises EntryRefused for one that has changed."""
    query = select(*SCHEDULE).order_by(schedules.c.id).with_for_update()
    before: dict[int, Schedule] = {}
    for some in lots(sorted(schedule.id for schedule in changed)):
        rows = one.rows(query.where(schedules.c.id.in_(some)))
        before.update((row.id, row) for row in map(schedule_of, rows))
    after = [renewed(schedule, before.get(schedule.id)) for schedule in changed]
    refuse_taken(one, [it.name for it in after if it.name != before[it.id].name])
    one.many(REPLACE, [{**schedule_values(it), "entry": it.id} for it in after])
    changes = [(it.name, before[it.id].definition, it.definition) for it in after]
    note(one, who, "replace", changes)
    return after


def renewed(schedule: Schedule, before: Schedule | None) -> Schedule:
    """Return the row that an entry becomes; raises EntryRefused if it is not what was read."""
    if before is None:
        raise EntryRefused(schedule.name, "somebody has removed it meanwhile: add it anew")
    if before.revision != schedule.revision:
        raise EntryRefused(
            before.name, "somebody has changed it meanwhile: read it again, then change it"
        )
    after = copied(schedule, revision=before.revision + 1)
    if schedule.generation <= before.generation:
        for name in PROGRESS:
            setattr(after, name, getattr(before, name))
    return after


def remove_all(one: Transaction, names: Sequence[str], who: str) -> int:
    """Forget entries of some names; return how many there were."""
    query = select(schedules.c.id, schedules.c.name, schedules.c.definition)
    query = query.order_by(schedules.c.id).with_for_update()
    found = [
        row for some in lots(names) for row in one.rows(query.where(schedules.c.name.in_(some)))
    ]
    for some in lots([identity for identity, *_ in found]):
        one.run(CANCEL, {"entries": some, "now": one.now})
        one.run(delete(schedules).where(schedules.c.id.in_(some)))
    for some in lots([name for _, name, _ in found]):
        # Nothing would end them any more.
        one.run(delete(alerts).where(alerts.c.subject.in_(some)))
    note(one, who, "remove", [(name, definition, "") for _, name, definition in found])
    return len(found)


def refuse_taken(one: Transaction, names: Sequence[str]) -> None:
    """
    Raise EntryRefused where there is an entry of one of these names.

    Raises UsageError if one is given twice.
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"{count} entries are called {name!r}: give them names of their own")
    for some in lots(names):
        for (name,) in one.rows(select(schedules.c.name).where(schedules.c.name.in_(some))):
            raise EntryRefused(name, "there is one already: edit that one, or choose another name")


def count_change(one: Transaction, changed: int) -> None:
    """
    Let everybody who polls know that so many entries have changed.

    Last: all changes wait for each other here, and would for good if entries were locked later.
    """
    if changed == 0:
        return
    if one.run(update(schedule_revision).values(number=schedule_revision.c.number + 1)) == 0:
        one.run(insert(schedule_revision), {"one": 1, "number": 1})


def note(one: Transaction, who: str, action: str, changes: Sequence[tuple[str, str, str]]) -> None:
    """Write lines into the book of changes."""
    one.many(
        insert(audit),
        [
            {
                "at": one.now,
                "who": clean(who),
                "action": action,
                "subject": clean(subject),
                "old_value": clean(before),
                "new_value": clean(after),
            }
            for subject, before, after in changes
        ],
    )
