"""Schedulers that come to fires late, and fires that come late to job servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from geartrain.schedule import correcting
from geartrain.schedule.deciding import Deciding
from geartrain.schedule.dispatching import ACKNOWLEDGED, REFUSED, WAITS
from geartrain.schedule.scheduler import Scheduler
from geartrain.store.schedule_rows import Agent, Alert, Fire
from tests.schedule.rows import at, schedule
from tests.schedule.stage import NOON, Desk, Stage, desk_of

HOUR = 3_600


def planned(
    stage: Stage, seconds: float = 0.25, lease: float = 86_400.0, **table: Any
) -> tuple[Scheduler, Desk]:
    """Return a scheduler that comes to the fire of noon so many seconds later."""
    stage.add(**table)
    scheduler = stage.scheduler(lease=lease)
    stage.at(seconds, scheduler)
    return scheduler, desk_of(scheduler)


# Time in the line.


def test_what_is_planned_behind_its_queue_timeout_is_submitted_all_the_same(stage: Stage) -> None:
    scheduler, desk = planned(stage, 45, queue_timeout="30s", grace="60s")
    assert stage.states() == ["pending"]
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(46, scheduler)
    assert stage.states() == ["submitted"]
    stage.at(77, scheduler)
    assert stage.states() == ["timeout"]


def test_what_may_have_arrived_is_not_given_up_before_its_server_is_asked(stage: Stage) -> None:
    scheduler, desk = planned(stage, queue_timeout="30s")
    desk.say(REFUSED, uncertain=True)
    stage.at(1, scheduler)
    stage.at(40, scheduler)
    assert stage.states() == ["pending"]
    desk.say(WAITS, desk.asked[-1])
    stage.at(41, scheduler)
    assert stage.states() == ["submitted"]


@pytest.mark.parametrize("poll", [1.0, 60.0])
def test_what_is_refused_until_its_queue_timeout_is_submitted_no_more(
    stage: Stage, poll: float
) -> None:
    scheduler, desk = planned(stage, queue_timeout="30s")
    scheduler.settings.poll = poll
    for second in (10, 20, 29, 200, 300):
        desk.say(REFUSED, reason="connection refused")
        stage.at(second, scheduler)
    submissions = len(desk.orders)
    stage.at(400, scheduler)
    assert (stage.states(), len(desk.orders)) == (["timeout"], submissions)


# Agents that could greet nobody.


def test_what_an_outage_left_behind_waits_for_agents_to_greet(stage: Stage) -> None:
    planned(stage, lease=30, tags=["gpu"], grace="60s", queue_timeout="50s")
    two = stage.scheduler("two")
    stage.at(20 * 60, two)
    assert stage.states() == ["pending"]
    stage.store.greet(Agent("a", ("gpu",)), HOUR)
    stage.at(20 * 60 + 10, two)
    assert [order.function for order in desk_of(two).orders] == ["agent:a"]


def test_what_an_outage_left_behind_is_given_up_where_no_agent_greets(stage: Stage) -> None:
    planned(stage, lease=30, tags=["gpu"], grace="60s")
    two = stage.scheduler("two")
    for second in (0, 55, 65, 70):
        stage.at(20 * 60 + second, two)
    assert stage.states() == ["missed"]


# Mistakes and doubts.


def test_a_mistake_in_what_is_logged_keeps_nothing_from_running(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("broken")

    monkeypatch.setattr(correcting, "correction", broken)
    _, desk = planned(stage)
    assert len(desk.orders) == 1
    assert "entry hourly" in caplog.text


def test_what_is_claimed_is_held_whatever_comes_after(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geartrain.schedule import scheduler as module

    def broken(*_: object) -> None:
        raise KeyError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(module, "tell_corrections", broken)
        stage.add()
        scheduler = stage.scheduler()
        with pytest.raises(KeyError):
            stage.at(0.25, scheduler)
    stage.at(1, scheduler)
    assert len(desk_of(scheduler).orders) == 1


@pytest.mark.parametrize(
    ("table", "expected"),
    [({}, ["submitted"]), ({"catch_up": "none"}, ["submitted", "pending"])],
)
def test_what_fires_beside_earlier_ones_does_not_wait_for_news_of_them(
    stage: Stage, table: dict[str, Any], expected: list[str]
) -> None:
    overlap = {"overlap": "allow", "catch_up": "all"} | table
    scheduler, desk = planned(stage, lease=30, **overlap)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(1, scheduler)
    two, three = stage.scheduler("two"), stage.scheduler("three")
    stage.at(HOUR - 0.5, two)
    stage.at(HOUR + 1, three)
    assert stage.states() == expected


def test_a_doubt_is_forgotten_before_the_next_one() -> None:
    row, deciding = schedule(), Deciding("me")
    fires = [Fire(7, 1, NOON - HOUR, id=1, state="running", owner="gone")]
    row.next_fire = NOON
    waits = [
        bool(deciding.decide(row, at("12:00") + second, fires, []).wake)
        for second in (0, 9, 11, 60, 7_200, 7_209, 7_211)
    ]
    assert waits == [True, True, False, False, True, True, False]


# Alerts about it.


def test_many_late_fires_are_told_of_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        stage.add(f"entry{number}")
    scheduler, desk = planned(stage, alerts=["missed"])
    for order in desk.orders:
        desk.say(REFUSED, order, reason="connection refused")
    stage.at(1, scheduler)
    report, reports = scheduler.store.report, list[int]()

    def counted(alerts: Sequence[Alert], merge: Any) -> None:
        reports.append(len(alerts))
        report(alerts, merge)

    monkeypatch.setattr(scheduler.store, "report", counted)
    stage.at(70, scheduler)
    assert [number for number in reports if number] == [20]
    # Nothing is asked again about the one that has no such rule.
    assert scheduler.underway.late(NOON + 70) == []


def test_a_late_fire_is_told_of_once_whoever_takes_it_over(stage: Stage) -> None:
    scheduler, desk = planned(stage, lease=30, alerts=["late:5"])
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(10, scheduler)
    told = [(one.rule, one.firing) for one in stage.alerts]
    assert ("late", True) in told
    for name, second in (("two", 60), ("three", 120)):
        other = stage.scheduler(name, lease=30)
        stage.at(second, other)
        desk_of(other).say(WAITS, desk_of(other).asked[-1])
        stage.at(second + 1, other)
    assert stage.states() == ["submitted"]
    assert [(one.rule, one.firing) for one in stage.alerts] == told
