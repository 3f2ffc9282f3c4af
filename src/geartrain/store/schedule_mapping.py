"""
Maps rows of the tables of schedules to objects and back.

A query for an object names its columns in the order of the object's attributes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import ColumnElement, Table

from geartrain.store import schedule_tables as tables
from geartrain.store.schedule_rows import (
    FINAL,
    Agent,
    Alert,
    Audit,
    Fire,
    Instance,
    Message,
    Schedule,
)

__all__ = [
    "AGENT",
    "ALERT",
    "AUDIT",
    "FIRE",
    "INSTANCE",
    "MESSAGE",
    "SCHEDULE",
    "agent_of",
    "agent_values",
    "alert_of",
    "alert_values",
    "audit_of",
    "clean",
    "fire_of",
    "fire_values",
    "instance_of",
    "message_of",
    "message_values",
    "schedule_of",
    "schedule_values",
    "stage_of",
    "wake_of",
]

# Attributes that are called otherwise in the tables.
RENAMED: Final = {
    (Fire, "taken"): "batch",
    (Fire, "followed"): "stage",
    (Agent, "table"): "table_revision",
    (Alert, "group"): "group_name",
    (Audit, "before"): "old_value",
    (Audit, "after"): "new_value",
}


def columns(table: Table, kind: Any) -> tuple[ColumnElement[Any], ...]:
    """Return the columns of an object's attributes, in their order."""
    return tuple(table.c[RENAMED.get((kind, one.name), one.name)] for one in fields(kind))


SCHEDULE: Final = columns(tables.schedules, Schedule)
FIRE: Final = columns(tables.fires, Fire)
INSTANCE: Final = columns(tables.instances, Instance)
AGENT: Final = columns(tables.agents, Agent)
ALERT: Final = columns(tables.alerts, Alert)
MESSAGE: Final = columns(tables.messages, Message)
AUDIT: Final = columns(tables.audit, Audit)


def clean(text: str) -> str:
    """Return a text as any database takes it: without NUL and halves of characters."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def values_of(thing: Any, names: Iterable[str]) -> dict[str, object]:
    """Return an object's attributes as they are written."""
    values: dict[str, object] = {}
    for name in names:
        value = getattr(thing, name)
        values[name] = clean(value) if isinstance(value, str) else value
    return values


# Entries.

SCHEDULE_NAMES: Final = tuple(one.name for one in fields(Schedule) if one.name != "id")


def schedule_of(row: Sequence[Any]) -> Schedule:
    """Return the entry of a row."""
    return Schedule(*row)


def schedule_values(schedule: Schedule) -> dict[str, object]:
    """Return an entry's row, without its id."""
    return {**values_of(schedule, SCHEDULE_NAMES), "wake": wake_of(schedule, schedule.next_fire)}


def wake_of(schedule: Schedule, next_fire: int) -> float | None:
    """Return when an entry is to be looked at, None for never."""
    if not schedule.enabled or next_fire <= 0:
        return None
    if not schedule.paused_at:
        return float(next_fire)
    return max(float(next_fire), schedule.paused_until) if schedule.paused_until else None


# Fires.

FIRE_NAMES: Final = tuple(
    one.name for one in fields(Fire) if one.name not in ("id", "taken", "followed")
)


def fire_of(row: Sequence[Any]) -> Fire:
    """Return the fire of a row."""
    fire = Fire(*row)
    fire.taken = max(0.0, -float(fire.taken))
    fire.followed = row[-1] is None
    return fire


def stage_of(fire: Fire) -> int | None:
    """Return where a fire stands: on the way, ended, or done with."""
    if fire.state not in FINAL:
        return tables.OPEN
    return None if fire.followed else tables.ENDED


def fire_values(fire: Fire) -> dict[str, object]:
    """Return a fire's row, without its id."""
    return {**values_of(fire, FIRE_NAMES), "stage": stage_of(fire)}


# Instances and agents.


def instance_of(row: Sequence[Any]) -> Instance:
    """Return the instance of a row."""
    return Instance(*row)


def agent_of(row: Sequence[Any]) -> Agent:
    """Return the agent of a row."""
    name, tags, *rest = row
    return Agent(name, tuple(json.loads(tags)), *rest)


def agent_values(agent: Agent) -> dict[str, object]:
    """Return an agent's row."""
    return {
        "name": agent.name,
        "tags": json.dumps(agent.tags),
        "expires": agent.expires,
        "since": agent.since,
        "table_revision": agent.table,
        "version": clean(agent.version),
    }


# Alerts and messages.

ALERT_NAMES: Final = tuple(
    one.name for one in fields(Alert) if one.name not in ("id", "group", "changes")
)
MESSAGE_NAMES: Final = tuple(one.name for one in fields(Message) if one.name != "id")


def alert_of(row: Sequence[Any]) -> Alert:
    """Return the alert of a row."""
    alert = Alert(*row)
    alert.changes = tuple(json.loads(row[CHANGES]))
    return alert


CHANGES: Final = [one.name for one in fields(Alert)].index("changes")


def alert_values(alert: Alert) -> dict[str, object]:
    """Return an alert's row, without its id."""
    return {
        **values_of(alert, ALERT_NAMES),
        "group_name": clean(alert.group),
        "changes": json.dumps(alert.changes),
    }


def message_of(row: Sequence[Any]) -> Message:
    """Return the message of a row."""
    return Message(*row)


def message_values(message: Message) -> dict[str, object]:
    """Return a message's row, without its id."""
    return values_of(message, MESSAGE_NAMES)


def audit_of(row: Sequence[Any]) -> Audit:
    """Return a line of the book of changes."""
    return Audit(*row)
