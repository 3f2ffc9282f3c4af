"""Real processes that get ready, depend on each other, wear out and are scaled."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from geartrain import Client
from tests.server.servers import ThreadServer
from tests.supervisor.running import Start, eventually, has_ended, shell

LASTING = {"command": ["sleep", "1000"], "startsecs": 0}
# Listens when it is told to by a line in a pipe.
LISTENER = """
import http.server, sys
open(sys.argv[2]).read()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204 if self.path == "/healthy" else 500)
        self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def job_server() -> Iterator[str]:
    server = ThreadServer()
    yield f"127.0.0.1:{server.addresses[0][1]}"
    server.stop()


def worker(server: str, function: str) -> list[str]:
    """Return the command of a shell worker."""
    host, _, number = server.partition(":")
    code = "from geartrain.cli.gearman import main; main()"
    return [sys.executable, "-c", code, "-w", "-h", host, "-p", number, "-f", function, "true"]


@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_what_depends_on_a_port_waits_for_it(
    up: Start, tmp_path: Path, free_port: int, kind: str
) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    ready = (
        f"tcp://127.0.0.1:{free_port}" if kind == "tcp" else f"http://127.0.0.1:{free_port}/healthy"
    )
    listener = {
        "command": [sys.executable, "-c", LISTENER, str(free_port), str(go)],
        "startsecs": 0,
        "ready": ready,
    }
    manager = up(db=listener, web={**LASTING, "depends_on": "db"})
    assert manager.row("db:0")["state"] == "STARTING"
    row = manager.row("web:0")
    assert (row["state"], row["reason"]) == ("STOPPED", "waits for db")
    go.write_text("go\n")
    manager.wait_for_state("web:0", "RUNNING")
    assert manager.row("db:0")["state"] == "RUNNING"


def test_a_page_that_says_it_is_not_well_is_not_ready(
    up: Start, tmp_path: Path, free_port: int
) -> None:
    listener = {
        "command": [sys.executable, "-c", LISTENER, str(free_port), "/dev/null"],
        "ready": f"http://127.0.0.1:{free_port}/ill",
        "ready_timeout": 0.5,
        "startsecs": 0,
        "startretries": 0,
    }
    manager = up(db=listener)
    manager.wait_for(r"db:0 STOPPING -> FATAL \(was not ready within 0.5 s; gave up")


