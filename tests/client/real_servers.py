"""
Real job servers in processes of their own, and a worker small enough to be believed.
"""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from geartrain.client.address import Address
from geartrain.wire.packet import (
    CAN_DO,
    GRAB_JOB_ALL,
    GRAB_JOB_UNIQ,
    JOB_ASSIGN_ALL,
    JOB_ASSIGN_UNIQ,
    NO_JOB,
    NOOP,
    PRE_SLEEP,
    RESPONSE,
    WORK_COMPLETE,
    Packet,
)
from geartrain.wire.reader import PacketReader
from geartrain.wire.writer import pack_request

GEARMAND = "/usr/sbin/gearmand"
GEARTRAIN = Path(sys.executable).parent / "geartrain"
KINDS = ["gearmand", "geartrain"]
DEADLINE = 10.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class RealServer:
    """
    A job server that runs until it is stopped.

    Args:
        kind: ``gearmand`` or ``geartrain``.
        port: Where it listens; 0 for a free port.

    """

    def __init__(self, kind: str, port: int = 0) -> None:
        self.kind = kind
        self.address = Address("127.0.0.1", port or free_port())
        if kind == "gearmand":
            command = [GEARMAND, "--listen=127.0.0.1", f"--port={self.address.port}"]
            command += ["--log-file=stderr"]
        else:
            command = [str(GEARTRAIN), "serve", "--listen", str(self.address)]
            command += ["--store", "memory:"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.wait_until_it_accepts()

    def __str__(self) -> str:
        return str(self.address)

    def wait_until_it_accepts(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while True:
            assert self.process.poll() is None, f"{self.kind} has ended"
            try:
                socket.create_connection(self.address[:2]).close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, f"{self.kind} does not accept"
                time.sleep(0.01)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Assigned:
    """A job, as a handler gets it."""

    def __init__(self, worker: TinyWorker, packet: Packet) -> None:
        self.worker = worker
        self.handle, self.function, self.unique, *rest = packet.args
        self.reducer = rest[0] if packet.type == JOB_ASSIGN_ALL else b""
        self.workload = rest[-1]

    def send(self, kind: int, *args: bytes) -> None:
        """Report on the job."""
        self.worker.send(kind, self.handle, *args)


class TinyWorker:
    """
    A worker in a thread, on a connection of its own.

    Args:
        server: The server.
        handlers: What to do by function: gets the job, returns the result, or None where it
            has reported the end itself.
        reducing: Whether to ask for jobs with their reducer.

    """

    def __init__(
        self,
        server: RealServer,
        handlers: dict[bytes, Callable[[Assigned], bytes | None]],
        reducing: bool = False,
    ) -> None:
        self.handlers = handlers
        self.grab = GRAB_JOB_ALL if reducing else GRAB_JOB_UNIQ
        self.socket = socket.create_connection(server.address[:2])
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = PacketReader(RESPONSE)
        self.failure: BaseException | None = None
        self.stopping, self.stopper = socket.socketpair()
        for function in handlers:
            self.send(CAN_DO, function)
        self.send(self.grab)
        self.thread = threading.Thread(target=self.run, name="tiny worker", daemon=True)
        self.thread.start()

    def __enter__(self) -> TinyWorker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stopper.close()
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def send(self, kind: int, *args: bytes) -> None:
        self.socket.sendall(pack_request(kind, list(args)))

    def run(self) -> None:
        try:
            with self.socket, self.stopping, contextlib.suppress(ConnectionError):
                self.work()
        except BaseException as error:
            self.failure = error

    def work(self) -> None:
        while True:
            ready, _, _ = select.select([self.socket, self.stopping], [], [])
            data = b"" if self.stopping in ready else self.socket.recv(65536)
            if not data:
                return
            for packet in self.reader.receive_data(data):
                self.receive(packet)

    def receive(self, packet: Packet) -> None:
        if packet.type == NOOP:
            self.send(self.grab)
        elif packet.type == NO_JOB:
            self.send(PRE_SLEEP)
        elif packet.type in (JOB_ASSIGN_UNIQ, JOB_ASSIGN_ALL):
            job = Assigned(self, packet)
            result = self.handlers[job.function](job)
            if result is not None:
                job.send(WORK_COMPLETE, result)
            self.send(self.grab)
