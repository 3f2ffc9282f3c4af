"""Worker programs, their children, and what the kernel says about them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.acceptance.job_server import DEADLINE, eventually

ROOT = Path(__file__).resolve().parents[2]


class WorkerProgram:
    """A running ``program.py``."""

    PYTHON = sys.executable

    def __init__(self, kind: str, port: int, grace: float, **options: object) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        arguments = [kind, str(port), str(grace), json.dumps(options)]
        self.process = subprocess.Popen(
            [self.PYTHON, "-m", "tests.worker.program", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self.log,
            # As a service or a terminal's job has it.
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", self.read_log()

    def wait(self) -> int:
        """Return the exit status."""
        return self.process.wait(DEADLINE)

    def read_log(self) -> str:
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    def wait_for_log(self, text: str) -> None:
        eventually(lambda: text in self.read_log(), f"the log says {text!r}")

    def close(self) -> None:
        children = children_of(self.process.pid) if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        for child in children:
            child.send_signal(signal.SIGKILL)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()


class Child:
    """A child of a worker program."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def send_signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return


def children_of(pid: int) -> list[Child]:
    """Return the children of a process, those of all its threads."""
    pids: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        pids += [int(word) for word in path.read_text().split()]
    return [Child(pid) for pid in pids]


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_ticks(pid: int) -> int:
    """Return the CPU time a process has used, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def wake_ups(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep."""
    count = 0
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in path.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                count += int(line.split()[1])
    return count
