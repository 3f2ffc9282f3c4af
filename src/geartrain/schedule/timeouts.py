"""
Whether a fire has taken too long: to be taken by a worker, to run, or in all.

A worker that is late is not stopped by this; who is told to stop it is the scheduler's business.
"""

from __future__ import annotations

from geartrain.schedule.entry import Entry
from geartrain.store.schedule_rows import PENDING, RUNNING, SUBMITTED, Fire

__all__ = ["limit_of", "overdue"]


def limit_of(entry: Entry, fire: Fire) -> float:
    """
    Return the time at which a fire will have taken too long; 0 where it may take for ever.

    The deadline counts from its first submission, attempts and the pauses between them included.
    """
    limits = []
    if entry.deadline and fire.submitted:
        limits.append(fire.submitted + entry.deadline)
    if entry.queue_timeout and fire.state in (PENDING, SUBMITTED):
        # Later attempts have been waiting since they were due; so has what no job server or agent
        # was there for.
        limits.append(max(fire.submitted, fire.due) + entry.queue_timeout)
    if entry.run_timeout and fire.state == RUNNING and fire.started:
        limits.append(fire.started + entry.run_timeout)
    return min(limits, default=0.0)


def overdue(entry: Entry, fire: Fire, now: float) -> str:
    """Return which limit a fire is behind, as a reason; empty where it has time."""
    limit = limit_of(entry, fire)
    if not limit or now < limit:
        return ""
    if entry.deadline and fire.submitted + entry.deadline <= now:
        return f"not done {entry.deadline:g} s after it was submitted (deadline)"
    if fire.state in (PENDING, SUBMITTED):
        return f"no worker took it for {entry.queue_timeout:g} s (queue_timeout)"
    return f"it ran for {entry.run_timeout:g} s (run_timeout)"
