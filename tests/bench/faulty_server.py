"""
A tiny job server with one fault, to see the load generator find it.

One lock, one thread a connection, foreground and background jobs alike; nothing of the project is
used, so that the generator's checks are tested against literal packets only.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections import deque
from dataclasses import dataclass, field

CAN_DO, PRE_SLEEP, NOOP, SUBMIT_JOB, JOB_CREATED = 1, 4, 6, 7, 8
NO_JOB, WORK_COMPLETE, ECHO_REQ, ECHO_RES = 10, 13, 16, 17
SUBMIT_JOB_BG, ERROR, GRAB_JOB_UNIQ, JOB_ASSIGN_UNIQ = 18, 19, 30, 31


@dataclass
class State:
    """
    What all connections share.

    ``fault`` is one of: none, changed workload, given twice, answered twice, wrong handle, same
    handle, refused, silent, hung up.
    """

    fault: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: deque[tuple[bytes, bytes]] = field(default_factory=deque)
    clients: dict[bytes, socket.socket] = field(default_factory=dict)
    asleep: list[socket.socket] = field(default_factory=list)
    handles: int = 0


def send(peer: socket.socket, kind: int, body: bytes = b"") -> None:
    peer.sendall(b"\0RES" + struct.pack(">II", kind, len(body)) + body)


class Connection(socketserver.BaseRequestHandler):
    """Carries out the packets of one connection."""

    def handle(self) -> None:
        stream = self.request.makefile("rb")
        while header := stream.read(12):
            kind, size = struct.unpack(">II", header[4:])
            body = stream.read(size)
            with self.state.lock:
                if self.carry_out(kind, body) is False:
                    return

    @property
    def state(self) -> State:
        return self.server.state  # type: ignore[attr-defined,no-any-return]

    def carry_out(self, kind: int, body: bytes) -> bool | None:
        if kind in (SUBMIT_JOB, SUBMIT_JOB_BG):
            return self.submit(kind, body)
        if kind == GRAB_JOB_UNIQ:
            self.grab()
        elif kind == PRE_SLEEP:
            # A job may have arrived since the worker heard that there was none.
            if self.state.waiting:
                send(self.request, NOOP)
            else:
                self.state.asleep.append(self.request)
        elif kind == WORK_COMPLETE:
            self.complete(body)
        elif kind == ECHO_REQ:
            send(self.request, ECHO_RES, body)
        return None

    def submit(self, kind: int, body: bytes) -> bool | None:
        state = self.state
        if state.fault == "hung up":
            return False
        if state.fault == "refused":
            send(self.request, ERROR, b"QUEUE_ERROR\0Job queue is full")
            return None
        if state.fault == "silent":
            return None
        state.handles += state.fault != "same handle" or state.handles == 0
        handle = b"H:test:%d" % state.handles
        if kind == SUBMIT_JOB:
            state.clients[handle] = self.request
        send(self.request, JOB_CREATED, handle)
        for _ in range(2 if state.fault == "given twice" else 1):
            state.waiting.append((handle, body))
        while state.asleep:
            send(state.asleep.pop(), NOOP)
        return None

    def grab(self) -> None:
        if self.request in self.state.asleep:
            self.state.asleep.remove(self.request)
        if not self.state.waiting:
            send(self.request, NO_JOB)
            return
        handle, body = self.state.waiting.popleft()
        if self.state.fault == "changed workload":
            body = body[:-1] + bytes([body[-1] ^ 1])
        send(self.request, JOB_ASSIGN_UNIQ, handle + b"\0" + body)

    def complete(self, body: bytes) -> None:
        handle = body.partition(b"\0")[0]
        client = self.state.clients.get(handle)
        if client is None:
            return
        if self.state.fault == "wrong handle":
            body = body.replace(handle, b"H:test:0", 1)
        for _ in range(2 if self.state.fault == "answered twice" else 1):
            send(client, WORK_COMPLETE, body)


class FaultyServer(socketserver.ThreadingUnixStreamServer):
    """Listens on a unix socket; its connections end with it."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: str, fault: str) -> None:
        self.state = State(fault)
        super().__init__(path, Connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """The generator leaves in the middle when it has found the fault."""
