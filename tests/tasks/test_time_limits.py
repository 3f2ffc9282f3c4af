"""What time limits do to tasks, in each pool."""

from __future__ import annotations

from pathlib import Path

import pytest

from geartrain import App
from geartrain.errors import TaskError
from geartrain.testing import TestServer
from tests.tasks import shop
from tests.tasks.running import RunningPool
from tests.worker.processes import is_running


def test_a_soft_timeout_lets_a_task_tidy_up(pool: str, app: App, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with pytest.raises(TaskError) as caught:
        shop.tidy.call(str(marker))
    assert caught.value.message == "the task has run for 0.2 s, its soft_timeout"
    assert marker.read_text() == "tidied"


def test_a_soft_timeout_cancels_a_coroutine(pool: str, app: App, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with pytest.raises(TaskError, match=r"0\.2 s, its soft_timeout"):
        shop.tidy_on_loop.call(str(marker))
    assert marker.read_text() == "tidied"


def test_a_soft_timeout_breaks_a_call_that_blocks_in_child_processes_only(
    pool: str, app: App
) -> None:
    if pool == "process":
        assert shop.nap.call(5.0) < 4.0
    else:
        assert shop.nap.call(0.6) >= 0.6


def test_tasks_run_inline_know_their_soft_timeout(tmp_path: Path) -> None:
    with TestServer() as server:
        shop.app.servers = server.address
        with RunningPool("inline", concurrency=4):
            assert list(shop.add.map(range(50))) == list(range(1, 51))
            assert shop.fetch.call("u") == "<u>"
            with pytest.raises(TaskError, match="its soft_timeout"):
                shop.tidy.call(str(tmp_path / "marker"))
        shop.app.close()


def test_a_hard_timeout_ends_what_ignores_everything(pool: str, app: App, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with pytest.raises(TaskError, match=r"cut off after 0\.4 s, its timeout") as caught:
        shop.ignore.call(str(marker))
    assert caught.value.type == "HardTimeout"
    if pool == "process":
        assert not is_running(int(marker.read_text()))
    assert [shop.add.call(number) for number in range(4)] == [1, 2, 3, 4]


def test_a_hard_timeout_leaves_a_coroutine_that_ignores_it_behind(
    pool: str, app: App, tmp_path: Path
) -> None:
    with pytest.raises(TaskError, match="HardTimeout"):
        shop.ignore_on_loop.call(str(tmp_path / "marker"))
    assert [shop.add.call(number) for number in range(4)] == [1, 2, 3, 4]
