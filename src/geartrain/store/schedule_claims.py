"""
Instances of the scheduler, and what they claim: due entries, and fires that nobody is at work on.

Each transaction that writes for an instance writes the instance's row first. So it and whoever
fences the instance wait for each other, in a Galera cluster one of the two is undone. Locks are
taken in one order everywhere: instances, entries, fires, alerts.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import getrandbits
from typing import Final

from sqlalchemy import and_, bindparam, case, delete, func, insert, or_, select, update

from geartrain.store.schedule_mapping import (
    AGENT,
    FIRE,
    INSTANCE,
    SCHEDULE,
    agent_of,
    clean,
    fire_of,
    fire_values,
    instance_of,
    schedule_of,
    stage_of,
)
from geartrain.store.schedule_place import SchedulePlace, open_of
from geartrain.store.schedule_rows import (
    PENDING,
    RUNNING,
    SUBMITTED,
    Fire,
    Instance,
    Owner,
    Plan,
    Schedule,
)
from geartrain.store.schedule_store import Planner
from geartrain.store.schedule_tables import (
    ENDED,
    OPEN,
    agents,
    fires,
    instances,
    messages,
    schedules,
)
from geartrain.store.schedule_transactions import LONG, Transaction, lots

__all__ = ["CHANGE", "Claims", "gone", "change_fires", "fire_change", "fire_row", "named"]

# Seconds for which an instance is still listed after its lease has ended.
REMEMBERED: Final = 3_600.0
# Seconds after which a due entry was claimed by nobody for long.
OVERDUE: Final = 5.0
# Origin of what an agent ran by itself.
OFFLINE: Final = "offline"


class Claims(SchedulePlace):
    """The part of ``ScheduleStore`` about instances and claiming."""

    # Instances.

    def join(self, name: str, host: str, lease: float, tzdata: str) -> Owner:
        """Start a lease of a new epoch under a name; see ``ScheduleStore``."""

        def work(one: Transaction) -> Owner:
            found = one.rows(
                select(instances.c.epoch).where(instances.c.name == name).with_for_update()
            )
            # Larger than any of this name before, also of one that was forgotten.
            epoch = max(found[0][0] + 1 if found else 1, int(one.now * 1000))
            values = {
                "epoch": epoch,
                "host": clean(host),
                "expires": one.now + lease,
                "skew": 0.0,
                "tzdata": clean(tzdata),
                "started": one.now,
                "writes": 0,
            }
            if found:
                one.run(update(instances).where(instances.c.name == name), values)
            else:
                one.run(insert(instances), {"name": name, **values})
            free(one, name)
            return Owner(name, epoch)

        return self._writer.run(work, patience=LONG)

    def renew(self, me: Owner, lease: float, skew: float) -> bool:
        """Make the lease last for so many seconds from now; see ``ScheduleStore``."""

        def work(one: Transaction) -> bool:
            values = {"until": one.now + lease, "by": skew, "now": one.now, **named(me)}
            return one.run(RENEW, values) == 1

        return self._writer.run(work, again=True)

    def leave(self, me: Owner) -> None:
        """End the lease; see ``ScheduleStore``."""

        def work(one: Transaction) -> None:
            if one.run(FORGET, named(me)) == 1:
                free(one, me.instance)

        self._writer.run(work, again=True, patience=LONG)

    def instances(self) -> Sequence[Instance]:
        """Return the instances whose lease has not ended for long; see ``ScheduleStore``."""

        def work(one: Transaction) -> Sequence[Instance]:
            query = (
                select(*INSTANCE)
                .where(instances.c.expires > one.now - REMEMBERED)
                .order_by(instances.c.name)
            )
            return [instance_of(row) for row in one.rows(query)]

        return self._read(work)

    # Entries that are due.

    def next_fire(self) -> int:
        """Return when the next entry is due; see ``ScheduleStore``."""
        rows = self._writer.read(lambda one: one.rows(NEXT))
        return int(rows[0][0] or 0)

    def backlog(self) -> tuple[int, float]:
        """Return how many entries are due, and since when; see ``ScheduleStore``."""
        ((number, first),) = self._writer.read(lambda one: one.rows(BACKLOG, {"now": one.now}))
        return number, first or 0.0

    def claim(self, me: Owner, limit: int, plan: Planner) -> Sequence[Fire]:
        """Deal with entries that are due, in one transaction; see ``ScheduleStore``."""
        if not self._writer.read(lambda one: one.rows(IS_DUE, {"now": one.now})):
            return ()
        # Tells what this call has inserted, also where the answer to its COMMIT was lost.
        batch = getrandbits(62)

        def work(one: Transaction) -> Sequence[Fire]:
            one.fence(me)
            if one.attempt and (found := one.rows(BATCH, {"batch": batch, **named(me)})):
                return [fire_of(row) for row in found]
            due = [schedule_of(row) for row in one.rows(DUE, {"now": one.now, "most": limit})]
            if not due:
                return ()
            plans = self._planned(one, due, plan)
            rows = [fire_row(one, fire, me, batch) for answer in plans for fire in answer.fires]
            one.insert_new(fires, rows)
            change_fires(one, [fire for answer in plans for fire in answer.changes])
            one.many(ADVANCE, [advanced(*pair) for pair in zip(due, plans, strict=True)])
            if not any(row["owner"] for row in rows):
                return ()
            return [fire_of(row) for row in one.rows(BATCH, {"batch": batch, **named(me)})]

        return self._writer.run(work, again=True)

    def _planned(self, one: Transaction, due: Sequence[Schedule], plan: Planner) -> Sequence[Plan]:
        """Ask what becomes of due entries."""
        underway = open_of(one, [schedule.id for schedule in due])
        for fire in ran_offline(one, [it.id for it in due if it.next_fire < one.now - OVERDUE]):
            underway.setdefault(fire.schedule, []).append(fire)
        alive = [agent_of(row) for row in one.rows(ALIVE, {"now": one.now})]
        return [plan(schedule, one.now, underway.get(schedule.id, ()), alive) for schedule in due]

    # Fires that nobody is at work on.

    def take(self, me: Owner, limit: int) -> Sequence[Fire]:
        """Own fires that are due and that nobody alive owns; see ``ScheduleStore``."""
        if not self._writer.read(lambda one: unowned(one, gone(one), 1)):
            return ()

        def work(one: Transaction) -> Sequence[Fire]:
            one.fence(me)
            names = gone(one)
            for name in names:
                # Waits for it, or undoes it, if it is about to say that it lives.
                if name and one.run(TOUCH, {"instance": name, "now": one.now}) == 0:
                    names = [other for other in names if other != name]
            found = unowned(one, names, limit, lock=True)
            for fire in found:
                fire.owner, fire.epoch = me.instance, me.epoch
                fire.taken = 0.0 if fire.state == PENDING else one.now
            one.many(OWN, [own(fire) for fire in found if fire.state == PENDING])
            one.many(ASK, [asked(fire) for fire in found if fire.state != PENDING])
            if len(found) < limit:
                # Whoever is gone for long and has left nothing behind is forgotten.
                for name in filter(None, names):
                    if one.run(FORGET_GONE, {"instance": name, "long_ago": one.now - REMEMBERED}):
                        free(one, name)
            return found

        return self._writer.run(work)

    def owned(self, me: Owner) -> Sequence[Fire]:
        """Return the fires that ``me`` owns and that have not ended; see ``ScheduleStore``."""
        rows = self._writer.read(lambda one: one.rows(OWNED, named(me)))
        return [fire_of(row) for row in rows]


def ran_offline(one: Transaction, identities: Sequence[int]) -> Sequence[Fire]:
    """Return, of entries that are late, the fires that agents have run and reported meanwhile."""
    return [
        Fire(identity, generation, nominal, target, state=state, origin=OFFLINE)
        for some in lots(identities)
        for identity, generation, nominal, target, state in one.rows(RAN, {"entries": some})
    ]


def free(one: Transaction, name: str) -> None:
    """Own no more what an instance owned, under any epoch."""
    one.run(FREE, {"instance": name})
    one.run(FREE_MESSAGES, {"instance": name})


def named(me: Owner) -> dict[str, object]:
    """Return an owner as parameters of a statement."""
    return {"instance": me.instance, "held": me.epoch}


def gone(one: Transaction) -> list[str]:
    """Return the names of instances whose lease has ended, and that of nobody."""
    return ["", *(row[0] for row in one.rows(GONE, {"now": one.now}))]


def own(fire: Fire) -> dict[str, object]:
    """Return what changes of a fire that is taken over, as parameters of ``OWN``."""
    return {"fire": fire.id, "by": fire.owner, "at": fire.epoch}


def asked(fire: Fire) -> dict[str, object]:
    """Return the same of one that a job server may have, as parameters of ``ASK``."""
    return {**own(fire), "of": -int(fire.taken)}


def unowned(
    one: Transaction, names: Sequence[str], limit: int, *, lock: bool = False
) -> Sequence[Fire]:
    """Return fires of some owners that are due to be submitted, or were submitted."""
    parameters = {"now": one.now, "most": limit, "names": names}
    late, lost = (LATE_LOCKED, LOST_LOCKED) if lock else (LATE, UNHEARD)
    found = [fire_of(row) for row in one.rows(late, parameters)]
    if len(found) < limit:
        parameters["most"] = limit - len(found)
        del parameters["now"]
        found += [fire_of(row) for row in one.rows(lost, parameters)]
    return found


def fire_row(
    one: Transaction, fire: Fire, me: Owner | None = None, batch: int = 0
) -> dict[str, object]:
    """Return the row of a new fire; it is owned where it is to be submitted now."""
    values = fire_values(fire)
    values["created"] = fire.created or one.now
    values["batch"] = batch
    owned = me is not None and fire.state == PENDING and fire.due <= one.now
    values["owner"] = me.instance if me is not None and owned else ""
    values["epoch"] = me.epoch if me is not None and owned else 0
    if values["stage"] != OPEN:
        values["ended"] = fire.ended or one.now
    return values


def fire_change(one: Transaction, fire: Fire) -> dict[str, object]:
    """Return what changes of a fire, as parameters of ``CHANGE``."""
    ended = stage_of(fire) != OPEN
    return {
        "fire": fire.id,
        "due": fire.due,
        "state": fire.state,
        "reason": clean(fire.reason),
        "count": fire.count,
        "attempt": fire.attempt,
        "handle": clean(fire.handle),
        "server": clean(fire.server),
        "submitted": fire.submitted,
        "started": fire.started,
        "ended": (fire.ended or one.now) if ended else fire.ended,
        "result": fire.result,
        "stage": stage_of(fire),
    }


def change_fires(one: Transaction, changed: Sequence[Fire]) -> None:
    """Write what became of fires that have not ended, whoever owns them."""
    one.many(CHANGE, [fire_change(one, fire) for fire in sorted(changed, key=lambda it: it.id)])


def advanced(schedule: Schedule, plan: Plan) -> dict[str, object]:
    """Return an entry's new values, as parameters of ``ADVANCE``."""
    # What is put off is planned later, and with its pause in mind.
    held = schedule if plan.wake else Schedule("", "")
    fires_again = plan.enabled and plan.next_fire > 0
    return {
        "entry": schedule.id,
        "next_fire": plan.next_fire,
        "last_nominal": plan.last_nominal,
        "runs": plan.runs,
        "enabled": plan.enabled,
        "generation": plan.generation,
        "wake": (plan.wake or float(plan.next_fire)) if fires_again else None,
        "paused_at": held.paused_at,
        "paused_by": held.paused_by,
        "paused_why": held.paused_why,
        "paused_until": held.paused_until,
    }


