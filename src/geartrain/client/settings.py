"""What a client can be told about its connections, and what holds when it is not."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from geartrain.client.dialing import CONNECT_TIMEOUT
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive
from geartrain.client.placement import PlacementRule
from geartrain.errors import UsageError
from geartrain.wire.reader import MAX_PACKET

# Seconds.
ANSWER_TIMEOUT: Final = 30.0
PATIENCE: Final = 2.0

ResendRule: TypeAlias = Literal["if_unique", "never"]


class Settings(NamedTuple):
    """
    How a client treats its servers.

    Attributes:
        placement: Which server gets a submission: ``ordered``, ``random`` or ``hash``.
        resend: Whether a submission that was cut off is sent again: ``if_unique`` it has
            a unique key, or ``never``.
        exceptions: Whether to ask servers for WORK_EXCEPTION; without it, workers'
            exceptions arrive as plain failures.
        connect_timeout: Seconds for one attempt to connect.
        answer_timeout: Seconds without a word from a server that owes an answer, after
            which its connection is given up; None for ever.
        patience: Seconds during which servers that can't be reached are tried again
            before a submission fails.
        keepalive: When the kernel probes quiet connections; None for never.
        max_packet: Largest packet sent or received, in bytes.

    """

    placement: PlacementRule = "ordered"
    resend: ResendRule = "if_unique"
    exceptions: bool = True
    connect_timeout: float = CONNECT_TIMEOUT
    answer_timeout: float | None = ANSWER_TIMEOUT
    patience: float = PATIENCE
    keepalive: Keepalive | None = DEFAULT_KEEPALIVE
    max_packet: int = MAX_PACKET

    def check(self) -> Settings:
        """Return the settings, or raise `UsageError` where one makes no sense."""
        if self.resend not in ("if_unique", "never"):
            raise UsageError(f"resend {self.resend!r} is unknown; write if_unique or never")
        if self.connect_timeout <= 0:
            raise UsageError("connect_timeout is to be more than 0 seconds")
        if self.answer_timeout is not None and self.answer_timeout <= 0:
            raise UsageError("answer_timeout is to be more than 0 seconds, or None")
        if self.patience < 0:
            raise UsageError("patience is to be 0 seconds or more")
        return self


__all__ = ["ANSWER_TIMEOUT", "PATIENCE", "ResendRule", "Settings"]