def test_a_line_of_output_can_say_that_it_is_ready(up: Start, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    script = shell(f"echo starting; read x < {go}; echo now accepting work >&2; exec sleep 1000")
    manager = up(web={"command": script, "startsecs": 0, "ready": "log:^now accepting"})
    manager.wait_for("starting$")
    assert manager.row("web:0")["state"] == "STARTING"
    go.write_text("go\n")
    manager.wait_for_state("web:0", "RUNNING")


def test_a_worker_is_ready_once_the_server_knows_it(up: Start, job_server: str) -> None:
    keys = {"startsecs": 0, "ready": "gearman", "numprocs": 2}
    resize = {"command": worker(job_server, "resize"), **keys}
    manager = up({"servers": [job_server]}, resize=resize)
    manager.wait_for_state("resize:0", "RUNNING")
    manager.wait_for_state("resize:1", "RUNNING")


def test_jobs_that_wait_have_more_workers_started(up: Start, job_server: str) -> None:
    with Client(job_server) as client:
        client.submit("resize", b"", background=True)
        rule = {"min": 1, "max": 3, "target_wait": 0.2, "calm": 0.1}
        manager = up({"servers": [job_server]}, resize={**LASTING, "autoscale": rule})
        manager.wait_for_state("resize:2", "RUNNING")
        assert len(manager.ask("status")["processes"]) == 3
        client_worker = worker(job_server, "resize")
        manager.write(
            {
                "resize": {**LASTING, "autoscale": rule},
                "once": {"command": client_worker, "startsecs": 0},
            }
        )
        manager.ask("reload")
        # Its one job is done, so the others are no longer needed.
        manager.wait_for_state("resize:1", "STOPPED")
        eventually(lambda: len(manager.ask("status", names=["resize"])["processes"]) == 1, "calm")


def test_a_job_server_that_is_gone_is_said_once(up: Start, free_port: int) -> None:
    rule = {"min": 1, "max": 3, "target_wait": 0.1}
    servers = {"servers": [f"127.0.0.1:{free_port}"]}
    manager = up(servers, resize={**LASTING, "autoscale": rule})
    manager.wait_for("ERROR resize is not scaled for now: no job server could be reached")
    assert manager.row("resize:0")["state"] == "RUNNING"


def test_a_process_that_grows_too_large_is_replaced(up: Start) -> None:
    # What it has started counts as well.
    large = "import time; x = b'x' * 80_000_000; time.sleep(1000)"
    script = shell(f'{sys.executable} -c "{large}" & wait')
    manager = up(
        {"measure_interval": 0.1}, web={"command": script, "startsecs": 0, "max_memory": "60MB"}
    )
    manager.wait_for("= web:0 RUNNING -> STOPPING")
    manager.wait_for("= web:0 STOPPED -> STARTING")


def test_a_process_that_is_too_old_is_replaced(up: Start) -> None:
    manager = up(web={**LASTING, "max_age": 0.1})
    manager.wait_for("= web:0 RUNNING -> STOPPING")
    manager.wait_for("= web:0 STARTING -> RUNNING")


def test_a_worker_that_has_had_its_jobs_is_replaced(up: Start) -> None:
    manager = up(web={"command": shell("exit 0"), "startsecs": 0, "max_jobs": 5})
    manager.wait_for("= web:0 RUNNING -> EXITED")
    manager.wait_for("= web:0 EXITED -> STARTING")


def test_a_file_that_changes_has_its_programs_replaced(up: Start, tmp_path: Path) -> None:
    watched = tmp_path / "code"
    watched.mkdir()
    manager = up(web={**LASTING, "watch": [str(watched)]}, other=LASTING)
    before, other = manager.pid("web:0"), manager.pid("other:0")

    def is_replaced() -> bool:
        # The watch may not have begun yet, so the file changes again.
        (watched / "tasks.py").write_text(os.urandom(4).hex())
        return manager.row("web:0")["pid"] not in (before, None)

    eventually(is_replaced, "the replacement")
    assert manager.pid("other:0") == other


def test_a_process_has_the_surroundings_it_asks_for(up: Start, tmp_path: Path) -> None:
    script = "umask; pwd; echo $COLOUR; echo $GEARTRAIN_PROCESS $GEARMAN_SERVERS"
    manager = up(
        {"servers": ["127.0.0.1:1"]},
        web={
            "command": shell(script),
            "umask": "027",
            "directory": str(tmp_path),
            "environment": {"COLOUR": "red %(process_num)s"},
            "startsecs": 0,
            "autorestart": False,
            "log_timestamps": False,
        },
    )
    said = [manager.wait_for(r"web:0 \|").removeprefix("web:0 | ") for _ in range(4)]
    assert said == ["0027", str(tmp_path), "red 0", "web:0 127.0.0.1:1"]


def test_a_process_runs_as_the_user_it_is_to_run_as(up: Start) -> None:
    """As root a program may run as anybody; anyone else may name themselves alone."""
    user = "nobody" if os.geteuid() == 0 else getpass.getuser()
    manager = up(
        web={
            "command": shell("id -un; id -G; echo $HOME; exec sleep 1000"),
            "directory": "/",
            "user": user,
            "startsecs": 0,
            "log_timestamps": False,
        }
    )
    assert manager.wait_for(r"web:0 \|") == f"web:0 | {user}"
    groups = manager.wait_for(r"web:0 \|").split()[2:]
    assert "0" not in groups or user == "root"
    assert manager.wait_for(r"web:0 \|").split()[-1] == os.path.expanduser(f"~{user}")
    # And still goes with the supervisor, which the change of user would undo.
    pid = manager.pid("web:0")
    manager.process.kill()
    eventually(lambda: has_ended(pid), "the end of the process")