HELD: Final = (
    instances.c.name == bindparam("instance"),
    instances.c.epoch == bindparam("held"),
)
RENEW: Final = (
    update(instances)
    .values(expires=bindparam("until"), skew=bindparam("by"), writes=instances.c.writes + 1)
    .where(*HELD, instances.c.expires > bindparam("now"))
)
FORGET: Final = delete(instances).where(*HELD)
GONE: Final = select(instances.c.name).where(instances.c.expires <= bindparam("now"))
TOUCH: Final = (
    update(instances)
    .values(writes=instances.c.writes + 1)
    .where(instances.c.name == bindparam("instance"), instances.c.expires <= bindparam("now"))
)
FORGET_GONE: Final = delete(instances).where(
    instances.c.name == bindparam("instance"),
    instances.c.expires <= bindparam("long_ago"),
)
FREE: Final = (
    update(fires)
    .values(owner="", epoch=0)
    .where(fires.c.stage == OPEN, fires.c.owner == bindparam("instance"))
)
FREE_MESSAGES: Final = (
    update(messages)
    .values(owner="", epoch=0)
    .where(messages.c.sent == 0, messages.c.owner == bindparam("instance"))
)

NEXT: Final = select(func.min(schedules.c.wake)).where(schedules.c.wake.is_not(None))
IS_DUE: Final = select(schedules.c.id).where(schedules.c.wake <= bindparam("now")).limit(1)
BACKLOG: Final = select(func.count(), func.min(schedules.c.wake)).where(
    schedules.c.wake <= bindparam("now")
)
DUE: Final = (
    select(*SCHEDULE)
    .where(schedules.c.wake <= bindparam("now"))
    .order_by(schedules.c.wake, schedules.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
# Columns of the same names as parameters are what is set.
ADVANCE: Final = update(schedules).where(schedules.c.id == bindparam("entry"))
ALIVE: Final = select(*AGENT).where(agents.c.expires > bindparam("now")).order_by(agents.c.name)

RAN: Final = (
    select(fires.c.schedule, fires.c.generation, fires.c.nominal, fires.c.target, fires.c.state)
    .join(
        schedules,
        and_(
            schedules.c.id == fires.c.schedule,
            schedules.c.generation == fires.c.generation,
            schedules.c.next_fire <= fires.c.nominal,
        ),
    )
    .where(
        schedules.c.id.in_(bindparam("entries", expanding=True)),
        fires.c.origin == OFFLINE,
        or_(fires.c.stage.is_(None), fires.c.stage == ENDED),
    )
)

MINE: Final = (
    fires.c.stage == OPEN,
    fires.c.owner == bindparam("instance"),
    fires.c.epoch == bindparam("held"),
)
OWNED: Final = select(*FIRE).where(*MINE).order_by(fires.c.id)
BATCH: Final = (
    select(*FIRE)
    .where(*MINE, fires.c.state == PENDING, fires.c.batch == bindparam("batch"))
    .order_by(fires.c.id)
)
OF_NOBODY: Final = (
    fires.c.stage == OPEN,
    fires.c.owner.in_(bindparam("names", expanding=True)),
)
LATE: Final = (
    select(*FIRE)
    .where(*OF_NOBODY, fires.c.state == PENDING, fires.c.due <= bindparam("now"))
    .order_by(fires.c.due)
    .limit(bindparam("most"))
)
UNHEARD: Final = (
    select(*FIRE)
    .where(*OF_NOBODY, fires.c.state.in_((SUBMITTED, RUNNING)))
    .limit(bindparam("most"))
)
LATE_LOCKED: Final = LATE.with_for_update(skip_locked=True)
LOST_LOCKED: Final = UNHEARD.with_for_update(skip_locked=True)
OWN: Final = (
    update(fires)
    .values(owner=bindparam("by"), epoch=bindparam("at"))
    .where(fires.c.id == bindparam("fire"))
)
# When it was taken over, in place of what it was inserted with.
ASK: Final = OWN.values(batch=bindparam("of"))
# Columns of the same names as parameters are what is set.
CHANGE: Final = (
    update(fires)
    # What it was inserted with stays, for whoever has had no answer to that.
    .values(batch=case((fires.c.batch < 0, 0), else_=fires.c.batch))
    .where(fires.c.id == bindparam("fire"), fires.c.stage == OPEN)
)
