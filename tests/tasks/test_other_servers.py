"""Tasks with gearmand, which knows neither policies nor attempts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from geartrain import App
from geartrain.errors import JobTimeout, TaskError, UsageError
from geartrain.worker.sync import Worker
from tests.acceptance.job_server import JobServer
from tests.tasks import shop
from tests.tasks.running import RunningPool


@pytest.fixture
def gearmand(tmp_path: Path) -> Iterator[App]:
    server = JobServer("gearmand", tmp_path)
    shop.app.servers = f"127.0.0.1:{server.port}"
    yield shop.app
    shop.app.close()
    server.stop()


def test_tasks_run_without_policies_and_the_worker_says_so_once(
    gearmand: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "geartrain.worker")
    with RunningPool("thread"):
        assert shop.add.call(1) == 2
        assert list(shop.count.stream(3)) == [0, 1, 2]
        assert list(shop.add.map(range(20))) == list(range(1, 21))
        with pytest.raises(TaskError, match="raised ValueError: x"):
            shop.explode.call("x")
        # Its attempt is not known, so it asks for another and fails.
        with pytest.raises(TaskError, match="not the first time"):
            shop.second_time.call()
        handle = shop.add.delay(1)
        with pytest.raises(JobTimeout):
            handle.result(timeout=0.2)
    said = [record for record in caplog.records if "is no geartrain server" in record.message]
    assert len(said) == 1


def test_a_plain_worker_says_who_runs_the_tasks_of_an_app() -> None:
    with pytest.raises(UsageError, match=r"TaskWorker\(app\)"):
        Worker(shop.app)  # type: ignore[arg-type]
