"""
How the schedulers of a store do, out of the store alone: who is there, what is due, how late fires
are and what did not run. The same object for a command line, and for whatever else is to show it.

It is about all schedulers together, needs none of them, and writes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

from geartrain.rfc3339 import written_seconds
from geartrain.store.schedule_rows import Fire, Instance
from geartrain.store.schedule_store import ScheduleStore

__all__ = ["BUCKETS", "observe"]

# Upper bounds of the histogram of lags, in seconds.
BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
# The newest fires, of which lag and rate are told.
_NEWEST: Final = 1_000
_MINUTE: Final = 60.0
_DAY: Final = 86_400.0
# Seconds from which on a due entry, and a clock that is off, are somebody's business.
_LATE: Final = 60.0
_SKEW: Final = 30.0


def observe(store: ScheduleStore) -> dict[str, Any]:
    """
    Return how the schedulers of a store do.

    Lengths of time are seconds, ``lag`` is that from when a fire was due to when a job server had
    acknowledged it, of the newest fires. ``lag.buckets`` counts those of at most so many seconds.
    ``troubles`` says what somebody should look at; it is empty where all is well.
    """
    now = store.now()
    schedulers = store.instances()
    entries, oldest = store.backlog()
    newest = store.fires(limit=_NEWEST)
    overdue = max(0.0, now - oldest) if entries else 0.0
    return {
        "now": written_seconds(now),
        "schedulers": [_scheduler(one, now) for one in schedulers],
        "backlog": {"entries": entries, "oldest": round(overdue, 3), "fires": dict(store.counts())},
        "lag": _lag(newest),
        "claimed_per_second": round(_rate(newest, now), 3),
        "last_day": dict(store.tallies(now - _DAY)),
        "troubles": _troubles(schedulers, now, entries, overdue),
    }


def _scheduler(one: Instance, now: float) -> dict[str, Any]:
    return {
        "name": one.name,
        "host": one.host,
        "alive": one.expires > now,
        "expires": written_seconds(one.expires),
        "skew": round(one.skew, 3),
        "tzdata": one.tzdata,
        "started": written_seconds(one.started),
    }


def _lag(newest: Sequence[Fire]) -> dict[str, Any]:
    # Later attempts are due later than the first, which the row no longer says.
    lags = sorted(
        max(0.0, fire.submitted - fire.due)
        for fire in newest
        if fire.submitted and fire.attempt == 1 and fire.origin == "clock"
    )
    if not lags:
        return {"count": 0, "p50": None, "p99": None, "max": None, "buckets": _buckets(lags)}
    return {
        "count": len(lags),
        "p50": round(lags[len(lags) // 2], 3),
        "p99": round(lags[min(len(lags) * 99 // 100, len(lags) - 1)], 3),
        "max": round(lags[-1], 3),
        "buckets": _buckets(lags),
    }


def _buckets(lags: Sequence[float]) -> Mapping[str, int]:
    """Return how many lags are at most as long as each bound."""
    found = {f"{bound:g}": bisect_left(lags, bound + 1e-9) for bound in BUCKETS}
    return {**found, "+Inf": len(lags)}


def _rate(newest: Sequence[Fire], now: float) -> float:
    """Return how many fires were made in each second of the last minute."""
    recent = [fire for fire in newest if fire.created > now - _MINUTE]
    if len(recent) < _NEWEST:
        return len(recent) / _MINUTE
    return len(recent) / max(1.0, now - min(fire.created for fire in recent))


def _troubles(
    schedulers: Sequence[Instance], now: float, entries: int, overdue: float
) -> list[str]:
    found = []
    alive = [one for one in schedulers if one.expires > now]
    if not alive:
        found.append("no scheduler is there: start geartrain serve or geartrain scheduler")
    if overdue > _LATE:
        found.append(f"{entries} entries are due and were not dealt with for {overdue:.0f} s")
    found += [
        f"the clock of {one.name} is {one.skew:+.1f} s off the database's, so it claims nothing"
        for one in alive
        if abs(one.skew) > _SKEW
    ]
    if len(versions := {one.tzdata for one in alive}) > 1:
        found.append(f"schedulers have different zone data: {', '.join(sorted(versions))}")
    return found
