"""One scheduler, pass by pass, on a store of its own."""

from __future__ import annotations

import json
from threading import Event, Thread
from typing import Any

import pytest

from geartrain.errors import StoreUnavailable
from geartrain.schedule.by_hand import backfill, plan_backfill
from geartrain.schedule.dispatching import (
    ACKNOWLEDGED,
    ENDED,
    REFUSED,
    SEVERED,
    STARTED,
    TAKEN_BACK,
    UNKNOWN,
    WAITS,
)
from geartrain.schedule.entry import read_entry
from geartrain.schedule.scheduler import Scheduler
from geartrain.schedule.standing import paused, to_schedule
from geartrain.store.schedule_rows import Agent, Alert
from tests.acceptance.job_server import eventually
from tests.schedule.stage import NOON, Desk, Stage, desk_of

HOUR = 3_600


def claimed(stage: Stage, lease: float = 86_400.0, **table: Any) -> tuple[Scheduler, Desk]:
    """Return a scheduler that has just submitted the fire of noon."""
    stage.add(**table)
    scheduler = stage.scheduler(lease=lease)
    stage.at(0.25, scheduler)
    return scheduler, desk_of(scheduler)


# The way of a fire.


def test_a_fire_goes_from_the_entry_to_its_end(stage: Stage) -> None:
    scheduler, desk = claimed(stage, payload="all of them", priority="high")
    (order,) = desk.orders
    assert (order.function, order.workload, order.priority) == ("report", b"all of them", "high")
    assert order.key == f"cron:{stage.row().id}:1:{NOON}"
    assert stage.states() == ["pending"]
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:7")
    stage.at(0.5, scheduler)
    (fire,) = stage.fires()
    assert (fire.state, fire.handle, fire.server, fire.attempt) == ("submitted", "H:7", "s:1", 1)
    assert fire.submitted == NOON + 0.5
    desk.say(STARTED)
    stage.at(1, scheduler)
    assert stage.states() == ["running"]
    desk.say(ENDED, ok=True, data=b"42")
    stage.at(9, scheduler)
    (fire,) = stage.fires()
    assert (fire.state, fire.started, fire.ended) == ("done", NOON + 0.5, NOON + 9)
    assert fire.result == b"42"
    assert scheduler.figures.lag(0.99) == 0.5


def test_a_pass_says_when_the_next_has_to_come(stage: Stage) -> None:
    scheduler = stage.scheduler()
    scheduler.step()
    scheduler.step()
    assert 0.5 < scheduler.step() <= 1.0
    stage.add()
    stage.clock.now = NOON - 0.25
    assert scheduler.step() == 0.25


def test_an_envelope_says_which_fire_it_is(stage: Stage) -> None:
    _, desk = claimed(stage, envelope=True)
    said = json.loads(desk.orders[0].workload)
    assert (said["entry"], said["nominal"], said["attempt"]) == (
        "hourly",
        "2026-03-01T12:00:00Z",
        1,
    )


def test_what_is_refused_is_submitted_again(stage: Stage) -> None:
    scheduler, desk = claimed(stage)
    desk.say(REFUSED, reason="full")
    stage.at(0.5, scheduler)
    assert len(desk.orders) == 1
    stage.at(2, scheduler)
    assert len(desk.orders) == 2
    assert desk.orders[0] == desk.orders[1]
    assert stage.states() == ["pending"]


def test_what_may_have_arrived_is_asked_for_first(stage: Stage) -> None:
    scheduler, desk = claimed(stage)
    desk.say(REFUSED, uncertain=True)
    stage.at(1, scheduler)
    stage.at(2, scheduler)
    assert (len(desk.orders), len(desk.asked)) == (1, 1)
    desk.say(WAITS)
    stage.at(3, scheduler)
    assert stage.states() == ["submitted"]


def test_what_has_not_arrived_is_submitted_again(stage: Stage) -> None:
    scheduler, desk = claimed(stage)
    desk.say(REFUSED, uncertain=True)
    stage.at(1, scheduler)
    desk.say(UNKNOWN)
    stage.at(2, scheduler)
    stage.at(5, scheduler)
    assert len(desk.orders) == 2


