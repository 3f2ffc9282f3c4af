"""
A bare peer of a job server: what a test says goes out as bytes, what it expects has to come back.

It imports nothing of ours, so that a mistake in our codec can't hide itself here. Whatever it
waits for has a deadline; a peer that waits longer fails its test and shows what came instead.
"""

from __future__ import annotations

import socket
import struct
import time
from types import TracebackType

CAN_DO = 1
CANT_DO = 2
RESET_ABILITIES = 3
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
GET_STATUS = 15
ECHO_REQ = 16
ECHO_RES = 17
SUBMIT_JOB_BG = 18
ERROR = 19
STATUS_RES = 20
SUBMIT_JOB_HIGH = 21
SET_CLIENT_ID = 22
CAN_DO_TIMEOUT = 23
ALL_YOURS = 24
WORK_EXCEPTION = 25
OPTION_REQ = 26
OPTION_RES = 27
WORK_DATA = 28
WORK_WARNING = 29
GRAB_JOB_UNIQ = 30
JOB_ASSIGN_UNIQ = 31
SUBMIT_JOB_HIGH_BG = 32
SUBMIT_JOB_LOW = 33
SUBMIT_JOB_LOW_BG = 34
SUBMIT_JOB_SCHED = 35
SUBMIT_JOB_EPOCH = 36
SUBMIT_REDUCE_JOB = 37
SUBMIT_REDUCE_JOB_BACKGROUND = 38
GRAB_JOB_ALL = 39
JOB_ASSIGN_ALL = 40
GET_STATUS_UNIQUE = 41
STATUS_RES_UNIQUE = 42

# Seconds to wait for what a healthy server does at once, also on a busy machine.
DEADLINE = 10.0

Address = tuple[str, int] | str


def request(kind: int, *args: bytes) -> bytes:
    """Return a packet as clients and workers send it."""
    body = b"\0".join(args)
    return b"\0REQ" + struct.pack(">II", kind, len(body)) + body


def response(kind: int, *args: bytes) -> bytes:
    """Return a packet as a server sends it."""
    body = b"\0".join(args)
    return b"\0RES" + struct.pack(">II", kind, len(body)) + body


def dial(address: Address, deadline: float = DEADLINE) -> socket.socket:
    """Return a connection to ``(host, port)``, or to the path of a unix socket."""
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout=deadline)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(deadline)
    connection.connect(address)
    return connection


class Peer:
    """
    One connection to a job server.

    Args:
        address: ``(host, port)``, or the path of a unix socket.
        deadline: Seconds after which waiting for anything fails.

    """

    def __init__(self, address: Address, deadline: float = DEADLINE) -> None:
        self.deadline = deadline
        self.socket = dial(address, deadline)
        if isinstance(address, tuple):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Close with a TCP reset, as a killed machine's firewall or a health check does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # Sending.

    def send(self, kind: int, *args: bytes) -> None:
        self.send_bytes(request(kind, *args))

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end(self) -> None:
        """Say that nothing more comes, and go on listening."""
        self.socket.shutdown(socket.SHUT_WR)

    # Receiving.

    def receive(self) -> tuple[int, bytes]:
        """Return type and body of the next packet."""
        magic, kind, size = struct.unpack(">4sII", self.take(12))
        assert magic == b"\0RES", f"no packet: {magic!r} and then {bytes(self.received[:200])!r}"
        return kind, self.take(size)

    def expect(self, kind: int, *args: bytes) -> None:
        """Take the next packet, which has to be this one to the byte."""
        self.expect_bytes(response(kind, *args))

    def expect_bytes(self, wanted: bytes) -> None:
        """Take as many bytes as wanted; they have to be these."""
        assert self.take(len(wanted)) == wanted

    def expect_end(self) -> None:
        """Wait for the server to close the connection; nothing may come before that."""
        try:
            self.fill()
        except (ConnectionError, EOFError):
            assert not self.received
            return
        raise AssertionError(f"still open, and got {bytes(self.received[:200])!r}")

    def expect_closed(self) -> bytes:
        """Wait for the server to close the connection, and return what came before that."""
        give_up = time.monotonic() + self.deadline
        while time.monotonic() < give_up:
            try:
                self.fill()
            except (ConnectionError, EOFError):
                return bytes(self.received)
        raise AssertionError("still open")

    def expect_silence(self) -> None:
        """Nothing may be on its way: the answer to a question is the next thing to come."""
        self.send(ECHO_REQ, b"anything else?")
        self.expect(ECHO_RES, b"anything else?")

    def echo(self, text: bytes = b"still there?") -> float:
        """Have the server answer, and return how many seconds it took."""
        asked = time.perf_counter()
        self.send(ECHO_REQ, text)
        self.expect(ECHO_RES, text)
        return time.perf_counter() - asked

    def ask(self, line: bytes) -> bytes:
        """Send a text command and return one line of reply, or a list without its final dot."""
        self.send_bytes(line + b"\n")
        if line.split()[0] not in (b"status", b"prioritystatus", b"workers", b"show"):
            return self.line()
        reply = self.received
        while not (reply == b".\n" or reply.endswith((b"\n.\n", b"\r\n"))):
            self.fill()
        self.received = bytearray()
        return bytes(reply).removesuffix(b".\n")

    def line(self) -> bytes:
        """Take one line, its end included."""
        while (end := self.received.find(b"\n")) < 0:
            self.fill()
        return self.take(end + 1)

    def take(self, size: int) -> bytes:
        """Take so many bytes."""
        while len(self.received) < size:
            self.fill()
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    def fill(self) -> None:
        """Wait for more bytes; raises EOFError where none will come."""
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            got = bytes(self.received[:200])
            raise AssertionError(f"waited too long; got {got!r} so far") from None
        if not data:
            raise EOFError(f"closed after {bytes(self.received[:200])!r}")
        self.received += data

    # What most tests do.

    def submit(
        self, kind: int, function: bytes, unique: bytes = b"", workload: bytes = b""
    ) -> bytes:
        """Submit a job and return its handle."""
        self.send(kind, function, unique, workload)
        answer, handle = self.receive()
        assert answer == JOB_CREATED, (answer, handle)
        return handle

    def grab(self) -> bytes:
        """Grab a job and return its handle, or nothing when there is none."""
        self.send(GRAB_JOB)
        kind, body = self.receive()
        assert kind in (JOB_ASSIGN, NO_JOB), (kind, body)
        return body.partition(b"\0")[0]
