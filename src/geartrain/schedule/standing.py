"""
An entry's row in the store: what a new one is, and what becomes of it when a person changes it.

Whatever starts an entry - its making, a change in what it fires, enabling, the end of a pause -
starts it from now on: none of these fires the past.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from geartrain.schedule.entry import Entry, from_definition, kind_of, to_definition
from geartrain.schedule.retrying import said_next
from geartrain.schedule.sequence import count, following
from geartrain.store.schedule_rows import MISSED, SKIPPED, Fire, Schedule

__all__ = ["FIRED_BY", "left_out", "moved", "paused", "resumed", "to_schedule", "why_paused"]

# What an entry fires, and when. A change of one of these is a change of the entry's generation.
FIRED_BY: Final = (
    "name",
    "when",
    "timezone",
    "day_mode",
    "dst",
    "start",
    "end",
    "enabled",
    "after",
    "rule",
    "function",
    "command",
    "payload",
    "envelope",
    "servers",
    "target",
    "tags",
    "user",
    "directory",
    "environment",
)


def to_schedule(entry: Entry, now: float, before: Schedule | None = None) -> Schedule:
    """
    Return the row of an entry that is saved.

    Args:
        entry: The entry, checked.
        now: The time.
        before: The row as it was read, where there is one. Its identity, revision and pause stay.
            If what it fires changes, the generation rises and it starts from now on; otherwise
            where it has got to stays as well.

    """
    row = Schedule(
        name=entry.name,
        definition=to_definition(entry),
        kind=kind_of(entry),
        expression=entry.when,
        timezone=entry.timezone,
        function=entry.function,
        target=entry.target,
        source=entry.source,
        enabled=entry.enabled,
    )
    if before is None:
        return _started(row, entry, now)
    row = replace(
        before,
        name=row.name,
        definition=row.definition,
        kind=row.kind,
        expression=row.expression,
        timezone=row.timezone,
        function=row.function,
        target=row.target,
        source=row.source,
    )
    if _fires_alike(entry, before):
        return row
    row.enabled = entry.enabled
    row.generation += 1
    return _started(row, entry, now)


def paused(row: Schedule, now: float, who: str, why: str = "", until: float = 0.0) -> Schedule:
    """Return the row of an entry that is paused from now on; where it has got to stays."""
    return replace(row, paused_at=now, paused_by=who, paused_why=why, paused_until=until)


def resumed(row: Schedule, now: float) -> Schedule:
    """Return the row of an entry whose pause ends now; what fell into the pause is not fired."""
    row = replace(row, paused_at=0.0, paused_by="", paused_why="", paused_until=0.0)
    row.generation += 1
    return _started(row, from_definition(row.definition), now)


def moved(row: Schedule, moment: int, now: float) -> tuple[Schedule, Fire | None]:
    """
    Return the row of an entry whose executor asked for its next moment, and what that leaves out.

    The moments before it are in one row that was skipped, if there are any.
    """
    entry = from_definition(row.definition)
    before = max(row.last_nominal, row.since)
    left_out = count(entry, before, moment - 1)
    changed = replace(row, generation=row.generation + 1, since=moment - 1, next_fire=moment)
    if not left_out:
        return changed, None
    skipped = Fire(
        schedule=row.id,
        generation=row.generation,
        nominal=following(entry, before),
        previous=row.last_nominal,
        state=SKIPPED,
        reason=said_next(moment),
        count=left_out,
        created=now,
        ended=now,
    )
    return changed, skipped


def left_out(before: Schedule, after: Schedule) -> Fire | None:
    """
    Return the row of the moments that an entry had before it was resumed, or changed in what it
    fires, and that nobody dealt with; None where there are none.
    """
    if after.generation == before.generation or not before.enabled:
        return None
    entry = from_definition(before.definition)
    dealt_with = max(before.last_nominal, before.since)
    number = count(entry, dealt_with, after.since)
    if not number:
        return None
    fire = Fire(
        schedule=before.id,
        generation=before.generation,
        nominal=following(entry, dealt_with),
        previous=before.last_nominal,
        state=MISSED,
        reason="late, and its entry was changed before it was caught up",
        count=number,
        # What comes after the entry fires the past as little as it does.
        followed=True,
    )
    if before.paused_at:
        fire.state, fire.reason = SKIPPED, why_paused(before)
    return fire


def why_paused(row: Schedule) -> str:
    """Return the reason of moments that a pause kept from firing."""
    return f"paused by {row.paused_by}" if row.paused_by else "paused"


def _fires_alike(entry: Entry, row: Schedule) -> bool:
    """Whether a row fires what an entry says; one that disabled itself does not."""
    was = from_definition(row.definition)
    return row.enabled == entry.enabled and all(
        getattr(entry, key) == getattr(was, key) for key in FIRED_BY
    )


def _started(row: Schedule, entry: Entry, now: float) -> Schedule:
    # A clock that was set back finds moments again that have been dealt with.
    row.since = max(int(now), row.last_nominal)
    row.next_fire = following(entry, row.since) if row.enabled else 0
    row.failures = 0
    if entry.max_runs and row.runs >= entry.max_runs:
        row.runs = 0
    return row
