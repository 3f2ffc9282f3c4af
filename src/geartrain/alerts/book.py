"""What people do with alerts: look at them, and say that they have seen one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from geartrain.alerts.suppression import Suppression
from geartrain.errors import UsageError
from geartrain.rfc3339 import written_seconds
from geartrain.store.schedule_rows import Alert, Message
from geartrain.store.schedule_store import Merger

__all__ = ["acknowledge", "as_alert", "as_message"]


class AlertBook(Protocol):
    """What is needed of a ``ScheduleStore``."""

    def alerts(self, firing: bool = False) -> Sequence[Alert]:
        """Return what is known, newest event first."""
        ...

    def report(self, alerts: Sequence[Alert], merge: Merger) -> None:
        """Merge events into what is known."""
        ...


def acknowledge(store: AlertBook, rule: str, subject: str, who: str) -> Alert:
    """
    Say no more of an alert until it recovers, and return it.

    Raises:
        UsageError: Nothing of this rule and subject fires; says what does.

    """
    firing = store.alerts(firing=True)
    found = next((one for one in firing if (one.rule, one.subject) == (rule, subject)), None)
    if found is None:
        listed = ", ".join(f"{one.rule} {one.subject}" for one in firing[:5])
        known = f"these fire: {listed}" if listed else "nothing fires at all"
        raise UsageError(f"no alert {rule} {subject} fires; {known}. See geartrain alert ls")

    def seen(known: Alert | None, event: Alert) -> Alert | None:
        # It may have recovered meanwhile.
        if known is None or not known.firing:
            return None
        return Suppression.acknowledged(known, who)

    store.report([found], seen)
    return found


def as_alert(alert: Alert) -> dict[str, Any]:
    """Return an alert as programs read it."""
    return {
        "rule": alert.rule,
        "subject": alert.subject,
        "group": alert.group,
        "firing": alert.firing,
        "message": alert.message,
        "count": alert.count,
        "since": written_seconds(alert.since),
        "last": written_seconds(alert.last),
        "messages": alert.messages,
        "next_message": written_seconds(alert.due) if alert.due else None,
        "acknowledged_by": alert.acknowledged_by,
    }


def as_message(message: Message) -> dict[str, Any]:
    """Return a message as programs read it."""
    state = "waiting" if not message.sent else "sent" if message.sent > 0 else "given up"
    return {
        "id": message.id,
        "channel": message.channel,
        "title": message.title,
        "state": state,
        "created": written_seconds(message.created),
        "sent": written_seconds(message.sent) if message.sent > 0 else None,
        "next_attempt": None if message.sent else written_seconds(message.due),
        "attempts": message.attempts,
        "error": message.error,
    }