def test_an_end_that_is_on_its_way_is_waited_for(stage: Stage) -> None:
    scheduler, desk = claimed(stage)
    desk.say(ACKNOWLEDGED, handle="H:1")
    stage.at(1, scheduler)
    stage.at(3, scheduler)
    assert desk.looked
    desk.say(UNKNOWN)
    stage.at(4, scheduler)
    assert stage.states() == ["submitted"]
    desk.say(ENDED, ok=True)
    stage.at(5, scheduler)
    assert stage.states() == ["done"]


def test_what_nobody_listens_to_is_asked_for_until_it_ends(stage: Stage) -> None:
    scheduler, desk = claimed(stage)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    desk.say(SEVERED)
    for second in range(1, 8):
        stage.at(second, scheduler)
    assert desk.asked
    assert desk.asked[0].handle == "H:1"
    desk.say(STARTED, desk.asked[0], listening=False)
    stage.at(9, scheduler)
    assert stage.states() == ["running"]
    desk.say(UNKNOWN, desk.asked[0], reason="forgotten")
    stage.at(10, scheduler)
    (fire,) = stage.fires()
    assert (fire.state, fire.reason) == ("lost", "forgotten")


# Ends.


def test_attempts_have_one_key_and_an_end(stage: Stage) -> None:
    scheduler, desk = claimed(stage, retries=1, retry_delay=10, retry_jitter=0)
    desk.end(ok=False, data=b"Traceback\nValueError: no")
    stage.at(1, scheduler)
    (fire,) = stage.fires()
    assert (fire.state, fire.due, fire.reason) == ("pending", NOON + 11, "ValueError: no")
    stage.at(12, scheduler)
    first, second = desk.orders
    assert (first.key, second.attempt) == (second.key, 2)
    # News of the first attempt come too late.
    desk.say(ENDED, first, ok=True)
    desk.end(second, ok=False)
    stage.at(13, scheduler)
    (fire,) = stage.fires()
    assert (fire.state, fire.attempt) == ("failed", 2)
    assert stage.row().failures == 1


def test_an_entry_that_fails_too_often_is_paused(stage: Stage) -> None:
    scheduler, desk = claimed(stage, pause_on_failure=2)
    desk.end(ok=False)
    stage.at(1, scheduler)
    assert not stage.row().paused_at
    stage.at(HOUR + 1, scheduler)
    desk.end(ok=False)
    stage.at(HOUR + 2, scheduler)
    assert stage.row().paused_at
    assert "2 fires in a row" in stage.row().paused_why
    stage.at(2 * HOUR + 2, scheduler)
    assert len(stage.fires()) == 2


def test_an_executor_says_when_the_entry_fires_next(stage: Stage) -> None:
    scheduler, desk = claimed(stage, envelope=True)
    said = {"geartrain": "next_run", "at": "2026-03-01T14:30:00Z"}
    desk.end(data=json.dumps(said).encode())
    stage.at(1, scheduler)
    row = stage.row()
    assert (row.next_fire, row.generation) == (NOON + 2.5 * HOUR, 2)
    assert [(fire.state, fire.count) for fire in stage.fires()] == [("done", 1), ("skipped", 2)]
    stage.at(2.5 * HOUR + 1, scheduler)
    assert stage.fires()[-1].nominal == NOON + 2.5 * HOUR
    assert stage.row().next_fire == NOON + 3 * HOUR


def test_alerts_are_told_of_what_ended_badly(stage: Stage) -> None:
    scheduler, desk = claimed(stage)
    desk.end(ok=False)
    stage.at(1, scheduler)
    assert [(one.rule, one.subject) for one in stage.alerts] == [("failed", "hourly")]
    stage.at(5 * HOUR, scheduler)
    stage.at(9.5 * HOUR, scheduler)
    assert "missed" in [one.rule for one in stage.alerts if one.firing]


def firing(stage: Stage) -> list[str]:
    return [one.rule for one in stage.store.alerts(firing=True)]


