"""
Programs of other projects, started for a test and listened to.

`Program` is any of them: it prints one JSON object a line, an *event*, and a test waits for the
events it expects. `Peers` knows how each language starts its client and its worker; what those
programs understand is described in ``peers/README.md``.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.job_server import DEADLINE, JobServer, eventually
from tests.services.availability import PEERS, find_program, require

SOURCES = Path(__file__).parent / "peers"

Event = dict[str, Any]


def read_event(line: bytes) -> Event | None:
    """Return the event a line holds, its data as bytes; None when the line is something else."""
    if not line.startswith(b"{"):
        return None
    event: Event = json.loads(line)
    for field in ("data", "workload"):
        if field in event:
            event[field] = bytes.fromhex(event[field])
    return event


class Program:
    """
    A process that prints events.

    Attributes:
        seen: Every event so far that a test has waited for or passed over.

    """

    def __init__(self, argv: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self.argv = argv
        # A file, so that a program which says a lot of them never waits for us.
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            argv,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        self.seen: list[Event] = []
        # None after the last one.
        self.coming: queue.Queue[Event | None] = queue.Queue()
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = read_event(line)
            if event is not None:
                self.coming.put(event)
        self.coming.put(None)

    # Waiting.

    def event(self, name: str, deadline: float = DEADLINE) -> Event:
        """Wait for the next event of that name, and pass over others."""
        give_up = time.monotonic() + deadline
        while True:
            event = self.next_event(max(0.0, give_up - time.monotonic()), name)
            if event is None:
                pytest.fail(f"ended without {name!r}\n{self.account()}")
            if event["event"] == name:
                return event

    def next_event(self, timeout: float, awaited: str) -> Event | None:
        try:
            event = self.coming.get(timeout=timeout)
        except queue.Empty:
            pytest.fail(f"waited too long for {awaited!r}\n{self.account()}")
        if event is not None:
            self.seen.append(event)
        return event

    def events(self, deadline: float = DEADLINE) -> list[Event]:
        """Wait until the program ends well, and return all it has said."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        give_up = time.monotonic() + deadline
        while self.next_event(max(0.0, give_up - time.monotonic()), "its end") is not None:
            pass
        if self.process.wait(DEADLINE):
            pytest.fail(f"ended with {self.process.returncode}\n{self.account()}")
        return self.seen

    def names(self) -> list[str]:
        """Wait until the program ends well, and return the names of its events."""
        return [event["event"] for event in self.events()]

    def result(self) -> bytes:
        """Wait until the program ends well, and return the result of its only task."""
        results: list[bytes] = [e["data"] for e in self.events() if e["event"] == "complete"]
        assert len(results) == 1, self.account()
        return results[0]

    def exit_code(self) -> int:
        """Wait until the program ends, in whichever way."""
        return self.process.wait(DEADLINE)

    def account(self) -> str:
        """Return what there is to say about the program when a test fails."""
        return f"{' '.join(self.argv)}\nsaw {self.seen}\nsaid {self.error_text()[-3000:]}"

    def error_text(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    # Acting on it.

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """End the program as a crash would, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        self.listener.join()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream is not None:
                # What a dead program did not read is of no interest any more.
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class Peers:
    """
    The programs one test has running, all of them talking to one job server.

    Args:
        job_server: The server they use.
        compiled: Directory for the C programs, kept for the whole run.

    """

    def __init__(self, job_server: JobServer, compiled: Path) -> None:
        self.job_server = job_server
        self.compiled = compiled
        self.programs: list[Program] = []

    def client(self, language: str, mode: str, function: str, **words: object) -> Program:
        """Start a client; ``mode`` is run or background."""
        settings = [f"{key}={value}" for key, value in words.items()]
        port = str(self.job_server.port)
        return self.start(language, "client", port, mode, function, *settings)

    def worker(
        self, language: str, *, timeout: int | None = None, id: str | None = None, **functions: str
    ) -> Program:
        """Start a worker and wait until the server knows it, e.g. ``reverse="name"``."""
        known = {function: self.job_server.status(function)[2] for function in functions.values()}
        settings = {"timeout": timeout, "id": id, **functions}
        words = [f"{key}={value}" for key, value in settings.items() if value is not None]
        worker = self.start(language, "worker", str(self.job_server.port), *words)
        for function, count in known.items():
            self.wait_for_another_worker(worker, function, count)
        return worker

    def kill(self, worker: Program, function: str) -> None:
        """End a worker as a crash would, and wait until the server has noticed."""
        count = self.job_server.status(function)[2]
        worker.kill()
        self.job_server.wait_for_workers(function, count - 1)

    def wait_for_another_worker(self, worker: Program, function: str, count: int) -> None:
        def has_come() -> bool:
            if worker.process.poll() is not None:
                pytest.fail(f"ended with {worker.process.returncode}\n{worker.account()}")
            return self.job_server.status(function)[2] == count + 1

        eventually(has_come, f"another worker for {function}")

    def start(self, language: str, role: str, *words: str) -> Program:
        """Start one of the programs in ``peers``, by its language and its name there."""
        require(language)
        command, environment = self.command(language, role)
        return self.run([*command, *words], environment)

    def run(self, argv: Sequence[str], environment: dict[str, str] | None = None) -> Program:
        """Start any program, to be ended with the test."""
        program = Program(argv, environment)
        self.programs.append(program)
        return program

    def command(self, language: str, role: str) -> tuple[list[str], dict[str, str]]:
        if language == "php":
            return ["php", f"{SOURCES}/php/{role}.php"], {}
        if language == "perl":
            return ["perl", f"{SOURCES}/perl/{role}.pl"], {}
        if language == "node":
            modules = f"{PEERS}/node/node_modules"
            return ["node", "--no-deprecation", f"{SOURCES}/node/{role}.js"], {"NODE_PATH": modules}
        if language == "c":
            return [str(self.compile(role))], {}
        source = f"{SOURCES}/python/{language}_{role}.py"
        return [sys.executable, source], {"PYTHONPATH": f"{PEERS}/python"}

    def compile(self, role: str) -> Path:
        program = self.compiled / role
        if not program.exists():
            flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]
            source = f"{SOURCES}/c/{role}.c"
            compiler = find_program("gcc") or "gcc"
            subprocess.run([compiler, *flags, source, "-o", program, "-lgearman"], check=True)
        return program

    def close(self) -> None:
        for program in self.programs:
            program.close()


def tool(name: str) -> str:
    """Return the path of one of Debian's own tools, not of ours of the same name."""
    require("gearman-tools")
    return shutil.which(name, path="/usr/bin") or name
