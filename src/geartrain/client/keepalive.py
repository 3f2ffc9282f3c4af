"""
Socket options of a connection that may stay quiet for hours.

Firewalls and address translators forget a quiet connection without telling
either end; a worker behind one would sleep for ever. So the kernel sends a
probe now and then, which costs no CPU here.
"""

from __future__ import annotations

import socket
from typing import Final, NamedTuple


class Keepalive(NamedTuple):
    """
    When the kernel probes a quiet TCP connection.

    Attributes:
        idle: Seconds of silence before the first probe.
        interval: Seconds between probes.
        probes: Unanswered probes after which the connection is dead.

    """

    idle: int = 60
    interval: int = 15
    probes: int = 4


DEFAULT_KEEPALIVE: Final = Keepalive()

# macOS calls the idle time TCP_KEEPALIVE.
_IDLE_OPTION: Final[int | None] = getattr(
    socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None)
)
_INTERVAL_OPTION: Final[int | None] = getattr(socket, "TCP_KEEPINTVL", None)
_COUNT_OPTION: Final[int | None] = getattr(socket, "TCP_KEEPCNT", None)


def tune(connection: socket.socket, keepalive: Keepalive | None = DEFAULT_KEEPALIVE) -> None:
    """
    Set the options of a connected socket: TCP_NODELAY, and keepalive unless it is None.

    A unix socket needs neither and is left alone.
    """
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (
        (_IDLE_OPTION, keepalive.idle),
        (_INTERVAL_OPTION, keepalive.interval),
        (_COUNT_OPTION, keepalive.probes),
    ):
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, seconds)


__all__ = ["DEFAULT_KEEPALIVE", "Keepalive", "tune"]
