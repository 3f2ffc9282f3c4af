"""``geartrain submit``, as a program."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from geartrain import AdminClient
from geartrain.testing import TestServer, drain
from tests.acceptance.job_server import DEADLINE
from tests.tasks import shop
from tests.tasks.running import RunningPool


def run(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", "from geartrain.cli.main import main; main()", *arguments],
        input=data,
        capture_output=True,
        timeout=DEADLINE,
    )


@pytest.fixture(scope="module")
def worker(server: TestServer) -> object:
    shop.app.servers = server.address
    with RunningPool("thread"):
        yield


def test_submit_waits_and_prints_the_result(worker: object, server: TestServer) -> None:
    done = run("submit", "add", '{"a": 2}', "--wait", "-s", server.address)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"3", b"")


def test_submit_takes_the_data_from_standard_input(worker: object, server: TestServer) -> None:
    done = run("submit", "reverse", "-", "-w", "-s", server.address, data=b"\0\1\2")
    assert (done.returncode, done.stdout) == (0, b"\2\1\0")


def test_submit_shows_progress(worker: object, server: TestServer) -> None:
    done = run("submit", "count", "[3]", "--progress", "-s", server.address)
    assert (done.returncode, done.stdout) == (0, b"012")
    assert b"count" in done.stderr
    assert b"3/3" in done.stderr


def test_submit_says_why_a_job_failed(worker: object, server: TestServer) -> None:
    done = run("submit", "explode", '{"text": "boom"}', "--wait", "-s", server.address)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"raised ValueError: boom" in done.stderr
    done = run("submit", "give_up", "--wait", "-s", server.address)
    assert (done.returncode, done.stderr) == (1, b"geartrain: the job failed\n")


def test_submit_in_the_background_prints_the_handle() -> None:
    with TestServer() as server:
        done = run("submit", "add", "[1]", "--unique", "k", "-s", server.address)
        assert (done.returncode, done.stderr) == (0, b"")
        assert re.fullmatch(rb"H:\S+\n", done.stdout)
        shop.app.servers = server.address
        assert drain(shop.app) == 1


def test_submit_says_what_can_not_be(server: TestServer) -> None:
    done = run("submit", "add", "--wait", "--delay", "3", "-s", server.address)
    assert done.returncode == 2
    assert b"nobody can wait for it here" in done.stderr
    done = run("submit", "nobody-does-it", "-w", "--timeout", "0.1", "-s", server.address)
    assert done.returncode == 1
    assert b"gave no result within 0.1 s" in done.stderr


def test_submit_without_a_server_says_so_and_ends_with_3(tmp_path: Path) -> None:
    nowhere = f"unix:{tmp_path}/nobody"
    for more in ((), ("--wait",)):
        done = run("submit", "add", "[1]", "-s", nowhere, *more)
        assert (done.returncode, done.stdout) == (3, b"")
        assert b"no job server could be reached" in done.stderr
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        done = run("submit", "add", "[1]", "-s", address, "--timeout", "0.3")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr == b"geartrain: no job server accepted the job within 0.3 s; does one run?\n"


def test_submit_that_is_refused_ends_with_5() -> None:
    with TestServer() as server:
        with AdminClient(server.address) as admin:
            admin.maxqueue("add", 1)
        assert run("submit", "add", "[1]", "-s", server.address).returncode == 0
        done = run("submit", "add", "[2]", "-s", server.address)
        assert (done.returncode, done.stdout) == (5, b"")
        assert b"QUEUE_ERROR" in done.stderr
