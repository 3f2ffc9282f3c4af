"""``geartrain job`` as a process: what it prints, and the codes it ends with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geartrain.server.policies import policy_of
from tests.cli.servers import BIN
from tests.server.peer import CAN_DO, SUBMIT_JOB_BG, WORK_COMPLETE, WORK_FAIL, Peer
from tests.server.servers import ThreadServer

TIMEOUT = 15

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def server() -> Iterator[ThreadServer]:
    keys = {"max_attempts": 1, "retention": "1h"}
    server = ThreadServer(policies=[policy_of("here", "f", keys)])
    yield server
    server.stop()


@pytest.fixture
def run(server: ThreadServer, tmp_path: Path) -> Run:
    """Runs ``geartrain job`` against the server."""
    host, port = server.address

    def run_job(*words: str, to: str = "") -> subprocess.CompletedProcess[bytes]:
        argv = [str(BIN / "geartrain"), "job", *words, "--server", to or f"{host}:{port}"]
        return subprocess.run(argv, capture_output=True, timeout=TIMEOUT, cwd=tmp_path, check=False)

    return run_job


def end(peer: Peer, kind: int, *data: bytes, workload: bytes = b"w") -> str:
    """Have a job of ``f`` done, and return its handle."""
    peer.send(CAN_DO, b"f")
    handle = peer.submit(SUBMIT_JOB_BG, b"f", b"", workload)
    assert peer.grab() == handle
    peer.send(kind, handle, *data)
    peer.echo()
    return handle.decode()


def test_dead_letters_are_listed_retried_and_removed(server: ThreadServer, run: Run) -> None:
    peer = server.peer()
    handle, other = (end(peer, WORK_FAIL) for _ in range(2))
    rows = json.loads(run("ls", "--dead", "--json").stdout)
    assert [row["handle"] for row in rows] == [handle, other]
    assert rows[0]["function"] == "f"
    assert rows[0]["reason"] == "its worker said WORK_FAIL at attempt 1 of 1"
    assert run("ls", "--dead").stdout.startswith(handle.encode())
    done = run("retry", handle, "--json")
    assert json.loads(done.stdout) == {"handle": handle, "state": "waiting"}
    assert [row["handle"] for row in json.loads(run("ls", "--json").stdout)] == [handle]
    assert run("rm", other).returncode == 0
    assert json.loads(run("ls", "--dead", "--json").stdout) == []
    again = run("rm", other)
    assert (again.returncode, again.stderr) == (4, b"geartrain: the server knows no such job\n")


def test_more_dead_letters_than_one_answer_holds_are_all_listed(
    server: ThreadServer, run: Run
) -> None:
    peer = server.peer()
    handles = [end(peer, WORK_FAIL) for _ in range(205)]
    rows = json.loads(run("ls", "--dead", "--json").stdout)
    assert [row["handle"] for row in rows] == handles


def test_a_job_is_shown_with_its_result(server: ThreadServer, run: Run) -> None:
    handle = end(server.peer(), WORK_COMPLETE, b"the result")
    said = run("show", handle)
    assert said.returncode == 0
    assert b"state       completed\n" in said.stdout
    assert said.stdout.endswith(b"\nthe result")
    found = json.loads(run("show", handle, "--json").stdout)
    assert (found["state"], found["result"]) == ("completed", "the result")


def test_a_result_that_is_no_text_is_in_base_64(server: ThreadServer, run: Run) -> None:
    handle = end(server.peer(), WORK_COMPLETE, b"\xff\0")
    assert json.loads(run("show", handle, "--json").stdout)["result_b64"] == "/wA="


def test_a_job_that_waits_and_one_that_is_dead_are_shown(server: ThreadServer, run: Run) -> None:
    peer = server.peer()
    dead = json.loads(run("show", end(peer, WORK_FAIL), "--json").stdout)
    assert (dead["state"], dead["attempts"], dead["size"]) == ("dead", 1, 1)
    waits = peer.submit(SUBMIT_JOB_BG, b"g").decode()
    found = json.loads(run("show", waits, "--json").stdout)
    assert (found["state"], found["background"]) == ("waiting", True)
    assert b"submitted   20" in run("show", waits).stdout


@pytest.mark.parametrize("command", ["show", "retry", "rm"])
def test_a_job_nobody_knows_is_code_4(run: Run, command: str) -> None:
    assert run(command, "H:nobody:1").returncode == 4


def test_a_server_nobody_reaches_is_code_3(run: Run) -> None:
    said = run("ls", to="127.0.0.1:1")
    assert said.returncode == 3
    assert said.stderr.startswith(b"geartrain: ")


def test_what_is_no_handle_is_code_2(run: Run) -> None:
    assert run("show", "two words").returncode == 2
