"""Schedulers as processes: killed, ended, and beside a job server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from geartrain.cli.scheduling import scheduler_beside
from geartrain.schedule.entry import cron_of, read_entry
from geartrain.schedule.sequence import newest
from geartrain.schedule.standing import to_schedule
from geartrain.server.server import new_server
from geartrain.server.settings import Settings
from geartrain.store.schedule_notice import announce
from geartrain.store.schedule_rows import DONE, FINAL, Fire, Schedule
from geartrain.store.schedule_sql import open_schedules
from geartrain.store.schedule_store import ScheduleStore
from geartrain.worker.job import Job
from geartrain.worker.sync import Worker
from tests.acceptance.job_server import JobServer, eventually, free_port

PROGRAM = str(Path(sys.executable).with_name("geartrain"))


class Processes:
    """Processes of a test, ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, ready: str) -> subprocess.Popen[bytes]:
        count = self.said(ready)
        with self.log.open("ab") as log:
            process = subprocess.Popen([PROGRAM, *words], cwd=self.folder, stdout=log, stderr=log)
        self.running.append(process)
        eventually(
            lambda: self.said(ready) > count or process.poll() is not None, ready, deadline=15
        )
        assert process.poll() is None, self.log.read_text()
        return process

    def said(self, text: str) -> int:
        return self.log.read_text().count(text) if self.log.exists() else 0

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    found.end()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'entries.db'}"


@pytest.fixture
def store(url: str) -> Iterator[ScheduleStore]:
    found = open_schedules(url)
    found.open()
    yield found
    found.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JobServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    found = JobServer("geartrain", folder)
    yield found
    found.stop()


@contextmanager
def working(server: JobServer, runs: list[bytes]) -> Iterator[None]:
    """Have a worker note what it is given."""
    worker = Worker(f"127.0.0.1:{server.port}", execution="inline")

    def note(job: Job) -> bytes:
        runs.append(job.unique)
        return b"noted"

    worker.register("note", note)
    worker.start()
    try:
        yield
    finally:
        worker.stop(0.0)
        worker.join()


