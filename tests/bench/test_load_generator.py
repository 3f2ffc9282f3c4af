"""The load generator measures a server that answers well, and finds every wrong answer."""

from __future__ import annotations

import json
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bench.load import Load, WrongResult, compile_load
from tests.bench.beanstalk_server import BeanstalkServer
from tests.bench.faulty_server import FaultyServer


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_load(tmp_path_factory.mktemp("load"))


def serving(folder: Path, fault: str = "none") -> AbstractContextManager[str]:
    return running(FaultyServer(str(folder / "socket"), fault))


@contextmanager
def running(server: socketserver.ThreadingUnixStreamServer) -> Iterator[str]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield str(server.server_address)
        finally:
            server.shutdown()
            thread.join()


def test_foreground_jobs_are_counted_and_timed(generator: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as path:
        figures = Load(generator, {"unix": path}).run(
            "foreground", clients=2, workers=3, outstanding=4, jobs=200, unique="distinct"
        )
    assert figures["jobs"] == 200
    assert figures["rate"] == pytest.approx(200 / figures["seconds"], rel=0.01)
    assert 0 < figures["p50_us"] <= figures["p95_us"] <= figures["p99_us"] <= figures["max_us"]


def test_what_was_submitted_is_drained_by_a_second_run(generator: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as path:
        load = Load(generator, {"unix": path})
        load.run("submit", clients=2, outstanding=5, jobs=100, functions=3, size=9000)
        assert load.run("drain", workers=2, jobs=100, functions=3, size=9000)["jobs"] == 100


def test_jobs_are_submitted_and_drained_together(generator: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as path:
        load = Load(generator, {"unix": path})
        figures = load.run("both", clients=2, workers=2, outstanding=5, jobs=100)
        assert figures["jobs"] == 100
        assert load.commands == ["load both --clients 2 --workers 2 --outstanding 5 --jobs 100"]


def test_idle_connections_are_held_until_the_block_ends(generator: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as path:
        load = Load(generator, {"unix": path})
        with load.held(idle=20, workers=2) as opened:
            assert opened["reopened"] == 0


def test_beanstalkd_is_spoken_to_in_its_own_words(generator: Path, tmp_path: Path) -> None:
    with running(BeanstalkServer(str(tmp_path / "socket"))) as path:
        load = Load(generator, {"unix": path, "protocol": "beanstalk"})
        load.run("submit", clients=2, outstanding=5, jobs=100)
        assert load.run("drain", workers=2, jobs=100)["jobs"] == 100


def test_a_job_that_beanstalkd_gives_twice_ends_the_run(generator: Path, tmp_path: Path) -> None:
    with running(BeanstalkServer(str(tmp_path / "socket"), copies=2)) as path:
        load = Load(generator, {"unix": path, "protocol": "beanstalk"})
        with pytest.raises(WrongResult, match="was reserved twice"):
            load.run("both", clients=1, workers=1, outstanding=5, jobs=20)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("changed workload", "was changed on the way"),
        ("given twice", "was assigned twice"),
        ("answered twice", "was answered twice"),
        ("wrong handle", "another job's handle or client"),
        ("refused", "answered ERROR QUEUE_ERROR"),
        ("hung up", "the server closed a connection"),
    ],
)
def test_a_wrong_answer_ends_the_run(
    generator: Path, tmp_path: Path, fault: str, message: str
) -> None:
    with serving(tmp_path, fault) as path, pytest.raises(WrongResult, match=message):
        Load(generator, {"unix": path}).run("foreground", clients=1, workers=1, jobs=5)


def test_handles_that_repeat_end_the_run(generator: Path, tmp_path: Path) -> None:
    with serving(tmp_path, "same handle") as path:
        load = Load(generator, {"unix": path})
        with pytest.raises(WrongResult, match="two jobs were given the same handle"):
            load.run("submit", clients=1, jobs=5)


def test_a_lost_job_ends_the_run_when_its_time_is_over(generator: Path, tmp_path: Path) -> None:
    with serving(tmp_path, "silent") as path:
        done = subprocess.run(
            [
                *(str(generator), "submit", "--unix", path),
                *("--clients", "1", "--jobs", "5", "--timeout", "0.3"),
            ],
            capture_output=True,
            text=True,
            timeout=10,
        )
    assert done.returncode == 1
    assert "not done after 0 s" in done.stderr
    assert "of 5 jobs 1 submitted, 0 acknowledged" in done.stderr


def test_a_job_left_over_in_the_queue_is_not_taken_for_ours(
    generator: Path, tmp_path: Path
) -> None:
    with serving(tmp_path) as path:
        load = Load(generator, {"unix": path})
        load.run("submit", clients=1, jobs=1, first=7)
        with pytest.raises(WrongResult, match="a job was waiting before the run began"):
            load.run("foreground", clients=1, workers=1, jobs=5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["submit", "--jobs", "5"], "submit takes some --clients and no --workers"),
        (["submit", "--clients", "1"], "submit takes some --jobs"),
        (["drain", "--workers", "one"], "--workers takes a whole number, not one"),
        (["idle", "--jobs", "5"], "idle takes --idle, --workers or both"),
        (["idle", "--speed", "5"], "no option --speed: see load --help"),
        (["idle", "--idle"], "--idle takes a value"),
        (["submit", "--clients", "1", "--jobs", "5", "--size", "3"], "--size is at least 8"),
    ],
)
def test_a_command_line_without_sense_is_refused(
    generator: Path, words: list[str], message: str
) -> None:
    done = subprocess.run([str(generator), *words], capture_output=True, text=True, timeout=10)
    assert done.returncode == 1
    assert message in done.stderr


def test_figures_are_one_line_of_json(generator: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as path:
        done = subprocess.run(
            [str(generator), "submit", "--unix", path, "--clients", "1", "--jobs", "20"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout)["mode"] == "submit"
