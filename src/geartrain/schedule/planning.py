"""
What becomes of an entry that is due: which of its moments run, and what happened to the others.

Pure: an entry, the time, what of it has not ended, and the agents alive go in; rows come out. Every
moment up to now leaves in exactly one row, or is counted in one: to be run, skipped by a rule of
the entry, or missed. None is worked out twice, since the entry's next moment is written together
with the rows.

A moment is *on time* until it is ``grace`` seconds old, and *late* afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from geartrain.errors import UsageError
from geartrain.schedule.entry import Entry, from_definition
from geartrain.schedule.overlapping import CATCH_UP, decide
from geartrain.schedule.sequence import count, delayed, following, in_window, newest, opening
from geartrain.schedule.standing import why_paused
from geartrain.schedule.targeting import NOBODY, by_agent, targets_of
from geartrain.store.schedule_rows import (
    FINAL,
    MISSED,
    PENDING,
    SKIPPED,
    WAITING,
    Agent,
    Fire,
    Plan,
    Schedule,
)

__all__ = ["CLOCK", "admit", "joiners", "plan", "put_off", "recomputed"]

CLOCK: Final = "clock"
# How many moments one plan looks at, one by one. What is late beyond that is counted; what is on
# time is left to the next plan, which comes at once.
_MOST: Final = 1_000
# When an entry is looked at again that can't be read here, such as for want of its zone.
_UNREADABLE_PAUSE: Final = 60

_OUTSIDE: Final = "outside of its window"


def plan(
    schedule: Schedule,
    now: float,
    open_fires: Sequence[Fire],
    agents: Sequence[Agent],
    waited: float = 0.0,
) -> Plan:
    """
    Return what becomes of a due entry.

    Args:
        schedule: With ``0 < next_fire <= now``.
        now: The time.
        open_fires: Its fires that have not ended, and those that agents have run by themselves.
        agents: Those alive.
        waited: For how long it was put off: nothing is late for that.

    """
    try:
        return _Planning(schedule, now, open_fires, agents, waited).plan()
    except UsageError:
        # Another instance may have what this one lacks; the others' entries go on.
        return put_off(schedule, now + _UNREADABLE_PAUSE)


def put_off(schedule: Schedule, until: float) -> Plan:
    """Return a plan that leaves an entry as it is, to be looked at again at some time."""
    return Plan(
        next_fire=schedule.next_fire,
        last_nominal=schedule.last_nominal,
        runs=schedule.runs,
        enabled=schedule.enabled,
        generation=schedule.generation,
        # Schedulers sleep by whole seconds.
        wake=math.ceil(until),
    )


def admit(
    schedule: Schedule,
    entry: Entry,
    fire: Fire,
    now: float,
    open_fires: Sequence[Fire],
    agents: Sequence[Agent],
) -> tuple[list[Fire], list[Fire]]:
    """
    Return the rows of one moment, one for each target, and the earlier fires that these end.

    Args:
        schedule, entry: What fires.
        fire: The row to begin with: moment, origin, when it is due.
        now: The time.
        open_fires: The entry's fires that have not ended.
        agents: Those alive.

    """
    targets = targets_of(entry, schedule.id, fire.nominal, agents)
    if not targets:
        return [replace(fire, state=MISSED, reason=NOBODY, ended=now)], []
    rows, cancelled = [], []
    for target in targets:
        before = [one for one in open_fires if not by_agent(entry) or one.target == target]
        decision = decide(entry, fire.origin, before, now)
        row = replace(fire, target=target, state=decision.state, reason=decision.reason)
        row.ended = now if row.state in FINAL else 0.0
        if row.state == WAITING:
            # It goes in the order it came, and older moments that are caught up come now.
            row.due = max(row.due, now)
        rows.append(row)
        cancelled += [one for one in decision.cancelled if one not in cancelled]
    return rows, cancelled


def joiners(
    schedule: Schedule, now: float, fires: Sequence[Fire], agents: Sequence[Agent]
) -> list[Fire]:
    """
    Return the fires of an entry's last moment for agents that came after it.

    Args:
        schedule: An entry with target ``all``.
        now: The time.
        fires: Those of its last moment.
        agents: Those alive.

    """
    entry = from_definition(schedule.definition)
    nominal = schedule.last_nominal
    if entry.target != "all" or not nominal < now <= nominal + entry.join_window:
        return []
    if not any(fire.generation == schedule.generation for fire in fires):
        return []
    have = {fire.target for fire in fires}
    return [
        Fire(
            schedule=schedule.id,
            generation=schedule.generation,
            nominal=nominal,
            target=target,
            due=now,
            origin="join",
            created=now,
        )
        for target in targets_of(entry, schedule.id, nominal, agents)
        if target not in have
    ]


def recomputed(schedule: Schedule, now: float) -> Schedule | None:
    """
    Return an entry's row under new zone data; None where these change nothing.

    Counted from its last moment on: what was dealt with is not fired again.
    """
    if not schedule.enabled or not schedule.next_fire or schedule.timezone == "UTC":
        return None
    if schedule.next_fire == schedule.since + 1:
        # Its executor chose this moment, or it is here within a second.
        return None
    entry = from_definition(schedule.definition)
    # What was before then was worked out by the old ones.
    since = max(schedule.last_nominal, schedule.since)
    moment = following(entry, since)
    if moment == schedule.next_fire:
        return None
    generation = schedule.generation + 1
    return replace(schedule, next_fire=moment, since=since, generation=generation)


class _Planning:
    """One plan in the making: each moment is put into rows, in order."""

    def __init__(
        self,
        schedule: Schedule,
        now: float,
        open_fires: Sequence[Fire],
        agents: Sequence[Agent],
        waited: float,
    ) -> None:
        self.schedule = schedule
        self.waited = waited
        self.entry = from_definition(schedule.definition)
        self.now = now
        self.agents = agents
        self.open = [fire for fire in open_fires if fire.state not in FINAL]
        # Moments that have rows already, since agents ran them while nobody was here.
        self.ran = {fire.nominal for fire in open_fires if fire.state in FINAL}
        self.is_apart = False
        self.stored = {id(fire) for fire in open_fires}
        self.fires: list[Fire] = []
        self.changes: list[Fire] = []
        self.runs = schedule.runs
        self.last = schedule.last_nominal
        self.moment = schedule.next_fire

    def plan(self) -> Plan:
        """Put every moment up to now into a row; return what is to be written."""
        self._pass_pause()
        self._catch_up()
        for _ in range(_MOST):
            if not self._is_due or self._is_spent:
                break
            self._run(self.moment, CLOCK)
            self._advance(self.moment)
        return Plan(
            next_fire=0 if self._is_spent else self.moment,
            last_nominal=self.last,
            runs=self.runs,
            enabled=not self._is_spent,
            generation=self.schedule.generation,
            fires=self.fires,
            changes=self.changes,
        )

    @property
    def _is_due(self) -> bool:
        end = self.entry.end
        return 0 < self.moment <= self.now and not (end and self.moment > end)

    @property
    def _is_spent(self) -> bool:
        return bool(self.entry.max_runs) and self.runs >= self.entry.max_runs

    def _advance(self, dealt_with: int) -> None:
        self.last = dealt_with
        self.moment = following(self.entry, dealt_with)

    # What did not run.

    def _pass_pause(self) -> None:
        """Skip the moments before a pause ended by itself."""
        until = math.ceil(self.schedule.paused_until) - 1
        if self.schedule.paused_at and self.moment <= until and self._is_due:
            self._pass_over(until, SKIPPED, why_paused(self.schedule))
            # What comes after the entry fires the past as little as it does.
            self.fires[-1].followed = True

    def _pass_over(self, until: int, state: str, reason: str) -> None:
        """Put the moments from the present one up to ``until`` into one row, by their count."""
        number = 1 + count(self.entry, self.moment, until)
        last = newest(self.entry, self.moment, until, 1) or [self.moment]
        self._note(self.moment, state, reason, number)
        self._advance(last[0])

    def _note(self, moment: int, state: str, reason: str, number: int = 1) -> None:
        """Put a moment that does not run into the last row, if that is of its kind, or a new."""
        row = self.fires[-1] if self.fires and not self.is_apart else None
        self.is_apart = False
        if row and (row.state, row.reason, row.target, row.origin) == (state, reason, "", CLOCK):
            row.count += number
            return
        fire = self._fire(moment, CLOCK)
        fire.state, fire.reason, fire.count, fire.ended = state, reason, number, self.now
        self.fires.append(fire)

    # Catching up.

    def _catch_up(self) -> None:
        """Deal with what is late."""
        until = math.ceil(self.now - self.waited - self.entry.grace) - 1
        if not self._is_due or self.moment > until or self._is_spent:
            return
        more = count(self.entry, self.moment, until) + 1 - _MOST
        if more > 0:
            before = newest(self.entry, self.moment, until, _MOST)[0]
            self._miss(before - 1)
        late = [self.moment, *newest(self.entry, self.moment, until, _MOST)]
        chosen = self._chosen(late)
        for moment in late:
            if self._is_spent:
                return
            if moment in self.ran:
                self._pass_run()
            elif moment in chosen:
                self._run(moment, CATCH_UP)
            elif not in_window(self.entry, moment):
                self._note(moment, SKIPPED, _OUTSIDE)
            else:
                self._note(moment, MISSED, self._why_missed)
            self._advance(moment)

    def _miss(self, until: int) -> None:
        """Put the moments up to ``until`` into rows that count what no agent ran."""
        for ran in sorted(one for one in self.ran if self.moment <= one <= until):
            if self.moment < ran:
                self._pass_over(ran - 1, MISSED, self._why_missed)
            self._pass_run()
            self._advance(ran)
        if 0 < self.moment <= until:
            self._pass_over(until, MISSED, self._why_missed)

    def _pass_run(self) -> None:
        """Take note of a moment that an agent ran, which has a row."""
        self.runs += 1
        # What comes is no continuation of what was missed before.
        self.is_apart = True

    def _chosen(self, late: Sequence[int]) -> set[int]:
        """Return which of the late moments run."""
        entry = self.entry
        eligible = [one for one in late if not self._is_old(one) and in_window(entry, one)]
        if self.ran and entry.catch_up == "first":
            return set()
        if self.ran and entry.catch_up == "last":
            # What an agent ran makes up for what was before.
            eligible = [one for one in eligible if one > max(self.ran)]
        if entry.catch_up == "last":
            # What is on time makes up for what is not.
            return set() if self._is_followed(late[-1]) else set(eligible[-1:])
        if entry.catch_up == "first":
            return set(eligible[:1])
        return set(eligible[-entry.catch_up_max :]) if entry.catch_up == "all" else set()

    def _is_followed(self, moment: int) -> bool:
        """Whether a moment behind this one runs now."""
        for _ in range(_MOST):
            moment = following(self.entry, moment)
            if not 0 < moment <= self.now:
                return False
            if in_window(self.entry, moment):
                return True
        return False

    def _is_old(self, moment: int) -> bool:
        window = self.entry.catch_up_window
        return bool(window) and self.now - moment > window

    @property
    def _why_missed(self) -> str:
        if self.entry.catch_up == "none":
            return "late, and catch_up is none"
        return f"late, and not among what catch_up = {self.entry.catch_up} runs"

    # What runs.

    def _run(self, moment: int, origin: str) -> None:
        """Put a moment that runs, unless a rule of its entry is against it, into its rows."""
        if not in_window(self.entry, moment):
            self._note(moment, SKIPPED, _OUTSIDE)
            return
        fire = self._fire(moment, origin)
        rows, cancelled = admit(self.schedule, self.entry, fire, self.now, self.open, self.agents)
        for old in cancelled:
            self._cancel(old)
        if len(rows) == 1 and not rows[0].target and rows[0].state in (SKIPPED, MISSED):
            # Of the same kind as the one before, most likely: one row for all of them.
            self._note(moment, rows[0].state, rows[0].reason)
            return
        self.fires += rows
        self.open += [row for row in rows if row.state in (PENDING, WAITING)]
        self.runs += any(row.state in (PENDING, WAITING) for row in rows)

    def _fire(self, moment: int, origin: str) -> Fire:
        if origin == CLOCK:
            due = delayed(self.entry, self.schedule.id, moment)
        else:
            due = opening(self.entry, self.now)
        return Fire(
            schedule=self.schedule.id,
            generation=self.schedule.generation,
            nominal=moment,
            previous=self.last,
            due=due,
            origin=origin,
            created=self.now,
        )

    def _cancel(self, ended: Fire) -> None:
        """End an earlier fire: one of the store, or one that this plan has just made."""
        for old in self.open:
            if (old.id, old.nominal, old.target) == (ended.id, ended.nominal, ended.target):
                self.open.remove(old)
                if id(old) in self.stored:
                    self.changes.append(ended)
                else:
                    old.state, old.reason, old.ended = ended.state, ended.reason, ended.ended
                return
