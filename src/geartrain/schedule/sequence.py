"""
The moments of an entry between its start and its end: the next one, how many, the newest.

Moments are whole seconds since 1970. An entry with ``after``, by hand or at a start of an agent
has none here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from geartrain.schedule.cron import Cron
from geartrain.schedule.entry import Entry, cron_of
from geartrain.schedule.instant import SECOND, naive
from geartrain.schedule.spreading import jittered
from geartrain.schedule.zone import Change, wall_of

__all__ = ["correction", "count", "delayed", "following", "in_window", "newest", "opening"]


def following(entry: Entry, after: float) -> int:
    """Return the first moment later than ``after``; 0 where there is none."""
    cron = cron_of(entry)
    if cron is None:
        return 0
    fire = cron.next(_instant(max(after, entry.start - 1)))
    if fire is None:
        return 0
    moment = round(fire.timestamp())
    return 0 if entry.end and moment > entry.end else moment


def count(entry: Entry, after: int, until: int) -> int:
    """Return how many moments are later than ``after``, up to and including ``until``."""
    cron = cron_of(entry)
    if cron is None:
        return 0
    first, last = max(after, entry.start - 1), min(until, entry.end or until)
    return cron.count(_instant(first), _instant(last)) if first < last else 0


def correction(entry: Entry, after: int, until: int) -> Change | None:
    """Return the first correction of the clock between two moments that keeps it from firing."""
    cron = cron_of(entry)
    return None if cron is None else cron.correction(_instant(after), _instant(until))


def newest(entry: Entry, after: int, until: int, most: int) -> list[int]:
    """Return the last moments later than ``after`` up to ``until``, at most so many, ascending."""
    cron = cron_of(entry)
    found: list[int] = []
    if cron is None:
        return found
    first, last = max(after, entry.start - 1), min(until, entry.end or until)
    fire = cron.previous(_instant(last) + SECOND)
    while fire is not None and len(found) < most and fire.timestamp() > first:
        found.append(round(fire.timestamp()))
        fire = cron.previous(fire)
    return found[::-1]


def in_window(entry: Entry, moment: float) -> bool:
    """Whether an entry may run at this moment, by its times of day."""
    if not entry.window:
        return True
    wall = wall_of(ZoneInfo(entry.timezone), naive(_instant(moment))).strftime("%H:%M")
    begin, end = entry.window[:5], entry.window[6:]
    if begin < end:
        return begin <= wall < end
    return wall >= begin or wall < end


def opening(entry: Entry, moment: float) -> float:
    """Return from when on an entry may run that was to run at this moment: then, or later."""
    if in_window(entry, moment):
        return moment
    hour, minute = entry.window[:2], entry.window[3:5]
    # Where a change of clocks leaves the time out, at the first instant behind it.
    fire = Cron.parse(f"{minute} {hour} * * *", tz=entry.timezone).next(_instant(moment))
    return moment if fire is None else fire.timestamp()


def delayed(entry: Entry, schedule: int, moment: int) -> float:
    """Return when the fire of a moment is due: then, or later by its part of the jitter."""
    if not entry.jitter:
        return float(moment)
    after = following(entry, moment)
    due = jittered(
        str(schedule),
        _instant(moment),
        timedelta(seconds=entry.jitter),
        _instant(after) if after else None,
    ).timestamp()
    # What jitter moves out of the window would wait for a day.
    return due if in_window(entry, due) else float(moment)


def _instant(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
