from __future__ import annotations

from collections.abc import Collection

import pytest

from geartrain.errors import UsageError
from geartrain.schedule.alarms import DEFAULTS, Alarms, Durations, read_rules
from geartrain.schedule.entry import Entry
from geartrain.store.schedule_rows import Alert, Fire, Schedule

NOON = 1_767_268_800
NOTHING: tuple[tuple[str, str], ...] = ()


def alarms(*rules: str, **keys: object) -> Alarms:
    return Alarms(Entry(name="nightly", when="@daily", group="backups", alerts=rules, **keys))  # type: ignore[arg-type]


def fire(state: str, **keys: object) -> Fire:
    known: dict[str, object] = {"nominal": NOON, "due": NOON, "ended": NOON + 9.0, "state": state}
    return Fire(1, 1, **{**known, **keys})  # type: ignore[arg-type]


def ended(
    one: Alarms,
    what: Fire,
    failures: int = 0,
    firing: Collection[tuple[str, str]] = NOTHING,
    durations: Durations | None = None,
) -> list[Alert]:
    schedule = Schedule("nightly", "", failures=failures)
    return one.ended(what, schedule, firing, durations or Durations())


@pytest.mark.parametrize(
    ("what", "rule", "said"),
    [
        (fire("missed", reason="catch_up is none"), "missed", "did not run: catch_up is none"),
        (fire("missed", reason="too many", count=5), "missed", "and 4 more did not run: too many"),
        (fire("timeout", started=NOON, reason="run_timeout"), "timeout", "ran out of time"),
        (fire("timeout", reason="queue_timeout"), "never_started", "started by no worker"),
        (fire("lost", reason="gone"), "lost", "was lost: gone"),
        (fire("failed", reason="exit 3"), "failed", "failed: exit 3"),
    ],
)
def test_each_bad_end_is_an_event_of_its_rule(what: Fire, rule: str, said: str) -> None:
    [event] = ended(alarms(), what)
    assert (event.rule, event.subject, event.group) == (rule, "nightly", "backups")
    assert event.firing
    assert event.last == NOON + 9
    assert event.count == what.count
    assert said in event.message
    assert "2026-01-01T12:00:00Z" in event.message


def test_skipped_and_cancelled_fires_are_nobodys_alarm() -> None:
    assert ended(alarms(), fire("skipped", reason="overlap")) == []
    assert ended(alarms(), fire("cancelled")) == []


def test_a_rule_that_an_entry_does_not_have_says_nothing() -> None:
    assert ended(alarms("lost"), fire("missed")) == []
    assert ended(alarms("none"), fire("lost")) == []


def test_failed_counts_failures_in_a_row() -> None:
    patient = alarms("failed:3")
    assert ended(patient, fire("failed"), failures=1) == []
    [event] = ended(patient, fire("failed"), failures=2)
    assert "(3 in a row)" in event.message
    assert ended(patient, fire("failed"), failures=3) != []


def test_a_fire_that_went_well_ends_what_it_is_the_end_of() -> None:
    firing = {("failed", "nightly"), ("missed", "nightly"), ("late", "nightly"), ("lost", "other")}
    events = ended(alarms(), fire("done"), firing=firing)
    assert [(one.rule, one.firing) for one in events] == [("missed", False), ("failed", False)]
    assert ended(alarms(), fire("done")) == []


def test_a_late_submission_is_an_event_and_one_on_time_its_end() -> None:
    one = alarms("late:10")
    [event] = one.submitted(fire("submitted", submitted=NOON + 11.0), NOTHING)
    assert (event.rule, event.firing) == ("late", True)
    assert "11 s late" in event.message
    assert one.submitted(fire("submitted", submitted=NOON + 10.0), NOTHING) == []
    [event] = one.submitted(fire("submitted", submitted=NOON + 1.0), {("late", "nightly")})
    assert not event.firing


def test_what_was_asked_to_run_late_is_not_late() -> None:
    late = fire("submitted", submitted=NOON + 9_999.0, origin="catch-up")
    assert alarms().submitted(late, NOTHING) == []


