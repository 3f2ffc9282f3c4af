"""
What a scheduler answers to agents that greet it: any instance does, out of the store alone.

It notes that the agent is alive, and what became of fires that the agent ran by itself; the answer
says which of these were noted, and brings the table of entries that the agent fires while it is cut
off, where there is a key to sign it with.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from geartrain.errors import UsageError
from geartrain.schedule.cron import REBOOT
from geartrain.schedule.entry import Entry, from_definition
from geartrain.schedule.envelope import DONE as SAID_DONE
from geartrain.schedule.envelope import NEXT_RUN, fire_key
from geartrain.schedule.greeting import (
    REPORTS,
    Greeting,
    Reply,
    Report,
    Standing,
    Table,
    read_greeting,
)
from geartrain.store.schedule_rows import DONE, FAILED, FINAL, TIMEOUT, Agent, Fire, Schedule
from geartrain.store.schedule_store import ScheduleStore

__all__ = ["LEASE", "Greetings", "answer_greeting", "is_local", "may_be_local", "table_for"]

logger = logging.getLogger("geartrain.scheduler")

# Seconds for which an agent counts as alive from its last greeting on.
LEASE: Final = 30.0
# The same as long as there are more reports to come: who waits for all of them tells by that.
_REPORTING: Final = 10.0
_PAGE: Final = 1_000
_ORIGINS: Final = ("offline", "reboot")
# What tells how a fire ended that somebody ran; any other end gives way to that.
_RAN: Final = (DONE, FAILED)


@dataclass(frozen=True, slots=True)
class Local:
    """An entry that agents may fire by themselves."""

    entry: Entry
    standing: Standing


class Greetings:
    """
    Answers greetings; the handler of the function `GREETING`.

    Args:
        store: Where entries and fires are.
        key: What is signed with; empty for no tables.
        lease: For how many seconds an agent counts as alive.

    """

    def __init__(self, store: ScheduleStore, key: bytes = b"", lease: float = LEASE) -> None:
        self.store = store
        self.key = key
        self.lease = lease
        self.lock = threading.Lock()
        # The entries that agents may fire by themselves, as of a revision of the store.
        self.revision = -1
        self.local: list[Local] = []
        # The last start of each agent whose entries of kind @reboot were dealt with.
        self.starts: dict[str, float] = {}

    def answer(self, workload: bytes) -> bytes:
        """Return the answer to a greeting; one that can't be read is told why."""
        try:
            greeting = read_greeting(workload, self.key)
        except UsageError as error:
            logger.warning("a greeting was refused: %s", error)
            return Reply(agent="", error=str(error)).to_bytes(b"")
        return self.answer_one(greeting).to_bytes(self.key)

    def answer_one(self, greeting: Greeting) -> Reply:
        """Note what a greeting says and return the answer."""
        store = self.store
        accepted = tuple(report.key for report in greeting.reports)
        note_reports(store, greeting)
        full = len(greeting.reports) >= REPORTS
        store.greet(
            Agent(
                name=greeting.agent,
                tags=greeting.tags,
                table=greeting.table,
                version=greeting.version,
            ),
            min(self.lease, _REPORTING) if full else self.lease,
        )
        known = self.starts.get(greeting.agent, 0.0)
        if greeting.started > known:
            store.insert(reboots(store, greeting), f"agent {greeting.agent}")
            self.starts[greeting.agent] = greeting.started
        elif greeting.started < known:
            logger.warning(
                "two agents are called %s, so each gets fires of the other: name one anew",
                greeting.agent,
            )
        revision, local = self._local() if self.key else (0, [])
        now = store.now()
        table = None
        if revision != greeting.table:
            table = table_for(greeting, revision, now, local).to_object(self.key)
        return Reply(
            agent=greeting.agent,
            nonce=greeting.nonce,
            now=now,
            lease=self.lease,
            revision=revision,
            accepted=accepted,
            table=table,
        )

    def _local(self) -> tuple[int, list[Local]]:
        """Return the store's revision, and the entries that agents may fire, as of it."""
        with self.lock:
            # Read before the entries: what changes in between is read once more.
            revision = self.store.revision()
            if revision != self.revision:
                self.local = list(_read_local(self.store))
                self.revision = revision
            return self.revision, self.local


def answer_greeting(store: ScheduleStore, workload: bytes, key: bytes = b"") -> bytes:
    """Answer one greeting; who answers many of them keeps a `Greetings`."""
    return Greetings(store, key).answer(workload)


