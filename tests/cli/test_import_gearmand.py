"""``geartrain import``, and the drop-in that goes on with the queue its namesake left."""

from __future__ import annotations

import atexit
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.job_server import eventually, free_port
from tests.server.peer import CAN_DO, GRAB_JOB, JOB_ASSIGN, SUBMIT_JOB_BG, WORK_COMPLETE, Peer
from tests.services.availability import require
from tests.services.gearmand import LEFT, leave_jobs
from tests.services.key_value import MemcachedServer, RedisServer
from tests.services.mariadb import shared_mariadb
from tests.services.postgresql import shared_postgresql


def geartrain(*args: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "geartrain", *args]
    return subprocess.run(argv, capture_output=True, text=True)


@pytest.fixture
def queue(tmp_path: Path) -> str:
    """The URL of a file in which a gearmand left jobs."""
    require("gearmand")
    path = tmp_path / "gearmand.db"
    leave_jobs(tmp_path, "-q", "libsqlite3", "--libsqlite3-db", str(path))
    return f"sqlite:///{path}"


def test_it_counts_first_and_imports_once(queue: str, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/queue.db"
    count = len(LEFT) + 1
    dry = geartrain("import", "gearmand-sqlite", queue, "--to", store, "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert f"{count} would be imported" in dry.stdout
    assert not (tmp_path / "queue.db").exists()
    for imported, already in ((count, 0), (0, count)):
        done = geartrain("import", "gearmand-sqlite", queue, "--to", store, "--json")
        facts = json.loads(done.stdout)
        assert (facts["found"], facts["imported"], facts["already"]) == (count, imported, already)
        assert facts["damaged"] == []
        assert facts["to"] == store


def test_url_may_be_in_a_file(queue: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(queue + "\n")
    done = geartrain(
        "import", "gearmand-sqlite", f"@{tmp_path}/url", "--to", f"sqlite:///{tmp_path}/queue.db"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"8 jobs found in sqlite:.*: 8 imported, 0 were imported before", done.stdout)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("gearmand-sqlite", "@/no/such/file"), 2, "can't read a URL from /no/such/file"),
        (("gearmand-sqlite", "sqlite:////no/such/file"), 2, "there is no file /no/such/file"),
        (("gearmand-redis", "redis://127.0.0.1:1"), 3, "can't be read"),
    ],
)
def test_what_can_not_be_imported_is_said_in_a_line(
    args: tuple[str, ...], code: int, says: str, tmp_path: Path
) -> None:
    done = geartrain("import", *args, "--to", f"sqlite:///{tmp_path}/queue.db")
    assert done.returncode == code
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


# The drop-in.


class Drop:
    """The drop-in ``gearmand`` of this source tree, on a free port by default."""

    def __init__(self, directory: Path, *options: str, port: int = 0) -> None:
        self.port = port or free_port()
        command = "from geartrain.cli.gearmand import main; main()"
        argv = [sys.executable, "-c", command, "-L", "127.0.0.1", "-p", str(self.port)]
        argv += ["-l", "stderr", "-P", str(directory / "pid"), "--verbose", "INFO", *options]
        self.output = directory / "output"
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(argv, stdout=output, stderr=output)
        eventually(self.accepts, "it accepts connections")

    def accepts(self) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        try:
            with self.peer() as peer:
                peer.echo()
        except (OSError, EOFError):
            return False
        return True

    def peer(self) -> Peer:
        return Peer(("127.0.0.1", self.port))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def run(self, *functions: bytes) -> list[bytes]:
        """Run all jobs of these functions and return their workloads."""
        workloads = []
        with self.peer() as worker:
            for function in functions:
                worker.send(CAN_DO, function)
            worker.send(GRAB_JOB)
            while (answer := worker.receive())[0] == JOB_ASSIGN:
                handle, _, workload = answer[1].split(b"\0", 2)
                workloads.append(workload)
                worker.send(WORK_COMPLETE, handle, b"")
                worker.send(GRAB_JOB)
        return workloads


def redis_options(directory: Path) -> list[str]:
    server = RedisServer(directory)
    server.start()
    atexit.register(server.kill)
    return ["-q", "redis", "--redis-server", "127.0.0.1", "--redis-port", str(server.port)]


def mysql_options(directory: Path) -> list[str]:
    server = shared_mariadb()
    parts = urlsplit(server.url(server.new_database()))
    return [
        *("-q", "mysql", "--mysql-host", str(parts.hostname), "--mysql-port", str(parts.port)),
        *("--mysql-user", str(parts.username), "--mysql-password", str(parts.password)),
        *("--mysql-db", parts.path.strip("/")),
    ]


def postgres_options(directory: Path) -> list[str]:
    server = shared_postgresql()
    return ["-q", "postgres", "--libpq-conninfo", server.url(server.new_database())]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("options_of", [redis_options, mysql_options, postgres_options])
def test_drop_in_goes_on_with_the_queue_of_gearmand(
    options_of: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    require("gearmand")
    options = options_of(tmp_path)
    later = options_of is not redis_options
    count = len(LEFT) + later
    leave_jobs(tmp_path, *options, later=later)
    first = Drop(tmp_path, *options)
    try:
        assert f"{count} jobs taken over from gearmand" in first.output.read_text()
        with first.peer() as client:
            client.submit(SUBMIT_JOB_BG, b"empty", workload=b"ours")
    finally:
        first.kill()
    # On its port it is the same server again, which those of a database need not wait for.
    second = Drop(tmp_path, *options, port=first.port)
    try:
        functions = sorted({job[0] for job in LEFT})
        assert sorted(second.run(*functions)) == sorted([*(job[2] for job in LEFT), b"ours"])
        # Nothing was taken over twice.
        assert second.output.read_text().count("taken over from gearmand") == 1
    finally:
        second.kill()


def test_drop_in_keeps_jobs_in_memcached_and_says_for_how_long(tmp_path: Path) -> None:
    require("memcached")
    memcached = MemcachedServer(tmp_path)
    memcached.start()
    options = ("-q", "libmemcached", "--libmemcached-servers", f"127.0.0.1:{memcached.port}")
    try:
        first = Drop(tmp_path, *options)
        assert "lost when memcached ends" in first.output.read_text()
        with first.peer() as client:
            client.submit(SUBMIT_JOB_BG, b"f", workload=b"kept")
        first.kill()
        second = Drop(tmp_path, *options)
        try:
            assert second.run(b"f") == [b"kept"]
        finally:
            second.kill()
    finally:
        memcached.kill()
