"""
Entries in the tables, and the book of who changed them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace as copied
from typing import Final

from sqlalchemy import bindparam, delete, insert, select, update

from geartrain.errors import UsageError
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
        # Before anybody has to wait for it.
        rows = [schedule_values(schedule) for schedule in added]

        def work(one: Transaction) -> Sequence[Schedule]:
            refuse_taken(one, [schedule.name for schedule in added])
            numbered = {schedule.name: copied(schedule) for schedule in added}
            one.many(insert(schedules), rows)
            for some in lots(list(numbered)):
                query = select(schedules.c.name, schedules.c.id).where(schedules.c.name.in_(some))
                for name, identity in one.rows(query):
                    numbered[name].id = identity
            book(one, who, "add", [(name, "", it.definition) for name, it in numbered.items()])
            return list(numbered.values())

        return self._writer.run(work, durable=True, patience=LONG)

    def replace(self, schedule: Schedule, who: str) -> Schedule:
        """Write an entry that was read before; see ``ScheduleStore``."""

        def work(one: Transaction) -> Schedule:
            found = one.rows(
                select(*SCHEDULE).where(schedules.c.id == schedule.id).with_for_update()
            )
            if not found:
                raise UsageError(f"there is no entry {schedule.name!r} any more: add it anew")
            before = schedule_of(found[0])
            if before.revision != schedule.revision:
                raise UsageError(
                    f"somebody has changed {before.name!r} meanwhile: read it again, then change it"
                )
            if schedule.name != before.name:
                refuse_taken(one, [schedule.name])
            after = copied(schedule, revision=before.revision + 1)
            if schedule.generation <= before.generation:
                for name in PROGRESS:
                    setattr(after, name, getattr(before, name))
            one.run(update(schedules).where(schedules.c.id == schedule.id), schedule_values(after))
            book(one, who, "replace", [(after.name, before.definition, after.definition)])
            return after

        return self._writer.run(work, durable=True)

    def remove(self, name: str, who: str) -> bool:
        """Forget an entry; see ``ScheduleStore``."""

        def work(one: Transaction) -> bool:
            query = select(schedules.c.id, schedules.c.definition).where(schedules.c.name == name)
            found = one.rows(query.with_for_update())
            for identity, definition in found:
                one.run(
                    CANCEL,
                    {"entry": identity, "now": one.now},
                )
                one.run(delete(schedules).where(schedules.c.id == identity))
                book(one, who, "remove", [(name, definition, "")])
            return bool(found)

        return self._writer.run(work, durable=True)

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
        fires.c.schedule == bindparam("entry"),
        fires.c.state.in_((PENDING, WAITING)),
    )
)


def refuse_taken(one: Transaction, names: Sequence[str]) -> None:
    """Raise UsageError where there is an entry of one of these names, or one is given twice."""
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"{count} entries are called {name!r}: give them names of their own")
    for some in lots(names):
        for (name,) in one.rows(select(schedules.c.name).where(schedules.c.name.in_(some))):
            raise UsageError(
                f"there is an entry {name!r} already: edit that one, or choose another name"
            )


def book(one: Transaction, who: str, action: str, changes: Sequence[tuple[str, str, str]]) -> None:
    """Write lines into the book of changes, and let everybody who polls know."""
    if one.run(update(schedule_revision).values(number=schedule_revision.c.number + 1)) == 0:
        one.run(insert(schedule_revision), {"one": 1, "number": 1})
    note(one, who, action, changes)


def note(one: Transaction, who: str, action: str, changes: Sequence[tuple[str, str, str]]) -> None:
    """Write lines into the book of changes alone."""
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
