"""What a scheduler answers to agents, and what it notes of what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geartrain.schedule.agents import Greetings, answer_greeting
from geartrain.schedule.entry import Entry
from geartrain.schedule.envelope import DONE, FAILED, Answer, envelope_for, fire_key
from geartrain.schedule.greeting import (
    Greeting,
    Reply,
    Report,
    read_reply,
    read_table,
)
from geartrain.schedule.standing import paused, to_schedule
from geartrain.store.schedule_rows import FAILED as FAILED_ROW
from geartrain.store.schedule_rows import MISSED, SKIPPED, SUBMITTED, Fire
from geartrain.store.schedule_sql import open_schedules
from geartrain.store.schedule_store import ScheduleStore

NOW = 1_769_904_000
KEY = b"a key that both sides have"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ScheduleStore]:
    store = open_schedules(f"sqlite:///{tmp_path / 'schedules.db'}", clock=lambda: float(NOW))
    store.open()
    yield store
    store.close()


def add(store: ScheduleStore, name: str, **values: Any) -> int:
    entry = Entry(name=name, **{"when": "* * * * *", "command": "true", **values})
    return store.add(to_schedule(entry, NOW), "test").id


def greet(store: ScheduleStore, key: bytes = KEY, **values: Any) -> Reply:
    greeting = Greeting(**{"agent": "host-a", "tags": ("web",), "nonce": "n", **values})
    return read_reply(Greetings(store, key).answer(greeting.to_bytes(key)), key, greeting)


def report(schedule: int, nominal: int = NOW, **values: Any) -> Report:
    answer = Answer(
        kind=DONE, output="out", started=NOW + 0.5, ended=NOW + 1.5, attempt=2, status=0
    )
    full = {
        "schedule": schedule,
        "generation": 1,
        "nominal": nominal,
        "target": "host-a",
        "previous": nominal - 60,
        "answer": answer,
        **values,
    }
    full.setdefault("key", fire_key(schedule, full["generation"], full["nominal"], full["target"]))
    return Report(**full)


def test_an_agent_that_greets_is_alive_for_the_time_of_its_lease(store: ScheduleStore) -> None:
    reply = greet(store, version="1.0", table=3)
    [agent] = store.agents()
    assert (agent.name, agent.tags, agent.version, agent.table) == ("host-a", ("web",), "1.0", 3)
    assert agent.expires == NOW + reply.lease
    assert reply.now == NOW


def test_its_table_holds_what_no_other_machine_could_fire_and_what_opted_in(
    store: ScheduleStore,
) -> None:
    add(store, "all", target="all")
    add(store, "all-web", target="all", tags=("web",))
    add(store, "all-web-db", target="all", tags=("web", "db"))
    add(store, "mine", target="agent:host-a")
    add(store, "another-s", target="agent:host-b")
    add(store, "anybody-s", target="one")
    add(store, "opted-in", target="one", offline=True)
    add(store, "two", target="2")
    add(store, "disabled", target="all", enabled=False)
    add(store, "behind", when="", after=("all",), target="all")
    row = store.schedule("all-web")
    assert row is not None
    reply = greet(store)
    assert reply.table is not None
    table = read_table(reply.table, KEY, "host-a")
    names = [json.loads(one.definition)["name"] for one in table.entries]
    assert names == ["all", "all-web", "mine", "opted-in"]
    assert table.revision == reply.revision == store.revision()
    [standing] = [one for one in table.entries if one.schedule == row.id]
    assert (standing.generation, standing.since) == (1, NOW)


def test_a_table_is_sent_when_there_is_a_newer_one(store: ScheduleStore) -> None:
    add(store, "all", target="all")
    greetings = Greetings(store, KEY)
    first = greetings.answer_one(Greeting(agent="host-a"))
    assert first.table is not None
    assert greetings.answer_one(Greeting(agent="host-a", table=first.revision)).table is None
    row = store.schedule("all")
    assert row is not None
    store.replace(paused(row, NOW, "me"), "me")
    second = greetings.answer_one(Greeting(agent="host-a", table=first.revision))
    assert second.table is not None
    assert read_table(second.table, KEY, "host-a").entries == ()


def test_without_a_key_there_is_no_table(store: ScheduleStore) -> None:
    add(store, "all", target="all")
    reply = greet(store, key=b"")
    assert (reply.table, reply.revision) == (None, 0)


def test_a_greeting_that_is_not_signed_is_refused_and_counts_for_nothing(
    store: ScheduleStore,
) -> None:
    said = json.loads(answer_greeting(store, Greeting(agent="host-a").to_bytes(b""), KEY))
    assert "key_file" in said["error"]
    assert store.agents() == []


def test_what_an_agent_ran_by_itself_becomes_a_row(store: ScheduleStore) -> None:
    schedule = add(store, "all", target="all")
    failed = replace(
        report(schedule, NOW + 60), answer=Answer(kind=FAILED, reason="no", errors="err")
    )
    reply = greet(store, reports=(report(schedule), failed))
    assert len(reply.accepted) == 2
    bad, good = store.fires(schedule=schedule)
    assert (good.state, good.origin, good.nominal, good.target) == (
        "done",
        "offline",
        NOW,
        "host-a",
    )
    assert (good.attempt, good.started, good.ended) == (2, NOW + 0.5, NOW + 1.5)
    assert (good.result, good.previous, good.followed) == (b"out", NOW - 60, False)
    assert (bad.state, bad.reason, bad.result) == ("failed", "no", b"err")
    # Said again, it is noted again, and there is still one row.
    assert len(greet(store, reports=(report(schedule), failed)).accepted) == 2
    assert len(store.fires(schedule=schedule)) == 2


def test_what_fails_at_an_agent_that_is_cut_off_is_counted(store: ScheduleStore) -> None:
    schedule = add(store, "all", target="all", pause_on_failure=2)
    bad = Answer(kind=FAILED, reason="no")
    greet(store, reports=tuple(report(schedule, NOW + 60 * n, answer=bad) for n in range(2)))
    assert store.schedules(ids=(schedule,))[0].failures == 2
    # Said twice, since the answer was lost.
    greet(store, reports=(report(schedule, NOW, answer=bad),))
    assert store.schedules(ids=(schedule,))[0].failures == 2
    greet(store, reports=(report(schedule, NOW + 120),))
    assert store.schedules(ids=(schedule,))[0].failures == 0


def test_a_fire_that_has_a_row_is_left_to_its_job_unless_nobody_knew_what_became_of_it(
    store: ScheduleStore,
) -> None:
    schedule = add(store, "all", target="all")
    fires = [
        Fire(schedule, 1, NOW, "host-a", state=SUBMITTED),
        Fire(schedule, 1, NOW + 60, "host-a", state=MISSED, ended=NOW, reason="late"),
        Fire(schedule, 1, NOW + 120, "host-a", state=SKIPPED, ended=NOW, reason="overlap"),
        Fire(schedule, 1, NOW + 180, "host-a", state=FAILED_ROW, ended=NOW, reason="as it said"),
    ]
    store.insert(fires, "test")
    greet(store, reports=tuple(report(schedule, fire.nominal) for fire in fires))
    failed, skipped, missed, submitted = store.fires(schedule=schedule)
    assert (submitted.state, submitted.origin) == (SUBMITTED, "clock")
    for one in (missed, skipped):
        assert (one.state, one.origin, one.reason) == ("done", "offline", "")
    assert (failed.state, failed.reason) == ("failed", "as it said")


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": 99},
        {"target": "host-b"},
        {"origin": "clock"},
        {"key": "cron:1:1:0"},
    ],
)
def test_a_report_of_what_is_not_the_agent_s_is_passed_over(
    store: ScheduleStore, change: dict[str, Any]
) -> None:
    schedule = add(store, "all", target="all")
    told = report(**{"schedule": schedule, **change})
    # It need not be said again.
    assert greet(store, reports=(told,)).accepted == (told.key,)
    assert store.fires() == []


def test_entries_of_reboot_fire_once_for_each_start_of_an_agent(store: ScheduleStore) -> None:
    every = add(store, "every", when="@reboot", target="all", tags=("web",))
    mine = add(store, "mine", when="@reboot", target="agent:host-a")
    add(store, "another-s", when="@reboot", target="agent:host-b")
    add(store, "other-tags", when="@reboot", target="all", tags=("db",))
    add(store, "disabled", when="@reboot", target="all", enabled=False)
    for _ in range(2):
        # Also where another instance is asked the second time.
        greet(store, started=NOW + 5.5)
    fires = store.fires()
    assert sorted(fire.schedule for fire in fires) == [every, mine]
    assert {(fire.nominal, fire.target, fire.origin, fire.state) for fire in fires} == {
        (NOW + 5, "host-a", "reboot", "pending")
    }
    greet(store, started=NOW + 60.0)
    assert len(store.fires()) == 4
    # It started before these entries were made.
    greet(store, agent="host-b", started=NOW - 60.0)
    assert len(store.fires()) == 4


def test_two_agents_of_one_name_are_noticed(
    store: ScheduleStore, caplog: pytest.LogCaptureFixture
) -> None:
    greetings = Greetings(store)
    for started in (NOW, NOW + 5, NOW + 9):
        greetings.answer_one(Greeting(agent="host-a", started=float(started)))
    assert caplog.text == ""
    greetings.answer_one(Greeting(agent="host-a", started=float(NOW + 5)))
    assert "two agents are called host-a" in caplog.text


def test_an_envelope_says_what_its_fire_and_entry_say() -> None:
    entry = Entry(
        name="e",
        when="@hourly",
        function="nightly",
        target="shards:3",
        payload=b"p",
        environment=(("LANG", "C"),),
        run_timeout=5.0,
    )
    made = envelope_for(entry, Fire(7, 2, NOW, "2/3", previous=NOW - 60, attempt=3))
    assert made.key == fire_key(7, 2, NOW, "2/3")
    assert (made.app, made.command, made.shard) == ("nightly", "", (2, 3))
    assert (made.attempt, made.previous, made.payload) == (3, NOW - 60, b"p")
    assert (made.environment, made.run_timeout) == ((("LANG", "C"),), 5.0)
    plain = Entry(name="e", when="@hourly", function="f", envelope=True)
    assert envelope_for(plain, Fire(7, 2, NOW)).app == ""
