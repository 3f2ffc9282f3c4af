"""What the server does for tasks: retries, attempts, kept results. Time passes by a fake clock."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from geartrain import AdminClient, App, Fail, Reject, Retry, current_job
from geartrain.errors import GivenUp, JobTimeout, NoResult, TaskError
from geartrain.tasks.handle import TaskHandle
from geartrain.testing import FakeClock, TestServer, drain
from tests.acceptance.job_server import DEADLINE, eventually
from tests.tasks import shop
from tests.tasks.running import RunningPool


@pytest.fixture(params=["memory:", "sqlite"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestServer]:
    store = request.param if request.param == "memory:" else f"sqlite:///{tmp_path}/jobs.db"
    with TestServer(clock=FakeClock(), store=store) as server:
        yield server


@pytest.fixture
def app(server: TestServer) -> Iterator[App]:
    app = App()
    server.connect(app)
    with app:
        yield app


def test_a_failed_task_is_run_again_and_knows_its_attempt(app: App, server: TestServer) -> None:
    attempts: list[int] = []

    @app.task(retries=2, backoff=10, jitter=0, retention="1d")
    def fail_twice() -> int:
        attempts.append(current_job().attempt)
        if len(attempts) < 3:
            raise ValueError("not yet")
        return len(attempts)

    handle = fail_twice.delay()
    assert drain(app) == 1
    server.advance(9)
    assert drain(app) == 0
    server.advance(1)
    assert drain(app) == 1
    assert handle.status().known
    server.advance(10)
    assert drain(app) == 1
    assert attempts == [1, 2, 3]
    assert handle.result(DEADLINE) == 3


def test_a_task_says_when_it_wants_to_be_run_again(app: App, server: TestServer) -> None:
    attempts: list[int] = []

    @app.task(retention="1d")
    def later() -> str:
        attempts.append(current_job().attempt)
        if len(attempts) == 1:
            raise Retry(countdown=100)
        return "done"

    handle = later.delay()
    assert drain(app) == 1
    server.advance(99)
    assert drain(app) == 0
    server.advance(1)
    assert drain(app) == 1
    assert attempts == [1, 2]
    assert handle.result(DEADLINE) == "done"


def test_a_rejected_job_is_not_run_again(app: App, server: TestServer) -> None:
    @app.task(retries=5, retention="1d")
    def never() -> None:
        raise Reject("bad input")

    handle = never.delay()
    assert drain(app) == 1
    server.advance(100_000)
    assert drain(app) == 0
    with pytest.raises(GivenUp, match="Reject: bad input") as caught:
        handle.result(DEADLINE)
    assert caught.value.rejected


def test_arguments_that_do_not_fit_are_not_tried_again(app: App, server: TestServer) -> None:
    @app.task(retries=5)
    def strict(number: int) -> None: ...

    app.client.submit("strict", b'{"number": "x"}', background=True)
    assert drain(app) == 1
    server.advance(100_000)
    assert drain(app) == 0


def test_results_are_kept_for_any_process(app: App, server: TestServer) -> None:
    @app.task(retention="1h")
    def greet(name: str) -> list[str]:
        if not name:
            raise ValueError("nobody to greet")
        return ["hello", name]

    @app.task(retention="1h")
    def give_up() -> None:
        raise Fail

    well, badly, silently = greet.delay("Ann"), greet.delay(""), give_up.delay()
    assert drain(app) == 3
    copied = pickle.loads(pickle.dumps(well))
    assert copied.result(DEADLINE) == ["hello", "Ann"]
    other: TaskHandle[object] = TaskHandle(well.server, well.handle, "greet", greet.codec)
    assert other.result() == ["hello", "Ann"]
    with pytest.raises(TaskError, match="raised ValueError: nobody to greet"):
        badly.result(DEADLINE)
    with pytest.raises(NoResult):
        silently.result(DEADLINE)
    server.advance(3700)
    with pytest.raises(NoResult):
        well.result(DEADLINE)


def test_without_retention_the_exception_says_what_to_set(app: App) -> None:
    @app.task
    def plain() -> int:
        return 1

    handle = plain.delay()
    drain(app)
    with pytest.raises(NoResult, match=r'for instance @app.task\(retention="1d"\)'):
        handle.result(DEADLINE)


def test_a_result_is_waited_for(app: App) -> None:
    @app.task(retention="1h")
    def slow() -> str:
        return "at last"

    handle = slow.delay()
    with pytest.raises(JobTimeout):
        handle.result(timeout=0.05)
    results: list[str] = []
    waiting = threading.Thread(target=lambda: results.append(handle.result(DEADLINE)))
    waiting.start()
    drain(app)
    waiting.join(DEADLINE)
    assert results == ["at last"]


@pytest.mark.parametrize("pool", ["thread", "process", "async"])
def test_every_pool_says_which_attempt_it_is(pool: str) -> None:
    with TestServer() as server:
        shop.app.servers = server.address
        with RunningPool(pool, concurrency=1):
            handle = shop.second_time.delay()
            assert handle.result(DEADLINE) == 2
        shop.app.close()


@pytest.mark.timeout(60)
def test_a_job_that_takes_child_after_child_with_it_is_given_up_and_says_so(
    tmp_path: Path,
) -> None:
    """By default; who waits for the result hears of it, and how to run it again."""
    log = tmp_path / "log"
    with TestServer() as server:
        shop.app.servers = server.address
        with RunningPool("process", concurrency=1):
            handle = shop.poison.delay(str(log))
            with pytest.raises(GivenUp, match="3 workers were lost with it") as caught:
                # Three processes start one after the other.
                handle.result(3 * DEADLINE)
            assert len(set(log.read_text().split())) == 3
            assert shop.add.call(1) == 2
            # The same from the store, after the end.
            with pytest.raises(GivenUp) as again:
                handle.result(DEADLINE)
            assert str(again.value) == str(caught.value)
            commands = re.findall("`geartrain (.+?)`", str(caught.value))
            assert [run(command).returncode for command in commands] == [0, 0]
            eventually(lambda: len(log.read_text().split()) == 6, "it was run again")
        shop.app.close()


def run(command: str) -> subprocess.CompletedProcess[bytes]:
    main = "from geartrain.cli.main import main; main()"
    argv = [sys.executable, "-c", main, *command.split()]
    return subprocess.run(argv, capture_output=True, timeout=DEADLINE, check=False)


@pytest.mark.timeout(60)
def test_who_waits_for_a_job_that_kills_its_workers_hears_why_it_failed(tmp_path: Path) -> None:
    with TestServer() as server:
        shop.app.servers = server.address
        called = shop.poison.options(timeout=3 * DEADLINE)
        with (
            RunningPool("process", concurrency=1),
            pytest.raises(GivenUp, match="was given up: 3 workers were lost with it"),
        ):
            called.call(str(tmp_path / "log"))
        shop.app.close()


@pytest.mark.parametrize("pool", ["thread", "process", "async"])
def test_a_worker_that_is_stopped_is_not_one_that_was_lost(pool: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with TestServer() as server:
        shop.app.servers = server.address
        handle = shop.hold_once.delay(str(gate))
        with RunningPool(pool, concurrency=1) as running, gate.open("w"):
            running.worker.stop(0)
            eventually(lambda: not handle.status().running, "the job goes back")
        assert handle.status().known
        shop.app.close()


def test_a_job_that_failed_too_often_says_what_it_raised(app: App, server: TestServer) -> None:
    @app.task(retries=1, backoff=0, retention="1d")
    def never_well() -> None:
        raise ValueError("not today" + "!" * 3000)

    handle = never_well.delay()
    waiting = threading.Thread(target=lambda: caught.append(handle_error(handle)))
    caught: list[Exception] = []
    waiting.start()
    assert drain(app) == 2
    waiting.join(DEADLINE)
    caught.append(handle_error(handle))
    for error in caught:
        assert isinstance(error, GivenUp)
        assert (error.type, error.message) == ("ValueError", "not today" + "!" * 3000)
        assert error.reason == "its worker raised at attempt 2 of 2"
        assert f"`geartrain job retry {handle.handle} --server {handle.server}`" in str(error)


def handle_error(handle: TaskHandle[None]) -> Exception:
    with pytest.raises(TaskError) as caught:
        handle.result(DEADLINE)
    return caught.value


def test_a_failed_task_without_retries_leaves_no_dead_letter(app: App, server: TestServer) -> None:
    @app.task
    def once() -> None:
        raise ValueError("no")

    once.delay()
    assert drain(app) == 1
    with AdminClient(server.address) as admin:
        assert admin.dead_letters() == []


def test_what_a_generator_yields_is_kept_as_a_list(app: App, server: TestServer) -> None:
    @app.task(retention="1h")
    def count(to: int) -> Iterator[int]:
        yield from range(to)

    @app.task(retention="1h", codec="raw")
    async def cut(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 2):
            yield data[start : start + 2]

    @app.task
    def forget(to: int) -> Iterator[int]:
        yield from range(to)

    counted, nothing, pieces, lost = (
        count.delay(3),
        count.delay(0),
        cut.delay(b"abc"),
        forget.delay(2),
    )
    asked: list[object] = []
    waiting = threading.Thread(target=lambda: asked.append(no_result(lost)))
    waiting.start()
    with AdminClient(server.address) as admin:
        eventually(lambda: len(admin.show_jobs()) == 5, "somebody waits")
    assert drain(app) == 4
    waiting.join(DEADLINE)
    assert counted.result(DEADLINE) == [0, 1, 2]
    assert nothing.result(DEADLINE) == []
    assert pieces.result(DEADLINE) == [b"ab", b"c"]
    for error in (*asked, no_result(lost)):
        assert 'write for instance @app.task(retention="1d")' in str(error)


def no_result(handle: TaskHandle[list[int]]) -> Exception:
    with pytest.raises(NoResult) as caught:
        handle.result(DEADLINE)
    return caught.value
