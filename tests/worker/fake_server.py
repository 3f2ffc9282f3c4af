"""A server that does what the test says, step by step, and nothing by itself."""

from __future__ import annotations

import select
import socket
from types import TracebackType

from geartrain.wire.packet import (
    ECHO_REQ,
    ECHO_RES,
    GRAB_JOB_ALL,
    JOB_ASSIGN_UNIQ,
    NAMES,
    NO_JOB,
    NOOP,
    PRE_SLEEP,
    REQUEST,
    Packet,
)
from geartrain.wire.reader import PacketReader
from geartrain.wire.writer import pack_response
from tests.acceptance.job_server import DEADLINE


class FakeServer:
    """A listening socket; the test accepts and answers."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE)
        self.port: int = self.listener.getsockname()[1]
        self.accepted: list[FakeConnection] = []

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.listener.close()
        for connection in self.accepted:
            connection.cut()

    def accept(self) -> FakeConnection:
        """Return the next connection that a worker makes."""
        connection, _ = self.listener.accept()
        self.accepted.append(FakeConnection(connection))
        return self.accepted[-1]

    def accept_asleep(self) -> FakeConnection:
        """Return the next connection once its worker has asked for a job, got none, and sleeps."""
        connection = self.accept()
        connection.put_to_sleep()
        return connection


class FakeConnection:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(DEADLINE)
        self.reader = PacketReader(REQUEST)
        self.packets: list[Packet] = []

    def receive(self) -> tuple[str, list[bytes]]:
        """Return the name and arguments of the worker's next packet; ``END`` when it closed."""
        while not self.packets:
            data = self.socket.recv(65536)
            if not data:
                return "END", []
            self.packets += self.reader.receive_data(data)
            assert self.reader.fault is None
        packet = self.packets.pop(0)
        return NAMES[packet.type], packet.args

    def receive_names(self, last: str) -> list[str]:
        """Return the names of the worker's packets up to ``last``."""
        names = []
        while last not in names:
            names.append(self.receive()[0])
        return names

    def send(self, kind: int, *arguments: bytes) -> None:
        self.socket.sendall(pack_response(kind, list(arguments)))

    def put_to_sleep(self) -> None:
        """Answer as a server without jobs does, until the worker sleeps."""
        while not self.answer_without_a_job():
            pass

    def answer_without_a_job(self) -> bool:
        """Answer one packet as a server without jobs does; return whether the worker sleeps."""
        name, arguments = self.receive()
        if name == NAMES[ECHO_REQ]:
            self.send(ECHO_RES, *arguments)
        elif name == NAMES[GRAB_JOB_ALL]:
            self.send(NO_JOB)
        return name == NAMES[PRE_SLEEP]

    def assign(self, handle: bytes, function: bytes, workload: bytes = b"") -> None:
        """Wake the sleeping worker and give it a job."""
        self.send(NOOP)
        assert self.receive()[0] == NAMES[GRAB_JOB_ALL]
        self.send(JOB_ASSIGN_UNIQ, handle, function, b"", workload)

    def cut(self) -> None:
        """End the connection."""
        self.socket.close()


def accept_all_asleep(*servers: FakeServer) -> list[FakeConnection]:
    """
    Return a connection of each server, once the worker sleeps at all of them.

    They are answered as they ask: a slot that one of them leaves unanswered
    is one the others don't get.
    """
    connections = [server.accept() for server in servers]
    awake = set(connections)
    while awake:
        connection = wait_for_packet(connections)
        if connection.answer_without_a_job():
            awake.remove(connection)
    return connections


def wait_for_packet(connections: list[FakeConnection]) -> FakeConnection:
    """Return a connection that the worker has sent something on."""
    for connection in connections:
        if connection.packets:
            return connection
    sockets = [connection.socket for connection in connections]
    ready, _, _ = select.select(sockets, [], [], DEADLINE)
    assert ready, "the worker sends nothing"
    return next(connection for connection in connections if connection.socket is ready[0])
