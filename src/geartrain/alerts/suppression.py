"""
How often somebody is told of the same thing.

The first event of a bout is said at once, later ones by number and by time, the end always.

Pure: what is known of a condition and an event go in, what is known from then on comes out. A
store merges events with ``Suppression.merge`` inside its transaction; ``speaking`` asks
``Suppression.said`` what becomes of an alert when a message was made of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from geartrain.store.schedule_rows import Alert

__all__ = ["Maintenance", "Suppression"]

# More changes than these are not kept with an alert.
_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Maintenance:
    """
    A time in which what fires is not said.

    Attributes:
        start, end: Seconds since 1970; ``end`` is outside.
        subject, group, rule: Patterns with ``*`` and ``?`` of what it is about.

    """

    start: float
    end: float
    subject: str = "*"
    group: str = "*"
    rule: str = "*"

    def covers(self, alert: Alert, now: float) -> bool:
        """Return whether an alert is under maintenance at a time."""
        return (
            self.start <= now < self.end
            and fnmatchcase(alert.subject, self.subject)
            and fnmatchcase(alert.group, self.group)
            and fnmatchcase(alert.rule, self.rule)
        )


@dataclass(frozen=True, slots=True)
class Suppression:
    """
    When a message is due.

    Attributes:
        repeat: Seconds after the first, second, ... message of a bout until the next reminder; the
            last one goes on. Empty: no reminders.
        every: How many more events after the first, second, ... message make the next one due; the
            last one goes on. Empty: their number makes none due.
        flaps: How many changes within ``flap_time`` make it flapping: then it is said once in that
            time, whatever its state.
        flap_time: Seconds.
        maintenance: When nothing is said.

    """

    repeat: tuple[float, ...] = (3_600.0, 14_400.0, 86_400.0)
    every: tuple[int, ...] = (10, 100)
    flaps: int = 6
    flap_time: float = 3_600.0
    maintenance: tuple[Maintenance, ...] = ()

    def merge(self, known: Alert | None, event: Alert) -> Alert | None:
        """
        Return what is known of a condition after an event; None when nothing has to be written.

        An event tells that it fires, once more or for the first time, or that it has recovered.
        """
        if known is not None and known.firing and event.firing:
            return self._again(known, event)
        if event.firing:
            return self._begun(known, event)
        if known is not None and known.firing:
            ended = replace(known, firing=False, message=event.message, last=event.last)
            return self._changed(ended)
        return None

    def _begun(self, known: Alert | None, event: Alert) -> Alert:
        """Return an alert whose bout begins."""
        before = known or Alert(event.rule, event.subject)
        begun = replace(
            before,
            group=event.group,
            message=event.message,
            firing=True,
            count=event.count,
            since=event.last,
            last=event.last,
            said=0,
            messages=0,
            acknowledged_by="",
        )
        return self._changed(begun)

    def _again(self, known: Alert, event: Alert) -> Alert:
        """Return an alert that fires already, with one event more."""
        count = known.count + event.count
        due = known.due
        enough = self.every and known.messages and not self.flapping(known, event.last)
        if enough and not known.acknowledged_by:
            step = self.every[min(known.messages, len(self.every)) - 1]
            if count - known.said >= step:
                due = event.last
        return replace(
            known, group=event.group, message=event.message, last=event.last, count=count, due=due
        )

    def _changed(self, alert: Alert) -> Alert:
        """Return an alert that has just begun or ended, with the time at which that is said."""
        now = alert.last
        changed = replace(alert, changes=(*alert.changes, now)[-_KEPT:])
        # The change that makes it flapping is still told of.
        held = alert.due > now and self.flapping(alert, now)
        return replace(changed, due=alert.due if held else now)

    def flapping(self, alert: Alert, now: float) -> bool:
        """Return whether an alert has begun and ended too often of late."""
        return self._recent(alert, now) >= self.flaps

    def _recent(self, alert: Alert, now: float) -> int:
        return sum(change > now - self.flap_time for change in alert.changes)

    def silent_until(self, alert: Alert, now: float) -> float:
        """Return when the maintenance ends that covers an alert; 0 when none does."""
        ends = [one.end for one in self.maintenance if one.covers(alert, now)]
        return max(ends, default=0.0)

    def passed_over(self, alert: Alert, now: float) -> Alert | None:
        """Return an alert of which nothing is to be said now, with its next time; else None."""
        until = self.silent_until(alert, now)
        if until:
            return replace(alert, due=until if alert.firing else 0.0)
        if alert.firing and alert.acknowledged_by:
            return replace(alert, due=0.0)
        return None

    def said(self, alert: Alert, now: float) -> Alert:
        """Return an alert of which a message was made."""
        messages = alert.messages + 1
        if self.flapping(alert, now):
            due = now + self.flap_time
        elif alert.firing and self.repeat:
            due = now + self.repeat[min(messages, len(self.repeat)) - 1]
        else:
            due = 0.0
        return replace(alert, said=alert.count, said_at=now, messages=messages, due=due)

    @staticmethod
    def acknowledged(alert: Alert, who: str) -> Alert:
        """Return an alert that somebody has seen: nothing more is said until it recovers."""
        return replace(alert, acknowledged_by=who, due=0.0)
