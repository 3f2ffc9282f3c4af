"""
What a scheduler does on its rounds through all entries, a page at a time: forget old fires, look
for moments without a row, work moments out again after new zone data, and find the entries whose
last fire agents get that come late. Beside them it ends what fires about entries that can't end it.
"""

from __future__ import annotations

import logging
import zoneinfo
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from geartrain.errors import UsageError
from geartrain.schedule.alarms import Alarms, Durations
from geartrain.schedule.entry import cron_of, from_definition
from geartrain.schedule.planning import joiners, recomputed
from geartrain.schedule.reconciling import first_moment, missing
from geartrain.store.schedule_rows import Agent, Alert, Fire, Schedule
from geartrain.store.schedule_store import ScheduleStore

__all__ = ["Rounds", "zone_version"]

logger = logging.getLogger("geartrain.schedule")

WHO: Final = "geartrain scheduler"
# Entries looked at in one step of the slow round, and of one that somebody waits for.
_FEW: Final = 10
_MANY: Final = 1_000
# Seconds from the end of one slow round to the next.
_REST: Final = 600.0
# Seconds until an entry's old fires are forgotten again, if it has fired since.
_TRIMMING: Final = 6 * 3_600.0
_ROWS: Final = 1_000
# Entries looked at in one go because something fires about them.
_SUBJECTS: Final = 100


