"""
What somebody should know of: the events that fires and entries give rise to.

Pure: a fire as it is, its entry, and what fires already go in; events for a store's ``mark`` or
``report`` come out. Whether, when and to whom anything is said of them is ``geartrain.alerts``'s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from geartrain.errors import UsageError
from geartrain.rfc3339 import written_seconds
from geartrain.store.schedule_rows import (
    DONE,
    FAILED,
    LOST,
    MISSED,
    TIMEOUT,
    Alert,
    Fire,
    Schedule,
)

if TYPE_CHECKING:
    from geartrain.schedule.entry import Entry

__all__ = ["RULES", "Alarms", "Durations", "read_rules"]

# Rules about fires, by name, with the number each is about: what it means is said beside it.
MISSED_RULE: Final = "missed"
LATE: Final = "late"
NEVER_STARTED: Final = "never_started"
TIMED_OUT: Final = "timeout"
LOST_RULE: Final = "lost"
FAILED_RULE: Final = "failed"
SLOW: Final = "slow"
NEVER_AGAIN: Final = "never_again"

# The rules an entry has unless it says otherwise. ``failed:3`` is the third failure in a row,
# ``late:60`` a submission so many seconds after it was due, ``slow:3`` three times the time that
# nineteen of twenty runs take at most.
DEFAULTS: Final[dict[str, float]] = {
    MISSED_RULE: 1,
    LATE: 60,
    NEVER_STARTED: 1,
    TIMED_OUT: 1,
    LOST_RULE: 1,
    FAILED_RULE: 1,
    SLOW: 3,
    NEVER_AGAIN: 1,
}
RULES: Final = tuple(DEFAULTS)
NUMBERED: Final = (FAILED_RULE, LATE, SLOW)
# What a fire that went well is the end of.
ENDED_BY_SUCCESS: Final = (MISSED_RULE, NEVER_STARTED, TIMED_OUT, LOST_RULE, FAILED_RULE)
# Runs a duration is compared with, at least and at most, and those that are quick whatever
# others took, in seconds.
FEWEST: Final = 20
MOST: Final = 100
QUICK: Final = 1.0
# How long something goes on firing about an entry that fires no more, in seconds: it has to be
# heard of, and nothing that the entry does ends it.
REMEMBERED: Final = 86_400.0


def read_rules(texts: Collection[str]) -> dict[str, float]:
    """
    Return the rules that an entry's ``alerts`` name, each with its number.

    Args:
        texts: Such as ``missed``, ``failed:3`` or ``slow:2.5``; ``none`` alone for no rule; empty
            for the usual ones.

    Raises:
        UsageError: There is no such rule, or no such number.

    """
    if not texts:
        return dict(DEFAULTS)
    if list(texts) == ["none"]:
        return {}
    rules = {}
    for text in texts:
        name, colon, number = text.partition(":")
        if name not in DEFAULTS:
            raise UsageError(f"no alert rule is called {name!r}: there are {', '.join(RULES)}")
        if colon and name not in NUMBERED:
            raise UsageError(f"the alert rule {name!r} takes no number")
        try:
            rules[name] = float(number) if colon else DEFAULTS[name]
        except ValueError:
            raise UsageError(f"{number!r} is no number, in the alert rule {text!r}") from None
        if not 0 < rules[name] < 1e9:
            raise UsageError(f"the number of the alert rule {text!r} is out of range")
    return rules


class Durations:
    """How long the last runs of an entry took, in seconds."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=MOST)

    def add(self, seconds: float) -> None:
        """Take note of a run that went well."""
        self._last.append(seconds)

    def usual(self) -> float | None:
        """Return what nineteen of twenty runs take at most; None where there are too few."""
        if len(self._last) < FEWEST:
            return None
        ordered = sorted(self._last)
        return ordered[(len(ordered) * 19) // 20]


class Alarms:
    """
    The alert rules of one entry.

    Args:
        entry: Its definition.

    """

    def __init__(self, entry: Entry) -> None:
        self.name = entry.name
        self.group = entry.group
        self.rules = read_rules(entry.alerts)
        self.enabled = entry.enabled
        # Whoever gave it an end knows that it has one.
        self.endless = not entry.end and not entry.max_runs

    def submitted(self, fire: Fire, firing: Collection[tuple[str, str]]) -> list[Alert]:
        """Return events of a fire that has just been submitted at ``fire.submitted``."""
        late = fire.submitted - fire.due
        if not self.is_timed(fire):
            return []
        if late > self.rules[LATE]:
            text = f"the fire of {written_seconds(fire.nominal)} was submitted {late:.0f} s late"
            return [self._event(LATE, text, fire.submitted)]
        return self._ends((LATE,), firing, f"submitted on time, {late:.1f} s", fire.submitted)

    def unsubmitted(self, fire: Fire, now: float) -> list[Alert]:
        """Return events of a fire that is due and still on no job server."""
        if not self.is_timed(fire) or now - fire.due <= self.rules[LATE]:
            return []
        text = (
            f"the fire of {written_seconds(fire.nominal)} is {now - fire.due:.0f} s late "
            "and could not be submitted yet"
        )
        return [self._event(LATE, text, now)]

    def ended(
        self,
        fire: Fire,
        schedule: Schedule,
        firing: Collection[tuple[str, str]],
        durations: Durations,
    ) -> list[Alert]:
        """
        Return events of a fire that has reached a final state at ``fire.ended``.

        Args:
            fire: As it is now.
            schedule: Its entry; ``failures`` does not count this fire yet.
            firing: (rule, subject) of what fires already, so that an end is told of what began.
            durations: Of the entry; a run that went well is added.

        """
        when, at = written_seconds(fire.nominal), fire.ended
        if fire.state == DONE:
            events = self._slow(fire, firing, durations)
            return events + self._ends(
                ENDED_BY_SUCCESS, firing, f"the fire of {when} went well", at
            )
        if fire.state == MISSED:
            many = f" and {fire.count - 1} more" if fire.count > 1 else ""
            return self._begins(
                MISSED_RULE, f"the fire of {when}{many} did not run: {fire.reason}", at, fire.count
            )
        if fire.state == TIMEOUT:
            rule, what = (
                (TIMED_OUT, "ran out of time")
                if fire.started
                else (
                    NEVER_STARTED,
                    "was started by no worker",
                )
            )
            return self._begins(rule, f"the fire of {when} {what}: {fire.reason}", at)
        if fire.state == LOST:
            return self._begins(LOST_RULE, f"the fire of {when} was lost: {fire.reason}", at)
        if fire.state == FAILED and schedule.failures + 1 >= self.rules.get(FAILED_RULE, 1e9):
            row = f" ({schedule.failures + 1} in a row)" if schedule.failures else ""
            return self._begins(
                FAILED_RULE,
                f"the fire of {when} failed{row}: {fire.reason or 'no reason given'}",
                at,
            )
        return []

    def planned(
        self, schedule: Schedule, firing: Collection[tuple[str, str]], now: float
    ) -> list[Alert]:
        """Return events of an entry whose next fire was just worked out."""
        timed = schedule.kind in ("cron", "every") and schedule.enabled
        if timed and self.endless and not schedule.next_fire:
            text = f"{schedule.expression!r} will never fire again"
            return self._begins(NEVER_AGAIN, text, now)
        return self._ends((NEVER_AGAIN,), firing, "it fires again", now)

    def outlived(self, alert: Alert, schedule: Schedule, now: float) -> str:
        """Return why an alert that fires about the entry is to end by itself; empty if it isn't."""
        if alert.rule not in self.rules:
            return "the entry has no such rule any more"
        if not self.enabled:
            return "the entry was disabled"
        timed = schedule.kind in ("cron", "every", "at")
        is_over = not schedule.enabled or (timed and not schedule.next_fire)
        if is_over and alert.rule != NEVER_AGAIN and now - alert.last > REMEMBERED:
            return "the entry fires no more"
        return ""

    def _slow(
        self, fire: Fire, firing: Collection[tuple[str, str]], durations: Durations
    ) -> list[Alert]:
        """Return events about how long a fire took that went well."""
        begun = fire.started or fire.submitted
        if SLOW not in self.rules or not begun or fire.ended < begun:
            return []
        took, usual = fire.ended - begun, durations.usual()
        durations.add(took)
        if usual is None:
            return []
        if took > max(QUICK, self.rules[SLOW] * usual):
            text = (
                f"the fire of {written_seconds(fire.nominal)} took {took:.1f} s; "
                f"19 of 20 take at most {usual:.1f} s"
            )
            return self._begins(SLOW, text, fire.ended)
        return self._ends((SLOW,), firing, f"took {took:.1f} s", fire.ended)

    def is_timed(self, fire: Fire) -> bool:
        """Whether a fire may be late, and somebody wants to hear of it."""
        return LATE in self.rules and fire.origin in ("clock", "after")

    def _begins(self, rule: str, text: str, at: float, count: int = 1) -> list[Alert]:
        return [self._event(rule, text, at, count)] if rule in self.rules else []

    def _ends(
        self, rules: Collection[str], firing: Collection[tuple[str, str]], text: str, at: float
    ) -> list[Alert]:
        """Return the end of each of these rules that fires."""
        return [
            Alert(rule, self.name, self.group, text, firing=False, last=at)
            for rule in rules
            if (rule, self.name) in firing
        ]

    def _event(self, rule: str, text: str, at: float, count: int = 1) -> Alert:
        return Alert(rule, self.name, self.group, text, count=count, last=at)
