"""
What becomes of fires, in the tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import getrandbits
from typing import Final

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, func, or_, select, update

from geartrain.store.schedule_alerts import merge_alerts
from geartrain.store.schedule_claims import CHANGE, change_fires, fire_change, fire_row, named
from geartrain.store.schedule_entries import note
from geartrain.store.schedule_mapping import FIRE, fire_of
from geartrain.store.schedule_place import SchedulePlace, open_of
from geartrain.store.schedule_rows import (
    DONE,
    FAILED,
    LOST,
    PENDING,
    RUNNING,
    SUBMITTED,
    TIMEOUT,
    WAITING,
    Alert,
    Fire,
    Owner,
)
from geartrain.store.schedule_store import Merger
from geartrain.store.schedule_tables import ENDED, OPEN, fires, schedules
from geartrain.store.schedule_transactions import LONG, Transaction, lots

__all__ = ["Fires"]

# How many fires are written at once, so that nobody has to wait for long.
MARKED: Final = 500
# Final states that count as failures of the entry.
BAD: Final = frozenset((FAILED, TIMEOUT, LOST))


class Fires(SchedulePlace):
    """The part of ``ScheduleStore`` about fires."""

    def insert(self, new: Sequence[Fire], who: str, *, again: bool = False) -> Sequence[Fire]:
        """Insert fires that a person or an agent asked for; see ``ScheduleStore``."""
        batch = getrandbits(62)

        def work(one: Transaction) -> Sequence[Fire]:
            found = [] if one.attempt == 0 else inserted(one, new, batch)
            if not found:
                failures = lock_failing(one, new)
                rows = [fire_row(one, fire, batch=batch) for fire in new]
                twice = ended_badly(one, new) if again else set()
                if again:
                    one.many(ANEW, [{**row, **key_of(row)} for row in rows])
                one.insert_new(fires, rows)
                found = inserted(one, new, batch)
                fresh = [it for it in found if it.id not in twice or it.state not in BAD]
                one.many(FAILING, counted(fresh, failures))
                note_fires(one, who, found)
            return found

        return self._writer.run(work, again=True, durable=True)

    def mark(
        self, me: Owner, changed: Sequence[Fire], alerts: Sequence[Alert], merge: Merger
    ) -> Sequence[int]:
        """Write what became of fires; see ``ScheduleStore``."""
        written: list[int] = []
        *first, last = list(lots(changed, MARKED)) or [()]
        for some in first:
            written += self._mark(me, some, (), merge)
        return written + self._mark(me, last, alerts, merge)

    def _mark(
        self, me: Owner, changed: Sequence[Fire], alerts: Sequence[Alert], merge: Merger
    ) -> list[int]:
        """Write what became of fires in one transaction."""

        def work(one: Transaction) -> list[int]:
            one.fence(me)
            failures = lock_failing(one, changed)
            mine = own_among(one, me, changed)
            written = [fire for fire in changed if fire.id in mine]
            later = [fire.id for fire in written if fire.state == PENDING and fire.due > one.now]
            change_fires(one, written)
            one.many(DISOWN, [{"fire": identity} for identity in later])
            one.many(FAILING, counted(written, failures))
            merge_alerts(one, alerts, merge)
            return [fire.id for fire in written]

        return self._writer.run(work)

    def unfollowed(self, limit: int) -> Sequence[Fire]:
        """Return fires whose consequences were not drawn; see ``ScheduleStore``."""
        query = select(*FIRE).where(fires.c.stage == ENDED).order_by(fires.c.ended).limit(limit)
        return [fire_of(row) for row in self._writer.read(lambda one: one.rows(query))]

    def waiting(self, limit: int) -> Sequence[Fire]:
        """Return fires that wait for nothing any more; see ``ScheduleStore``."""
        rows = self._writer.read(lambda one: one.rows(UNBLOCKED, {"most": limit}))
        return [fire_of(row) for row in rows]

    def follow(
        self,
        me: Owner,
        ended: Sequence[Fire],
        inserts: Sequence[Fire],
        changes: Sequence[Fire],
        limits: Mapping[int, int] | None = None,
    ) -> None:
        """Draw the consequences of fires that have ended; see ``ScheduleStore``."""
        batch = getrandbits(62)

        def work(one: Transaction) -> None:
            one.fence(me)
            for some in lots(sorted(limits or ())):
                # Before fires, as everywhere.
                one.rows(LOCK_FAILURES, {"entries": some})
            # What an attempt has inserted whose COMMIT got no answer was counted by that.
            before = {it.id for it in inserted(one, inserts, batch)} if one.attempt else set()
            one.insert_new(fires, [fire_row(one, fire, batch=batch) for fire in inserts])
            if limits:
                found = [fire for fire in inserted(one, inserts, batch) if fire.id not in before]
                new = [fire for fire in found if fire.schedule in limits]
                one.many(COUNT_RUNS, runs_of(new, limits))
            released = [fire_change(one, fire) for fire in changes]
            one.many(RELEASE, released)
            for some in lots(sorted(fire.id for fire in ended)):
                one.run(FOLLOWED, {"ids": some})

        self._writer.run(work, again=True)

    # Listings.

    def fire(self, identity: int) -> Fire | None:
        """Return one fire; see ``ScheduleStore``."""
        query = select(*FIRE).where(fires.c.id == identity)
        rows = self._writer.read(lambda one: one.rows(query))
        return fire_of(rows[0]) if rows else None

    def fires(
        self,
        *,
        schedule: int = 0,
        states: Sequence[str] = (),
        since: int = 0,
        until: int = 0,
        before: int = 0,
        limit: int = 100,
    ) -> Sequence[Fire]:
        """Return fires, newest first; see ``ScheduleStore``."""
        wanted: list[ColumnElement[bool]] = []
        if schedule:
            wanted.append(fires.c.schedule == schedule)
        if states:
            wanted.append(fires.c.state.in_(states))
        if since:
            wanted.append(fires.c.nominal >= since)
        if until:
            wanted.append(fires.c.nominal <= until)
        if before:
            wanted.append(fires.c.id < before)
        query = select(*FIRE).where(*wanted).order_by(fires.c.id.desc()).limit(limit)
        return [fire_of(row) for row in self._read(lambda one: one.rows(query))]

    def at_nominal(self, entries: Sequence[int], nominal: int) -> Sequence[Fire]:
        """Return the fires of some entries at one moment; see ``ScheduleStore``."""

        def work(one: Transaction) -> Sequence[Fire]:
            return [
                fire_of(row)
                for some in lots(entries)
                for row in one.rows(AT, {"entries": some, "moment": nominal})
            ]

        return self._writer.read(work)

    def open_fires(self, entries: Sequence[int]) -> Mapping[int, Sequence[Fire]]:
        """Return what has not ended of each of these entries; see ``ScheduleStore``."""
        found = self._writer.read(lambda one: open_of(one, entries))
        return {entry: found.get(entry, ()) for entry in entries}

    def counts(self) -> Mapping[str, int]:
        """Return how many fires there are in each state that is not final."""
        rows = self._read(lambda one: one.rows(COUNTS))
        return dict(tuple(row) for row in rows)

    def tallies(self, since: float) -> Mapping[str, int]:
        """Return how many moments fires stand for, by state; see ``ScheduleStore``."""
        # It goes through all of a long history.
        rows = self._read(lambda one: one.rows(TALLIES, {"since": since}), LONG)
        return {state: int(count) for state, count in rows}

    def trim(self, schedule: int, keep: int, before: float) -> int:
        """Forget ended fires that are too many or too old; see ``ScheduleStore``."""

        def work(one: Transaction) -> int:
            past = (fires.c.schedule == schedule, fires.c.stage.is_(None))
            query = select(fires.c.id).where(*past).order_by(fires.c.id.desc())
            beyond = one.rows(query.offset(keep).limit(1))
            highest = beyond[0][0] if beyond else 0
            return one.run(
                delete(fires).where(*past, or_(fires.c.id <= highest, fires.c.ended < before))
            )

        return self._writer.run(work, again=True, patience=LONG)


def inserted(one: Transaction, new: Sequence[Fire], batch: int) -> list[Fire]:
    """Return those of some fires that were inserted with a batch."""
    entries = sorted({fire.schedule for fire in new})
    return [
        fire_of(row)
        for some in lots(entries)
        for row in one.rows(OF_BATCH, {"entries": some, "batch": batch})
    ]


def runs_of(new: Sequence[Fire], limits: Mapping[int, int]) -> list[dict[str, object]]:
    """Return by how much entries have run more often, as parameters of ``COUNT_RUNS``."""
    begun = {(fire.schedule, fire.nominal) for fire in new if fire.state in (PENDING, WAITING)}
    return [
        {"entry": identity, "more": more, "most": limits[identity]}
        for identity, more in Counter(schedule for schedule, _ in begun).items()
    ]


def key_of(row: Mapping[str, object]) -> dict[str, object]:
    """Return the key of a fire's row, as parameters of ``ANEW``."""
    return {f"its_{name}": row[name] for name in KEY}