class Rounds:
    """
    Goes through the entries of a store.

    Args:
        store: The store.
        report: Is given what is to be known of moments that were missing.
        zones: Tells which zone data there are.

    """

    def __init__(
        self,
        store: ScheduleStore,
        report: Callable[[Sequence[Alert]], None],
        zones: Callable[[], str] | None = None,
    ) -> None:
        self.store = store
        self.report = report
        self.zones = zones or zone_version
        self.version = self.zones()
        self.place = ""
        self.rests_until = 0.0
        # Where the rounds for new zone data and for new agents are; None between them. Other
        # schedulers may have had other zone data, so the first begins at once.
        self.zone_place: str | None = ""
        self.agent_place: str | None = None
        self.agents: dict[str, float] = {}
        # Until which moment an entry's old fires were forgotten, and when, by its id.
        self.trimmed: dict[int, tuple[int, float]] = {}
        self.found = 0
        self.subject = ""

    def step(self, now: float, agents: Sequence[Agent]) -> bool:
        """Do a little; return whether there is more to be done at once. Raises StoreError."""
        self._look_for_agents(agents)
        if self.zone_place is not None:
            self._recompute(now)
        elif self.agent_place is not None:
            self._join(now, agents)
        elif now >= self.rests_until or now < self.rests_until - _REST:
            self._tidy(now)
        return self.zone_place is not None or self.agent_place is not None

    # Zone data.

    def look_at_zones(self) -> None:
        """Begin a round if there are other zone data than before."""
        version = self.zones()
        if version == self.version:
            return
        logger.warning("zone data are %s now, and were %s", version, self.version)
        self.version, self.zone_place = version, ""
        ZoneInfo.clear_cache()
        cron_of.cache_clear()

    def _recompute(self, now: float) -> None:
        page = self.store.schedules(self.zone_place or "", _MANY)
        for row in page:
            try:
                changed = recomputed(row, now)
            except UsageError as error:
                logger.warning("entry %s: %s", row.name, error)
                continue
            if changed is not None:
                self._write(row, changed)
        self.zone_place = page[-1].name if page else None

    def _write(self, row: Schedule, changed: Schedule) -> None:
        try:
            self.store.replace(changed, WHO)
        except UsageError:
            # Somebody has changed it just now, and has worked it out anew.
            return
        logger.warning(
            "entry %s: its next moment is %d instead of %d by the zone data",
            row.name,
            changed.next_fire,
            row.next_fire,
        )

    # Agents that come late.

    def _look_for_agents(self, agents: Sequence[Agent]) -> None:
        """Begin a round if there is an agent that was not there before."""
        known = {agent.name: agent.since for agent in agents}
        if any(self.agents.get(name) != since for name, since in known.items()):
            self.agent_place = ""
        self.agents = known

    def _join(self, now: float, agents: Sequence[Agent]) -> None:
        page = self.store.schedules(self.agent_place or "", _MANY)
        new: list[Fire] = []
        for row in page:
            if row.target == "all" and row.enabled and row.last_nominal and not row.paused_at:
                entry = from_definition(row.definition)
                if row.last_nominal + entry.join_window >= now:
                    fires = self.store.at_nominal([row.id], row.last_nominal)
                    new += joiners(row, now, fires, agents)
        if new:
            self.store.insert(new, WHO)
        self.agent_place = page[-1].name if page else None

    # What fires about entries that can't end it.

    def settle(self, now: float) -> None:
        """
        End what fires about entries that were disabled, are over, or have no such rule any more.

        Nothing is said of that end: nothing has recovered. Raises StoreError.
        """
        about: dict[str, list[Alert]] = {}
        for alert in self.store.alerts(firing=True):
            about.setdefault(alert.subject, []).append(alert)
        names = sorted(name for name in about if name > self.subject)[:_SUBJECTS]
        self.subject = names[-1] if len(names) == _SUBJECTS else ""
        over: list[Alert] = []
        for name in names:
            row = self.store.schedule(name)
            for alert in about[name]:
                if why := _outlived(row, alert, now):
                    logger.info("%s of %s is told no more: %s", alert.rule, name, why)
                    over.append(replace(alert, message=why))
        self.store.report(over, _settled)

    # The slow round.

    def _tidy(self, now: float) -> None:
        self.look_at_zones()
        if self.zone_place is not None:
            # By other zone data than the entries', moments would seem to have no row.
            return
        page = self.store.schedules(self.place, _FEW)
        for row in page:
            self._reconcile(row, now)
            self._trim(row, now)
        self.place = page[-1].name if page else ""
        if len(page) < _FEW:
            self.place, self.rests_until = "", now + _REST

    def _trim(self, row: Schedule, now: float) -> None:
        moment, at = self.trimmed.setdefault(row.id, (row.last_nominal, now))
        if moment == row.last_nominal or 0 <= now - at < _TRIMMING:
            return
        entry = from_definition(row.definition)
        self.store.trim(row.id, entry.keep, now - entry.keep_for)
        self.trimmed[row.id] = (row.last_nominal, now)

    def _reconcile(self, row: Schedule, now: float) -> None:
        if not row.last_nominal or row.last_nominal <= row.since:
            return
        begin = first_moment(row, now)
        fires = list(self.store.fires(schedule=row.id, until=begin, limit=10))
        before = 0
        while page := self.store.fires(
            schedule=row.id, since=begin + 1, before=before, limit=_ROWS
        ):
            fires += page
            before = page[-1].id
            if len(page) < _ROWS:
                break
        try:
            found = missing(row, fires, now)
        except UsageError:
            return
        if not found:
            return
        new = self.store.insert(found, WHO)
        self.found += sum(fire.count for fire in new)
        alarms = Alarms(from_definition(row.definition))
        for fire in new:
            logger.error("entry %s: no row stood for %d moments", row.name, fire.count)
            self.report(alarms.ended(fire, row, (), Durations()))


def _outlived(row: Schedule | None, alert: Alert, now: float) -> str:
    """Return why an alert ends by itself; empty if it does not."""
    if row is None:
        # A fire of it ended later than the entry.
        return "the entry was removed"
    try:
        return Alarms(from_definition(row.definition)).outlived(alert, row, now)
    except UsageError:
        # Another instance may read what this one can't.
        return ""


def _settled(known: Alert | None, ended: Alert) -> Alert | None:
    """Return an alert that fires no more without a word; None if something came meanwhile."""
    if known is None or not known.firing or known.last != ended.last:
        return None
    return replace(known, firing=False, message=ended.message, due=0.0)


def zone_version() -> str:
    """Return which zone data this process reads."""
    for folder in zoneinfo.TZPATH:
        for name in ("tzdata.zi", "+VERSION"):
            try:
                with Path(folder, name).open(encoding="ascii", errors="replace") as file:
                    return file.readline().removeprefix("# version").strip()
            except OSError:
                continue
    try:
        return metadata.version("tzdata")
    except metadata.PackageNotFoundError:
        return "unknown"
