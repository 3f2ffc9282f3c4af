"""A scheduler that comes back, and agents that have fired by themselves meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from geartrain.schedule.agents import Greetings
from geartrain.schedule.envelope import DONE, Answer, fire_key
from geartrain.schedule.greeting import REPORTS, Greeting, Report
from geartrain.schedule.planning import plan
from geartrain.schedule.scheduler import Scheduler
from geartrain.store.schedule_rows import Fire
from tests.schedule.rows import at, schedule, story
from tests.schedule.stage import NOON, Stage

MINUTE = 60
HOUR = 3_600
KEY = b"a key that both sides have"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.place.close()


def ran(*moments: int) -> list[Fire]:
    return [Fire(7, 1, moment, "a", id=1, state="done", origin="offline") for moment in moments]


@pytest.mark.parametrize(
    ("table", "moments", "expected"),
    [
        ({}, ("12:00", "13:00", "14:00"), []),
        ({"catch_up": "none"}, ("13:00",), ["12:00 missed", "14:00 missed"]),
        ({}, ("12:00", "13:00"), ["14:00 a pending catch-up"]),
        ({"catch_up": "first"}, ("12:00",), ["13:00 missed x2"]),
        ({"catch_up": "all"}, ("13:00",), ["12:00 a pending catch-up", "14:00 a waiting catch-up"]),
    ],
)
def test_what_agents_ran_is_not_missed(
    table: dict[str, Any], moments: tuple[str, ...], expected: list[str]
) -> None:
    row = schedule(target="agent:a", command="true", function=None, **table)
    made = plan(row, at("14:30"), ran(*map(at, moments)), [])
    assert story(made.fires) == expected
    assert made.next_fire == at("15:00")
    assert made.runs == len(moments) + sum("pending" in one or "waiting" in one for one in expected)


def test_years_without_a_scheduler_are_counted_around_what_agents_ran() -> None:
    row = schedule(when="* * * * * *", target="agent:a", command="true", function=None)
    row.next_fire = NOON
    made = plan(row, NOON + 3_000, ran(NOON + 5, NOON + 6, NOON + 2_900), [])
    counts = [(fire.nominal - NOON, fire.count) for fire in made.fires if fire.state == "missed"]
    assert counts[0] == (0, 5)
    assert counts[1][0] == 7
    assert (
        sum(count for _, count in counts)
        + len([fire for fire in made.fires if fire.state != "missed"])
        == 3_001 - 3
    )
    assert made.runs == 3 + sum(fire.state == "pending" for fire in made.fires)


def back(stage: Stage, seconds: float, secret: bytes = KEY) -> Scheduler:
    """Return a scheduler that comes back so long after noon."""
    scheduler = stage.scheduler()
    scheduler.secret = secret
    stage.at(seconds, scheduler)
    return scheduler


def greet(stage: Stage, *moments: int) -> None:
    row = stage.row()
    reports = [
        Report(
            key=fire_key(row.id, 1, moment, "host-a"),
            schedule=row.id,
            generation=1,
            nominal=moment,
            target="host-a",
            previous=moment - MINUTE,
            answer=Answer(kind=DONE, started=moment, ended=moment + 1, attempt=1, status=0),
        )
        for moment in moments
    ]
    greeting = Greeting(agent="host-a", started=1.0, reports=tuple(reports))
    Greetings(stage.store, KEY).answer_one(greeting)


PINNED = {"when": "* * * * *", "function": None, "command": "true", "catch_up": "none"}


def test_what_an_agent_reports_when_it_is_heard_of_again_was_never_missed(stage: Stage) -> None:
    stage.add(target="agent:host-a", **PINNED)
    scheduler = back(stage, 10 * MINUTE + 30)
    assert stage.fires() == []
    greet(stage, *(NOON + number * MINUTE for number in range(9)))
    stage.at(10 * MINUTE + 32, scheduler)
    found = stage.fires()
    assert [(one.nominal - NOON) // MINUTE for one in found] == list(range(11))
    assert {one.origin for one in found[:9]} == {"offline"}
    # The agent had not come to these, or skipped them.
    assert [(one.state, one.origin) for one in found[9:]] == [
        ("missed", "clock"),
        ("pending", "clock"),
    ]
    assert scheduler.figures.missed == 1


def test_an_agent_that_has_more_to_report_is_waited_for(stage: Stage) -> None:
    stage.add(target="agent:host-a", **PINNED)
    minutes = REPORTS + 50
    scheduler = back(stage, minutes * MINUTE + 30)
    moments = [NOON + number * MINUTE for number in range(minutes)]
    greet(stage, *moments[:REPORTS])
    assert [one.name for one in stage.store.agents()] == ["host-a"]
    stage.at(minutes * MINUTE + 31, scheduler)
    greet(stage, *moments[REPORTS:])
    stage.at(minutes * MINUTE + 33, scheduler)
    found = stage.store.fires(limit=2 * minutes)
    assert [one.state for one in found] == ["pending", *["done"] * minutes]
    assert scheduler.figures.missed == 0


@pytest.mark.parametrize("grace", [0, 60])
def test_agents_that_are_not_heard_of_are_not_waited_for_for_ever(stage: Stage, grace: int) -> None:
    stage.add(target="agent:host-a", grace=grace, **PINNED)
    scheduler = back(stage, 10 * MINUTE + 45)
    stage.at(10 * MINUTE + 65, scheduler)
    assert stage.fires() == []
    stage.at(10 * MINUTE + 76, scheduler)
    missed, *others = stage.fires()
    assert missed.state == "missed"
    # What came due meanwhile is on time, whatever the grace.
    assert others[-1].nominal == NOON + 11 * MINUTE
    assert others[-1].state in ("pending", "skipped")


@pytest.mark.parametrize("table", [{"target": "all"}, {"target": "one", "offline": True}])
def test_what_no_greeting_is_the_end_of_is_put_off_once(
    stage: Stage, table: dict[str, Any]
) -> None:
    stage.add(**PINNED, **table)
    scheduler = back(stage, 10 * MINUTE + 30)
    assert stage.store.next_fire() == NOON + 11 * MINUTE
    greet(stage)
    stage.at(11 * MINUTE, scheduler)
    assert stage.states()[0] == "missed"


def test_an_entry_for_all_waits_until_there_is_an_agent(stage: Stage) -> None:
    stage.add(target="all", **PINNED)
    scheduler = back(stage, 1)
    assert stage.fires() == []
    greet(stage)
    stage.at(3, scheduler)
    assert [(one.target, one.state) for one in stage.fires()] == [("host-a", "pending")]


def test_nothing_waits_where_agents_have_no_copy(stage: Stage) -> None:
    stage.add(target="agent:host-a", **PINNED)
    back(stage, 10 * MINUTE + 30, secret=b"")
    assert stage.fires()[0].state == "missed"


def test_what_any_machine_may_run_does_not_wait(stage: Stage) -> None:
    stage.add(**{**PINNED, "catch_up": "last"})
    back(stage, 10 * MINUTE + 30)
    assert stage.states()[0] == "missed"
