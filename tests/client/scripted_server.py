"""
A job server that does what a test tells it, well or badly.

Each connection is served by a function of the test in a thread of its own. What goes
wrong in there is raised when the server stops.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import TypeAlias

from geartrain.client.address import Address
from geartrain.wire.packet import (
    ECHO_REQ,
    ECHO_RES,
    JOB_CREATED,
    NAMES,
    OPTION_REQ,
    OPTION_RES,
    REQUEST,
    WORK_COMPLETE,
    Packet,
)
from geartrain.wire.reader import PacketReader
from geartrain.wire.writer import pack_response

DEADLINE = 10.0


class Gone(Exception):
    """The client closed its connection."""


class Peer:
    """
    One connection, as the script sees it.

    Attributes:
        number: 0 for the first connection the server got, 1 for the second, ...

    """

    def __init__(self, connected: socket.socket, number: int) -> None:
        self.socket = connected
        self.socket.settimeout(DEADLINE)
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self.reader = PacketReader(REQUEST)
        self.packets: list[Packet] = []

    def read(self) -> Packet:
        """Return the next packet; options are granted on the way."""
        while True:
            while not self.packets:
                data = self.socket.recv(65536)
                if not data:
                    raise Gone
                self.packets += self.reader.receive_data(data)
            packet = self.packets.pop(0)
            if packet.type != OPTION_REQ:
                return packet
            self.send(OPTION_RES, packet.args[0])

    def expect(self, *kinds: int) -> list[Packet]:
        """Return as many packets, of these types in this order."""
        packets = [self.read() for _ in kinds]
        assert [NAMES[packet.type] for packet in packets] == [NAMES[kind] for kind in kinds]
        return packets

    def read_bytes(self, count: int) -> bytes:
        """Return the next bytes as they are."""
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise Gone
            data += more
        return data

    def send(self, kind: int, *args: bytes) -> None:
        """Send one packet."""
        self.send_bytes(pack_response(kind, list(args)))

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        """End the connection in good order."""
        self.socket.close()

    def reset(self) -> None:
        """End the connection as a machine does that was switched off and on."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def wait_for_end(self) -> None:
        """Wait until the client closes; what it still sends is dropped."""
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(65536):
                pass


Script: TypeAlias = "Callable[[Peer], None]"


class ScriptedServer:
    """
    A server on a free port of this machine.

    Args:
        script: Serves one connection; the connection ends with it.
        port: The port, to come back where another server was; 0 for a free one.
        path: Path of a unix socket, in the place of a port.

    """

    def __init__(self, script: Script, port: int = 0, path: str = "") -> None:
        self.script = script
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
            self.address = Address("", 0, path)
        else:
            self.listener = socket.create_server(("127.0.0.1", port))
            self.address = Address(*self.listener.getsockname())
        self.peers: list[Peer] = []
        self.failures: list[BaseException] = []
        self.connected = threading.Semaphore(0)
        self.threads = [threading.Thread(target=self.accept, name="scripted server", daemon=True)]
        self.threads[0].start()

    def __str__(self) -> str:
        return str(self.address)

    def accept(self) -> None:
        while True:
            try:
                connected, _ = self.listener.accept()
            except OSError:
                return
            peer = Peer(connected, len(self.peers))
            self.peers.append(peer)
            thread = threading.Thread(target=self.serve, args=[peer], daemon=True)
            self.threads.append(thread)
            thread.start()
            self.connected.release()

    def serve(self, peer: Peer) -> None:
        try:
            self.script(peer)
        except (Gone, ConnectionError):
            pass
        except BaseException as error:
            self.failures.append(error)
        finally:
            peer.close()

    def stop(self) -> None:
        """End it, and raise what went wrong in a script."""
        # shutdown() wakes accept(), close() alone does not.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in list(self.peers):
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()
        failures, self.failures = self.failures, []
        if failures:
            raise failures[0]


def work_at_once(peer: Peer) -> None:
    """Accept every job, and answer it with its workload reversed; echo; for ever."""
    count = 0
    while True:
        packet = peer.read()
        if packet.type == ECHO_REQ:
            peer.send(ECHO_RES, packet.args[0])
            continue
        count += 1
        handle = b"H:scripted:%d.%d" % (peer.number, count)
        peer.send(JOB_CREATED, handle)
        peer.send(WORK_COMPLETE, handle, packet.args[-1][::-1])
