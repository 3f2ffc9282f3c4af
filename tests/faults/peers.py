"""
Producers and workers that only know the wire, and start over when a server dies.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable

from geartrain.wire.packet import (
    CAN_DO,
    ERROR,
    GRAB_JOB_UNIQ,
    JOB_ASSIGN_UNIQ,
    JOB_CREATED,
    NO_JOB,
    NOOP,
    PRE_SLEEP,
    RESPONSE,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Packet,
)
from geartrain.wire.reader import PacketReader
from geartrain.wire.writer import pack_request
from tests.faults.account import Account

FUNCTION = b"faults"
# How many submissions a producer has under way.
WINDOW = 20
# What workloads are filled up with that are to be larger than their names.
FILLING = b" "
# Where a server listens that is not on 127.0.0.1, by its port.
HOSTS: dict[int, str] = {}


class Wire:
    """One blocking connection; raises OSError when it is gone."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOSTS.get(port, "127.0.0.1"), port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = PacketReader(RESPONSE)
        self.packets: list[Packet] = []

    def send(self, *packets: tuple[int, list[bytes]]) -> None:
        """Send packets in one write."""
        self.socket.sendall(b"".join(pack_request(kind, args) for kind, args in packets))

    def receive(self) -> Packet:
        """Return the next packet."""
        while not self.packets:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError("the server is gone")
            self.packets = self.reader.receive_data(data)
        return self.packets.pop(0)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


class Peer(threading.Thread):
    """A thread that talks to the server again and again until it is told to stop."""

    def __init__(self, port: Callable[[], int], account: Account, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.port = port
        self.account = account
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                wire = Wire(self.port())
            except OSError:
                self.stopped.wait(0.01)
                continue
            try:
                self.talk(wire)
            except OSError:
                continue
            finally:
                wire.close()

    def talk(self, wire: Wire) -> None:
        """Use one connection until it is gone or enough was said."""
        raise NotImplementedError


class Producer(Peer):
    """
    Submits background jobs with one kind of unique key.

    Args:
        unique: Makes the unique key from the job's name.
        size: Bytes that a workload has at least.

    """

    def __init__(
        self,
        port: Callable[[], int],
        account: Account,
        name: str,
        unique: Callable[[bytes], bytes],
        size: int = 0,
    ) -> None:
        super().__init__(port, account, name)
        self.unique = unique
        self.size = size
        self.names = (f"{name}-{n}".encode() for n in itertools.count())

    def talk(self, wire: Wire) -> None:
        under_way: list[bytes] = []
        sent: list[float] = []
        while not self.stopped.is_set() or under_way:
            if not self.stopped.is_set() and len(under_way) < WINDOW:
                fresh = [next(self.names) for _ in range(WINDOW - len(under_way))]
                submissions = [
                    [FUNCTION, self.unique(name), name.ljust(self.size, FILLING)] for name in fresh
                ]
                wire.send(*((SUBMIT_JOB_BG, args) for args in submissions))
                under_way += fresh
                sent += [time.monotonic()] * len(fresh)
            answer = wire.receive()
            seconds = time.monotonic() - sent.pop(0)
            self.account.answered(seconds, refused=answer.type == ERROR)
            self.note(answer, under_way)

    def note(self, answer: Packet, under_way: list[bytes]) -> None:
        """Write down what became of the oldest submission."""
        name = under_way.pop(0)
        if answer.type == JOB_CREATED:
            self.account.ack(name)
        else:
            assert answer.type == ERROR, answer
            self.account.refuse(name)


class Joiner(Peer):
    """
    Lets a background submission join a foreground job, whose client then leaves.

    The background submission is acknowledged, so the job has to run whoever left.
    """

    def __init__(self, port: Callable[[], int], account: Account, name: str) -> None:
        super().__init__(port, account, name)
        self.names = (f"{name}-{n}".encode() for n in itertools.count())

    def talk(self, wire: Wire) -> None:
        while not self.stopped.is_set():
            name = next(self.names)
            listener = Wire(self.port())
            try:
                listener.send((SUBMIT_JOB, [FUNCTION, name, name]))
                joined = listener.receive()
                assert joined.type == JOB_CREATED
                alone = name + b"-alone"
                wire.send((SUBMIT_JOB_BG, [FUNCTION, name, alone]))
                answer = wire.receive()
                # Where the first had ended already, this is a job of its own.
                ran = name if answer.args == joined.args else alone
                if answer.type == JOB_CREATED:
                    self.account.ack(ran)
                else:
                    self.account.refuse(ran)
            finally:
                listener.close()


class Worker(Peer):
    """Runs jobs: writes the name down, then answers."""

    def talk(self, wire: Wire) -> None:
        wire.send((CAN_DO, [FUNCTION]), (GRAB_JOB_UNIQ, []))
        wire.socket.settimeout(0.5)
        while not self.stopped.is_set():
            try:
                packet = wire.receive()
            except TimeoutError:
                continue
            if packet.type == JOB_ASSIGN_UNIQ:
                handle, _, _, workload = packet.args
                self.account.run(workload.rstrip(FILLING))
                wire.send((WORK_COMPLETE, [handle, b""]), (GRAB_JOB_UNIQ, []))
            elif packet.type == NO_JOB:
                wire.send((PRE_SLEEP, []))
            elif packet.type == NOOP:
                wire.send((GRAB_JOB_UNIQ, []))
            else:
                raise AssertionError(f"a worker got {packet!r}")


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether a condition came true within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
