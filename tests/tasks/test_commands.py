"""``geartrain submit`` and ``geartrain dev``, as programs."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from geartrain import AdminClient, App
from geartrain.testing import TestServer, drain
from tests.acceptance.job_server import DEADLINE
from tests.tasks import shop
from tests.tasks.running import Program, RunningPool

TEXT = "from geartrain import App\napp = App()\n@app.task\ndef add(a: int) -> int: return a + 1\n"


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


def test_dev_runs_a_server_and_a_worker_that_reloads(tmp_path: Path) -> None:
    (tmp_path / "fresh.py").write_text(TEXT)
    with Program("dev", "fresh", "--listen", "127.0.0.1:0", cwd=tmp_path) as program:
        program.wait_for("ready: 2 at once")
        found = re.search(r"server on (\S+),", program.read_log())
        assert found is not None
        app = App(found[1])

        @app.task
        def add(a: int) -> int: ...  # type: ignore[empty-body]

        assert add.call(1) == 2
        (tmp_path / "fresh.py").write_text(TEXT.replace("a + 1", "a + 100"))
        program.wait_for("ready: 2 at once", times=2)
        assert add.call(1) == 101
        app.close()
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(DEADLINE) == 0


@pytest.mark.timeout(60)
def test_dev_says_when_the_worker_has_ended_and_tries_again_with_other_code(
    tmp_path: Path,
) -> None:
    with Program("dev", "fresh", "--listen", "127.0.0.1:0", cwd=tmp_path) as program:
        program.wait_for("there is no module 'fresh' here")
        program.wait_for("it ended with exit status 2; it starts anew when a Python file changes")
        (tmp_path / "fresh.py").write_text(TEXT)
        program.wait_for("ready: 2 at once")
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(DEADLINE) == 0
        # The worker takes its leave before the server does.
        assert "WARNING" not in program.read_log()


def test_dev_without_an_app_is_a_server() -> None:
    with Program("dev", "--listen", "127.0.0.1:0") as program:
        program.wait_for("no worker: name one")
        program.wait_for("ready")
        assert program.stop() == 0
