"""
Supervisors for tests: `geartrain up` as a process of its own, asked over its control socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from geartrain.supervisor.control_client import ControlClient

DEADLINE = 15.0
GEARTRAIN = (sys.executable, "-m", "geartrain")
# What `geartrain up -c FILE` does once its options are read; it starts in half the time.
UP = (
    sys.executable,
    "-c",
    """
import sys
from pathlib import Path
from geartrain.supervisor.configuration import load_configuration
from geartrain.supervisor.running import run_in_foreground
sys.exit(run_in_foreground(load_configuration(Path(sys.argv[1]))))
""",
)


def toml_of(tables: dict[str, dict[str, Any]]) -> str:
    """Return tables as TOML; values are texts, numbers, flags, lists and flat tables."""

    def value_of(value: Any) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {value_of(one)}" for key, one in value.items()) + " }"
        return json.dumps(value)

    lines = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {value_of(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def shell(script: str) -> list[str]:
    """Return the command that runs a shell script."""
    return ["sh", "-c", script]


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition holds, and return what it gave."""
    until = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < until, f"{what} did not come about"
        time.sleep(0.005)
    return found


def is_gone(pid: int) -> bool:
    """Whether a process is not there, not even as a zombie."""
    return not psutil.pid_exists(pid)


def has_ended(pid: int) -> bool:
    """Whether a process does not run any more, although the system may not have reaped it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Up:
    """
    A `geartrain up`, its configuration file and its log.

    Args:
        directory: Where its files are.
        supervisor: Keys of ``[supervisor]``.
        programs: Keys of each program.
        text: What the file says instead, if that is not made of the keys; then it is started as
            a person types it.

    """

    def __init__(
        self,
        directory: Path,
        supervisor: dict[str, Any],
        programs: dict[str, dict[str, Any]],
        text: str = "",
    ) -> None:
        self.directory = directory
        self.config = directory / "geartrain.toml"
        self.socket = directory / "run" / "supervisor.sock"
        self.settings = {"socket": str(self.socket), **supervisor}
        self.lines: list[str] = []
        self.queue: queue.Queue[str | None] = queue.Queue()
        self.ready = threading.Event()
        self.write(programs)
        command = UP
        if text:
            self.config.write_text(text)
            command = (*GEARTRAIN, "up", "-c")
        self.process = subprocess.Popen(
            [*command, str(self.config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=directory,
            text=True,
            errors="backslashreplace",
        )
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def write(self, programs: dict[str, dict[str, Any]]) -> None:
        tables = {f"programs.{name}": keys for name, keys in programs.items()}
        self.config.write_text(toml_of({"supervisor": self.settings, **tables}))

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line == "ready\n":
                self.ready.set()
            self.queue.put(line.rstrip("\n"))
        self.queue.put(None)
        self.ready.set()

    # Its log.

    def wait_until_ready(self) -> None:
        """Wait until it answers; what it said until then can still be waited for."""
        assert self.ready.wait(DEADLINE)
        assert self.process.poll() is None, self.rest()

    def wait_for(self, pattern: str) -> str:
        """Wait for a line that has the pattern, and return it; each line is seen once."""
        until = time.monotonic() + DEADLINE
        while True:
            try:
                line = self.queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"no {pattern!r} in:\n" + "\n".join(self.lines)
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def wait_for_state(self, name: str, state: str) -> None:
        """Wait until a process has come to a state, now or before."""
        pattern = f"= {name} [A-Z]+ -> {state}"
        if not any(re.search(pattern, line) for line in self.lines):
            self.wait_for(pattern)

    # Its socket.

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        with ControlClient(str(self.socket)) as client:
            return client.ask(command, **arguments)

    def row(self, name: str) -> dict[str, Any]:
        (row,) = self.ask("status", names=[name])["processes"]
        return row

    def pid(self, name: str) -> int:
        return int(self.row(name)["pid"])

    # Its end.

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def rest(self) -> list[str]:
        """Return what it still says until its end."""
        rest = []
        while (line := self.queue.get(timeout=DEADLINE)) is not None:
            rest.append(line)
        return rest

    def close(self) -> None:
        """End it in good order, so that nothing it has started stays; else by force."""
        for patience in (1.0, DEADLINE):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience)
        if self.process.poll() is None:
            # The guard ends the others.
            self.process.kill()
        self.process.wait()
        self.thread.join(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()


def ctl(up: Up, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run `geartrain ctl`."""
    return subprocess.run(
        [*GEARTRAIN, "ctl", "-c", str(up.config), *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**os.environ, "NO_COLOR": "1", "TERM": "dumb"},
    )


Start = Callable[..., Up]


def starting(directory: Path) -> Iterator[Start]:
    """Give a way to start supervisors, which end with the test."""
    started: list[Up] = []

    def start(supervisor: dict[str, Any] | None = None, **programs: dict[str, Any]) -> Up:
        up = Up(directory, supervisor or {}, programs)
        started.append(up)
        up.wait_until_ready()
        return up

    yield start
    for up in started:
        up.close()