def note_fires(one: Transaction, who: str, new: Sequence[Fire]) -> None:
    """Write into the book of changes who had which entries fire."""
    moments: dict[int, list[Fire]] = {}
    for fire in new:
        moments.setdefault(fire.schedule, []).append(fire)
    names: dict[int, str] = {}
    for some in lots(list(moments)):
        query = select(schedules.c.id, schedules.c.name).where(schedules.c.id.in_(some))
        names.update((identity, name) for identity, name in one.rows(query))
    for identity, some_fires in moments.items():
        text = ", ".join(str(fire.nominal) for fire in some_fires[:10])
        more = len(some_fires) - 10
        text += f" and {more} more" if more > 0 else ""
        note(one, who, some_fires[0].origin, [(names.get(identity, str(identity)), "", text)])


def lock_failing(one: Transaction, changed: Sequence[Fire]) -> dict[int, int]:
    """
    Return how often the entries have failed whose count a change of fires may touch, by entry.

    Where a good end meets a count of zero there is nothing to write, and nothing is locked.
    """
    bad = {fire.schedule for fire in changed if fire.state in BAD}
    good = {fire.schedule for fire in changed if fire.state == DONE} - bad
    wanted = set(bad)
    for some in lots(sorted(good)):
        wanted.update(row[0] for row in one.rows(HAVE_FAILED, {"entries": some}))
    return {
        identity: count
        for some in lots(sorted(wanted))
        for identity, count in one.rows(LOCK_FAILURES, {"entries": some})
    }