@pytest.mark.parametrize("change", [{"enabled": False}, {"alerts": ["missed"]}])
def test_what_fires_ends_with_the_entry_or_its_rule(stage: Stage, change: dict[str, Any]) -> None:
    scheduler, desk = claimed(stage)
    desk.end(ok=False)
    stage.at(1, scheduler)
    stage.at(70, scheduler)
    assert firing(stage) == ["failed"]
    table = {"when": "0 * * * *", "function": "report", **change}
    row = to_schedule(read_entry("hourly", table), stage.clock.now, stage.row())
    stage.store.replace(row, "ann")
    stage.at(140, scheduler)
    assert firing(stage) == []
    [ended] = stage.store.alerts()
    # Nothing is said of it.
    assert (ended.due, ended.firing) == (0, False)


def test_what_fires_about_an_entry_that_is_over_is_told_for_a_day(stage: Stage) -> None:
    scheduler, desk = claimed(stage, max_runs=1)
    desk.end(ok=False)
    stage.at(1, scheduler)
    assert not stage.row().enabled
    stage.at(23 * HOUR, scheduler)
    assert firing(stage) == ["failed"]
    stage.at(25 * HOUR, scheduler)
    assert firing(stage) == []


def test_what_fires_about_a_paused_entry_goes_on(stage: Stage) -> None:
    scheduler, desk = claimed(stage)
    desk.end(ok=False)
    stage.at(1, scheduler)
    stage.store.replace(paused(stage.row(), stage.clock.now, "ann"), "ann")
    stage.at(48 * HOUR, scheduler)
    assert firing(stage) == ["failed"]


def test_what_is_told_of_an_entry_after_it_was_removed_ends(stage: Stage) -> None:
    scheduler = stage.scheduler()
    stage.at(0, scheduler)
    stage.store.report([Alert("lost", "gone", last=stage.clock.now)], lambda known, event: event)
    stage.at(70, scheduler)
    assert firing(stage) == []


# Time-outs.


def test_what_no_worker_takes_is_taken_back(stage: Stage) -> None:
    scheduler, desk = claimed(stage, queue_timeout=30)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(1, scheduler)
    stage.at(32, scheduler)
    (fire,) = stage.fires()
    assert (fire.state, desk.cancelled[0].handle) == ("timeout", "H:1")
    assert "queue_timeout" in fire.reason


def test_what_no_job_server_takes_is_late_and_then_out_of_time(stage: Stage) -> None:
    scheduler, desk = claimed(stage, queue_timeout="5m")
    desk.say(REFUSED, reason="connection refused")
    for second in (10, 50, 65, 70, 200):
        stage.at(second, scheduler)
        desk.say(REFUSED, reason="connection refused")
    (late,) = stage.alerts
    assert (late.rule, late.subject) == ("late", "hourly")
    assert "could not be submitted yet" in late.message
    stage.at(301, scheduler)
    stage.at(302, scheduler)
    assert stage.states() == ["timeout"]
    assert [one.rule for one in stage.alerts] == ["late", "never_started"]


def test_an_agent_is_told_to_end_what_takes_too_long(stage: Stage) -> None:
    stage.store.greet(Agent("a"), HOUR)
    scheduler, desk = claimed(stage, target="all", run_timeout=30)
    assert desk.orders[0].function == "agent:a"
    desk.say(ACKNOWLEDGED, handle="H:1")
    desk.say(STARTED)
    stage.at(1, scheduler)
    stage.at(40, scheduler)
    assert desk.sent == ["agent:a:control"]
    assert stage.states() == ["timeout"]


# Overlap, and what comes after.


def test_what_waits_goes_when_the_earlier_one_has_ended(stage: Stage) -> None:
    scheduler, desk = claimed(stage, overlap="queue_one")
    stage.at(HOUR, scheduler)
    assert stage.states() == ["pending", "waiting"]
    desk.end()
    stage.at(HOUR + 5, scheduler)
    stage.at(HOUR + 6, scheduler)
    assert [order.key[-10:] for order in desk.orders] == [str(NOON), str(NOON + HOUR)]


def test_the_next_fire_takes_the_earlier_one_back(stage: Stage) -> None:
    scheduler, desk = claimed(stage, overlap="cancel_old")
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(1, scheduler)
    stage.at(HOUR, scheduler)
    assert stage.states() == ["submitted", "waiting"]
    assert desk.cancelled[0].handle == "H:1"
    desk.say(TAKEN_BACK, desk.orders[0])
    stage.at(HOUR + 1, scheduler)
    stage.at(HOUR + 2, scheduler)
    assert stage.states() == ["cancelled", "pending"]
    desk.say(ENDED, desk.orders[0], ok=False)
    stage.at(HOUR + 3, scheduler)
    assert stage.states() == ["cancelled", "pending"]
    assert len(desk.orders) == 2


