"""Fixtures of the command line tools' tests: servers, and the tools as processes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from geartrain.wire.packet import Packet
from tests.cli.servers import BIN, ScriptedServer, Server
from tests.services.availability import require

FUNCTION_NUMBERS = itertools.count(1)
TIMEOUT = 10


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    running: dict[str, Server] = {}
    yield running
    for server in running.values():
        server.stop()


@pytest.fixture(params=["gearmand", "geartrain"])
def server(
    request: pytest.FixtureRequest,
    servers: dict[str, Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Server:
    """A server that other tests use too, so a test names its functions with `function`."""
    if request.param not in servers:
        servers[request.param] = Server(request.param, tmp_path_factory.mktemp(request.param))
    return servers[request.param]


@pytest.fixture
def function() -> str:
    """A function name no other test uses."""
    return f"f{next(FUNCTION_NUMBERS)}"


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the test."""
    started: list[Server] = []

    def start(name: str, **where: Any) -> Server:
        started.append(Server(name, tmp_path, **where))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def script() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts servers that follow a script and end with the test."""
    started: list[ScriptedServer] = []

    def start(answer: Callable[[Packet], bytes | None], **how: bool) -> ScriptedServer:
        started.append(ScriptedServer(answer, **how))
        return started[-1]

    yield start
    for server in started:
        server.close()


class Tools:
    """
    Runs the tools, ours and Debian's.

    The environment names no server but what a test puts there.
    """

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith("GEARMAN")
        }

    def program(self, name: str, debian: bool) -> str:
        if not debian:
            return str(BIN / name)
        require("gearman-tools")
        return f"/usr/bin/{name}"

    def run(
        self,
        name: str,
        *args: str,
        server: Server | ScriptedServer | None = None,
        stdin: bytes = b"",
        debian: bool = False,
        **environ: str,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a tool to its end."""
        return subprocess.run(
            [self.program(name, debian), *where(server), *args],
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT,
            env={**self.environ, **environ},
        )

    def start(
        self,
        *args: str,
        server: Server | ScriptedServer | None = None,
        stdin: int = subprocess.DEVNULL,
        group: bool = False,
        debian: bool = False,
        name: str = "gearman",
        **environ: str,
    ) -> subprocess.Popen[bytes]:
        """Start a tool and leave it running."""
        process = subprocess.Popen(
            [self.program(name, debian), *where(server), *args],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.environ, **environ},
            start_new_session=group,
        )
        self.processes.append(process)
        return process

    def worker(
        self, server: Server, function: str, *args: str, debian: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a worker and wait until the server knows it."""
        before = server.status(function)[2]
        process = self.start("-w", "-f", function, *args, server=server, debian=debian)
        server.wait_for_workers(function, before + 1)
        return process

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def where(server: Server | ScriptedServer | None) -> list[str]:
    if server is None:
        return []
    if isinstance(server, Server) and server.path:
        return ["-h", f"unix:{server.path}"]
    host = server.host if isinstance(server, Server) else "127.0.0.1"
    return ["-h", host, "-p", str(server.port)]


@pytest.fixture
def tools() -> Iterator[Tools]:
    tools = Tools()
    yield tools
    tools.close()
