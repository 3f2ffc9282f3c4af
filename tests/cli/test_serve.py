"""``geartrain serve`` and ``geartrain version`` as processes: what they print, and how they end."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geartrain import Client
from geartrain.errors import ServerError
from tests.cli.servers import BIN

GEARTRAIN = str(BIN / "geartrain")
TIMEOUT = 10

Serve = Callable[..., "Served"]


class Served:
    """A server that has said it is ready, and all it had said until then."""

    def __init__(self, directory: Path, *arguments: str, soft_limit: int = 0) -> None:
        def limit() -> None:
            if soft_limit:
                _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, hard))

        self.process = subprocess.Popen(
            [GEARTRAIN, "serve", *arguments],
            cwd=directory,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,
        )
        assert self.process.stderr is not None
        self.lines: list[str] = []
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if line == "ready\n":
                return
        pytest.fail(f"it ended with {self.process.wait()}: {self.lines}")

    def line(self) -> str:
        """Return the next line of its log."""
        assert self.process.stderr is not None
        return self.process.stderr.readline().rstrip("\n")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    running: list[Served] = []

    def start(*arguments: str, soft_limit: int = 0) -> Served:
        running.append(Served(tmp_path, *arguments, soft_limit=soft_limit))
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.wait()
        assert one.process.stderr is not None
        one.process.stderr.close()


def refused(directory: Path, *arguments: str) -> str:
    """Run ``geartrain``, which has to end with exit code 2, and return what it said."""
    done = subprocess.run(
        [GEARTRAIN, *arguments], cwd=directory, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode == 2
    assert done.stdout == ""
    return done.stderr


def test_it_says_where_it_listens_where_jobs_are_kept_and_that_it_is_ready(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve("--listen", "127.0.0.1:0")
    listens, kept, ready = server.lines
    assert re.fullmatch(
        r"geartrain \S+ \((compiled|pure Python)\) listens on 127\.0\.0\.1:\d+", listens
    )
    assert kept == f"jobs are kept in sqlite:///{tmp_path}/geartrain.db"
    assert ready == "ready"
    assert server.stop() == 0
    assert (tmp_path / "geartrain.db").exists()


def test_a_server_in_memory_leaves_no_file(serve: Serve, tmp_path: Path) -> None:
    server = serve("--listen", "127.0.0.1:0", "--store", "memory:")
    assert "jobs are kept in memory:" in server.lines
    assert server.stop() == 0
    assert list(tmp_path.iterdir()) == []


def test_beyond_loopback_it_warns(serve: Serve) -> None:
    server = serve("--listen", "0.0.0.0:0", "--store", "memory:")
    assert "is open to other machines" in server.lines[0]


def test_it_takes_as_many_connections_as_it_may_have_files(serve: Serve) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = serve("--listen", "127.0.0.1:0", "--store", "memory:", soft_limit=256)
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    found = re.search(r"Max open files +(\d+)", limits)
    assert found is not None
    assert int(found[1]) == hard > 256


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--listen", "nowhere"], "geartrain: "),
        (["--store", "sqlit:///x.db"], "did you mean sqlite:"),
        (["--store", "sqlite:////nowhere/at/all/x.db"], "geartrain: "),
        (["--config", "missing.toml"], "geartrain: can't read missing.toml"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], expected: str
) -> None:
    said = refused(tmp_path, "serve", *arguments)
    assert expected in said
    assert said.count("\n") == 1


def test_a_misspelt_key_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "geartrain.toml").write_text('[server]\nlistn = "127.0.0.1:0"\n')
    said = refused(tmp_path, "serve", "--config", "geartrain.toml")
    assert said == (
        "geartrain: geartrain.toml: 'listn' is no key of [server]; did you mean 'listen'?\n"
    )


def test_a_port_that_is_taken_is_refused_with_the_way_out(serve: Serve, tmp_path: Path) -> None:
    server = serve("--listen", "127.0.0.1:0", "--store", "memory:")
    address = server.lines[0].rpartition(" ")[2]
    said = refused(tmp_path, "serve", "--listen", address, "--store", "memory:")
    assert f"can't listen on {address}: the port is in use; stop the server" in said


def test_version_says_what_it_runs_on() -> None:
    done = subprocess.run([GEARTRAIN, "version", "--json"], capture_output=True, check=True)
    facts = json.loads(done.stdout)
    assert facts.keys() == {"version", "python", "compiled", "event_loop"}
    assert facts["event_loop"] in ("uvloop", "asyncio")
    assert isinstance(facts["compiled"], bool)


def test_hangup_reads_the_policies_again(serve: Serve, tmp_path: Path) -> None:
    config = tmp_path / "geartrain.toml"
    config.write_text('[server]\nstore = "memory:"\n[functions.f]\nmaxqueue = 1\n')
    server = serve("--listen", "127.0.0.1:0", "--config", "geartrain.toml")
    found = re.search(r"listens on (\S+)", "\n".join(server.lines))
    assert found is not None

    def reload(text: str) -> list[str]:
        config.write_text(text)
        server.process.send_signal(signal.SIGHUP)
        lines = [server.line()]
        while "SIGHUP: policies" not in lines[-1] and "stays" not in lines[-1]:
            lines.append(server.line())
        return lines

    with Client(found[1]) as client:
        client.submit("f", background=True)
        with pytest.raises(ServerError, match="QUEUE_ERROR"):
            client.submit("f", background=True)
        assert "everything stays as it was" in reload("[functions.f]\nmaxqeue = 2\n")[-1]
        with pytest.raises(ServerError, match="QUEUE_ERROR"):
            client.submit("f", background=True)
        assert reload('[functions.f]\nmaxqueue = 2\n[functions."g*"]\nretries = 1\n')[-1].endswith(
            "policies: + 'g*', ~ 'f'"
        )
        assert "what has changed in [server] takes a restart" in server.line()
        client.submit("f", background=True)
        reload("")
        client.submit("f", background=True)
    assert server.stop() == 0


def test_the_service_manager_hears_when_it_accepts(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(str(tmp_path / "notify"))
        hears.settimeout(TIMEOUT)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        serve("--listen", "127.0.0.1:0", "--store", "memory:")
        assert hears.recv(100) == b"READY=1"