def test_the_next_fire_waits_for_an_earlier_one_that_a_worker_has(stage: Stage) -> None:
    scheduler, desk = claimed(stage, overlap="cancel_old")
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(1, scheduler)
    stage.at(HOUR, scheduler)
    # It was not known before that a worker had taken it.
    desk.say(STARTED, desk.cancelled[0])
    stage.at(HOUR + 1, scheduler)
    assert stage.states() == ["running", "waiting"]
    desk.end(desk.orders[0])
    stage.at(HOUR + 2, scheduler)
    stage.at(HOUR + 3, scheduler)
    assert stage.states() == ["done", "pending"]


def test_what_is_caught_up_goes_before_what_is_on_time(stage: Stage) -> None:
    stage.add(when="* * * * *", catch_up="all", catch_up_max=3)
    scheduler = stage.scheduler()
    stage.at(5 * 60 + 30, scheduler)
    desk = desk_of(scheduler)
    for second in range(331, 341, 2):
        desk.end(desk.orders[-1])
        stage.at(second, scheduler)
        stage.at(second + 1, scheduler)
    moments = [int(order.key.rpartition(":")[2]) - NOON for order in desk.orders]
    assert moments == [120, 180, 240, 300]


def test_moments_of_the_past_do_not_take_each_other_back(stage: Stage) -> None:
    scheduler, desk = claimed(stage, overlap="cancel_old", envelope=True)
    desk.end()
    stage.at(1, scheduler)
    plan = plan_backfill(stage.store, "hourly", NOON - 5 * HOUR, NOON - HOUR)
    backfill(stage.store, plan, "ops")
    for second in (5, 10, 15, 20):
        stage.at(second, scheduler)
        if desk.orders[-1].fire != desk.orders[0].fire:
            desk.say(ACKNOWLEDGED, server="s:1", handle="H:2")
    assert desk.cancelled == []
    assert stage.states()[1:].count("submitted") == 1


def test_a_run_lasts_from_when_it_could_begin_although_it_is_seen_later(stage: Stage) -> None:
    scheduler, desk = claimed(stage)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(1, scheduler)
    desk.say(STARTED)
    stage.at(3, scheduler)
    desk.say(ENDED)
    stage.at(6, scheduler)
    (fire,) = stage.fires()
    assert fire.ended - fire.started == 5


def test_the_next_fire_ends_the_earlier_one_where_an_agent_runs_it(stage: Stage) -> None:
    stage.store.greet(Agent("a"), 3 * HOUR)
    scheduler, desk = claimed(stage, target="all", overlap="kill_old")
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    desk.say(STARTED)
    stage.at(1, scheduler)
    stage.at(HOUR, scheduler)
    assert stage.states() == ["cancelled", "pending"]
    assert desk.sent == ["agent:a:control"]


def test_an_entry_fires_after_others(stage: Stage) -> None:
    stage.add("other")
    stage.add("sum", when=None, after=["hourly", "other"])
    scheduler, desk = claimed(stage)
    first, second = desk.orders
    desk.end(first)
    stage.at(1, scheduler)
    assert stage.fires("sum") == []
    desk.end(second)
    stage.at(2, scheduler)
    stage.at(3, scheduler)
    (fire,) = stage.fires("sum")
    assert (fire.origin, fire.nominal) == ("after", NOON)
    assert desk.orders[-1].key.startswith(f"cron:{fire.schedule}:")


def test_what_comes_after_others_has_a_limit_of_runs_too(stage: Stage) -> None:
    stage.add("sum", when=None, after=["hourly"], max_runs=2, overlap="allow")
    scheduler, desk = claimed(stage, overlap="allow")
    for hour in (1, 2, 3):
        stage.at(hour * HOUR, scheduler)
    # All at once, too.
    for order in [one for one in desk.orders if one.key.startswith(f"cron:{stage.row().id}:")]:
        desk.end(order)
    stage.at(3 * HOUR + 1, scheduler)
    found = stage.fires("sum")
    assert sorted(fire.state for fire in found) == ["pending", "pending", "skipped", "skipped"]
    assert {fire.reason for fire in found} == {"", "not enabled"}
    assert (stage.row("sum").runs, stage.row("sum").enabled) == (2, False)


