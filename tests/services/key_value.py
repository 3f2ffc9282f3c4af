"""
Redis and memcached of the tests' own, on a free port, in a temporary folder, ended by their pid.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.services.availability import find_program, require
from tests.services.instance import free_port, wait_until_stopped

START_TIMEOUT = 15.0


class Service:
    """
    A server that can be killed, frozen and started again on what it left.

    Attributes:
        port: Where it listens on 127.0.0.1.
        directory: Where its files are.

    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.options = options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def is_ready(self, answer: socket.socket) -> bool:
        """Return whether it serves, asked on a connection to it."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it serves."""
        with (self.directory / "output").open("ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    if self.is_ready(connection):
                        return
            except OSError:
                pass
            output_so_far = (self.directory / "output").read_text(errors="replace")
            assert self.process.poll() is None, output_so_far
            assert time.monotonic() < deadline, output_so_far
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def freeze(self) -> None:
        """Stop it from running; connections to it stay."""
        self.signal(signal.SIGSTOP)
        assert self.process is not None
        wait_until_stopped(self.process.pid)

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it with SIGKILL, if it runs; returns when it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class RedisServer(Service):
    """A Redis that has every answered write on disk, unless the options say otherwise."""

    def command(self) -> list[str]:
        program = find_program("redis-server")
        assert program
        return [
            *(program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""),
            *("--dir", str(self.directory), "--appendonly", "yes", "--appendfsync", "always"),
            *self.options,
        ]

    def is_ready(self, answer: socket.socket) -> bool:
        # Refused while it loads its files.
        answer.sendall(b"PING\r\n")
        return answer.recv(100).startswith((b"+PONG", b"-NOAUTH"))

    def url(self, prefix: str = "geartrain") -> str:
        """Return the URL of a store in it."""
        return f"redis://127.0.0.1:{self.port}/0?prefix={prefix}"


class MemcachedServer(Service):
    """A memcached that refuses when it is full, unless the options say otherwise."""

    def command(self) -> list[str]:
        program = find_program("memcached")
        assert program
        options = self.options or ("-M", "-m", "256")
        user = ["-u", "root"] if os.geteuid() == 0 else []
        return [program, "-l", "127.0.0.1", "-p", str(self.port), *user, *options]

    def is_ready(self, answer: socket.socket) -> bool:
        answer.sendall(b"version\r\n")
        return answer.recv(100).startswith(b"VERSION")

    def url(self, prefix: str = "geartrain") -> str:
        """Return the URL of a store in it."""
        return f"memcached://127.0.0.1:{self.port}?prefix={prefix}"


def temporary_directory() -> Path:
    """Return a folder that is removed when the tests end."""
    path = tempfile.mkdtemp(prefix="geartrain-service-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


@functools.cache
def shared_redis() -> RedisServer:
    """Return one Redis for all tests that do not harm it; each uses a prefix of its own."""
    require("redis")
    server = RedisServer(temporary_directory())
    server.start()
    atexit.register(server.kill)
    return server


@functools.cache
def shared_memcached() -> MemcachedServer:
    """Return one memcached for all tests that do not harm it; each uses a prefix of its own."""
    require("memcached")
    server = MemcachedServer(temporary_directory())
    server.start()
    atexit.register(server.kill)
    return server
