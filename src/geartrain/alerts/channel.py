"""
What takes a message somewhere: mail, a webhook, a program or a service of the apprise library.
Each kind is a file of its own.
"""

from __future__ import annotations

from typing import Protocol

from geartrain.errors import GeartrainError
from geartrain.store.schedule_rows import Message

__all__ = ["Channel", "ChannelError"]


class ChannelError(GeartrainError):
    """
    A channel did not take a message. It is tried again, unless it would never take it.

    Attributes:
        final: Whether trying again is of no use.

    """

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


class Channel(Protocol):
    """One way to tell somebody."""

    @property
    def for_programs(self) -> bool:
        """Whether a program reads its messages, so that their bodies are JSON."""
        ...

    def send(self, message: Message) -> None:
        """Have a message taken, within half a minute; raises ChannelError where it is not."""
        ...