def test_the_second_of_any_to_end_is_no_further_run(stage: Stage) -> None:
    other = stage.add("other", overlap="allow")
    stage.add("sum", when=None, after=["hourly", "other"], rule="any", max_runs=2, overlap="allow")
    scheduler, desk = claimed(stage, overlap="allow")
    stage.at(HOUR, scheduler)
    orders = {tuple(one.key.split(":")[1:4:2]): one for one in desk.orders}
    a, b = str(other.id), str(stage.row().id)
    desk.end(orders[b, str(NOON)])
    stage.at(HOUR + 1, scheduler)
    assert stage.row("sum").runs == 1
    desk.end(orders[a, str(NOON)])
    desk.end(orders[b, str(NOON + HOUR)])
    stage.at(HOUR + 2, scheduler)
    assert stage.states("sum") == ["pending", "pending"]
    assert (stage.row("sum").runs, stage.row("sum").enabled) == (2, False)


def test_an_agent_that_comes_late_gets_the_last_fire(stage: Stage) -> None:
    stage.store.greet(Agent("a"), 2 * HOUR)
    scheduler, desk = claimed(stage, target="all", join_window="10m")
    stage.store.greet(Agent("b"), HOUR)
    for second in (10, 17, 24):
        stage.at(second, scheduler)
    assert [order.function for order in desk.orders] == ["agent:a", "agent:b"]


def test_what_waits_for_an_agent_is_submitted_when_one_comes(stage: Stage) -> None:
    scheduler, desk = claimed(stage, target="shards:2")
    assert desk.orders == []
    stage.store.greet(Agent("a"), HOUR)
    for second in (10, 17):
        stage.at(second, scheduler)
    assert [order.function for order in desk.orders] == ["agent:a", "agent:a"]


def test_what_no_agent_comes_for_is_missed(stage: Stage) -> None:
    scheduler, desk = claimed(stage, tags=["gpu"], grace="90s")
    stage.at(85, scheduler)
    assert stage.states() == ["pending"]
    stage.at(95, scheduler)
    stage.at(96, scheduler)
    (fire,) = stage.fires()
    assert (fire.state, fire.reason) == ("missed", "no agent was alive that could run it")
    assert ("missed", "hourly") in [(one.rule, one.subject) for one in stage.alerts]
    # So that it holds up nothing that comes after it.
    stage.store.greet(Agent("a", ("gpu",)), HOUR)
    stage.at(HOUR, scheduler)
    stage.at(HOUR + 7, scheduler)
    assert [order.function for order in desk.orders] == ["agent:a"]


def test_the_shard_of_an_agent_that_is_gone_goes_to_another(stage: Stage) -> None:
    stage.store.greet(Agent("a"), 60)
    stage.store.greet(Agent("b"), 60)
    scheduler, desk = claimed(stage, target="shards:2")
    by_agent = {order.function: order for order in desk.orders}
    assert sorted(by_agent) == ["agent:a", "agent:b"]
    for order in by_agent.values():
        desk.say(ACKNOWLEDGED, order, server="s:1", handle=order.function)
    desk.say(STARTED, by_agent["agent:a"])
    stage.at(50, scheduler)
    stage.store.greet(Agent("a"), HOUR)
    stage.at(61, scheduler)
    stage.at(68, scheduler)
    assert [order.handle for order in desk.cancelled] == ["agent:b"]
    again = desk.orders[-1]
    old = by_agent["agent:b"]
    assert (again.function, again.key, again.attempt) == ("agent:a", old.key, 1)
    # The end of the job that was taken back is none of the new one.
    desk.say(ENDED, old, ok=False)
    desk.end(again)
    desk.say(ENDED, by_agent["agent:a"], ok=True)
    stage.at(70, scheduler)
    assert stage.states() == ["done", "done"]


