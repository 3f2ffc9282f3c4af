"""What becomes of an entry that is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from geartrain.schedule.planning import joiners, plan, recomputed
from geartrain.schedule.reconciling import missing
from geartrain.store.schedule_rows import Fire
from tests.schedule.rows import NOON, Ledger, agent, at, entry, schedule, story

DAY = 86_400


def claimed(now: str, agents: tuple[Any, ...] = (), **table: Any) -> list[str]:
    """Return what an entry made at 11:00, with nothing open, leaves at a time of the day."""
    return story(Ledger(schedule(**table), agents).claim(at(now)))


# On time and late.


def test_a_moment_that_is_due_runs() -> None:
    row = schedule()
    made = plan(row, NOON + 0.5, [], [])
    assert story(made.fires) == ["12:00 pending"]
    assert (made.next_fire, made.last_nominal, made.runs) == (NOON + 3600, NOON, 1)
    (fire,) = made.fires
    assert (fire.due, fire.previous, fire.generation) == (NOON, 0, 1)


def test_each_moment_within_grace_runs_by_itself() -> None:
    assert claimed("11:03:01", when="* * * * *", grace="5m", overlap="allow") == [
        "11:01 pending",
        "11:02 pending",
        "11:03 pending",
    ]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, ["12:00 missed x3", "15:00 pending catch-up"]),
        ({"catch_up": "none"}, ["12:00 missed x4"]),
        ({"catch_up": "first"}, ["12:00 pending catch-up", "13:00 missed x3"]),
        (
            {"catch_up": "all"},
            [
                "12:00 pending catch-up",
                "13:00 waiting catch-up",
                "14:00 waiting catch-up",
                "15:00 waiting catch-up",
            ],
        ),
        (
            {"catch_up": "all", "catch_up_max": 2},
            ["12:00 missed x2", "14:00 pending catch-up", "15:00 waiting catch-up"],
        ),
        (
            {"catch_up": "all", "catch_up_window": "2h"},
            ["12:00 missed x2", "14:00 pending catch-up", "15:00 waiting catch-up"],
        ),
        (
            {"catch_up": "first", "catch_up_window": "2h"},
            ["12:00 missed x2", "14:00 pending catch-up", "15:00 missed"],
        ),
        ({"catch_up_window": "1m"}, ["12:00 missed x4"]),
        ({"end": "2026-03-01T13:00:00Z"}, ["12:00 missed", "13:00 pending catch-up"]),
        ({"start": "2026-03-01T14:00:00Z"}, ["14:00 missed", "15:00 pending catch-up"]),
        ({"max_runs": 1}, ["12:00 missed x3", "15:00 pending catch-up"]),
        (
            {"max_runs": 2, "catch_up": "all"},
            ["12:00 pending catch-up", "13:00 waiting catch-up"],
        ),
        ({"when": "@at 2026-03-01T14:00:00Z"}, ["14:00 pending catch-up"]),
        (
            {"window": "13:00-15:00"},
            ["12:00 skipped", "13:00 missed", "14:00 pending catch-up", "15:00 skipped"],
        ),
    ],
)
def test_what_is_late_is_caught_up_as_the_entry_says(
    table: dict[str, Any], expected: list[str]
) -> None:
    assert claimed("15:30", **table) == expected


def test_a_moment_that_is_on_time_makes_up_for_those_that_are_late() -> None:
    assert claimed("15:00:10") == ["12:00 missed x3", "15:00 pending"]
    assert claimed("15:00:10", catch_up="first", overlap="allow") == [
        "12:00 pending catch-up",
        "13:00 missed x2",
        "15:00 pending",
    ]
    # Unless it may not run itself.
    assert claimed("15:00:10", window="11:00-15:00") == [
        "12:00 missed x2",
        "14:00 pending catch-up",
        "15:00 skipped",
    ]


def test_what_is_on_time_queues_behind_what_is_caught_up_one_by_one() -> None:
    ledger = Ledger(schedule(catch_up="all"))
    assert story(ledger.claim(at("14:00:10"))) == [
        "12:00 pending catch-up",
        "13:00 waiting catch-up",
        "14:00 waiting",
    ]
    assert story(ledger.claim(at("15:00:10"))) == ["15:00 waiting"]
    ledger.end()
    assert story(ledger.claim(at("16:00:10"))) == ["16:00 pending"]


def test_years_of_seconds_are_one_row_and_a_few_that_run() -> None:
    row = schedule(made=NOON - 1461 * DAY, when="* * * * * *", catch_up="all")
    ledger = Ledger(row)
    fires = ledger.claim(NOON + 0.5)
    missed, *run = fires
    assert missed.state == "missed"
    assert [fire.origin for fire in run[:100]] == ["catch-up"] * 100
    assert len(run) == 100 + 60
    assert missed.count == 1461 * DAY - 160
    assert missing(ledger.row, fires, NOON + 0.5) == []


def test_more_than_one_plan_looks_at_is_left_to_the_next() -> None:
    row = schedule(when="* * * * * *", grace="1h", overlap="allow", made=NOON - 1500)
    made = plan(row, NOON, [], [])
    assert len(made.fires) == 1000
    assert made.next_fire == NOON - 499
    ledger = Ledger(row)
    assert len(ledger.claim(NOON)) == 1500


# Ends.


def test_an_entry_ends_with_its_last_run() -> None:
    made = plan(schedule(max_runs=1), NOON, [], [])
    assert (made.enabled, made.next_fire, made.runs) == (False, 0, 1)
    made = plan(schedule(end="2026-03-01T12:00:00Z"), NOON, [], [])
    assert (made.enabled, made.next_fire) == (True, 0)
    assert story(made.fires) == ["12:00 pending"]


def test_what_is_skipped_is_no_run() -> None:
    ledger = Ledger(schedule(max_runs=2))
    ledger.claim(at("12:00"))
    assert story(ledger.claim(at("13:00"))) == ["13:00 skipped"]
    assert ledger.row.runs == 1


# Pauses.


def test_a_pause_that_ends_by_itself_leaves_one_row() -> None:
    row = replace(
        schedule(), paused_at=NOON - 1, paused_by="ann", paused_until=at("14:00"), paused_why="x"
    )
    ledger = Ledger(row)
    assert ledger.claim(at("13:59")) == []
    fires = ledger.claim(at("14:00:01"))
    assert story(fires) == ["12:00 skipped x2", "14:00 pending"]
    assert fires[0].reason == "paused by ann"


def test_the_last_moment_of_a_pause_is_the_end_of_what_was_skipped() -> None:
    row = replace(schedule(end="2026-03-01T13:30:00Z"), paused_at=1.0, paused_until=at("15:00"))
    made = plan(row, at("15:00"), [], [])
    assert story(made.fires) == ["12:00 skipped x2"]
    assert (made.last_nominal, made.next_fire) == (at("13:00"), 0)


# Windows and jitter.


def test_a_window_goes_by_the_clocks_of_the_entrys_zone() -> None:
    table = {"when": "0 * * * *", "window": "13:00-14:00", "timezone": "Europe/Berlin"}
    assert claimed("12:00", **table) == ["12:00 pending"]
    assert claimed("12:00", **table | {"timezone": "UTC"}) == ["12:00 skipped"]


def test_a_window_over_midnight() -> None:
    row = schedule(window="22:00-06:00", made=NOON - DAY, catch_up="all", catch_up_window="2d")
    fires = Ledger(row).claim(at("06:30"))
    assert story(fires)[0] == "13:00 skipped x9"
    assert story(fires)[1:3] == ["22:00 pending catch-up", "23:00 waiting catch-up"]
    # Too late for tonight.
    assert fires[1].due == at("22:00")


def test_jitter_is_less_than_the_way_to_the_next_moment_and_stays_in_the_window() -> None:
    for number in range(50):
        row = replace(schedule(when="* * * * *", jitter="10m", grace="2h"), id=number)
        (fire, *_) = plan(row, at("11:01"), [], []).fires
        assert at("11:01") <= fire.due < at("11:02")
        assert plan(row, at("11:01:30"), [], []).fires[0].due == fire.due
        row = replace(schedule(when="59 11 * * *", jitter="10m", window="11:00-12:00"), id=number)
        (fire,) = plan(row, at("11:59"), [], []).fires
        assert fire.due < at("12:00")


# Overlap.


def while_open(state: str, origin: str = "clock", **table: Any) -> Ledger:
    ledger = Ledger(schedule(**table))
    ledger.claim(at("12:00"))
    for fire in ledger.fires.values():
        fire.state, fire.origin = state, origin
    return ledger


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, ["13:00 skipped"]),
        ({"overlap": "allow"}, ["13:00 pending"]),
        ({"overlap": "queue_one"}, ["13:00 waiting"]),
        ({"overlap": "queue_all"}, ["13:00 waiting"]),
        ({"overlap": "cancel_old"}, ["13:00 waiting"]),
        ({"overlap": "kill_old"}, ["13:00 pending"]),
    ],
)
def test_a_fire_meets_one_that_runs(table: dict[str, Any], expected: list[str]) -> None:
    ledger = while_open("running", **table)
    assert story(ledger.claim(at("13:00"))) == expected
    old = ledger.fires[1, NOON, ""]
    assert old.state == ("cancelled" if "kill_old" in table.values() else "running")


@pytest.mark.parametrize("state", ["pending", "waiting"])
def test_cancelling_the_old_one_ends_what_no_worker_has(state: str) -> None:
    ledger = while_open(state, overlap="cancel_old")
    assert story(ledger.claim(at("13:00"))) == ["13:00 pending"]
    assert story(list(ledger.fires.values())) == ["12:00 cancelled", "13:00 pending"]
    assert ledger.fires[1, NOON, ""].ended == at("13:00")


def test_what_a_job_server_has_is_asked_for_before_it_is_cancelled() -> None:
    ledger = while_open("submitted", overlap="cancel_old")
    assert story(ledger.claim(at("13:00"))) == ["13:00 waiting"]
    assert story(list(ledger.fires.values())) == ["12:00 submitted", "13:00 waiting"]
    ledger = while_open("pending", overlap="cancel_old")
    ledger.fires[1, NOON, ""].owner = "a scheduler that submits it just now"
    assert story(ledger.claim(at("13:00"))) == ["13:00 waiting"]


def test_lines_of_waiting_fires_have_an_end() -> None:
    ledger = while_open("running", overlap="queue_one", when="* * * * *", grace="1h")
    fires = ledger.claim(at("12:03"))
    assert story(fires) == ["12:01 waiting", "12:02 skipped x2"]
    ledger = while_open("running", overlap="queue_all", overlap_max=2, when="* * * * *", grace="1h")
    fires = ledger.claim(at("12:04"))
    assert story(fires) == ["12:01 waiting", "12:02 waiting", "12:03 skipped x2"]


def test_of_several_that_replace_each_other_the_newest_is_left() -> None:
    ledger = Ledger(schedule(when="* * * * *", overlap="cancel_old", grace="1h"))
    assert story(ledger.claim(at("11:03"))) == [
        "11:01 cancelled",
        "11:02 cancelled",
        "11:03 pending",
    ]


# Targets.

AGENTS = (agent("a", "db"), agent("b", "db", "eu"), agent("c"))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"target": "one"}, ["12:00 pending"]),
        ({"target": "all"}, ["12:00 a pending", "12:00 b pending", "12:00 c pending"]),
        ({"target": "all", "tags": ["db"]}, ["12:00 a pending", "12:00 b pending"]),
        ({"target": "all", "tags": ["db", "eu"]}, ["12:00 b pending"]),
        ({"target": "all", "tags": ["us"]}, ["12:00 missed"]),
        ({"target": "5", "tags": ["db"]}, ["12:00 a pending", "12:00 b pending"]),
        ({"target": "agent:z"}, ["12:00 z pending"]),
        ({"target": "shards:2"}, ["12:00 1/2 pending", "12:00 2/2 pending"]),
    ],
)
def test_a_fire_goes_to_the_agents_alive_when_it_is_claimed(
    table: dict[str, Any], expected: list[str]
) -> None:
    assert claimed("12:00", AGENTS, **table) == expected


def test_n_of_the_agents_take_turns() -> None:
    ledger = Ledger(schedule(target="2", overlap="allow", grace="1d"), AGENTS)
    pairs: dict[int, list[str]] = {}
    for fire in ledger.claim(at("22:00")):
        pairs.setdefault(fire.nominal, []).append(fire.target)
    assert {len(pair) for pair in pairs.values()} == {2}
    assert {name for pair in pairs.values() for name in pair} == {"a", "b", "c"}


def test_an_agent_that_is_slow_holds_up_itself_alone() -> None:
    ledger = Ledger(schedule(target="all"), AGENTS)
    ledger.claim(NOON)
    ledger.end()
    ledger.fires[1, NOON, "b"].state = "running"
    assert story(ledger.claim(at("13:00"))) == [
        "13:00 a pending",
        "13:00 b skipped",
        "13:00 c pending",
    ]


def test_n_of_the_agents_is_one_fire() -> None:
    ledger = Ledger(schedule(target="1"), AGENTS)
    ledger.claim(NOON)
    (row,) = ledger.claim(at("13:00"))
    assert row.state == "skipped"


def test_moments_at_which_no_agent_was_there_are_counted() -> None:
    ledger = Ledger(schedule(target="all", when="* * * * *", grace="1h"))
    (row,) = ledger.claim(at("11:05"))
    assert (row.state, row.count) == ("missed", 5)
    assert "no agent" in row.reason


def test_an_agent_that_comes_late_gets_the_fire_within_the_join_window() -> None:
    ledger = Ledger(schedule(target="all", tags=["db"], join_window="10m"), AGENTS[:1])
    ledger.claim(NOON)
    fires = list(ledger.fires.values())
    assert story(joiners(ledger.row, at("12:10"), fires, AGENTS)) == ["12:00 b pending join"]
    assert joiners(ledger.row, at("12:11"), fires, AGENTS) == []
    assert joiners(ledger.row, at("12:10"), fires, AGENTS[:1]) == []
    assert joiners(ledger.row, at("12:10"), [], AGENTS) == []


# Clocks and zones.


def test_a_clock_that_goes_back_fires_nothing_again() -> None:
    ledger = Ledger(schedule())
    ledger.claim(at("15:00"))
    assert ledger.claim(at("12:00")) == []
    assert story(ledger.claim(at("16:00"))) == ["16:00 skipped"]


def test_new_zone_data_move_the_next_moment_and_nothing_that_was() -> None:
    row = schedule(when="0 15 * * *", timezone="Europe/Berlin")
    assert recomputed(row, NOON) is None
    stale = replace(row, next_fire=row.next_fire + 3600)
    moved = recomputed(stale, NOON)
    assert moved is not None
    assert (moved.next_fire, moved.generation) == (row.next_fire, 2)
    assert recomputed(replace(stale, enabled=False), NOON) is None
    # Nothing to look up for a hundred thousand entries that go by no zone.
    assert recomputed(replace(stale, timezone="UTC"), NOON) is None
    # Its executor asked for this one.
    assert recomputed(replace(row, since=NOON, next_fire=NOON + 1), NOON) is None


def test_an_entry_that_can_not_be_read_here_holds_up_no_other() -> None:
    row = schedule()
    row.definition = row.definition.replace("0 * * * *", "0 * * * x")
    made = plan(row, NOON, [], [])
    assert (made.fires, made.next_fire, made.last_nominal) == ([], NOON, 0)
    assert made.wake == NOON + 60


def test_the_range_of_a_fire_begins_with_the_moment_before_it() -> None:
    ledger = Ledger(schedule(catch_up="all"))
    fires = ledger.claim(at("14:00"))
    assert [fire.previous for fire in fires] == [0, NOON, at("13:00")]


# Reconciling.


def test_moments_without_a_row_are_found() -> None:
    ledger = Ledger(schedule(overlap="allow"))
    for hour in range(12, 22):
        ledger.claim(at(f"{hour}:00"))
    rows = list(ledger.fires.values())
    assert missing(ledger.row, rows, at("21:30")) == []
    left = [row for row in rows if row.nominal not in (at("14:00"), at("15:00"), at("18:00"))]
    found = missing(ledger.row, left, at("21:30"))
    assert story(found) == ["14:00 missed reconcile x2", "18:00 missed reconcile"]
    assert missing(ledger.row, left + found, at("21:30")) == []


def test_a_row_that_counts_stands_for_as_many_moments() -> None:
    row = replace(schedule(made=NOON - 5 * DAY), last_nominal=NOON)
    counted = Fire(7, 1, NOON - 4 * DAY, state="missed", count=4 * 24 - 2)
    found = missing(row, [counted], NOON)
    assert story(found) == ["10:00 missed reconcile x3"]


def test_what_was_forgotten_or_is_no_moment_any_more_is_not_missing() -> None:
    row = replace(schedule(made=NOON - DAY, keep=2), last_nominal=NOON)
    rows = [Fire(7, 1, NOON, state="done"), Fire(7, 1, NOON - 3600, state="done")]
    assert missing(row, rows, NOON) == []
    assert missing(replace(row, since=NOON), [], NOON) == []


def test_a_fire_asked_for_by_hand_stands_for_no_moment_of_the_clock() -> None:
    row = replace(schedule(), last_nominal=NOON)
    by_hand = Fire(7, 1, NOON - 5, state="done", origin="run-now")
    assert story(missing(row, [by_hand], NOON)) == ["12:00 missed reconcile"]


def test_the_entry_of_these_tests_fires_each_hour() -> None:
    assert entry().when == "0 * * * *"
    assert datetime.fromtimestamp(NOON, UTC).hour == 12
