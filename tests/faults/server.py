"""
A job server that can be killed and started again on what it left.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

START_TIMEOUT = 15.0


class Server:
    """
    One job server after the other, on the same port and the same files.

    Args:
        program: ``geartrain``, or ``gearmand`` for Debian's.
        folder: Where its files are.
        store: URL of geartrain's store; empty for an SQLite file in the folder.

    """

    def __init__(self, program: str, folder: Path, store: str = "") -> None:
        self.program = program
        self.folder = folder
        self.host = "127.0.0.1"
        # What its command line begins with.
        self.before: tuple[str, ...] = ()
        self.store = store or f"sqlite:///{folder / 'queue.db'}"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return the command line."""
        if self.program == "geartrain":
            own = Path(sys.executable).with_name("geartrain")
            address = f"{self.host}:{self.port}"
            return [str(own), "serve", "--listen", address, "--store", self.store]
        found = shutil.which(self.program, path="/usr/sbin:/usr/bin")
        assert found, f"{self.program} is not installed"
        return [
            *(found, "-L", "127.0.0.1", "-p", str(self.port)),
            *("-q", "libsqlite3", "--libsqlite3-db", str(self.folder / "queue.db")),
            *("-l", str(self.folder / "log"), "-P", str(self.folder / "pid")),
        ]

    def start(self) -> None:
        """Start a server and wait until it accepts."""
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*self.before, *self.command()],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
                return
            except OSError:
                output_so_far = (self.folder / "output").read_text(errors="replace")
                assert self.process.poll() is None, output_so_far
                assert time.monotonic() < deadline, output_so_far
                time.sleep(0.01)

    def kill(self) -> None:
        """Kill the server with SIGKILL; returns when it is gone."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """End the server, if it runs."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None