def test_the_shard_of_an_agent_that_is_gone_goes_to_another_under_another_scheduler(
    stage: Stage,
) -> None:
    stage.store.greet(Agent("a"), 120)
    stage.store.greet(Agent("b"), 60)
    scheduler, desk = claimed(stage, lease=30, target="shards:2")
    for order in desk.orders:
        desk.say(ACKNOWLEDGED, order, server="s:1", handle=order.function)
    stage.at(1, scheduler)
    assert sorted(fire.reason for fire in stage.fires()) == ["sent to agent a", "sent to agent b"]
    two = stage.scheduler("two")
    stage.at(40, two)
    desk = desk_of(two)
    assert len(desk.asked) == 2
    for order in desk.asked:
        desk.say(WAITS, order)
    stage.at(65, two)
    assert desk.cancelled == []
    for second in (71, 78):
        stage.at(second, two)
    assert [order.handle for order in desk.cancelled] == ["agent:b"]
    assert [order.function for order in desk.orders] == ["agent:a"]
    desk.end()
    stage.at(80, two)
    assert sorted(stage.states()) == ["done", "submitted"]


# Several of them.


def test_what_a_dead_scheduler_had_is_taken_over(stage: Stage) -> None:
    _, desk = claimed(stage, lease=30)
    other = stage.scheduler("two")
    stage.at(20, other)
    assert desk_of(other).orders == []
    stage.at(31, other)
    assert [order.key for order in desk_of(other).orders] == [desk.orders[0].key]
    desk_of(other).end()
    stage.at(32, other)
    assert stage.states() == ["done"]


def test_what_a_dead_scheduler_had_submitted_is_asked_for(stage: Stage) -> None:
    scheduler, desk = claimed(stage, lease=30)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(1, scheduler)
    other = stage.scheduler("two")
    stage.at(40, other)
    (order,) = desk_of(other).asked
    assert (order.handle, order.server) == ("H:1", "s:1")
    assert desk_of(other).orders == []
    desk_of(other).say(ENDED, order, ok=True, data=b"42")
    stage.at(41, other)
    assert stage.fires()[0].result == b"42"


def test_a_scheduler_that_was_stopped_for_long_writes_nothing_of_what_it_had(
    stage: Stage,
) -> None:
    scheduler, desk = claimed(stage, lease=30)
    other = stage.scheduler("two")
    stage.at(40, other)
    desk_of(other).say(ACKNOWLEDGED, handle="H:2")
    stage.at(41, other)
    desk.end(ok=False)
    stage.at(42, scheduler)
    assert stage.fires()[0].handle == "H:2"
    assert stage.states() == ["submitted"]
    stage.at(HOUR + 1, scheduler)
    assert scheduler.me is not None


def test_what_ended_long_ago_keeps_nothing_from_running(stage: Stage) -> None:
    scheduler, desk = claimed(stage, lease=30)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(1, scheduler)
    # Nobody is there for two hours.
    other = stage.scheduler("two")
    stage.at(2 * HOUR + 1, other)
    assert stage.states() == ["submitted"]
    assert other.step() > 0
    desk_of(other).say(ENDED, desk_of(other).asked[0], ok=True)
    stage.at(2 * HOUR + 1.1, other)
    assert stage.states() == ["done", "missed", "pending"]


def test_what_another_has_taken_over_keeps_nothing_from_running(stage: Stage) -> None:
    scheduler, desk = claimed(stage, lease=30)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(1, scheduler)
    # Nobody is there for an hour, then two come at once.
    two, three = stage.scheduler("two"), stage.scheduler("three")
    stage.at(HOUR + 1, two)
    assert len(desk_of(two).asked) == 1
    stage.at(HOUR + 2, three)
    assert stage.states() == ["submitted"]
    desk_of(two).say(ENDED, desk_of(two).asked[0], ok=True)
    stage.at(HOUR + 2.5, two)
    stage.at(HOUR + 3, three)
    assert stage.states() == ["done", "pending"]


@pytest.mark.parametrize("kind", [STARTED, WAITS])
def test_what_another_knows_to_run_is_no_more_in_doubt(stage: Stage, kind: str) -> None:
    scheduler, desk = claimed(stage, lease=30)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    if kind == STARTED:
        desk.say(STARTED)
    stage.at(1, scheduler)
    two, three = stage.scheduler("two"), stage.scheduler("three")
    stage.at(HOUR - 1, two, three)
    desk_of(two).say(kind, desk_of(two).asked[0])
    stage.at(HOUR - 0.5, two)
    stage.at(HOUR + 0.25, three)
    assert stage.states()[1:] == ["skipped"]