def is_local(entry: Entry) -> bool:
    """Whether an agent that is cut off may fire an entry, tags apart."""
    if entry.after or not entry.enabled:
        return False
    if entry.target == "all" or entry.target.startswith("agent:"):
        return True
    return entry.offline and entry.target == "one"


def table_for(greeting: Greeting, revision: int, now: float, local: list[Local]) -> Table:
    """Return the table of one agent."""
    own = f"agent:{greeting.agent}"
    tags = set(greeting.tags)
    return Table(
        agent=greeting.agent,
        revision=revision,
        made=now,
        entries=tuple(
            one.standing
            for one in local
            if one.entry.target == own
            or (not one.entry.target.startswith("agent:") and tags.issuperset(one.entry.tags))
        ),
    )


def _read_local(store: ScheduleStore) -> Iterator[Local]:
    name = ""
    while page := store.schedules(name, _PAGE):
        for row in page:
            if row.enabled and not row.paused_at and may_be_local(row):
                entry = from_definition(row.definition)
                if is_local(entry):
                    yield Local(entry, _standing(row))
        name = page[-1].name


def may_be_local(row: Schedule) -> bool:
    """Tell most entries apart without reading their definition: there may be many."""
    return row.target == "all" or row.target.startswith("agent:") or '"offline"' in row.definition


def _standing(row: Schedule) -> Standing:
    return Standing(
        schedule=row.id,
        generation=row.generation,
        definition=row.definition,
        since=row.since,
        last_nominal=row.last_nominal,
        runs=row.runs,
    )


# Starts.


def reboots(store: ScheduleStore, greeting: Greeting) -> list[Fire]:
    """
    Return the fires of entries that fire when an agent starts; each has one key for each start.

    An entry that was made or changed since then waits for the next one.
    """
    found = []
    nominal, tags, name = int(greeting.started), set(greeting.tags), ""
    while page := store.schedules(name, _PAGE, kind=REBOOT):
        for row in page:
            if not row.enabled or row.paused_at or row.since > greeting.started:
                continue
            entry = from_definition(row.definition)
            if row.target == f"agent:{greeting.agent}" or (
                row.target == "all" and tags.issuperset(entry.tags)
            ):
                found.append(
                    Fire(
                        schedule=row.id,
                        generation=row.generation,
                        nominal=nominal,
                        target=greeting.agent,
                        due=greeting.started,
                        origin="reboot",
                    )
                )
        name = page[-1].name
    return found


# Reports.


def note_reports(store: ScheduleStore, greeting: Greeting) -> None:
    """
    Insert the fires that an agent ran by itself.

    One that has a row which has not ended is left as it is: its job asks the agent, and is answered
    from its journal. But a fire that counted as skipped, missed or lost was run, and that is known
    now.
    """
    known = {
        row.id: row
        for row in store.schedules(
            ids=sorted({report.schedule for report in greeting.reports}) or (0,)
        )
    }
    for report in greeting.reports:
        row = known.get(report.schedule)
        if row is None or not _is_its_own(report, greeting.agent):
            logger.warning("agent %s reported %s, which nobody knows", greeting.agent, report.key)
            continue
        fire = fire_of(report, from_definition(row.definition))
        old = [
            one
            for one in store.at_nominal([report.schedule], report.nominal)
            if (one.generation, one.target) == (report.generation, report.target)
        ]
        if not old or (old[0].state in FINAL and old[0].state not in (*_RAN, fire.state)):
            store.insert([fire], f"agent {greeting.agent}", again=bool(old))


def fire_of(report: Report, entry: Entry) -> Fire:
    """Return the row of a fire that an agent ran by itself."""
    answer = report.answer
    bad = TIMEOUT if answer.timed_out else FAILED
    kept = answer.output or answer.errors
    return Fire(
        schedule=report.schedule,
        generation=report.generation,
        nominal=report.nominal,
        target=report.target,
        previous=report.previous,
        due=float(report.nominal),
        state=DONE if answer.kind in (SAID_DONE, NEXT_RUN) else bad,
        origin=report.origin,
        reason=answer.reason,
        attempt=max(1, answer.attempt),
        created=answer.started,
        submitted=answer.started,
        started=answer.started,
        ended=answer.ended,
        result=kept.encode("utf-8", "replace")[: entry.result_size],
    )


def _is_its_own(report: Report, agent: str) -> bool:
    """Whether an agent may report a fire: its own, or one that any machine might have run."""
    named = fire_key(report.schedule, report.generation, report.nominal, report.target)
    return (
        report.target in ("", agent)
        and report.origin in _ORIGINS
        and report.key == named
        and report.nominal > 0
    )
