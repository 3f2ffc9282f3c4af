"""What the server does for tasks: retries, attempts, kept results. Time passes by a fake clock."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from geartrain import App, Fail, Reject, Retry, current_job
from geartrain.errors import JobTimeout, NoResult, TaskError
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
    with pytest.raises(TaskError, match="raised Reject: bad input"):
        handle.result(DEADLINE)


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


def test_a_job_that_takes_child_after_child_with_it_is_given_up(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with TestServer() as server:
        shop.app.servers = server.address
        with RunningPool("process", concurrency=1):
            handle = shop.poison.delay(str(log))
            eventually(lambda: not handle.status().known, "the server gives the job up")
            assert len(log.read_text().split()) == 3
            assert len(set(log.read_text().split())) == 3
            assert shop.add.call(1) == 2
        shop.app.close()