def ended_badly(one: Transaction, new: Sequence[Fire]) -> set[int]:
    """Return the ids of bad ends that others replace: these were counted as failures then."""
    worse = [fire for fire in new if fire.state in BAD]
    return {
        row.id
        for fire in worse
        for row in one.rows(AT, {"entries": [fire.schedule], "moment": fire.nominal})
        if row.state in BAD
    }


def counted(changed: Sequence[Fire], failures: Mapping[int, int]) -> list[dict[str, object]]:
    """Return the entries' new counts of failures in a row, as parameters of ``FAILING``."""
    now = dict(failures)
    for fire in changed:
        if fire.schedule in now:
            if fire.state == DONE:
                now[fire.schedule] = 0
            elif fire.state in BAD:
                now[fire.schedule] += 1
    return [
        {"entry": identity, "failures": count}
        for identity, count in now.items()
        if count != failures[identity]
    ]


def own_among(one: Transaction, me: Owner, changed: Sequence[Fire]) -> set[int]:
    """Return the ids of those fires that ``me`` owns and that have not ended, locked."""
    return {
        row[0]
        for some in lots(sorted(fire.id for fire in changed))
        for row in one.rows(OWN_AMONG, {"ids": some, **named(me)})
    }


KEY: Final = ("schedule", "generation", "nominal", "target")
# Columns of the same names as parameters are what is set.
ANEW: Final = update(fires).where(
    *(fires.c[name] == bindparam(f"its_{name}") for name in KEY),
    or_(fires.c.stage.is_(None), fires.c.stage == ENDED),
)
IDS: Final = fires.c.id.in_(bindparam("ids", expanding=True))
ENTRIES: Final = schedules.c.id.in_(bindparam("entries", expanding=True))
OWN_AMONG: Final = (
    select(fires.c.id)
    .where(
        IDS,
        fires.c.stage == OPEN,
        fires.c.owner == bindparam("instance"),
        fires.c.epoch == bindparam("held"),
    )
    .with_for_update()
)
DISOWN: Final = update(fires).values(owner="", epoch=0).where(fires.c.id == bindparam("fire"))
HAVE_FAILED: Final = select(schedules.c.id).where(ENTRIES, schedules.c.failures != 0)
LOCK_FAILURES: Final = (
    select(schedules.c.id, schedules.c.failures)
    .where(ENTRIES)
    .order_by(schedules.c.id)
    .with_for_update()
)
COUNT_RUNS: Final = (
    update(schedules)
    .values(
        runs=schedules.c.runs + bindparam("more"),
        enabled=and_(schedules.c.enabled, schedules.c.runs + bindparam("more") < bindparam("most")),
    )
    .where(schedules.c.id == bindparam("entry"))
)
FAILING: Final = update(schedules).where(schedules.c.id == bindparam("entry"))
RELEASE: Final = CHANGE.where(fires.c.state == WAITING)
FOLLOWED: Final = update(fires).values(stage=None).where(IDS, fires.c.stage == ENDED)

other = fires.alias("other")
UNBLOCKED: Final = (
    select(*FIRE)
    .where(
        fires.c.stage == OPEN,
        fires.c.owner == "",
        fires.c.state == WAITING,
        ~exists().where(
            and_(
                other.c.stage == OPEN,
                other.c.schedule == fires.c.schedule,
                other.c.state.in_((PENDING, SUBMITTED, RUNNING)),
            )
        ),
    )
    .order_by(fires.c.id)
    .limit(bindparam("most"))
)
AT: Final = (
    select(*FIRE)
    .where(
        fires.c.schedule.in_(bindparam("entries", expanding=True)),
        fires.c.nominal == bindparam("moment"),
    )
    .order_by(fires.c.id)
)
OF_BATCH: Final = (
    select(*FIRE)
    .where(
        fires.c.schedule.in_(bindparam("entries", expanding=True)),
        fires.c.batch == bindparam("batch"),
    )
    .order_by(fires.c.id)
)
TALLIES: Final = (
    select(fires.c.state, func.sum(fires.c.count))
    .where(fires.c.created >= bindparam("since"))
    .group_by(fires.c.state)
)
COUNTS: Final = (
    select(fires.c.state, func.count()).where(fires.c.stage == OPEN).group_by(fires.c.state)
)
