"""
Draws the consequences of fires that have ended: who comes after them, who waited for them, and
whether their entry is paused because it failed too often.

Any scheduler may do it, and several may at once: what is inserted has a key, and what waited goes
once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from geartrain.errors import UsageError
from geartrain.schedule.dependencies import follow_up
from geartrain.schedule.entry import AFTER, from_definition
from geartrain.schedule.overlapping import BACKFILL, promoted
from geartrain.schedule.standing import paused
from geartrain.store.schedule_rows import (
    FAILED,
    LOST,
    PENDING,
    TIMEOUT,
    WAITING,
    Agent,
    Fire,
    Owner,
    Schedule,
)
from geartrain.store.schedule_store import ScheduleStore

__all__ = ["Following"]

logger = logging.getLogger("geartrain.schedule")

WHO: Final = "geartrain scheduler"
_PAGE: Final = 1_000
_BAD: Final = (FAILED, TIMEOUT, LOST)


class Counting:
    """
    How often entries that come after others run in one step, against ``max_runs``.

    Attributes:
        limits: The limits of entries that have some, by id.

    """

    def __init__(self) -> None:
        self.limits: dict[int, int] = {}
        self._moments: dict[int, set[int]] = {}

    def bounded(self, row: Schedule) -> Schedule:
        """Return an entry as it is after the runs of this step: disabled if these are enough."""
        more = len(self._moments.get(row.id, ()))
        most = from_definition(row.definition).max_runs
        return replace(row, enabled=False) if most and row.runs + more >= most else row

    def note(self, row: Schedule, inserts: Sequence[Fire]) -> None:
        """Take note of fires of an entry."""
        most = from_definition(row.definition).max_runs
        if most:
            self.limits[row.id] = most
            begun = {fire.nominal for fire in inserts if fire.state in (PENDING, WAITING)}
            self._moments.setdefault(row.id, set()).update(begun)


class Following:
    """
    Draws consequences out of a store.

    Args:
        store: The store.

    """

    def __init__(self, store: ScheduleStore) -> None:
        self.store = store
        # Entries that come after others, by the name of these, as of a revision of the store.
        self.children: dict[str, list[str]] = {}
        self.revision = -1

    def step(self, me: Owner, now: float, agents: Sequence[Agent], limit: int) -> int:
        """Deal with fires that have ended; return how many there were. Raises StoreError."""
        ended = self.store.unfollowed(limit)
        if not ended:
            return 0
        self._look_up_children()
        rows = {row.id: row for row in self.store.schedules(ids=_ids(ended), limit=len(ended))}
        # By key: all fires of a parent may end at once.
        inserts: dict[tuple[int, int, int, str], Fire] = {}
        counting = Counting()
        for fire in ended:
            row = rows.get(fire.schedule)
            if row is None:
                continue
            self._pause_if_failing(row, fire, now)
            for name in self.children.get(row.name, ()):
                for new in self._followed(name, fire, now, agents, counting):
                    inserts[new.schedule, new.generation, new.nominal, new.target] = new
        # What a person asks for of the past waits in line whatever the entry's own rule is.
        asked_for = {fire.schedule for fire in ended if fire.origin == BACKFILL}
        lines = [row for row in rows.values() if row.id in asked_for or _may_wait(row)]
        released = self._released(lines, ended, now)
        self.store.follow(me, ended, list(inserts.values()), released, counting.limits)
        return len(ended)

    def release(self, me: Owner, now: float) -> int:
        """Let fires go that wait for nothing any more; return how many."""
        waiting = self.store.waiting(_PAGE)
        if not waiting:
            return 0
        rows = self.store.schedules(ids=_ids(waiting), limit=len(waiting))
        released = self._released(rows, [], now)
        if released:
            self.store.follow(me, [], [], released)
        return len(released)

    def _look_up_children(self) -> None:
        revision = self.store.revision()
        if revision == self.revision:
            return
        children: dict[str, list[str]] = {}
        name = ""
        while page := self.store.schedules(name, _PAGE, kind=AFTER):
            for row in page:
                for parent in from_definition(row.definition).after:
                    children.setdefault(parent, []).append(row.name)
            name = page[-1].name
        self.children, self.revision = children, revision

    def _followed(
        self, name: str, ended: Fire, now: float, agents: Sequence[Agent], counting: Counting
    ) -> Sequence[Fire]:
        """Return the fires of an entry that comes after one which ended."""
        found = self.store.schedule(name)
        if found is None:
            return ()
        child = counting.bounded(found)
        after = from_definition(child.definition).after
        rows = {one: self.store.schedule(one) for one in after}
        ids = [row.id for row in (child, *rows.values()) if row]
        fires = self.store.at_nominal(ids, ended.nominal)
        if any((one.schedule, one.generation) == (child.id, child.generation) for one in fires):
            # It came after another of them already, as with rule = "any".
            return ()
        parents: dict[str, Sequence[Fire] | None] = {}
        for one, row in rows.items():
            own = [fire for fire in fires if row is not None and fire.schedule == row.id]
            parents[one] = own if own or _may_come(row, ended.nominal) else None
        underway = self.store.open_fires([child.id])[child.id]
        inserts, _ = follow_up(child, ended, parents, now, underway, agents)
        counting.note(child, inserts)
        return inserts

    def _released(self, rows: Sequence[Schedule], ended: Sequence[Fire], now: float) -> list[Fire]:
        if not rows:
            return []
        underway = self.store.open_fires([row.id for row in rows])
        return [
            fire
            for row in rows
            for fire in promoted(from_definition(row.definition), underway[row.id], now)
        ]

    def _pause_if_failing(self, row: Schedule, fire: Fire, now: float) -> None:
        limit = from_definition(row.definition).pause_on_failure
        if not limit or fire.state not in _BAD or row.failures < limit or row.paused_at:
            return
        why = f"{row.failures} fires in a row ended badly (pause_on_failure)"
        try:
            self.store.replace(paused(row, now, WHO, why), WHO)
        except UsageError:
            # A person, or another scheduler, has just changed it.
            return
        logger.warning("entry %s is paused: %s", row.name, why)


def _ids(fires: Sequence[Fire]) -> list[int]:
    return sorted({fire.schedule for fire in fires})


def _may_wait(row: Schedule) -> bool:
    """Whether fires of an entry may wait for one another."""
    entry = from_definition(row.definition)
    return entry.catch_up == "all" or entry.overlap not in ("allow", "skip")


def _may_come(row: Schedule | None, nominal: int) -> bool:
    """Whether an entry may have a fire of this moment yet."""
    if row is None:
        return False
    return row.kind == AFTER or 0 < row.next_fire <= nominal
