"""
What an agent that is cut off fires by itself: the scheduler's rules, for the entries of one copy.

Reads no clock and runs nothing: times and the ends of fires go in, fires that are to begin come
out. The rows are those that the scheduler would have made, so their keys are the same.
"""

from __future__ import annotations

from typing import Final

from geartrain.errors import UsageError
from geartrain.schedule.cron import REBOOT
from geartrain.schedule.entry import Entry, from_definition, kind_of
from geartrain.schedule.envelope import Answer
from geartrain.schedule.greeting import Standing, Table
from geartrain.schedule.overlapping import promoted
from geartrain.schedule.planning import plan
from geartrain.schedule.retrying import answered
from geartrain.schedule.sequence import following
from geartrain.store.schedule_rows import (
    CANCELLED,
    DONE,
    FINAL,
    PENDING,
    RUNNING,
    WAITING,
    Agent,
    Fire,
    Schedule,
)

__all__ = ["LocalFires"]

_REBOOT_ORIGIN: Final = "reboot"


class LocalFires:
    """
    The fires of one time of being cut off.

    Args:
        table: The entries.
        tags: The agent's.
        begin: From when on their moments count: what came before was the scheduler's.

    Attributes:
        unreadable: Names of entries that can't be read here, such as for want of a zone.
        paused: Names of those that fire no more, since they failed too often.

    """

    def __init__(self, table: Table, tags: tuple[str, ...], begin: float) -> None:
        self.me = Agent(name=table.agent, tags=tags)
        self.rows: dict[int, Schedule] = {}
        self.entries: dict[int, Entry] = {}
        self.open: dict[int, list[Fire]] = {}
        self.unreadable: list[str] = []
        self.paused: list[str] = []
        for standing in table.entries:
            self._add(standing, begin)

    def _add(self, standing: Standing, begin: float) -> None:
        try:
            entry = from_definition(standing.definition)
            kind = kind_of(entry)
            after = max(standing.last_nominal, standing.since, int(begin))
            next_fire = following(entry, after)
        except (UsageError, ValueError, KeyError, TypeError):
            self.unreadable.append(str(standing.schedule))
            return
        self.entries[standing.schedule] = entry
        self.rows[standing.schedule] = Schedule(
            name=entry.name,
            definition=standing.definition,
            id=standing.schedule,
            kind=kind,
            generation=standing.generation,
            since=standing.since,
            last_nominal=standing.last_nominal,
            runs=standing.runs,
            next_fire=next_fire,
        )

    # What is to begin.

    def reboot(self, started: float) -> None:
        """Have the entries fire that do so when an agent starts."""
        for row in self.rows.values():
            if row.kind == REBOOT:
                self._open(row.id).append(
                    Fire(
                        schedule=row.id,
                        generation=row.generation,
                        nominal=int(started),
                        target=self.me.name,
                        due=started,
                        origin=_REBOOT_ORIGIN,
                        created=started,
                    )
                )

    def plan(self, now: float) -> list[Fire]:
        """Put what is due by now into rows; return running fires that are ended by others."""
        ended = []
        for row in self.rows.values():
            if row.enabled and 0 < row.next_fire <= now:
                ended += self._plan_one(row, now)
        return ended

    def _plan_one(self, row: Schedule, now: float) -> list[Fire]:
        made = plan(row, now, self._open(row.id), [self.me])
        row.next_fire, row.last_nominal = made.next_fire, made.last_nominal
        row.runs, row.enabled = made.runs, made.enabled
        ended = []
        for change in made.changes:
            old = self._find(change)
            if old is not None and change.state == CANCELLED:
                self.open[row.id].remove(old)
                ended += [old] if old.state == RUNNING else []
        self._open(row.id).extend(
            fire
            for fire in made.fires
            if fire.state in (PENDING, WAITING) and fire.target in ("", self.me.name)
        )
        return ended

    def begin(self, now: float, room: int, again_only: bool = False) -> list[Fire]:
        """
        Return the fires that begin now; they count as running from then on.

        Args:
            now: The time.
            room: How many may begin, at most.
            again_only: Only those that began before: further attempts.

        """
        found = []
        for identity, fires in self.open.items():
            for fire in promoted(self.entries[identity], fires, now):
                old = self._find(fire)
                assert old is not None
                old.state, old.due = fire.state, fire.due
            found += [
                fire
                for fire in fires
                if fire.state == PENDING and fire.due <= now and (fire.attempt or not again_only)
            ]
        found.sort(key=lambda fire: (fire.due, fire.nominal))
        for fire in found[:room]:
            fire.state = RUNNING
            fire.attempt += 1
            fire.started = now
            fire.submitted = fire.submitted or now
        return found[:room]

    def forget_new(self) -> None:
        """Leave to the scheduler what has not begun."""
        for fires in self.open.values():
            fires[:] = [fire for fire in fires if fire.attempt]

    def is_last(self, fire: Fire, answer: Answer, now: float) -> bool:
        """Whether a fire has come to its end with this answer: no attempt follows."""
        if self._find(fire) is None:
            return True
        return answered(self.entries[fire.schedule], fire, now, answer).fire.state in FINAL

    def end(self, fire: Fire, answer: Answer, now: float) -> None:
        """Take note of how a running fire ended."""
        old = self._find(fire)
        if old is None:
            # It was ended by the next one.
            return
        conclusion = answered(self.entries[fire.schedule], fire, now, answer)
        fires = self.open[fire.schedule]
        fires.remove(old)
        if conclusion.fire.state not in FINAL:
            fires.append(conclusion.fire)
            return
        self._count(self.rows[fire.schedule], conclusion.fire.state == DONE)
        if conclusion.next_run:
            self.rows[fire.schedule].next_fire = conclusion.next_run

    def _count(self, row: Schedule, well: bool) -> None:
        """Count an end; an entry that ends badly too often fires no more until the scheduler."""
        row.failures = 0 if well else row.failures + 1
        limit = self.entries[row.id].pause_on_failure
        if limit and row.failures >= limit and row.enabled:
            row.enabled = False
            self.paused.append(row.name)

    def next_time(self) -> float:
        """Return when there is something to do; 0 for never."""
        times = [float(row.next_fire) for row in self.rows.values() if row.enabled]
        times += [fire.due for fires in self.open.values() for fire in fires if is_due(fire)]
        return min((time for time in times if time > 0), default=0.0)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that has begun."""
        return not any(self.open.values())

    def entry_of(self, fire: Fire) -> Entry:
        """Return a fire's entry."""
        return self.entries[fire.schedule]

    def _open(self, schedule: int) -> list[Fire]:
        return self.open.setdefault(schedule, [])

    def _find(self, fire: Fire) -> Fire | None:
        for old in self._open(fire.schedule):
            if (old.nominal, old.target) == (fire.nominal, fire.target):
                return old
        return None


def is_due(fire: Fire) -> bool:
    """Whether a fire waits for nothing but its time."""
    return fire.state == PENDING
