"""How the schedulers of a store do, out of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from geartrain.schedule.dispatching import ACKNOWLEDGED
from geartrain.schedule.observing import observe
from tests.schedule.stage import NOON, Desk, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.place.close()


def test_a_store_without_a_scheduler_is_in_trouble(stage: Stage) -> None:
    stage.add()
    found = observe(stage.store)
    assert found["schedulers"] == []
    assert found["troubles"] == [
        "no scheduler is there: start geartrain serve or geartrain scheduler"
    ]
    stage.clock.now = NOON + 90.0
    found = observe(stage.store)
    assert found["backlog"] == {"entries": 1, "oldest": 90.0, "fires": {}}
    assert found["troubles"][1] == "1 entries are due and were not dealt with for 90 s"


def test_lag_rate_and_what_was_missed_are_told(stage: Stage) -> None:
    stage.add(when="* * * * *", overlap="allow", catch_up="none")
    scheduler = stage.scheduler()
    stage.at(0.5, scheduler)
    desk = scheduler.dispatcher
    assert isinstance(desk, Desk)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(0.75, scheduler)
    found = observe(stage.store)
    assert found["troubles"] == []
    assert found["lag"]["count"] == 1
    assert found["lag"]["p99"] == 0.75
    assert (found["lag"]["buckets"]["0.5"], found["lag"]["buckets"]["1"]) == (0, 1)
    assert found["claimed_per_second"] == round(1 / 60, 3)
    assert found["backlog"]["fires"] == {"submitted": 1}
    stage.at(600.0, scheduler)
    assert observe(stage.store)["last_day"] == {"submitted": 1, "missed": 8, "pending": 2}


def test_a_clock_that_is_off_and_other_zone_data_are_told(stage: Stage) -> None:
    one = stage.scheduler("one")
    stage.skew = 45.0
    stage.at(1, one)
    # Written with the lease.
    stage.at(30_000, one)
    other = stage.scheduler("two")
    other.rounds.version = "2099z"
    other.step()
    found = observe(stage.store)
    assert [scheduler["alive"] for scheduler in found["schedulers"]] == [True, True]
    assert any(said.startswith("the clock of one is +45.0 s off") for said in found["troubles"])
    assert found["troubles"][-1] == "schedulers have different zone data: 2099z, test"
