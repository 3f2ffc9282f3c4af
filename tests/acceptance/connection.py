"""
A bare connection that speaks packets, for what no library sends or shows.

It is written from the protocol's own table and imports nothing of ours, so that a mistake in our
codec cannot hide itself here.
"""

from __future__ import annotations

import socket
import struct
from types import TracebackType

from tests.acceptance.job_server import DEADLINE

CAN_DO = 1
PRE_SLEEP = 4
NOOP = 6
SUBMIT_JOB = 7
JOB_CREATED = 8
GRAB_JOB = 9
NO_JOB = 10
JOB_ASSIGN = 11
WORK_STATUS = 12
WORK_COMPLETE = 13
WORK_FAIL = 14
ECHO_REQ = 16
ECHO_RES = 17
SUBMIT_JOB_BG = 18
ERROR = 19
WORK_EXCEPTION = 25


class Connection:
    """One TCP connection to a job server on this machine."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, kind: int, *arguments: bytes) -> None:
        body = b"\0".join(arguments)
        self.socket.sendall(b"\0REQ" + struct.pack(">II", kind, len(body)) + body)

    def receive(self) -> tuple[int, bytes]:
        """Return the type and the body of the next packet; ``(0, b"")`` once it is closed."""
        header = self.read(12)
        if not header:
            return 0, b""
        magic, kind, size = struct.unpack(">4sII", header)
        assert magic == b"\0RES"
        return kind, self.read(size)

    def read(self, size: int) -> bytes:
        """Read so many bytes, or none when the server closes before the first of them."""
        received = b""
        while len(received) < size:
            chunk = self.socket.recv(size - len(received))
            if not chunk:
                assert not received, f"closed within a packet, after {received!r}"
                return b""
            received += chunk
        return received

    def submit(self, kind: int, function: bytes, unique: bytes, workload: bytes) -> bytes:
        """Submit a job and return its handle."""
        self.send(kind, function, unique, workload)
        answer, handle = self.receive()
        assert answer == JOB_CREATED
        return handle

    def grab(self) -> bytes:
        """Grab a job and return its handle, or nothing when there is none."""
        self.send(GRAB_JOB)
        kind, body = self.receive()
        return body.partition(b"\0")[0] if kind == JOB_ASSIGN else b""
