"""Entries as tables say them: what is read, what is refused, what is written back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.errors import CronError, UsageError
from geartrain.schedule.checking import check_after, warnings
from geartrain.schedule.entry import (
    Entry,
    cron_of,
    for_agents,
    from_definition,
    kind_of,
    read_entry,
    to_definition,
    to_table,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def read(**table: Any) -> Entry:
    """Read an entry that has at least when and function, unless they are given as None."""
    table = {"when": "0 3 * * *", "function": "report"} | table
    return read_entry("nightly", {key: value for key, value in table.items() if value is not None})


def test_a_table_is_read_in_the_units_people_write() -> None:
    entry = read(
        jitter="90s",
        grace=5,
        retry_delay="1h30m",
        start="2026-04-01T02:00:00+02:00",
        end=datetime(2026, 5, 1, tzinfo=UTC),
        result_size="64KiB",
        retry_jitter=1,
        tags="db",
        environment={"PATH": "/bin"},
        payload="täglich",
    )
    assert (entry.jitter, entry.grace, entry.retry_delay) == (90, 5, 5400)
    assert entry.start == datetime(2026, 4, 1, tzinfo=UTC).timestamp()
    assert entry.end == datetime(2026, 5, 1, tzinfo=UTC).timestamp()
    assert (entry.result_size, entry.retry_jitter, entry.tags) == (65536, 1.0, ("db",))
    assert entry.environment == (("PATH", "/bin"),)
    assert entry.payload == "täglich".encode()


def test_a_zone_before_the_expression_is_the_entrys_zone() -> None:
    entry = read(when="CRON_TZ=Europe/Berlin 30 2 * * *")
    assert (entry.when, entry.timezone) == ("30 2 * * *", "Europe/Berlin")
    assert cron_of(entry) is not None
    with pytest.raises(CronError, match="keep one of them"):
        read(when="CRON_TZ=Europe/Berlin 30 2 * * *", timezone="UTC")


def test_cron_is_another_name_of_when() -> None:
    assert read(when=None, cron="@daily") == read(when="@daily")


def test_h_is_chosen_by_the_entrys_name() -> None:
    minutes = {
        cron_of(read_entry(f"e{number}", {"when": "H * * * *", "function": "f"})).next(  # type: ignore[union-attr]
            datetime(2026, 1, 1, tzinfo=UTC)
        )
        for number in range(20)
    }
    assert len(minutes) > 5


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"overlp": "skip"}, "did you mean 'overlap'"),
        ({"overlap": "skp"}, "did you mean 'skip'"),
        ({"catch_up": "latest"}, "catch_up is 'latest'"),
        ({"enabled": "yes"}, "enabled takes true or false"),
        ({"retries": 1.5}, "retries takes a whole number"),
        ({"retries": -1}, "retries takes 0 to 1000"),
        ({"retry_jitter": float("nan")}, "retry_jitter takes 0 to 1"),
        ({"jitter": "soon"}, "jitter takes seconds, or a text"),
        ({"jitter": "99999999d"}, "longer than 36525d"),
        ({"start": "tomorrow"}, "start: 'tomorrow' is no instant"),
        ({"start": datetime(2026, 1, 1)}, "start: takes an instant"),
        ({"start": 5}, "start: takes an instant"),
        ({"start": "1969-01-01T00:00:00Z"}, "before 1970"),
        ({"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "later than its end"),
        ({"payload": {"base64": "?"}}, "payload: is no base64"),
        ({"payload": 5}, "payload: takes a text"),
        ({"environment": {"A": 1}}, "environment: takes a table of texts"),
        ({"environment": {"A=B": "1"}}, "can't be a variable's name"),
        ({"tags": ["a b"]}, "tags take"),
        ({"function": None}, "it runs nothing"),
        ({"command": "true"}, "both a function and a command"),
        ({"function": "a b"}, "holds a blank"),
        ({"function": None, "command": "a\0b"}, "holds a NUL"),
        ({"when": None}, "it never fires"),
        ({"after": ["other"]}, "both when and after"),
        ({"when": None, "after": ["other", "other"]}, "names an entry twice"),
        ({"when": None, "after": ["other"], "timezone": "Mars"}, "Mars"),
        ({"when": "@reboot"}, "@reboot is for agents"),
        ({"when": "@reboot", "target": "2"}, "@reboot is for agents"),
        ({"when": "0 0 30 2 *"}, "never fire"),
        ({"when": "99 * * * *"}, "minute"),
        ({"timezone": "PST"}, "PST"),
        ({"cron": "@daily"}, "both cron and when"),
        ({"target": "some"}, "write one, all, 3, shards:3 or agent:NAME"),
        ({"target": "shards:0"}, "write one, all"),
        ({"target": "agent:"}, "can't be an agent's name"),
        ({"alerts": ["mised"]}, "no alert rule is called 'mised'"),
        ({"window": "22-6"}, "write times of day"),
        ({"window": "22:00-22:00"}, "is empty"),
    ],
)
def test_what_can_not_be_is_refused_with_what_to_do(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(**table)


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 101, "a\n"])
def test_a_name_is_one_that_fits_everywhere(name: str) -> None:
    with pytest.raises(UsageError, match="can't be an entry's name"):
        read_entry(name, {"when": "@daily", "function": "f"})


@pytest.mark.parametrize(
    ("table", "kind", "agents"),
    [
        ({}, "cron", False),
        ({"when": "@every 5s"}, "every", False),
        ({"when": "@at 2026-01-01T00:00:00Z", "tags": ["db"]}, "at", True),
        ({"when": "@reboot", "target": "all"}, "reboot", True),
        ({"when": "@manually", "target": "shards:4"}, "manually", True),
        ({"when": None, "after": "other"}, "after", False),
        ({"function": None, "command": "true"}, "cron", True),
    ],
)
def test_an_entry_knows_its_kind_and_who_runs_it(
    table: dict[str, Any], kind: str, agents: bool
) -> None:
    entry = read(**table)
    assert kind_of(entry) == kind
    assert for_agents(entry) == agents


def test_only_what_differs_from_the_defaults_is_written() -> None:
    assert to_table(read()) == {"when": "0 3 * * *", "function": "report"}
    table = {
        "when": "@at 2026-01-01T00:00:00Z",
        "timezone": "Europe/Berlin",
        "command": "cat",
        "payload": {"base64": "/w=="},
        "target": "all",
        "tags": ["db", "eu"],
        "enabled": False,
        "start": "2026-04-01T00:00:00Z",
        "jitter": "1m30s",
        "grace": "0s",
        "join_window": 0.5,
        "retry_jitter": 0.5,
        "environment": {"B": "2", "A": "1"},
    }
    assert to_table(read_entry("all", table)) == table


durations = st.floats(0, 10**9, allow_nan=False) | st.integers(0, 10**9).map(float)
entries = st.builds(
    Entry,
    name=st.just("any"),
    when=st.just("0 3 * * *"),
    command=st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    payload=st.binary(),
    target=st.sampled_from(["one", "all", "3", "shards:2", "agent:a"]),
    tags=st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True)).map(tuple),
    start=st.integers(1, 2**31),
    jitter=durations,
    grace=durations,
    retry_jitter=st.floats(0, 1),
    enabled=st.booleans(),
    description=st.text(st.characters(codec="utf-8")),
    environment=st.dictionaries(st.sampled_from("ABC"), st.text(st.characters(codec="utf-8"))).map(
        lambda pairs: tuple(pairs.items())
    ),
)


@given(entries)
def test_what_is_written_is_read_as_the_same_entry(entry: Entry) -> None:
    """Tables and definitions lose nothing."""
    assert read_entry("any", to_table(entry)) == entry
    assert read_entry("any", json.loads(json.dumps(to_table(entry)))) == entry
    assert from_definition(to_definition(entry)) == entry


def test_a_definition_of_a_later_version_is_read_without_what_is_unknown() -> None:
    assert from_definition('{"name":"a","when":"@daily","moon":"full"}').when == "@daily"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"user": "www"}, "user is for commands"),
        ({"overlap_max": 5}, "overlap_max does nothing unless overlap is queue_all"),
        ({"rule": "any"}, "rule does nothing without after"),
        ({"tags": ["a"], "target": "agent:b"}, "tags do nothing"),
        ({"offline": True}, "may fire it once more"),
        ({"catch_up": "none", "grace": 0}, "not run at all"),
        ({"deadline": 5, "run_timeout": 6}, "longer than the deadline"),
        ({"when": "@at 2026-01-01T00:00:00Z"}, "its moment has passed"),
        ({"end": "2026-02-01T00:00:00Z"}, "nothing falls between"),
        ({"enabled": False}, "will not fire"),
        ({"when": "*/90 * * * *"}, "90"),
    ],
)
def test_what_is_probably_not_meant_is_said(table: dict[str, Any], message: str) -> None:
    entry = read(**table)
    (said,) = warnings(entry, cron_of(entry), NOW)
    assert message in said


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"when": "@manually"},
        {"when": "@reboot", "target": "all", "join_window": 5},
        {"when": None, "after": ["other"], "rule": "any"},
        {"overlap": "queue_all", "overlap_max": 5, "catch_up": "all", "catch_up_max": 5},
    ],
)
def test_nothing_is_said_of_what_is_meant(table: dict[str, Any]) -> None:
    entry = read(**table)
    assert warnings(entry, cron_of(entry), NOW) == ()


def test_an_entry_may_not_wait_for_itself() -> None:
    others = {"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ()}
    entry = read(when=None, after=["a"])
    check_after(entry, others.get)
    with pytest.raises(UsageError, match="nightly after a after b after d after nightly"):
        check_after(entry, {**others, "c": (), "d": ("nightly",)}.get)
    with pytest.raises(UsageError, match="no entry 'a'"):
        check_after(entry, {}.get)


def test_a_loop_among_other_entries_does_not_hold_up_the_check() -> None:
    check_after(read(when=None, after=["a"]), {"a": ("b",), "b": ("a",)}.get)
