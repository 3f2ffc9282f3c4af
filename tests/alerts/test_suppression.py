from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from geartrain.alerts.suppression import Maintenance, Suppression
from geartrain.store.schedule_rows import Alert

HOUR = 3_600.0
USUAL = Suppression()


def event(at: float, *, firing: bool = True, count: int = 1, text: str = "broken") -> Alert:
    return Alert("failed", "nightly", "backups", text, firing=firing, last=at, count=count)


def merged(known: Alert | None, *events: Alert) -> Alert:
    for one in events:
        known = USUAL.merge(known, one) or known
    assert known is not None
    return known


def test_the_first_event_is_due_at_once() -> None:
    alert = merged(None, event(100))
    assert (alert.due, alert.since, alert.count, alert.firing) == (100, 100, 1, True)
    assert (alert.rule, alert.subject, alert.group) == ("failed", "nightly", "backups")


def test_reminders_come_after_an_hour_four_and_a_day_and_then_each_day() -> None:
    alert = merged(None, event(0))
    waits = []
    now = 0.0
    for _ in range(5):
        alert = USUAL.said(alert, now)
        waits.append(alert.due - now)
        now = alert.due
    assert waits == [HOUR, 4 * HOUR, 24 * HOUR, 24 * HOUR, 24 * HOUR]


def test_the_tenth_event_after_the_first_message_makes_the_next_one_due() -> None:
    alert = USUAL.said(merged(None, event(0)), 0)
    alert = merged(alert, *(event(at) for at in range(1, 10)))
    assert alert.due == HOUR
    alert = merged(alert, event(10))
    assert (alert.due, alert.count) == (10, 11)


def test_after_the_second_message_a_hundred_events_are_waited_for() -> None:
    alert = USUAL.said(merged(None, event(0)), 0)
    alert = USUAL.said(merged(alert, event(1, count=10)), 1)
    assert merged(alert, event(2, count=99)).due == 1 + 4 * HOUR
    assert merged(alert, event(2, count=100)).due == 2


def test_the_end_is_told_at_once_and_only_once() -> None:
    alert = USUAL.said(merged(None, event(0)), 0)
    ended = merged(alert, event(50, firing=False, text="went well"))
    assert (ended.firing, ended.due, ended.message) == (False, 50, "went well")
    told = USUAL.said(ended, 50)
    assert told.due == 0
    assert USUAL.merge(told, event(60, firing=False)) is None


def test_the_end_of_what_never_began_is_nothing() -> None:
    assert USUAL.merge(None, event(5, firing=False)) is None


def test_a_new_bout_begins_from_nothing() -> None:
    alert = USUAL.said(merged(None, event(0, count=7)), 0)
    alert = USUAL.said(merged(alert, event(50, firing=False)), 50)
    again = merged(alert, event(90))
    assert (again.since, again.count, again.messages, again.due) == (90, 1, 0, 90)


def test_what_somebody_has_seen_is_not_said_again_until_it_ends() -> None:
    alert = USUAL.acknowledged(USUAL.said(merged(None, event(0)), 0), "ada")
    alert = merged(alert, *(event(at) for at in range(1, 30)))
    assert alert.due == 0
    ended = merged(alert, event(40, firing=False))
    assert ended.due == 40
    assert USUAL.passed_over(ended, 40) is None
    assert merged(ended, event(50)).acknowledged_by == ""


def test_an_alert_acknowledged_before_it_was_said_is_passed_over() -> None:
    alert = replace(merged(None, event(0)), acknowledged_by="ada")
    quiet = USUAL.passed_over(alert, 1)
    assert quiet is not None
    assert quiet.due == 0


def test_under_maintenance_nothing_is_said_until_it_ends() -> None:
    window = Maintenance(0, 500, subject="night*")
    suppression = Suppression(maintenance=(window, Maintenance(0, 900, group="other")))
    alert = merged(None, event(100))
    quiet = suppression.passed_over(alert, 100)
    assert quiet is not None
    assert quiet.due == 500
    assert suppression.passed_over(quiet, 500) is None


def test_what_recovers_under_maintenance_is_not_told_of() -> None:
    suppression = Suppression(maintenance=(Maintenance(0, 500),))
    ended = merged(merged(None, event(100)), event(200, firing=False))
    quiet = suppression.passed_over(ended, 200)
    assert quiet is not None
    assert quiet.due == 0


def test_what_begins_and_ends_again_and_again_is_told_once_in_an_hour() -> None:
    alert: Alert | None = None
    said = []
    for at in range(60, 7_200, 60):
        alert = USUAL.merge(alert, event(at, firing=at % 120 != 0)) or alert
        assert alert is not None
        if 0 < alert.due <= at:
            said.append(at)
            alert = USUAL.said(alert, at)
    # Six changes are told one by one, then once in an hour.
    assert said == [60, 120, 180, 240, 300, 360, 3_960]


def test_calm_after_flapping_is_told_of_with_the_state_it_has() -> None:
    alert: Alert | None = None
    for at in range(0, 360, 60):
        alert = USUAL.merge(alert, event(at, firing=at % 120 == 0)) or alert
        assert alert is not None
        alert = USUAL.said(alert, at)
    assert alert is not None
    assert not alert.firing
    assert alert.due == 300 + HOUR
    # Still flapping at that moment, by the last change; an hour later it is over.
    later = USUAL.said(alert, alert.due)
    assert not USUAL.flapping(alert, alert.due)
    assert later.due == 0


@given(st.lists(st.tuples(st.integers(1, 5_000), st.booleans()), max_size=60))
def test_an_alert_that_fires_unacknowledged_always_has_a_next_time(
    steps: list[tuple[int, bool]],
) -> None:
    """Whatever happens, silence never becomes for ever while something is wrong."""
    alert: Alert | None = None
    now = 0.0
    for pause, firing in steps:
        now += pause
        alert = USUAL.merge(alert, event(now, firing=firing)) or alert
        if alert is not None and 0 < alert.due <= now:
            alert = USUAL.said(alert, now)
        if alert is not None and alert.firing:
            assert 0 < alert.due <= now + 24 * HOUR
