"""The scheduler beside a job server, in threads of its process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from geartrain.cli import scheduling
from geartrain.cli.scheduling import Beside, Scheduling
from geartrain.errors import StoreUnavailable
from geartrain.schedule.settings import SchedulerSettings


class Falling(Scheduling):
    """Falls over as often as there are faults, and then works until it is stopped."""

    def __init__(self, tmp_path: Path, *faults: Exception) -> None:
        super().__init__(SchedulerSettings(store=f"sqlite:///{tmp_path}/queue.db"), [])
        self.faults = list(faults)
        self.works = Event()

    @property
    def is_wanted(self) -> bool:
        return True

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.works.set()
        self._stopping.wait(10)


def test_a_scheduler_that_falls_over_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scheduling, "_PATIENCE", 0.01)
    caplog.set_level(logging.ERROR, "geartrain.schedule")
    falling = Falling(tmp_path, StoreUnavailable("gone"), ValueError("a mistake of ours"))
    beside = Beside(falling)
    beside.start()
    assert falling.works.wait(10)
    beside.stop()
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("nothing is scheduled: gone; tried again in")
    assert said[1].startswith("nothing is scheduled; tried again in")
    assert caplog.records[1].exc_info is not None


def test_a_scheduler_that_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    Beside(Falling(tmp_path)).stop()
