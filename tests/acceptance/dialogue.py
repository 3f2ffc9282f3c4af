"""
Conversations with a job server, written down as text and played to any of them.

A dialogue is lines of three kinds; names of connections are free, and each is opened when it first
speaks::

    worker CAN_DO reverse           a packet, its arguments separated by |
    client SUBMIT_JOB reverse|key|test
    worker "version                 a text command
    worker GRAB_JOB
    worker WORK_COMPLETE $1|tset    $1 is the first handle the server has named
    client.                         hangs up

`play` returns what everybody heard after each line, with ``$1``, ``$2``, ... for the handles, so
that the answers of two servers can be compared.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator

from tests.acceptance.job_server import DEADLINE

NUMBERS = {
    "CAN_DO": 1,
    "CANT_DO": 2,
    "RESET_ABILITIES": 3,
    "PRE_SLEEP": 4,
    "UNUSED": 5,
    "NOOP": 6,
    "SUBMIT_JOB": 7,
    "JOB_CREATED": 8,
    "GRAB_JOB": 9,
    "NO_JOB": 10,
    "JOB_ASSIGN": 11,
    "WORK_STATUS": 12,
    "WORK_COMPLETE": 13,
    "WORK_FAIL": 14,
    "GET_STATUS": 15,
    "ECHO_REQ": 16,
    "ECHO_RES": 17,
    "SUBMIT_JOB_BG": 18,
    "ERROR": 19,
    "STATUS_RES": 20,
    "SUBMIT_JOB_HIGH": 21,
    "SET_CLIENT_ID": 22,
    "CAN_DO_TIMEOUT": 23,
    "ALL_YOURS": 24,
    "WORK_EXCEPTION": 25,
    "OPTION_REQ": 26,
    "OPTION_RES": 27,
    "WORK_DATA": 28,
    "WORK_WARNING": 29,
    "GRAB_JOB_UNIQ": 30,
    "JOB_ASSIGN_UNIQ": 31,
    "SUBMIT_JOB_HIGH_BG": 32,
    "SUBMIT_JOB_LOW": 33,
    "SUBMIT_JOB_LOW_BG": 34,
    "SUBMIT_JOB_EPOCH": 36,
    "SUBMIT_REDUCE_JOB": 37,
    "SUBMIT_REDUCE_JOB_BACKGROUND": 38,
    "GRAB_JOB_ALL": 39,
    "JOB_ASSIGN_ALL": 40,
    "GET_STATUS_UNIQUE": 41,
    "STATUS_RES_UNIQUE": 42,
}
NAMES = {number: name for name, number in NUMBERS.items()}

HANDLE = re.compile(rb"H:[^\0\s]+")

# Sent after every line; whatever comes before its echo is the answer to that line.
BARRIER = b"did you say anything before this?"


def encode(name: str, body: bytes) -> bytes:
    return b"\0REQ" + struct.pack(">II", NUMBERS[name], len(body)) + body


ECHO = encode("ECHO_REQ", BARRIER)
ECHOED = b"\0RES" + struct.pack(">II", NUMBERS["ECHO_RES"], len(BARRIER)) + BARRIER


def parts(stream: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the packets of a stream, and the text between them, by name and content."""
    while stream:
        if stream.startswith(b"\0RES"):
            kind, size = struct.unpack(">II", stream[4:12])
            yield NAMES.get(kind, str(kind)), stream[12 : 12 + size]
            stream = stream[12 + size :]
        else:
            text, magic, rest = stream.partition(b"\0RES")
            yield "text", text
            stream = magic + rest


class Dialogue:
    """One performance of a dialogue with the server on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections: dict[str, socket.socket] = {}
        self.handles: list[bytes] = []
        self.heard: list[str] = []

    def play(self, script: str) -> list[str]:
        try:
            for line in script.strip().splitlines():
                self.say(line.strip())
            return self.heard
        finally:
            for connection in self.connections.values():
                connection.close()

    def say(self, line: str) -> None:
        self.heard.append(line)
        name, _, words = line.partition(" ")
        if name.endswith("."):
            self.connections.pop(name[:-1]).close()
        else:
            self.connection(name).sendall(self.encode(words))
            # Whoever spoke is asked first: by then the server has acted on it.
            self.listen(name)
        for other in self.connections:
            if other != name:
                self.listen(other)

    def connection(self, name: str) -> socket.socket:
        if name not in self.connections:
            address = ("127.0.0.1", self.port)
            self.connections[name] = socket.create_connection(address, timeout=DEADLINE)
        return self.connections[name]

    def encode(self, words: str) -> bytes:
        if words.startswith('"'):
            return self.fill_in(words[1:]) + b"\r\n"
        packet, _, arguments = words.partition(" ")
        return encode(packet, self.fill_in(arguments).replace(b"|", b"\0"))

    def fill_in(self, text: str) -> bytes:
        return re.sub(rb"\$(\d+)", lambda n: self.handles[int(n[1]) - 1], text.encode())

    def listen(self, name: str) -> None:
        connection = self.connections[name]
        connection.sendall(ECHO)
        stream = b""
        while not stream.endswith(ECHOED):
            received = connection.recv(65536)
            assert received, f"{name} was hung up on after {stream!r}"
            stream += received
        for kind, content in parts(stream.removesuffix(ECHOED)):
            said = HANDLE.sub(self.shorten, content)
            self.heard.append(f"    {name} < {kind} {said!r}")

    def shorten(self, handle: re.Match[bytes]) -> bytes:
        if handle[0] not in self.handles:
            self.handles.append(handle[0])
        return b"$%d" % (self.handles.index(handle[0]) + 1)
