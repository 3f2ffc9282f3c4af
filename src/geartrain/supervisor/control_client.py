"""
Asks a supervisor over its control socket. Blocking; one request at a time.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from geartrain.errors import ConnectionFailed, ConnectionLost

__all__ = ["ControlClient"]

_PIECE: Final = 64 * 1024


class ControlClient:
    """
    A connection to a supervisor.

    Args:
        path: Of its control socket.

    Raises:
        ConnectionFailed: No supervisor answers there.

    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.connect(path)
        except OSError as error:
            self.socket.close()
            raise ConnectionFailed({path: error.strerror or str(error)}) from None
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        self.file.close()
        self.socket.close()

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """
        Return the answer to a request; it may hold ``error`` and ``code``.

        Raises:
            ConnectionLost: The supervisor has gone away.

        """
        request = msgspec.json.encode({"command": command, **arguments}) + b"\n"
        try:
            self.socket.sendall(request)
            line = self.file.readline()
        except OSError as error:
            raise ConnectionLost(self.path, f"lost the supervisor ({error.strerror})") from None
        if not line:
            raise ConnectionLost(self.path, f"the supervisor at {self.path} has gone away")
        return msgspec.json.decode(line, type=dict[str, Any])

    def output(self) -> Iterator[bytes]:
        """Yield what follows the answer to ``tail``, as it comes."""
        while piece := self.file.read1(_PIECE):
            yield piece
