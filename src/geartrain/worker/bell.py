"""Wakes a thread that waits for descriptors to become readable."""

from __future__ import annotations

import select
import socket


class Bell:
    """A pair of sockets: ringing at one end makes the other one readable."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.far.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self.near.fileno()

    def ring(self) -> None:
        """Wake the thread. From any thread."""
        try:
            self.far.send(b"\0")
        except OSError:
            # Full, so it rings already; or closed, so nobody listens any more.
            return

    def wait(self, seconds: float | None) -> None:
        """Wait until it rings, or so many seconds."""
        poller = select.poll()
        poller.register(self.near, select.POLLIN)
        poller.poll(None if seconds is None else seconds * 1000)

    def silence(self) -> bytes:
        """Take note of the ringing so far; return a byte for each time, 0 or a signal's number."""
        try:
            # What is left over of a longer ringing makes it readable once more, no harm.
            return self.near.recv(4096)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Close both ends."""
        self.near.close()
        self.far.close()


__all__ = ["Bell"]
