"""
Job servers as their users run them: a process on a free port, Debian's gearmand or our own.

The tests are asked of both, which keeps them honest: what both answer alike is what existing
clients and workers rely on. Where gearmand is known to be wrong, a test says so.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services.availability import find_program, require

# Seconds to wait for anything a healthy program does at once, also on a busy machine.
DEADLINE = 10.0


def eventually(condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Wait until a condition holds in another process, which can only be asked again and again."""
    give_up = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > give_up:
            pytest.fail(f"after {deadline} s still not true: {what}")
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class JobServer:
    """
    A running job server.

    Args:
        name: ``gearmand`` for Debian's, ``geartrain`` for our own.
        directory: An empty directory for its log, pid file and store.

    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.port = free_port()
        self.log = directory / "log"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.directory, stdout=log, stderr=log
            )
        try:
            eventually(self.accepts, f"{self.name} accepts connections")
        except BaseException:
            self.stop()
            raise

    def command(self) -> list[str]:
        if self.name == "gearmand":
            require("gearmand")
            program = find_program("gearmand") or "gearmand"
            listen = ["--listen", "127.0.0.1", "--port", str(self.port)]
            return [program, *listen, "--pid-file", f"{self.directory}/pid", "--log-file", "stderr"]
        store = f"sqlite:///{self.directory}/geartrain.db"
        program = str(Path(sys.executable).with_name("geartrain"))
        return [program, "serve", "--listen", f"127.0.0.1:{self.port}", "--store", store]

    def accepts(self) -> bool:
        if not self.is_running():
            pytest.fail(f"{self.name} ended with {self.process.returncode}:\n{self.last_words()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def is_running(self) -> bool:
        return self.process.poll() is None

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """End the server as a crash would; `start` may follow, on the same port and store."""
        self.process.kill()
        self.process.wait()

    # Text commands.

    def ask(self, line: str) -> str:
        """Send one text command and return the whole reply, its line ends as they came."""
        reply = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            connection.sendall(line.encode() + b"\r\n")
            while not self.is_whole(line, reply):
                received = connection.recv(65536)
                if not received:
                    pytest.fail(f"{line}: the server closed the connection after {reply!r}")
                reply += received
        return reply.decode()

    @staticmethod
    def is_whole(line: str, reply: bytes) -> bool:
        lists = ("status", "prioritystatus", "workers", "show ")
        if line.startswith(lists) and not reply.startswith(b"ERR"):
            return reply == b".\n" or reply.endswith(b"\n.\n")
        return reply.endswith(b"\n")

    def status(self, function: str) -> tuple[int, int, int]:
        """Return total, running and workers of a function, zeros when it is not known."""
        for line in self.ask("status").splitlines():
            name, *numbers = line.split("\t")
            if name == function:
                total, running, workers = map(int, numbers)
                return total, running, workers
        return 0, 0, 0

    def wait_for_workers(self, function: str, count: int = 1) -> None:
        eventually(lambda: self.status(function)[2] == count, f"{count} workers for {function}")

    def wait_until_idle(self, function: str) -> None:
        eventually(lambda: self.status(function)[0] == 0, f"no job left of {function}")
