"""
Alerts, messages about them, and agents, in the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as copied
from typing import Final

from sqlalchemy import bindparam, delete, insert, select, tuple_, update

from geartrain.store.schedule_claims import gone, named
from geartrain.store.schedule_mapping import (
    AGENT,
    ALERT,
    MESSAGE,
    agent_of,
    agent_values,
    alert_of,
    alert_values,
    message_of,
    message_values,
)
from geartrain.store.schedule_place import SchedulePlace
from geartrain.store.schedule_rows import Agent, Alert, Message, Owner
from geartrain.store.schedule_store import Merger, Speaker
from geartrain.store.schedule_tables import agents, alerts, messages
from geartrain.store.schedule_transactions import Transaction, lots

__all__ = ["Alerts", "merge_alerts"]


class Alerts(SchedulePlace):
    """The part of ``ScheduleStore`` about agents, alerts and messages."""

    # Agents.

    def greet(self, agent: Agent, lease: float) -> None:
        """Note that an agent is alive; see ``ScheduleStore``."""

        def work(one: Transaction) -> None:
            query = select(*AGENT).where(agents.c.name == agent.name).with_for_update()
            known = [agent_of(row) for row in one.rows(query)]
            stayed = bool(known) and known[0].expires > one.now
            since = known[0].since if stayed else one.now
            values = agent_values(copied(agent, expires=one.now + lease, since=since))
            if known:
                one.run(update(agents).where(agents.c.name == agent.name), values)
            else:
                one.run(insert(agents), values)

        self._writer.run(work, again=True)

    def agents(self, alive: bool = True) -> Sequence[Agent]:
        """Return agents, by name; see ``ScheduleStore``."""

        def work(one: Transaction) -> Sequence[Agent]:
            query = select(*AGENT).order_by(agents.c.name)
            if alive:
                query = query.where(agents.c.expires > one.now)
            return [agent_of(row) for row in one.rows(query)]

        return self._writer.read(work)

    # Alerts.

    def report(self, events: Sequence[Alert], merge: Merger) -> None:
        """Merge events into what is known; see ``ScheduleStore``."""
        if events:
            self._writer.run(lambda one: merge_alerts(one, events, merge))

    def alerts(self, firing: bool = False) -> Sequence[Alert]:
        """Return what is known, newest event first; see ``ScheduleStore``."""
        query = select(*ALERT).order_by(alerts.c.last.desc(), alerts.c.id.desc())
        if firing:
            query = query.where(alerts.c.firing)
        return [alert_of(row) for row in self._read(lambda one: one.rows(query))]

    def say(self, me: Owner, limit: int, speaker: Speaker) -> int:
        """Make the messages of alerts that are due; see ``ScheduleStore``."""
        if not self._writer.read(lambda one: one.rows(SAY, {"now": one.now, "most": 1})):
            return 0

        def work(one: Transaction) -> int:
            one.fence(me)
            due = [alert_of(row) for row in one.rows(SAY_LOCKED, {"now": one.now, "most": limit})]
            if not due:
                return 0
            after, made = speaker(due, one.now)
            one.many(CHANGE_ALERT, [{"alert": it.id, **alert_values(it)} for it in after])
            one.many(
                insert(messages),
                [message_values(copied(it, created=it.created or one.now)) for it in made],
            )
            return len(made)

        return self._writer.run(work)

    # Messages.

    def take_messages(self, me: Owner, limit: int) -> Sequence[Message]:
        """Own messages that are due; see ``ScheduleStore``."""

        def look(one: Transaction, query: object = None) -> Sequence[Message]:
            parameters = {"now": one.now, "most": limit, "names": gone(one)}
            return [message_of(row) for row in one.rows(UNSENT, parameters)]

        if not self._writer.read(look):
            return ()

        def work(one: Transaction) -> Sequence[Message]:
            one.fence(me)
            parameters = {"now": one.now, "most": limit, "names": gone(one)}
            found = [message_of(row) for row in one.rows(UNSENT_LOCKED, parameters)]
            for message in found:
                message.owner, message.epoch = me.instance, me.epoch
            one.many(
                OWN_MESSAGE,
                [{"message": it.id, "owner": it.owner, "epoch": it.epoch} for it in found],
            )
            return found

        return self._writer.run(work)

    def sent(self, me: Owner, done: Sequence[Message]) -> None:
        """Write what became of messages; see ``ScheduleStore``."""

        def work(one: Transaction) -> None:
            one.fence(me)
            one.many(
                SENT,
                [
                    {
                        "message": it.id,
                        "due": it.due,
                        "attempts": it.attempts,
                        "error": message_values(it)["error"],
                        "sent": it.sent,
                        **named(me),
                    }
                    for it in done
                ],
            )

        self._writer.run(work, again=True)

    def messages(self, before: int = 0, limit: int = 100) -> Sequence[Message]:
        """Return messages, newest first; see ``ScheduleStore``."""
        query = select(*MESSAGE).order_by(messages.c.id.desc()).limit(limit)
        if before:
            query = query.where(messages.c.id < before)
        return [message_of(row) for row in self._read(lambda one: one.rows(query))]

    def trim_messages(self, before: float) -> int:
        """Forget messages sent or given up before a time; see ``ScheduleStore``."""
        # Those that were given up have no time of their own but when they were due last.
        ended = messages.c.sent.between(1, before) | (
            (messages.c.sent < 0) & (messages.c.due < before)
        )
        statement = delete(messages).where(ended)
        return self._writer.run(lambda one: one.run(statement), again=True)


def merge_alerts(one: Transaction, events: Sequence[Alert], merge: Merger) -> None:
    """Merge events into what is known, by (rule, subject)."""
    if not events:
        return
    keys = sorted({(event.rule, event.subject) for event in events})
    known: dict[tuple[str, str], Alert | None] = dict.fromkeys(keys)
    for some in lots(keys):
        for row in one.rows(KNOWN, {"keys": some}):
            alert = alert_of(row)
            known[alert.rule, alert.subject] = alert
    touched: dict[tuple[str, str], Alert] = {}
    for event in events:
        key = (event.rule, event.subject)
        before = known[key]
        event = event if event.last else copied(event, last=one.now)
        after = merge(before, event)
        if after is not None:
            after.id = before.id if before is not None else 0
            known[key] = touched[key] = after
    new = [alert_values(alert) for alert in touched.values() if not alert.id]
    one.many(insert(alerts), new)
    changed = [alert for alert in touched.values() if alert.id]
    one.many(CHANGE_ALERT, [{"alert": alert.id, **alert_values(alert)} for alert in changed])


KNOWN: Final = (
    select(*ALERT)
    .where(tuple_(alerts.c.rule, alerts.c.subject).in_(bindparam("keys", expanding=True)))
    .order_by(alerts.c.id)
    .with_for_update()
)
# Columns of the same names as parameters are what is set.
CHANGE_ALERT: Final = update(alerts).where(alerts.c.id == bindparam("alert"))
SAY: Final = (
    select(*ALERT)
    .where(alerts.c.due > 0, alerts.c.due <= bindparam("now"))
    .order_by(alerts.c.due)
    .limit(bindparam("most"))
)
SAY_LOCKED: Final = SAY.with_for_update(skip_locked=True)
UNSENT: Final = (
    select(*MESSAGE)
    .where(
        messages.c.sent == 0,
        messages.c.due <= bindparam("now"),
        messages.c.owner.in_(bindparam("names", expanding=True)),
    )
    .order_by(messages.c.due, messages.c.id)
    .limit(bindparam("most"))
)
UNSENT_LOCKED: Final = UNSENT.with_for_update(skip_locked=True)
OWN_MESSAGE: Final = update(messages).where(messages.c.id == bindparam("message"))
SENT: Final = (
    update(messages)
    .values(owner="", epoch=0)
    .where(
        messages.c.id == bindparam("message"),
        messages.c.owner == bindparam("instance"),
        messages.c.epoch == bindparam("held"),
    )
)