@contextmanager
def deaf() -> Iterator[int]:
    """A port where connections are accepted, and nothing is ever said."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


def add(store: ScheduleStore, name: str, when: str, **table: Any) -> Schedule:
    entry = read_entry(name, {"when": when, "function": "note", **table})
    return store.add(to_schedule(entry, store.now()), "test")


def fires(store: ScheduleStore, row: Schedule) -> list[Fire]:
    return list(store.fires(schedule=row.id, limit=1_000))[::-1]


def ended(store: ScheduleStore, row: Schedule) -> Callable[[], bool]:
    return lambda: bool(found := fires(store, row)) and all(one.state in FINAL for one in found)


def soon(store: ScheduleStore) -> str:
    """Return an expression that fires once, in a second or two."""
    from geartrain.schedule.envelope import text_of

    return f"@at {text_of(store.now() + 2)}"


@pytest.mark.timeout(60)
def test_a_fire_whose_scheduler_is_killed_before_it_is_submitted_runs_once(
    processes: Processes, store: ScheduleStore, url: str, server: JobServer
) -> None:
    row = add(store, "once", soon(store))
    with deaf() as port:
        # It has claimed the fire, and is still waiting for a word of its job server.
        first = processes.start(
            *("scheduler", "--store", url, "--servers", f"127.0.0.1:{port}"),
            *("--instance", "first", "--lease", "3"),
            ready="ready: scheduler",
        )
        eventually(lambda: bool(fires(store, row)), "the fire is claimed")
        assert [fire.state for fire in fires(store, row)] == ["pending"]
        first.kill()
        first.wait()
    runs: list[bytes] = []
    with working(server, runs):
        processes.start(
            *("scheduler", "--store", url, "--servers", f"127.0.0.1:{server.port}"),
            *("--instance", "second", "--lease", "3"),
            ready="ready: scheduler second",
        )
        eventually(ended(store, row), "the fire has ended")
    (fire,) = fires(store, row)
    assert (fire.state, fire.result) == (DONE, b"noted")
    assert runs == [f"cron:{row.id}:1:{fire.nominal}".encode()]


def test_a_scheduler_that_is_told_to_end_leaves_at_once(
    processes: Processes, store: ScheduleStore, url: str
) -> None:
    with deaf() as port:
        process = processes.start(
            *("scheduler", "--store", url, "--servers", f"127.0.0.1:{port}"),
            ready="ready: scheduler",
        )
        row = add(store, "once", "@every 1s")
        eventually(lambda: bool(fires(store, row)), "a fire is claimed")
        assert len(store.instances()) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert store.instances() == []
    assert {fire.owner for fire in fires(store, row)} == {""}


@pytest.mark.timeout(60)
def test_a_server_that_is_killed_again_and_again_leaves_no_moment_out(
    processes: Processes, tmp_path: Path
) -> None:
    port = free_port()
    url = f"sqlite:///{tmp_path / 'geartrain.db'}"
    command = ("serve", "--listen", f"127.0.0.1:{port}", "--store", url)
    config = tmp_path / "config.toml"
    # The lease of whoever was killed should not outlive the test.
    config.write_text("[scheduler]\nlease = 3\n")
    command += ("--config", str(config))
    process = processes.start(*command, ready="\nready\n")
    with closing(open_schedules(url)) as store:
        store.open()
        row = add(store, "each", "@every 1s", overlap="allow", grace=0, catch_up="last")
        with working_at(port):
            for _ in range(2):
                before = len(fires(store, row))
                eventually(lambda: len(fires(store, row)) > before, "it fires")  # noqa: B023
                process.kill()
                process.wait()
                process = processes.start(*command, ready="\nready\n")
            stopped = to_schedule(
                read_entry("each", {"when": "@manually", "function": "note"}),
                store.now(),
                store.schedule("each"),
            )
            last = store.replace(stopped, "test").last_nominal
            eventually(ended(store, row), "all fires have ended")
        found = fires(store, row)
        entry = read_entry("each", {"when": "@every 1s", "function": "note"})
        assert cron_of(entry) is not None
        counted = [one.nominal + index for one in found for index in range(one.count)]
        assert counted == newest(entry, row.since, last, 10_000)
        assert {one.state for one in found} <= {DONE, "missed", "lost"}


@contextmanager
def working_at(port: int) -> Iterator[None]:
    """Have a worker at a server that comes and goes."""
    worker = Worker(f"127.0.0.1:{port}", execution="inline")
    worker.register("note", lambda job: b"noted")
    worker.start()
    try:
        yield
    finally:
        worker.stop(0.0)
        worker.join()


@pytest.mark.timeout(60)
def test_entries_of_the_configuration_are_those_of_the_store(
    processes: Processes, store: ScheduleStore, url: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    command = ("scheduler", "--store", url, "--config", str(config))
    config.write_text(
        '[schedule.nightly]\ncron = "15 3 * * *"\nfunction = "report"\n'
        '[schedule.gone]\nwhen = "@daily"\nfunction = "report"\n'
    )
    process = processes.start(*command, ready="ready: scheduler")
    assert {row.name for row in store.schedules()} == {"gone", "nightly"}
    process.terminate()
    process.wait()
    config.write_text('[schedule.nightly]\ncron = "30 3 * * *"\nfunction = "report"\n')
    processes.start(*command, ready="ready: scheduler")
    assert [(row.name, row.expression) for row in store.schedules()] == [("nightly", "30 3 * * *")]


def test_a_server_without_entries_imports_nothing_for_them(
    processes: Processes, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'geartrain.db'}"
    port = free_port()
    process = processes.start(
        "serve", "--listen", f"127.0.0.1:{port}", "--store", url, ready="\nready\n"
    )
    maps = Path(f"/proc/{process.pid}/maps")
    assert "sqlalchemy" not in maps.read_text()
    # Whoever adds entries says so first, and so it is ready when they come.
    announce(url)
    eventually(lambda: "sqlalchemy" in maps.read_text(), "it gets ready")
    with closing(open_schedules(url)) as store:
        store.open()
        row = add(store, "each", "@every 1s")
        eventually(lambda: bool(fires(store, row)), "it fires within a moment")


@pytest.mark.parametrize(
    ("store", "table", "has_one"),
    [
        ("sqlite:///jobs.db", "", True),
        ("sqlite:///jobs.db", "enabled = false", False),
        ("memory:", "", False),
        ("memory:", 'store = "sqlite:///entries.db"', True),
    ],
)
def test_a_server_has_a_scheduler_where_it_has_a_database(
    tmp_path: Path, store: str, table: str, has_one: bool
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[scheduler]\n{table}\n")
    server = new_server(Settings(store=store))
    assert (scheduler_beside(server, config) is not None) == has_one


def test_a_database_that_keeps_no_entries_is_refused() -> None:
    done = subprocess.run(
        [PROGRAM, "scheduler", "--store", "memory:"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        timeout=15,
    )
    assert done.returncode == 2
    assert "keeps no schedules" in done.stderr


def test_a_scheduler_waits_for_a_database_that_can_not_be_reached(processes: Processes) -> None:
    process = processes.start(
        "scheduler",
        *("--store", f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"),
        ready="nothing is scheduled",
    )
    assert processes.said("ready") == 0
    process.terminate()
    assert process.wait(15) == 0
