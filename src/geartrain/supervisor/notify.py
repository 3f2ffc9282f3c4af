"""
Tells a service manager such as systemd how this process is (``sd_notify``).
"""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["notify"]


def notify(state: str) -> None:
    """Send a line such as ``READY=1`` to whoever started us, if they want to hear it."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    # An abstract address is written with an @ for its zero byte.
    address = "\0" + path[1:] if path.startswith("@") else path
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
    ):
        out.connect(address)
        out.sendall(state.encode())