def test_a_run_three_times_as_long_as_usual_is_told_of_once_twenty_are_known() -> None:
    one, durations = alarms(), Durations()
    for n in range(20):
        run = fire("done", started=NOON, ended=NOON + 10.0 + n / 10)
        assert ended(one, run, durations=durations) == []
    assert durations.usual() == pytest.approx(11.9)
    assert ended(one, fire("done", started=NOON, ended=NOON + 35.0), durations=durations) == []
    [event] = ended(one, fire("done", started=NOON, ended=NOON + 200.0), durations=durations)
    assert event.rule == "slow"
    assert "took 200.0 s" in event.message
    firing = {("slow", "nightly")}
    [event] = ended(one, fire("done", started=NOON), firing=firing, durations=durations)
    assert not event.firing


def test_a_quick_run_is_never_slow() -> None:
    one, durations = alarms(), Durations()
    for _ in range(20):
        ended(one, fire("done", started=NOON, ended=NOON + 0.001), durations=durations)
    assert ended(one, fire("done", started=NOON, ended=NOON + 0.9), durations=durations) == []


def test_an_entry_without_a_next_fire_is_told_of_unless_it_was_given_an_end() -> None:
    over = Schedule("nightly", "", kind="cron", expression="0 0 29 2 1", next_fire=0)
    [event] = alarms().planned(over, NOTHING, NOON)
    assert (event.rule, event.firing) == ("never_again", True)
    assert alarms(end=NOON).planned(over, NOTHING, NOON) == []
    assert alarms(max_runs=3).planned(over, NOTHING, NOON) == []
    once = Schedule("nightly", "", kind="at", next_fire=0)
    assert alarms().planned(once, NOTHING, NOON) == []
    again = Schedule("nightly", "", next_fire=NOON)
    [event] = alarms().planned(again, {("never_again", "nightly")}, NOON)
    assert not event.firing


def test_rules_are_read_with_their_numbers() -> None:
    assert read_rules(()) == DEFAULTS
    assert read_rules(("none",)) == {}
    assert read_rules(("missed", "failed:3", "slow:2.5", "late")) == {
        "missed": 1,
        "failed": 3,
        "slow": 2.5,
        "late": 60,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mised", "there are missed, late"),
        ("missed:3", "takes no number"),
        ("failed:x", "'x' is no number"),
        ("failed:0", "out of range"),
        ("slow:nan", "out of range"),
        ("none:", "no alert rule"),
    ],
)
def test_a_rule_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_rules((text,))


@pytest.mark.parametrize(
    ("rule", "entry", "row", "why"),
    [
        ("failed", {}, {}, ""),
        ("slow", {"enabled": False}, {"enabled": False}, "disabled"),
        ("failed", {"max_runs": 3}, {"enabled": False}, "fires no more"),
        ("failed", {}, {"next_fire": 0}, "fires no more"),
        ("failed", {}, {"next_fire": 0, "kind": "manually"}, ""),
        ("never_again", {}, {"next_fire": 0}, ""),
    ],
)
def test_an_alert_that_nothing_can_end_outlives_its_entry(
    rule: str, entry: dict[str, object], row: dict[str, object], why: str
) -> None:
    schedule = Schedule("nightly", "", **{"kind": "cron", "next_fire": NOON, **row})  # type: ignore[arg-type]
    alert = Alert(rule, "nightly", last=NOON)
    found = alarms(**entry).outlived(alert, schedule, NOON + 86_401.0)
    assert why in found
    assert bool(why) == bool(found)


def test_an_alert_of_a_rule_that_was_taken_out_outlives_it() -> None:
    alert, schedule = Alert("slow", "nightly", last=NOON), Schedule("nightly", "")
    assert "no such rule" in alarms("failed").outlived(alert, schedule, NOON)
    assert "no such rule" in alarms("none").outlived(alert, schedule, NOON)
