"""
Has messages sent: what is due is claimed from the store, so that one of many instances says it.

A message that was claimed by an instance that died is claimed again; a channel may then hear it
twice, never not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from geartrain.alerts.channel import Channel, ChannelError
from geartrain.alerts.speaking import Speaking
from geartrain.store.schedule_rows import Alert, Message, Owner
from geartrain.store.schedule_store import Speaker

__all__ = ["GIVEN_UP", "Notifier"]

logger = logging.getLogger("geartrain.alerts")

# A message's ``sent`` when no channel would ever take it.
GIVEN_UP: Final = -1.0
# Pauses after the first, second, ... failure, in seconds; after the last it is given up.
PAUSES: Final = (5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0)
BATCH: Final = 100


class AlertStore(Protocol):
    """What a notifier needs of a ``ScheduleStore``."""

    def now(self) -> float:
        """Return the database's time."""
        ...

    def say(self, me: Owner, limit: int, speaker: Speaker) -> int:
        """Make the messages of alerts that are due."""
        ...

    def take_messages(self, me: Owner, limit: int) -> Sequence[Message]:
        """Own messages that are due."""
        ...

    def sent(self, me: Owner, messages: Sequence[Message]) -> None:
        """Write what became of messages."""
        ...


class Notifier:
    """
    Says what is due.

    Args:
        store: Where alerts are.
        speaking: What is said to whom.
        channels: How, by name.

    """

    def __init__(
        self, store: AlertStore, speaking: Speaking, channels: Mapping[str, Channel]
    ) -> None:
        self.store = store
        self.speaking = speaking
        self.channels = channels

    def step(self, me: Owner) -> int:
        """
        Say what is due now; return how many messages channels took. Blocks while they do.

        Raises what the store raises. What a channel raises is logged, and tried again later.
        """
        self.store.say(me, BATCH, self.speak)
        taken = 0
        broken: dict[str, float] = {}
        for message in self.store.take_messages(me, BATCH):
            if message.channel in broken:
                # Nobody waits for each message's time-out where the first one had to.
                told = replace(message, due=broken[message.channel])
            else:
                told = self._send(message)
                if told.attempts > message.attempts and not told.sent:
                    broken[message.channel] = told.due
            taken += told.sent > 0
            # At once, so that what was sent is not sent again if the next one takes long.
            self.store.sent(me, [told])
        return taken

    def speak(
        self, alerts: Sequence[Alert], now: float
    ) -> tuple[Sequence[Alert], Sequence[Message]]:
        """Return alerts as they are from now on, and messages; logged as well."""
        after, messages = self.speaking.speak(alerts, now)
        for message in messages:
            logger.warning("alert for %s: %s", message.channel, message.title)
        return after, messages

    def _send(self, message: Message) -> Message:
        """Return a message as it is after it was sent, or not."""
        try:
            channel = self.channels.get(message.channel)
            if channel is None:
                raise ChannelError(
                    f"no channel is called {message.channel!r}: add [alerts.channels."
                    f"{message.channel}] to this scheduler's configuration"
                )
            channel.send(message)
        except ChannelError as error:
            return self._failed(message, error)
        return replace(message, sent=self.store.now(), error="")

    def _failed(self, message: Message, error: ChannelError) -> Message:
        attempts = message.attempts + 1
        failed = replace(message, attempts=attempts, error=str(error)[:500])
        if error.final or attempts > len(PAUSES):
            logger.error("%s never took %r: %s", message.channel, message.title, error)
            return replace(failed, sent=GIVEN_UP)
        pause = PAUSES[attempts - 1]
        logger.warning(
            "%s did not take %r, again in %.0f s: %s", message.channel, message.title, pause, error
        )
        return replace(failed, due=self.store.now() + pause)
