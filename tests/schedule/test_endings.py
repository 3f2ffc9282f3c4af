"""What becomes of a fire whose job has ended, has taken too long, or was waited for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from geartrain.schedule.dependencies import follow_up, verdict
from geartrain.schedule.entry import read_entry
from geartrain.schedule.envelope import text_of
from geartrain.schedule.overlapping import promoted
from geartrain.schedule.retrying import backoff, concluded
from geartrain.schedule.standing import to_schedule
from geartrain.schedule.targeting import function_of, shard_of
from geartrain.schedule.timeouts import limit_of, overdue
from geartrain.store.schedule_rows import Fire
from tests.schedule.rows import NOON, agent, at, entry, story


def fire(**values: Any) -> Fire:
    fresh = Fire(7, 1, NOON, id=1, state="submitted", attempt=1, due=NOON, submitted=NOON)
    return replace(fresh, **values)


def ended(ok: bool, result: Any = b"", *, now: float = NOON + 10, attempt: int = 1, **table: Any):  # type: ignore[no-untyped-def]
    result = result if isinstance(result, bytes) else json.dumps(result).encode()
    row = fire(attempt=attempt)
    return concluded(entry(**table), row, now, ok=ok, result=result, reason="it failed")


# Attempts.


def test_a_job_that_completed_is_done_with_as_much_of_its_result_as_is_kept() -> None:
    row = ended(True, b"abcdef", result_size=3).fire
    assert (row.state, row.result, row.ended, row.reason) == ("done", b"abc", NOON + 10, "")


def test_a_job_that_failed_is_tried_again_until_no_attempt_is_left() -> None:
    row = ended(False, retries=1, retry_jitter=0).fire
    assert (row.state, row.due, row.reason, row.handle) == ("pending", NOON + 15, "it failed", "")
    row = ended(False, retries=1, attempt=2).fire
    assert (row.state, row.reason) == ("failed", "it failed")
    assert ended(False).fire.state == "failed"


def test_pauses_double_up_to_the_largest_and_differ_by_their_part() -> None:
    plain = entry(retry_delay=5, retry_max=30, retry_jitter=0)
    assert [backoff(plain, fire(attempt=number)) for number in (1, 2, 3, 4, 5, 900)] == [
        5, 10, 20, 30, 30, 30,
    ]  # fmt: skip
    mixed = entry(retry_delay=100, retry_jitter=0.5)
    pauses = {backoff(mixed, fire(nominal=number)) for number in range(100)}
    assert len(pauses) > 90
    assert all(50 <= pause <= 150 for pause in pauses)


def test_no_attempt_comes_behind_the_deadline() -> None:
    row = ended(False, retries=5, deadline=12, retry_jitter=0).fire
    assert row.state == "failed"
    assert row.reason == "it failed; another attempt would come behind its deadline"
    assert ended(False, retries=5, deadline=16, retry_jitter=0).fire.state == "pending"


def test_an_attempt_waits_for_the_window() -> None:
    row = ended(False, retries=5, window="11:00-12:00", now=at("12:00:01")).fire
    assert row.due == at("11:00") + 86_400


# Answers.


def test_an_answer_is_read_where_the_entry_has_envelopes_and_nowhere_else() -> None:
    said = {"geartrain": "failed", "reason": "disk full", "output": "df"}
    assert ended(True, said).fire.state == "done"
    row = ended(True, said, envelope=True).fire
    assert (row.state, row.reason, row.result) == ("failed", "disk full", b"df")
    assert ended(True, b"anything", envelope=True).fire.state == "done"
    assert ended(True, said, target="all").fire.state == "failed"
    assert ended(True, {"geartrain": "gone"}, envelope=True).fire.reason.startswith("its answer")
    # It ran for two seconds, by another clock, before this job asked for it.
    said = {"geartrain": "done", "started": 100.0, "ended": 102.0, "repeated": True}
    row = ended(True, said, target="all").fire
    assert (row.started, row.ended) == (NOON + 8, NOON + 10)
    late = {"geartrain": "failed", "reason": "it ran for more than 2 s", "timed_out": True}
    assert ended(True, late, target="all").fire.state == "timeout"
    assert ended(True, late, target="all", retries=1).fire.state == "pending"
    row = ended(True, {"geartrain": "failed", "status": 3}, target="all").fire
    assert row.reason == "ended with status 3"
    row = ended(True, {"geartrain": "failed", "status": -9}, target="all").fire
    assert row.reason == "ended by signal 9"


def test_an_executor_says_when_it_wants_to_be_tried_again() -> None:
    later = {"geartrain": "retry", "at": text_of(at("12:30")), "reason": "busy"}
    row = ended(True, later, envelope=True).fire
    assert (row.state, row.due, row.reason) == ("pending", at("12:30"), "busy")
    assert ended(True, later, envelope=True, deadline="10m").fire.state == "failed"
    assert ended(True, later, envelope=True, attempt=1_000).fire.state == "failed"
    past = {"geartrain": "retry", "at": text_of(NOON - 99)}
    assert ended(True, past, envelope=True).fire.due == NOON + 10


def test_an_executor_says_when_the_entry_fires_next() -> None:
    said = {"geartrain": "next_run", "at": text_of(at("12:30"))}
    assert ended(True, said, envelope=True).next_run == at("12:30")
    assert ended(True, said, envelope=True).fire.state == "done"
    assert ended(True, said).next_run == 0
    early = {"geartrain": "next_run", "at": text_of(NOON)}
    assert ended(True, early, envelope=True).next_run == NOON + 11
    bound = ended(True, said, envelope=True, end="2026-03-01T12:20:00Z")
    assert bound.next_run == at("12:20")


# Time-outs.


@pytest.mark.parametrize(
    ("table", "values", "limit", "said"),
    [
        ({}, {}, 0, ""),
        ({"queue_timeout": 5}, {}, NOON + 5, "queue_timeout"),
        ({"queue_timeout": 5}, {"attempt": 2, "due": NOON + 30}, NOON + 35, "queue_timeout"),
        ({"queue_timeout": 5}, {"state": "running", "started": NOON}, 0, ""),
        ({"run_timeout": 5}, {"state": "running", "started": NOON + 9}, NOON + 14, "run_timeout"),
        ({"run_timeout": 5}, {}, 0, ""),
        ({"deadline": 5, "queue_timeout": 9}, {}, NOON + 5, "deadline"),
        ({"deadline": 5}, {"state": "pending", "attempt": 2}, NOON + 5, "deadline"),
        ({"deadline": 5}, {"state": "pending", "attempt": 0, "submitted": 0}, 0, ""),
    ],
)
def test_a_fire_takes_too_long(
    table: dict[str, Any], values: dict[str, Any], limit: float, said: str
) -> None:
    row = fire(**values)
    assert limit_of(entry(**table), row) == limit
    assert overdue(entry(**table), row, limit - 0.1) == ""
    assert said in overdue(entry(**table), row, limit)
    assert bool(said) == bool(overdue(entry(**table), row, NOON + 99))


# Lines of waiting fires.


def test_what_waited_goes_when_what_it_waited_for_has_ended() -> None:
    line = [fire(id=3, nominal=at("14:00"), state="waiting"), fire(id=2, state="waiting")]
    assert story(promoted(entry(overlap="queue_all"), line, at("14:05"))) == ["12:00 pending"]
    assert promoted(entry(), [*line, fire()], NOON) == []
    assert promoted(entry(), [], NOON) == []


def test_each_agent_has_a_line_of_its_own() -> None:
    line = [
        fire(target="a", state="waiting"),
        fire(target="b", state="running"),
        fire(target="b", state="waiting"),
    ]
    assert story(promoted(entry(target="all"), line, NOON)) == ["12:00 a pending"]
    assert promoted(entry(target="2"), line, NOON) == []


# Where it goes.

AGENTS = [agent("a", "db"), agent("b", "db"), agent("c")]


@pytest.mark.parametrize(
    ("table", "target", "function"),
    [
        ({}, "", "report"),
        ({"function": None, "command": "true"}, "", "agent"),
        ({"target": "all"}, "c", "agent:c"),
        ({"target": "agent:z"}, "z", "agent:z"),
        ({"target": "2"}, "b", "agent:b"),
        ({"tags": ["us"]}, "", ""),
    ],
)
def test_a_fire_is_submitted_for_a_function(
    table: dict[str, Any], target: str, function: str
) -> None:
    assert function_of(entry(**table), fire(target=target), AGENTS) == function


def test_shards_are_spread_and_go_elsewhere_when_an_agent_is_gone() -> None:
    sharded = entry(target="shards:3")
    assert shard_of(sharded, "2/3") == (2, 3)
    busy = [function_of(sharded, fire(target=target), AGENTS) for target in ("1/3", "2/3", "3/3")]
    assert sorted(busy) == ["agent:a", "agent:b", "agent:c"]
    left = [one for one in AGENTS if f"agent:{one.name}" != busy[0]]
    assert function_of(sharded, fire(target="1/3"), left) in busy[1:]
    assert function_of(entry(tags=["db"]), fire(), AGENTS) in ("agent:a", "agent:b")


# Dependencies.


def rows(*states: str) -> list[Fire]:
    return [fire(id=number, state=state) for number, state in enumerate(states)]


@pytest.mark.parametrize(
    ("rule", "first", "second", "expected"),
    [
        ("all_success", ["done"], ["done"], "pending"),
        ("all_success", ["done"], ["failed"], "skipped"),
        ("all_success", ["done"], ["running"], ""),
        ("all_success", ["skipped"], ["running"], "skipped"),
        ("all_success", ["done"], [], ""),
        ("all_success", ["done"], None, ""),
        ("all_success", ["done", "lost"], ["done"], "skipped"),
        ("all_success", ["done", "running"], ["done"], ""),
        ("all_done", ["done"], ["failed"], "pending"),
        ("all_done", ["missed"], ["timeout"], "pending"),
        ("all_done", ["done"], ["waiting"], ""),
        ("any", ["done"], ["running"], "pending"),
        ("any", ["failed"], ["running"], ""),
        ("any", ["failed"], [], ""),
        ("any", ["failed"], None, "skipped"),
        ("any", ["failed"], ["cancelled"], "skipped"),
    ],
)
def test_an_entry_fires_after_others(
    rule: str, first: list[str], second: list[str] | None, expected: str
) -> None:
    child = entry(when=None, after=["one", "two"], rule=rule)
    parents = {"one": rows(*first), "two": None if second is None else rows(*second)}
    assert verdict(child, parents)[0] == expected


def after_one(**table: Any) -> Any:
    return to_schedule(read_entry("child", {"after": "one", "function": "f"} | table), NOON)


def followed(child: Any, parent: Fire, open_fires: list[Fire] | None = None) -> list[str]:
    fires, _ = follow_up(child, parent, {"one": [parent]}, NOON + 30, open_fires or [], AGENTS)
    return story(fires)


def test_what_comes_after_has_the_moment_of_what_was_before() -> None:
    done = fire(state="done")
    assert followed(after_one(), done) == ["12:00 pending after"]
    assert followed(after_one(target="shards:2"), done) == [
        "12:00 1/2 pending after",
        "12:00 2/2 pending after",
    ]
    assert followed(after_one(), done, [fire(state="running")]) == ["12:00 skipped after"]
    assert followed(after_one(), fire(state="running")) == []


def test_what_can_not_come_after_any_more_is_skipped() -> None:
    missed = fire(state="missed", count=5)
    assert followed(after_one(), missed) == ["12:00 skipped after x5"]
    assert followed(after_one(enabled=False), fire(state="done")) == ["12:00 skipped after"]
    assert followed(replace(after_one(), paused_at=1.0), fire(state="done")) == [
        "12:00 skipped after"
    ]
    assert followed(after_one(start="2027-01-01T00:00:00Z"), fire(state="done")) == []
