"""
What is said, and to whom: the messages of alerts that are due.

Alerts of one group go into one message. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from geartrain.alerts.suppression import Suppression
from geartrain.rfc3339 import written_seconds
from geartrain.store.schedule_rows import Alert, Message

__all__ = ["Recipients", "Speaking"]

# Alerts that are told one by one in a message; of more it gives the number.
_LISTED = 50
_LONGEST_TITLE = 120


@dataclass(frozen=True, slots=True)
class Recipients:
    """
    Which channels hear of what. The rule's own come before the group's, and these before ``to``.

    Attributes:
        to: Channels of everything else.
        rules, groups: Channels by rule and by group.

    """

    to: tuple[str, ...] = ()
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, alert: Alert) -> tuple[str, ...]:
        """Return the names of the channels that hear of an alert."""
        found = self.rules.get(alert.rule)
        return self.groups.get(alert.group, self.to) if found is None else found


class Speaking:
    """
    Makes messages; its ``speak`` is what a store's ``say`` is given.

    Args:
        suppression: How often.
        recipients: To whom.
        programs: Channels whose messages are read by programs: their bodies are JSON.
        where: What the messages come from, such as the environment's name; may be empty.

    """

    def __init__(
        self,
        suppression: Suppression,
        recipients: Recipients,
        programs: frozenset[str] = frozenset(),
        where: str = "",
    ) -> None:
        self.suppression = suppression
        self.recipients = recipients
        self.programs = programs
        self.where = where

    def speak(self, alerts: Sequence[Alert], now: float) -> tuple[list[Alert], list[Message]]:
        """Return due alerts as they are from now on, and what is to be said of them."""
        after: list[Alert] = []
        heard: dict[tuple[str, str], list[Alert]] = {}
        for alert in alerts:
            quiet = self.suppression.passed_over(alert, now)
            if quiet is not None:
                after.append(quiet)
                continue
            after.append(self.suppression.said(alert, now))
            for channel in self.recipients.of(alert):
                heard.setdefault((channel, alert.group or alert.subject), []).append(alert)
        return after, [
            self._message(channel, about, together, now)
            for (channel, about), together in heard.items()
        ]

    def message(self, channel: str, alert: Alert, now: float) -> Message:
        """Return what is said of one alert over one channel."""
        return self._message(channel, alert.subject, [alert], now)

    def _message(self, channel: str, about: str, alerts: list[Alert], now: float) -> Message:
        title = self._title(about, alerts)
        if channel in self.programs:
            body = json.dumps(
                {
                    "title": title,
                    "from": self.where,
                    "alerts": [self._facts(one, now) for one in alerts],
                }
            )
        else:
            body = "\n\n".join(self._text(one, now) for one in alerts[:_LISTED])
            if len(alerts) > _LISTED:
                body += f"\n\nand {len(alerts) - _LISTED} more: see geartrain alert ls"
            body += "\n"
        return Message(channel, title, body, created=now, due=now)

    def _title(self, about: str, alerts: list[Alert]) -> str:
        if len(alerts) == 1:
            alert = alerts[0]
            told = f"{alert.subject}: {alert.rule}"
            told += "" if alert.firing else ", recovered"
        else:
            rules = sorted({one.rule for one in alerts})
            told = f"{about}: {len(alerts)} alerts ({', '.join(rules)})"
        told = " ".join(told.split())
        place = f" {self.where}" if self.where else ""
        return f"[geartrain{place}] {told}"[:_LONGEST_TITLE]

    def _state(self, alert: Alert, now: float) -> str:
        if self.suppression.flapping(alert, now):
            return "flapping"
        return "firing" if alert.firing else "recovered"

    def _text(self, alert: Alert, now: float) -> str:
        lines = [f"{alert.subject}: {alert.rule}, {self._state(alert, now)}", f"  {alert.message}"]
        times = "once" if alert.count == 1 else f"{alert.count} times"
        lines.append(
            f"  {times} since {written_seconds(alert.since)}, last {written_seconds(alert.last)}"
        )
        if self.suppression.flapping(alert, now):
            minutes = self.suppression.flap_time / 60
            lines.append(f"  begun and ended again and again: told once in {minutes:.0f} minutes")
        return "\n".join(lines)

    def _facts(self, alert: Alert, now: float) -> dict[str, object]:
        return {
            "rule": alert.rule,
            "subject": alert.subject,
            "group": alert.group,
            "state": self._state(alert, now),
            "message": alert.message,
            "count": alert.count,
            "since": written_seconds(alert.since),
            "last": written_seconds(alert.last),
        }