def test_what_nobody_finds_out_about_is_not_waited_for_for_ever(stage: Stage) -> None:
    scheduler, desk = claimed(stage, lease=30)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(1, scheduler)
    two, three = stage.scheduler("two"), stage.scheduler("three")
    stage.at(HOUR - 0.5, two)
    stage.at(HOUR + 1, three)
    assert stage.states() == ["submitted"]
    for second in (3, 6):
        stage.at(HOUR + second, three)
    assert stage.states() == ["submitted", "skipped"]


def test_claiming_does_not_wait_for_ever_for_what_became_of_old_fires(stage: Stage) -> None:
    scheduler, desk = claimed(stage, lease=30)
    desk.say(ACKNOWLEDGED, server="s:1", handle="H:1")
    stage.at(1, scheduler)
    other = stage.scheduler("two")
    stage.at(HOUR + 1, other)
    stage.at(HOUR + 7, other)
    assert stage.states() == ["submitted", "skipped"]


def test_two_schedulers_make_one_row(stage: Stage) -> None:
    stage.add(when="* * * * *", overlap="allow")
    both = [stage.scheduler("one"), stage.scheduler("two")]
    for minute in range(10):
        stage.at(minute * 60 + 0.5, *both)
    fires = stage.fires()
    assert len(fires) == len({fire.nominal for fire in fires}) == 10
    orders = [order for one in both for order in desk_of(one).orders]
    assert len(orders) == 10


# Trouble.


def test_nothing_is_claimed_by_a_machine_whose_clock_is_off(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.skew = 31.0
    scheduler, desk = claimed(stage)
    assert desk.orders == []
    assert "nothing is claimed" in caplog.text
    stage.skew = 2.0
    stage.at(70, scheduler)
    assert len(desk.orders) == 1
    assert "+2.0 s off" in caplog.text


def test_what_could_not_be_written_is_written_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler, desk = claimed(stage)

    def lost(*_: object) -> None:
        raise StoreUnavailable("lost")

    desk.end()
    with monkeypatch.context() as patch:
        patch.setattr(scheduler.store, "mark", lost)
        with pytest.raises(StoreUnavailable):
            stage.at(1, scheduler)
    stage.at(2, scheduler)
    assert stage.states() == ["done"]


def test_an_entry_that_can_not_be_planned_holds_up_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from geartrain.schedule import deciding as module

    plan = module.plan

    def broken(row: Any, *rest: Any) -> Any:
        if row.name == "broken":
            raise KeyError(row.name)
        return plan(row, *rest)

    monkeypatch.setattr(module, "plan", broken)
    stage.add("broken")
    _, desk = claimed(stage)
    assert len(desk.orders) == 1
    assert "entry broken can't be planned" in caplog.text


def test_a_fire_whose_entry_is_removed_is_taken_back(stage: Stage) -> None:
    scheduler, desk = claimed(stage)
    identity = stage.row().id
    desk.say(ACKNOWLEDGED, handle="H:1")
    stage.at(1, scheduler)
    stage.store.remove("hourly", "ann")
    desk.say(ENDED, ok=True)
    stage.at(2, scheduler)
    assert [fire.state for fire in stage.store.fires(schedule=identity)] == ["done"]


def test_it_runs_until_it_is_stopped_and_gives_its_lease_back(stage: Stage) -> None:
    scheduler = stage.scheduler()
    ready = Event()
    thread = Thread(target=scheduler.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(10)
        assert [one.name for one in stage.store.instances()] == ["one"]
    finally:
        scheduler.stop()
        thread.join()
    assert stage.store.instances() == []
    assert not desk_of(scheduler).is_running


def test_an_entry_that_comes_while_it_sleeps_is_seen_long_before_the_next_pass(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geartrain.schedule.scheduler._GLANCE", 0.0001)
    scheduler = stage.scheduler()
    scheduler.settings.poll = 600.0
    ready = Event()
    thread = Thread(target=scheduler.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(10)
        stage.add()
        stage.clock.now = NOON
        eventually(lambda: bool(stage.fires()), "it has fired")
    finally:
        scheduler.stop()
        thread.join()
