"""What the row of an entry is when it is made, changed, paused and resumed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from geartrain.schedule.entry import from_definition, read_entry
from geartrain.schedule.sequence import following
from geartrain.schedule.standing import paused, resumed, to_schedule
from geartrain.store.schedule_rows import Schedule

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC).timestamp() + 0.5
HOUR = 3600


def row(before: Schedule | None = None, now: float = NOW, **table: Any) -> Schedule:
    table = {"when": "0 * * * *", "function": "report"} | table
    return to_schedule(read_entry("hourly", table), now, before)


def stored() -> Schedule:
    """Return the row as it stands after three fires."""
    last = int(NOW) - 30
    return replace(
        row(now=NOW - 3 * HOUR), id=7, revision=4, runs=3, last_nominal=last, next_fire=last + HOUR
    )


def test_a_new_entry_fires_first_behind_now() -> None:
    made = row()
    assert made.next_fire == int(NOW) - 30 + HOUR
    assert (made.since, made.last_nominal, made.generation) == (int(NOW), 0, 1)
    assert (made.kind, made.expression, made.function) == ("cron", "0 * * * *", "report")


@pytest.mark.parametrize(
    "table",
    [
        {"enabled": False},
        {"when": "@manually"},
        {"when": "@at 2026-03-01T12:00:30Z"},
        {"end": "2026-03-01T12:59:59Z"},
    ],
)
def test_what_does_not_fire_by_the_clock_has_no_next_fire(table: dict[str, Any]) -> None:
    assert row(**table).next_fire == 0


def test_start_and_end_are_moments_it_may_fire_at() -> None:
    assert row(start="2026-03-02T00:00:00Z").next_fire == NOW - 30.5 + 12 * HOUR
    assert row(end="2026-03-01T13:00:00Z").next_fire == NOW - 30.5 + HOUR


def test_a_change_that_fires_the_same_leaves_an_entry_where_it_is() -> None:
    before = stored()
    after = row(before, now=NOW + 10 * HOUR, description="each hour", grace=5)
    assert after == replace(before, definition=after.definition)
    assert from_definition(after.definition).grace == 5


@pytest.mark.parametrize(
    "table", [{"when": "30 * * * *"}, {"function": "other"}, {"payload": "x"}, {"tags": ["a"]}]
)
def test_a_change_of_what_fires_starts_from_now(table: dict[str, Any]) -> None:
    after = row(stored(), now=NOW + 10 * HOUR, **table)
    assert after.generation == 2
    assert after.next_fire > NOW + 10 * HOUR
    assert after.since == int(NOW) + 10 * HOUR
    assert (after.id, after.revision, after.runs) == (7, 4, 3)


def test_a_change_while_the_clock_is_behind_fires_nothing_again() -> None:
    before = stored()
    after = row(before, now=NOW - 2 * HOUR, function="other")
    assert after.next_fire == before.last_nominal + HOUR


def test_enabling_fires_nothing_of_the_past_and_counts_runs_anew() -> None:
    before = stored()
    off = row(before, enabled=False)
    assert (off.enabled, off.next_fire, off.generation) == (False, 0, 2)
    on = row(off, now=NOW + 24 * HOUR, max_runs=3)
    assert (on.enabled, on.generation, on.runs) == (True, 3, 0)
    assert on.next_fire == before.last_nominal + 25 * HOUR


def test_an_entry_that_ended_itself_is_started_again_by_saving_it() -> None:
    ended = replace(stored(), enabled=False, next_fire=0)
    assert row(ended).enabled
    assert row(ended).next_fire > NOW


def test_a_pause_keeps_the_place_and_its_end_starts_from_now() -> None:
    before = stored()
    held = paused(before, NOW, "ann", "upgrade", until=NOW + HOUR)
    assert (held.paused_by, held.paused_why, held.next_fire) == ("ann", "upgrade", before.next_fire)
    assert held.generation == before.generation
    again = resumed(held, NOW + 5 * HOUR)
    assert (again.paused_at, again.paused_until, again.paused_by) == (0, 0, "")
    assert again.next_fire == before.last_nominal + 6 * HOUR
    assert again.generation == before.generation + 1


def test_an_entry_after_others_has_no_moment_of_its_own() -> None:
    entry = read_entry("sum", {"after": ["hourly"], "function": "f"})
    assert following(entry, NOW) == 0
    assert to_schedule(entry, NOW).kind == "after"
