"""
Job servers for the command line tools: real ones, and one that follows a script.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from geartrain.wire.packet import OPTION_REQ, OPTION_RES, REQUEST, Packet
from geartrain.wire.reader import PacketReader
from geartrain.wire.writer import pack_response
from tests.acceptance.job_server import DEADLINE, eventually, free_port
from tests.services.availability import find_program, require

BIN = Path(sys.executable).parent


class Server:
    """
    Debian's gearmand or our own server, as a process.

    Args:
        name: ``gearmand`` or ``geartrain``.
        directory: Where it writes its log.
        host: Address to listen on.
        port: TCP port; a free one by default.
        path: Unix socket to listen on instead; our own only.

    """

    def __init__(
        self, name: str, directory: Path, host: str = "127.0.0.1", port: int = 0, path: str = ""
    ) -> None:
        self.name = name
        self.host = host
        self.port = port or free_port()
        self.path = path
        self.log = directory / f"{name}-{self.port}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(directory), cwd=directory, stdout=log, stderr=log
            )
        try:
            eventually(self.accepts, f"{name} accepts connections")
        except BaseException:
            self.stop()
            raise

    def command(self, directory: Path) -> list[str]:
        if self.name == "gearmand":
            require("gearmand")
            program = find_program("gearmand") or "gearmand"
            pid_file = directory / f"gearmand-{self.port}.pid"
            listen = ["--listen", self.host, "--port", str(self.port)]
            return [program, *listen, "--pid-file", str(pid_file), "--log-file", "stderr"]
        host = f"[{self.host}]" if ":" in self.host else self.host
        listen = ["--listen", f"unix:{self.path}" if self.path else f"{host}:{self.port}"]
        return [str(BIN / "geartrain"), "serve", *listen, "--store", "memory:"]

    def connect(self) -> socket.socket:
        if self.path:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(DEADLINE)
            try:
                connection.connect(self.path)
            except OSError:
                connection.close()
                raise
            return connection
        return socket.create_connection((self.host, self.port), timeout=DEADLINE)

    def accepts(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"{self.name} ended:\n{self.log.read_text(errors='replace')[-2000:]}")
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def status(self, function: str) -> list[int]:
        """Return total, running and workers of a function, or zeros."""
        with self.connect() as connection, connection.makefile("rb") as replies:
            connection.sendall(b"status\r\n")
            while (line := replies.readline()) != b".\n":
                name, *numbers = line.decode().split("\t")
                if name == function:
                    return [int(number) for number in numbers]
        return [0, 0, 0]

    def tell(self, line: str) -> bytes:
        """Send a text command that has one line for an answer, and return that."""
        with self.connect() as connection, connection.makefile("rb") as replies:
            connection.sendall(line.encode() + b"\r\n")
            return replies.readline()

    def wait_for_workers(self, function: str, count: int = 1) -> None:
        eventually(lambda: self.status(function)[2] == count, f"{count} workers for {function}")

    def wait_for_jobs(self, function: str, count: int = 1) -> None:
        eventually(lambda: self.status(function)[0] == count, f"{count} jobs of {function}")


class ScriptedServer:
    """
    A server that answers as a test wants it, on a free port.

    Args:
        answer: Gets each packet and returns the bytes to send, or None to close.
        knows_options: Answer OPTION_REQ as servers do, instead of asking ``answer``.

    Attributes:
        received: All packets, in the order they came.

    """

    def __init__(
        self, answer: Callable[[Packet], bytes | None], knows_options: bool = True
    ) -> None:
        self.answer = answer
        self.knows_options = knows_options
        self.received: list[Packet] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            thread = threading.Thread(target=self.serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def serve(self, connection: socket.socket) -> None:
        reader = PacketReader(REQUEST)
        with connection:
            while data := self.receive(connection):
                for packet in reader.receive_data(data):
                    self.received.append(packet)
                    if packet.type == OPTION_REQ and self.knows_options:
                        connection.sendall(pack_response(OPTION_RES, packet.args))
                        continue
                    answer = self.answer(packet)
                    if answer is None:
                        return
                    connection.sendall(answer)

    @staticmethod
    def receive(connection: socket.socket) -> bytes:
        try:
            return connection.recv(65536)
        except OSError:
            return b""

    def close(self) -> None:
        # close() alone would leave accept() waiting.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.threads[0].join()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self.threads:
            thread.join()
