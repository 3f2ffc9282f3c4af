"""
Entries and fires as objects of JSON: the same ones for a command line, REST and a page.

Instants are RFC 3339 in UTC and None for never; lengths of time are seconds.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final

from geartrain.rfc3339 import written
from geartrain.schedule.cron import MANUALLY, REBOOT, Cron
from geartrain.schedule.entry import AFTER, Entry, cron_of, from_definition, to_table
from geartrain.schedule.explanation import Explanation
from geartrain.schedule.sequence import in_window
from geartrain.store.schedule_rows import Fire, Schedule

__all__ = ["as_entry", "as_fire", "as_schedule", "explained", "lag", "run_time", "status"]

# Moments among which those are looked for that fall into a window.
_LOOKED_AT: Final = 5_000


def as_entry(entry: Entry) -> dict[str, Any]:
    """Return an entry's name and those of its keys that are not as the defaults are."""
    return {"name": entry.name, **to_table(entry)}


def as_schedule(row: Schedule) -> dict[str, Any]:
    """Return an entry as it stands, with its definition under ``entry``."""
    return {
        "name": row.name,
        "id": row.id,
        "kind": row.kind,
        "status": status(row),
        "entry": to_table(from_definition(row.definition)),
        "generation": row.generation,
        "revision": row.revision,
        "next_fire": _instant(row.next_fire),
        "last_nominal": _instant(row.last_nominal),
        "since": _instant(row.since),
        "runs": row.runs,
        "failures": row.failures,
        "paused": _pause(row) if row.paused_at else None,
    }


def as_fire(fire: Fire, name: str = "") -> dict[str, Any]:
    """Return a fire; ``name`` is its entry's."""
    result: dict[str, Any] = {"result": None}
    if fire.result:
        try:
            result = {"result": fire.result.decode()}
        except UnicodeDecodeError:
            result = {"result_b64": base64.b64encode(fire.result).decode("ascii")}
    return {
        "id": fire.id,
        "entry": name,
        "generation": fire.generation,
        "nominal": _instant(fire.nominal),
        "previous": _instant(fire.previous),
        "target": fire.target,
        "state": fire.state,
        "origin": fire.origin,
        "reason": fire.reason,
        "count": fire.count,
        "attempt": fire.attempt,
        "due": _instant(fire.due),
        "submitted": _instant(fire.submitted),
        "started": _instant(fire.started),
        "ended": _instant(fire.ended),
        "lag": lag(fire),
        "run_time": run_time(fire),
        "handle": fire.handle,
        "server": fire.server,
        "owner": fire.owner,
        **result,
    }


def status(row: Schedule) -> str:
    """Return how an entry stands: paused, disabled, ended, failing or active."""
    if row.paused_at:
        return "paused"
    if not from_definition(row.definition).enabled:
        return "disabled"
    # A row that is not enabled although its definition is has reached its max_runs.
    fires = row.next_fire or row.kind in (REBOOT, MANUALLY, AFTER)
    if not row.enabled or not fires:
        return "ended"
    return "failing" if row.failures else "active"


def lag(fire: Fire) -> float | None:
    """Return how long after its moment a fire was submitted, in seconds; None before that."""
    return round(fire.submitted - fire.nominal, 3) if fire.submitted else None


def run_time(fire: Fire) -> float | None:
    """Return how long a fire ran, in seconds; None for one that has not ended, or did not run."""
    return round(fire.ended - fire.started, 3) if fire.started and fire.ended else None


def explained(entry: Entry, now: float, count: int = 5, following: int = 0) -> Explanation:
    """
    Say in words when an entry fires, with its next moments; see ``Cron.explain``.

    Args:
        entry: The entry.
        now: The time.
        count: How many moments.
        following: The next one where it is known: the entry's executor may have chosen it.

    """
    cron = cron_of(entry)
    if cron is None:
        return Explanation(_after(entry))
    found = cron.explain(datetime.fromtimestamp(max(now, entry.start - 1), UTC), count)
    if entry.window:
        found.words += f", but only between {entry.window.replace('-', ' and ')}"
    chosen = (following,) if following > now else ()
    found.fires = tuple(islice(_moments(entry, cron, max(now, *chosen, 0), chosen), count))
    return found


def _moments(entry: Entry, cron: Cron, after: float, first: tuple[int, ...]) -> Iterator[datetime]:
    """Yield an entry's moments that its start, end and window leave, as far as they are near."""
    begin = datetime.fromtimestamp(max(after, entry.start - 1), UTC)
    given = (datetime.fromtimestamp(moment, UTC) for moment in first)
    for fire in islice(chain(given, cron.fires(begin)), _LOOKED_AT):
        if entry.end and fire.timestamp() > entry.end:
            return
        if in_window(entry, fire.timestamp()):
            yield fire


def _after(entry: Entry) -> str:
    """Say in words when an entry fires that comes after others."""
    if entry.rule == "any":
        return f"when {' or '.join(entry.after)} has been done"
    several = len(entry.after) > 1
    ended = "been done" if entry.rule == "all_success" else "ended"
    names = " and ".join(entry.after)
    return f"when {names} {'have all' if several else 'has'} {ended}"


def _pause(row: Schedule) -> dict[str, Any]:
    return {
        "at": _instant(row.paused_at),
        "by": row.paused_by,
        "why": row.paused_why,
        "until": _instant(row.paused_until),
    }


def _instant(moment: float) -> str | None:
    return written(datetime.fromtimestamp(int(moment), UTC)) if moment else None
