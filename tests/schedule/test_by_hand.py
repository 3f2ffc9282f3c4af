"""Fires that a person asks for: one now, and those of a time that has passed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from geartrain.errors import EntryRefused, UsageError
from geartrain.schedule import by_hand
from geartrain.schedule.by_hand import backfill, plan_backfill, run_now
from geartrain.store.schedule_rows import (
    DONE,
    FAILED,
    MISSED,
    PENDING,
    RUNNING,
    SKIPPED,
    WAITING,
    Agent,
    Fire,
)
from tests.schedule.desk import Desk, moment
from tests.schedule.desk import desk as desk

WHO = "ann@host"
FIRST = moment("2026-02-26T00:00:00Z")
LAST = moment("2026-02-28T23:00:00Z")
DAYS = [moment(f"2026-02-{day}T03:00:00Z") for day in (26, 27, 28)]


def fired(desk: Desk, nominal: int, state: str) -> Fire:
    """Put a fire of the entry into the store."""
    row = desk.row()
    (fire,) = desk.store.insert([Fire(row.id, row.generation, nominal, state=state)], WHO)
    return fire


# Now.


def test_a_fire_of_now_has_its_own_moment_and_moves_no_other(desk: Desk) -> None:
    before = desk.add()
    (fire,) = run_now(desk.store, "nightly", WHO)
    assert (fire.nominal, fire.due, fire.state) == (desk.now, desk.now, PENDING)
    assert (fire.origin, fire.generation, fire.target) == ("run-now", 1, "")
    assert desk.row() == before


def test_an_entry_that_is_paused_or_disabled_is_run_all_the_same(desk: Desk) -> None:
    desk.add(enabled=False)
    assert len(run_now(desk.store, "nightly", WHO)) == 1


def test_each_target_gets_a_fire(desk: Desk) -> None:
    desk.add(function=None, command="true", target="all", tags=["web"])
    for name, tags in [("a", ("web",)), ("b", ()), ("c", ("web", "db"))]:
        desk.store.greet(Agent(name, tags), 30)
    assert [fire.target for fire in run_now(desk.store, "nightly", WHO)] == ["a", "c"]


def test_a_fire_that_nobody_can_run_is_refused(desk: Desk) -> None:
    desk.add(function=None, command="true", target="all")
    with pytest.raises(EntryRefused, match="no agent was alive"):
        run_now(desk.store, "nightly", WHO)
    assert desk.store.fires() == []


def test_the_rule_for_overlaps_counts_unless_another_is_given(desk: Desk) -> None:
    desk.add(overlap="skip")
    fired(desk, DAYS[0], RUNNING)
    with pytest.raises(EntryRefused, match="has not ended; --overlap allow runs it"):
        run_now(desk.store, "nightly", WHO)
    (fire,) = run_now(desk.store, "nightly", WHO, overlap="allow")
    assert fire.state == PENDING


def test_two_fires_within_a_second_are_one(desk: Desk) -> None:
    desk.add(overlap="allow")
    run_now(desk.store, "nightly", WHO)
    with pytest.raises(EntryRefused, match="within this second"):
        run_now(desk.store, "nightly", WHO)


# Of the past.


def test_a_backfill_fires_each_moment_one_after_the_other(desk: Desk) -> None:
    before = desk.add()
    plan = plan_backfill(desk.store, "nightly", FIRST, LAST)
    assert desk.store.fires() == []
    fires = backfill(desk.store, plan, WHO)
    assert [fire.nominal for fire in fires] == DAYS
    assert [fire.previous for fire in fires] == [moment("2026-02-25T03:00:00Z"), *DAYS[:2]]
    assert {fire.state for fire in fires} == {WAITING}
    assert {fire.origin for fire in fires} == {"backfill"}
    assert desk.row() == before
    assert backfill(desk.store, plan_backfill(desk.store, "nightly", FIRST, LAST), WHO) == []


def test_both_ends_are_included_and_the_future_is_not(desk: Desk) -> None:
    desk.add()
    plan = plan_backfill(desk.store, "nightly", DAYS[0], DAYS[1])
    assert [fire.nominal for fire in plan.fires] == DAYS[:2]
    plan = plan_backfill(desk.store, "nightly", DAYS[2], DAYS[2] + 10 * 86_400)
    assert [fire.nominal for fire in plan.fires] == [DAYS[2], moment("2026-03-01T03:00:00Z")]


def test_in_reverse_the_newest_goes_first(desk: Desk) -> None:
    desk.add()
    plan = plan_backfill(desk.store, "nightly", FIRST, LAST, reverse=True)
    fires = backfill(desk.store, plan, WHO)
    assert [fire.nominal for fire in sorted(fires, key=lambda fire: fire.due)] == DAYS[::-1]


def test_what_may_overlap_goes_at_once(desk: Desk) -> None:
    desk.add(overlap="allow")
    plan = plan_backfill(desk.store, "nightly", FIRST, LAST)
    assert {fire.state for fire in plan.fires} == {PENDING}
    desk.add("other")
    plan = plan_backfill(desk.store, "other", FIRST, LAST, overlap="allow")
    assert {fire.state for fire in plan.fires} == {PENDING}


@pytest.mark.parametrize(
    ("mode", "fired_again"),
    [("none", [SKIPPED, MISSED]), ("failed", [FAILED, SKIPPED, MISSED]),
     ("completed", [DONE, FAILED, SKIPPED, MISSED])],
)  # fmt: skip
def test_a_mode_says_which_moments_with_a_row_are_fired_again(
    desk: Desk, mode: str, fired_again: list[str]
) -> None:
    desk.add("nightly", when="0 * * * *")
    states = [DONE, FAILED, SKIPPED, MISSED, RUNNING]
    start = DAYS[0]
    rows = [fired(desk, start + 3600 * hour, state) for hour, state in enumerate(states)]
    plan = plan_backfill(desk.store, "nightly", start, start + 4 * 3600, mode=mode)
    again = [fire.nominal for fire in plan.fires]
    assert [row.state for row in rows if row.nominal in again] == fired_again
    assert len(plan.kept) == 5 - len(fired_again)
    assert len(backfill(desk.store, plan, WHO)) == len(fired_again)
    # There is one row for each moment, and it has begun anew.
    assert len(desk.store.fires()) == 5
    for row in rows:
        found = desk.store.fire(row.id)
        assert found is not None
        assert found.state == (WAITING if row.state in fired_again else row.state)


def test_a_moment_of_an_earlier_definition_is_fired_again_as_that(desk: Desk) -> None:
    desk.add()
    fired(desk, DAYS[0], FAILED)
    row = desk.row()
    desk.store.replace(replace(row, generation=2, next_fire=row.next_fire), WHO)
    plan = plan_backfill(desk.store, "nightly", DAYS[0], DAYS[0], mode="failed")
    assert [fire.generation for fire in plan.fires] == [1]


def test_too_much_or_nothing_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add()
    desk.add("byhand", when="@manually")
    with pytest.raises(UsageError, match="FROM has to be before TO"):
        plan_backfill(desk.store, "nightly", LAST, FIRST)
    with pytest.raises(UsageError, match="has no moment in that time"):
        plan_backfill(desk.store, "byhand", FIRST, LAST)
    with pytest.raises(UsageError, match=r"these are 3 moments, .* 2 at most; .*, or --most 3"):
        plan_backfill(desk.store, "nightly", FIRST, LAST, most=2)
    monkeypatch.setattr(by_hand, "LIMIT", 2)
    with pytest.raises(UsageError, match=r"2 at most; take a shorter time$"):
        plan_backfill(desk.store, "nightly", FIRST, LAST, most=2)


def test_many_moments_are_fired_in_lots(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add()
    monkeypatch.setattr(by_hand, "_LOT", 2)
    plan = plan_backfill(desk.store, "nightly", FIRST, LAST)
    assert len(plan.fires) == 3
    found = backfill(desk.store, plan, WHO)
    assert [fire.nominal for fire in found] == [fire.nominal for fire in plan.fires]
    assert len({fire.id for fire in found}) == len(desk.store.fires()) == 3
