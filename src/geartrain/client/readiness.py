"""
Which sockets of a client have something to read, or room to write.

A thin layer on ``poll``, and not ``selectors``: a client that submits one job
after the other comes by here for each, and ``selectors`` would cost it more
than the system call does. There is nothing in the kernel to be shared with a
forked process.
"""

from __future__ import annotations

import select
import socket
from typing import Any, Final

# What `Readiness.wait` reports. A connection that is over can be read, so that its end is found.
WRITABLE: Final = select.POLLOUT
READABLE: Final = ~WRITABLE


class Readiness:
    """
    The sockets that somebody waits for.

    One thread at a time may wait. What others change meanwhile holds from the next wait on.

    Attributes:
        watched: Descriptor -> what it was watched as.

    """

    __slots__ = ("_poll", "watched")

    def __init__(self) -> None:
        self._poll = select.poll()
        self.watched: dict[int, Any] = {}

    def watch(self, watched: socket.socket, data: object, writes: bool = False) -> None:
        """Wait until a socket can be read, with ``writes`` or written."""
        descriptor = watched.fileno()
        self.watched[descriptor] = data
        self._poll.register(descriptor, select.POLLIN | (WRITABLE if writes else 0))

    def unwatch(self, watched: socket.socket) -> None:
        """Wait for a socket no more. Call it before the socket is closed."""
        descriptor = watched.fileno()
        del self.watched[descriptor]
        self._poll.unregister(descriptor)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """
        Return the descriptors that are ready, each with a mask of READABLE and WRITABLE.

        Args:
            timeout: Seconds to wait; None for as long as it takes.

        """
        return self._poll.poll(None if timeout is None else timeout * 1000)


__all__ = ["READABLE", "WRITABLE", "Readiness"]
