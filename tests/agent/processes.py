"""Agents as their users run them: processes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from geartrain.agent.settings import AgentSettings
from geartrain.cli.agent_status import status_of
from geartrain.client.sync import Client
from geartrain.schedule.envelope import Answer, Envelope, fire_key, read_answer
from tests.acceptance.job_server import DEADLINE, eventually
from tests.cli.servers import BIN

# Of fires whose moment does not matter.
MOMENTS = itertools.count(1_769_904_060, 60)


class AgentProcess:
    """
    A `geartrain agent`.

    Args:
        name: Its name.
        directory: Where its configuration, state and log are; it starts there.
        args: Further arguments.
        before: What its command begins with, such as ``ip netns exec``.
        settings: Of ``[agent]``.

    """

    def __init__(
        self,
        name: str,
        directory: Path,
        *args: str,
        before: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        self.name = name
        self.before = before
        self.state = directory / f"state-{name}"
        self.config = directory / f"{name}.toml"
        settings = {"name": name, "state": str(self.state), "kill_delay": 2, **settings}
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        self.config.write_text("[agent]\n" + "\n".join(lines) + "\n")
        self.directory = directory
        self.args = args
        self.log = directory / f"{name}.log"
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        self.seen = self.log.stat().st_size if self.log.exists() else 0
        environment = {**os.environ, "AGENTS_OWN": "not for commands"}
        command = [str(BIN / "geartrain"), "agent", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, *command, *self.args],
                cwd=self.directory,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def said(self) -> str:
        """Return what it has logged since it was started."""
        with self.log.open("rb") as log:
            log.seek(self.seen)
            return log.read().decode(errors="replace")

    def wait_for(self, text: str, deadline: float = DEADLINE) -> None:
        """Wait until it logs a text."""

        def is_there() -> bool:
            if text in self.said():
                return True
            if self.process.poll() is not None:
                pytest.fail(f"agent {self.name} ended:\n{self.said()[-2000:]}")
            return False

        eventually(is_there, f"{self.name} says {text!r}:\n{self.said()[-2000:]}", deadline)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, wait for its end, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def end(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def status(self) -> dict[str, Any]:
        """Return what `geartrain agent status` tells."""
        return status_of(AgentSettings(name=self.name, state=str(self.state)))


def envelope(name: str, nominal: int = 0, **values: Any) -> Envelope:
    """Return a fire of an entry for an agent; of a new moment unless one is given."""
    nominal = nominal or next(MOMENTS)
    key = fire_key(7, 1, nominal, name)
    return Envelope(**{"entry": "e", "key": key, "nominal": nominal, "target": name, **values})


def ask(client: Client, name: str, sent: Envelope, timeout: float = DEADLINE) -> Answer:
    """Have an agent run a fire, and return how it ended."""
    answer = read_answer(client.call(f"agent:{name}", sent.to_bytes(), timeout=timeout))
    assert answer is not None
    return answer


def wait_until_gone(pid: int) -> None:
    """Wait until a process has ended, whether or not anybody has reaped it."""

    def is_gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
        except OSError:
            return True

    eventually(is_gone, f"process {pid} ends")


def wait_for_file(path: Path) -> str:
    """Wait until a file is there that holds something, and return that."""
    eventually(lambda: path.exists() and path.read_text() != "", f"{path} is written")
    return path.read_text()


def now() -> int:
    return int(time.time())
