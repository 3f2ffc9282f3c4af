"""``geartrain db``, killed in the middle, beside a server, and its words."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import redis as library

from geartrain.broker.job import Job
from geartrain.server.refusing import refusing
from geartrain.store.batch import Batch, DeadLetter, Result
from geartrain.store.mark import read_mark
from geartrain.store.rows import row_of
from geartrain.store.url import open_store
from tests.server.peer import (
    CAN_DO,
    ERROR,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    Peer,
)
from tests.services.key_value import shared_redis
from tests.store.samples import FIRST, make_job, make_jobs

COUNT = 4000


def geartrain(*args: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "geartrain", *args]
    return subprocess.run(argv, capture_output=True, text=True)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of a file with jobs, a dead letter and a result."""
    url = f"sqlite:///{tmp_path}/queue.db"
    jobs = make_jobs(COUNT, workload=b"x" * 500)
    letter = DeadLetter(make_job(FIRST + COUNT + 1), b"why", 1.5)
    result = Result(b"H:test:1:1", FIRST, b"resize", 0, b"done", 1.5, 9e9)
    with closing(open_store(url, handle_prefix=b"H:x")) as store:
        store.open()
        store.commit(Batch(jobs, dead=[letter], results=[result]))
    return url


def jobs_in(url: str) -> list[tuple[object, ...]]:
    """Return the jobs that a server would take up; none from a store that is being moved."""
    with closing(open_store(url, handle_prefix=b"H:x")) as store:
        store.open()
        if read_mark(store) is not None:
            return []
        return [row_of(job) for job in store.replay() if isinstance(job, Job)]


@pytest.mark.timeout(60)
def test_move_that_is_killed_again_and_again_loses_nothing(file: str, tmp_path: Path) -> None:
    redis = shared_redis().url(tmp_path.name)
    before = jobs_in(file)
    with library.Redis(port=shared_redis().port) as client:

        def there() -> int:
            return int(client.hlen(f"{tmp_path.name}:jobs"))

        for ends, least, most in (
            # While it copies, and when it may have finished.
            ((file, redis), 1, COUNT),
            ((file, redis), COUNT // 2, COUNT),
            ((file, redis), COUNT, COUNT),
            # While it empties.
            ((redis, file), 0, COUNT - 1),
            ((redis, file), 0, COUNT // 2),
        ):
            kill_move(*ends, lambda: least <= there() <= most)  # noqa: B023
            assert sorted(jobs_in(file) + jobs_in(redis)) in ([], before)
            if least == COUNT:
                assert geartrain("db", "move", "--from", file, "--to", redis).returncode == 0
                assert jobs_in(redis) == before
        assert geartrain("db", "move", "--from", redis, "--to", file).returncode == 0
        assert there() == 0
    assert jobs_in(file) == before


def kill_move(source: str, target: str, moment: Callable[[], bool]) -> None:
    """Start a move and kill it at a moment, or at its end."""
    argv = [sys.executable, "-m", "geartrain", "db", "move", "--from", source, "--to", target]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while not moment() and process.poll() is None:
            time.sleep(0.001)
    finally:
        process.kill()
        _, errors = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors


def test_new_jobs_are_refused_while_a_queue_is_moved(tmp_path: Path) -> None:
    """By the move itself, in the place of the server, which serves all else."""
    with refusing("127.0.0.1:0", "the queue is being moved") as server:
        address = server.listeners[0].getsockname()
        with Peer(address) as client, Peer(address) as worker:
            client.send(SUBMIT_JOB_BG, b"f", b"", b"")
            reason = b"the job could not be stored: the queue is being moved"
            client.expect(ERROR, b"QUEUE_ERROR", reason)
            worker.send(CAN_DO, b"f")
            handle = client.submit(SUBMIT_JOB, b"f")
            assert worker.grab() == handle
            worker.send(WORK_COMPLETE, handle, b"done")
            client.expect(WORK_COMPLETE, handle, b"done")


def test_a_move_that_can_not_stand_in_for_the_server_moves_nothing(
    file: str, tmp_path: Path
) -> None:
    target = f"sqlite:///{tmp_path}/other.db"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        done = geartrain("db", "move", "--from", file, "--to", target, "--listen", at)
    assert done.returncode == 2
    assert at in done.stderr
    assert len(jobs_in(file)) == COUNT
    done = geartrain("db", "move", "--from", file, "--to", target, "--listen", "127.0.0.1:0")
    assert done.returncode == 0
    assert len(jobs_in(target)) == COUNT


def test_backup_and_restore(file: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    redis = shared_redis().url(tmp_path.name)
    done = geartrain("db", "backup", str(backup), "--store", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{COUNT} jobs, 1 dead letters and 1 results of sqlite:")
    done = geartrain("db", "restore", str(backup), "--store", redis, "--json")
    facts = json.loads(done.stdout)
    assert (facts["jobs"], facts["dead_letters"], facts["results"]) == (COUNT, 1, 1)
    assert jobs_in(redis) == jobs_in(file)


def test_dry_run_changes_nothing(file: str, tmp_path: Path) -> None:
    before = jobs_in(file)
    target = f"sqlite:///{tmp_path}/other.db"
    done = geartrain("db", "move", "--from", file, "--to", target, "--dry-run")
    assert done.returncode == 0
    assert f"{COUNT} jobs" in done.stdout
    assert "would be moved to" in done.stdout
    assert jobs_in(file) == before
    assert not (tmp_path / "other.db").exists()


def test_migrate_creates_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(f'[server]\nstore = "sqlite:///{tmp_path}/new.db"\n')
    done = geartrain("db", "migrate", "--config", f"{tmp_path}/conf")
    assert done.stdout == f"sqlite:///{tmp_path}/new.db is up to date (generation 1)\n"
    assert (tmp_path / "new.db").exists()


@pytest.mark.timeout(60)
def test_no_command_touches_the_store_of_a_running_server(file: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "geartrain", "serve", "--listen", "127.0.0.1:0"]
    server = subprocess.Popen([*argv, "--store", file], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        while (line := server.stderr.readline()) != "ready\n":
            assert line
        for command in (
            ("backup", f"{tmp_path}/backup", "--store", file),
            ("move", "--from", file, "--to", f"sqlite:///{tmp_path}/other.db"),
        ):
            done = geartrain("db", *command)
            assert done.returncode == 2
            assert "in use by another server" in done.stderr
            assert len(done.stderr.splitlines()) == 1
    finally:
        server.kill()
        server.communicate()
    assert len(jobs_in(file)) == COUNT


def test_two_names_of_a_store_are_refused(tmp_path: Path) -> None:
    done = geartrain("db", "migrate", "--config", "x", "--store", "y")
    assert done.returncode == 2
    assert "say one of them" in done.stderr


def test_a_mistyped_source_is_no_empty_queue(tmp_path: Path) -> None:
    missing = f"sqlite:///{tmp_path}/quueue.db"
    target = f"sqlite:///{tmp_path}/other.db"
    for command in (
        ("backup", f"{tmp_path}/backup", "--store", missing),
        ("move", "--from", missing, "--to", target),
        ("move", "--from", missing, "--to", target, "--dry-run"),
    ):
        done = geartrain("db", *command)
        assert (done.returncode, done.stdout) == (2, "")
        assert "quueue.db: check the name of the file" in done.stderr
    assert list(tmp_path.iterdir()) == []
