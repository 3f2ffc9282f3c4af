"""Policies of the server, kept for workers that never heard of them: PHP's, and shell commands."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.job_server import DEADLINE, JobServer, eventually
from tests.acceptance.peer import Peers, Program, tool

CONFIG = """
[functions.fails]
retries   = 2
backoff   = "200ms"
retention = "1h"

[functions.waits]
retries = 3
backoff = "5s"

[functions.hangs]
max_attempts = 1
timeout      = "300ms"

[functions.kills]
poison = 2

[functions."one.*"]
concurrency = 1
retention   = "1h"
"""


class PolicyServer(JobServer):
    """Our own server with the configuration above."""

    def command(self) -> list[str]:
        config = self.directory / "geartrain.toml"
        config.write_text(CONFIG)
        return [*super().command(), "--config", str(config)]

    def job(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        program = str(Path(sys.executable).with_name("geartrain"))
        argv = [program, "job", *words, "--server", f"127.0.0.1:{self.port}"]
        return subprocess.run(argv, capture_output=True, timeout=DEADLINE, check=False)

    def dead_letters(self) -> list[list[str]]:
        lines = self.ask("show dead letters").splitlines()[:-1]
        return [line.split("\t") for line in lines]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PolicyServer]:
    server = PolicyServer("geartrain", tmp_path)
    yield server
    server.stop()


@pytest.fixture
def programs(server: PolicyServer, compiled: Path) -> Iterator[Peers]:
    peers = Peers(server, compiled)
    yield peers
    peers.close()


def shell_worker(programs: Peers, server: PolicyServer, function: str, command: str) -> Program:
    """Start ``gearman -w`` on a shell command; a status other than 0 is WORK_FAIL."""
    count = server.status(function)[2]
    argv = [
        tool("gearman"),
        "-p",
        str(server.port),
        "-w",
        "-f",
        function,
        "--",
        "sh",
        "-c",
        command,
    ]
    worker = programs.run(argv)
    server.wait_for_workers(function, count + 1)
    return worker


def submit(programs: Peers, function: str, workload: str = "x") -> str:
    """Submit a job in the background, as PHP does, and return its handle."""
    client = programs.client("php", "background", function, workload=workload)
    handle: str = client.event("created")["handle"]
    return handle


def result(server: PolicyServer, handle: str) -> subprocess.CompletedProcess[bytes]:
    """Fetch a result as anybody does who has a handle and Debian's own client."""
    argv = [tool("gearman"), "-p", str(server.port), "-f", "geartrain:result", handle]
    return subprocess.run(argv, capture_output=True, timeout=DEADLINE, check=False)


def test_a_job_that_a_php_worker_fails_is_tried_again_and_then_a_dead_letter(
    server: PolicyServer, programs: Peers
) -> None:
    worker = programs.worker("php", fail="fails")
    handle = submit(programs, "fails")
    for _ in range(3):
        assert worker.event("job")["workload"] == b"x"
    eventually(lambda: len(server.dead_letters()) == 1, "it is a dead letter")
    [letter] = server.dead_letters()
    assert (letter[0], letter[2], letter[4]) == (handle, "fails", "3")
    assert letter[6] == "its worker said WORK_FAIL at attempt 3 of 3"
    assert b"state       dead" in server.job("show", handle).stdout
    assert server.job("retry", handle).returncode == 0
    assert worker.event("job")["workload"] == b"x"


def test_a_shell_command_that_fails_at_first_is_tried_again(
    server: PolicyServer, programs: Peers, tmp_path: Path
) -> None:
    """It succeeds once a file is there, which the first attempt makes."""
    seen = tmp_path / "seen"
    shell_worker(programs, server, "fails", f"test -e {seen} && cat || {{ touch {seen}; exit 1; }}")
    handle = submit(programs, "fails", "data")
    fetched = result(server, handle)
    assert (fetched.returncode, fetched.stdout) == (0, b"data")
    assert server.dead_letters() == []
    # It is kept, too.
    assert result(server, handle).stdout == b"data"


def test_a_shell_command_that_hangs_has_its_time(server: PolicyServer, programs: Peers) -> None:
    shell_worker(programs, server, "hangs", "exec sleep 60")
    handle = submit(programs, "hangs")
    eventually(lambda: len(server.dead_letters()) == 1, "its time is up")
    [letter] = server.dead_letters()
    assert (letter[0], letter[6]) == (handle, "it took too long at attempt 1 of 1")


def test_a_php_worker_that_hangs_has_its_time(server: PolicyServer, programs: Peers) -> None:
    programs.worker("php", hang="hangs")
    handle = submit(programs, "hangs")
    eventually(lambda: len(server.dead_letters()) == 1, "its time is up")
    [letter] = server.dead_letters()
    assert (letter[0], letter[6]) == (handle, "it took too long at attempt 1 of 1")


def test_a_job_that_kills_php_workers_is_poison(server: PolicyServer, programs: Peers) -> None:
    handle = submit(programs, "kills")
    for _ in range(2):
        worker = programs.worker("php", hang="kills")
        worker.event("job")
        programs.kill(worker, "kills")
    [letter] = server.dead_letters()
    assert (letter[0], letter[6]) == (handle, "2 workers were lost with it")
    # Nobody gets it any more.
    assert server.status("kills")[0] == 0


def test_two_shell_workers_run_one_job_at_a_time(
    server: PolicyServer, programs: Peers, tmp_path: Path
) -> None:
    """A job that finds the other's directory fails; it would if both ran at once."""
    lock = tmp_path / "lock"
    command = f"mkdir {lock} && sleep 0.05 && rmdir {lock} && cat"
    for _ in range(2):
        shell_worker(programs, server, "one.at", command)
    handles = [submit(programs, "one.at", str(n)) for n in range(5)]
    for n, handle in enumerate(handles):
        fetched = result(server, handle)
        assert (fetched.returncode, fetched.stdout) == (0, str(n).encode())


def test_a_retry_that_waits_survives_kill_9(server: PolicyServer, programs: Peers) -> None:
    worker = programs.worker("php", fail="waits")
    handle = submit(programs, "waits")
    worker.event("job")
    failed = time.monotonic()
    eventually(lambda: "attempts\t1" in server.ask(f"show job {handle}"), "its failure is noted")
    # An acknowledged job: what was noted before it is on disk, too.
    submit(programs, "other")
    programs.kill(worker, "waits")
    server.stop()
    server.start()
    assert "state\tdelayed" in server.ask(f"show job {handle}")
    assert "attempts\t1" in server.ask(f"show job {handle}")
    again = programs.worker("php", fail="waits")
    again.event("job")
    # The whole wait, less the jitter, from before the crash on.
    assert time.monotonic() - failed > 3.5
