"""Each rule of ``ScheduleStore`` about agents, alerts and messages, on each database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from geartrain.errors import LeaseLost
from geartrain.store.schedule_rows import FAILED, Agent, Alert, Message, Owner
from geartrain.store.schedule_sql import SqlScheduleStore
from tests.store.schedule_engines import LEASE, START, Place, claimed, due


def added_up(known: Alert | None, event: Alert) -> Alert | None:
    """Count events; an end of what is not known is nothing."""
    if known is None:
        return event if event.firing else None
    count = known.count + event.count
    return replace(known, count=count, message=event.message, firing=event.firing, last=event.last)


def failed(subject: str = "backup", **values: object) -> Alert:
    event = Alert("failed", subject, message="it broke", last=START - 1.0)
    return replace(event, **values)  # type: ignore[arg-type]


# Agents.


def test_agent_is_alive_for_as_long_as_it_said(place: Place, schedules: SqlScheduleStore) -> None:
    agent = Agent("web-1", ("blue", "größer"), table=7, version="1.2")
    schedules.greet(agent, 30.0)
    schedules.greet(Agent("db-1"), 90.0)
    assert schedules.agents() == [
        Agent("db-1", expires=START + 90, since=START),
        replace(agent, expires=START + 30, since=START),
    ]
    place.clock.now += 30
    assert [one.name for one in schedules.agents()] == ["db-1"]
    assert [one.name for one in schedules.agents(alive=False)] == ["db-1", "web-1"]


def test_agent_is_new_again_after_it_was_away(place: Place, schedules: SqlScheduleStore) -> None:
    for wait in (0, 29, 29):
        place.clock.now += wait
        schedules.greet(Agent("web-1", table=wait), 30.0)
    (stayed,) = schedules.agents()
    assert (stayed.since, stayed.table) == (START, 29)
    place.clock.now += 30
    schedules.greet(Agent("web-1"), 30.0)
    assert schedules.agents()[0].since == START + 88


# Alerts.


def test_nothing_fires_about_an_entry_that_was_removed(schedules: SqlScheduleStore) -> None:
    schedules.add(due("backup"), "ann")
    schedules.report([failed(), failed("mail")], added_up)
    schedules.remove("backup", "ann")
    assert [one.subject for one in schedules.alerts()] == ["mail"]


def test_events_are_merged_into_what_is_known(schedules: SqlScheduleStore) -> None:
    events = [failed(), failed("mail", group="nightly"), failed(count=2, message="again")]
    schedules.report(events, added_up)
    schedules.report([failed(last=START + 5.0)], added_up)
    backup, mail = schedules.alerts()
    assert (backup.subject, backup.count, backup.last) == ("backup", 4, START + 5)
    assert (mail.subject, mail.count, mail.group, mail.firing) == ("mail", 1, "nightly", True)


def test_what_merges_to_nothing_is_not_written(schedules: SqlScheduleStore) -> None:
    schedules.report([failed(firing=False)], added_up)
    assert schedules.alerts() == []


def test_event_without_a_time_happens_now(schedules: SqlScheduleStore) -> None:
    schedules.report([failed(last=0.0)], added_up)
    assert schedules.alerts()[0].last == START


def test_alert_comes_back_as_it_was_merged(schedules: SqlScheduleStore) -> None:
    given = Alert(
        "failed", "größer", "nightly", "a", False, 3, 0, 1.5, 2.5, 4, 3.5, 5, 4.5, (1.0, 2.5), "ann"
    )
    schedules.report([failed("größer")], lambda *_: replace(given))
    (stored,) = schedules.alerts()
    assert stored == replace(given, id=stored.id)


def test_only_what_fires_is_listed_when_asked(schedules: SqlScheduleStore) -> None:
    schedules.report([failed(), failed("mail")], added_up)
    schedules.report([failed(firing=False)], added_up)
    assert [alert.subject for alert in schedules.alerts(firing=True)] == ["mail"]


def test_alerts_are_written_with_the_fires_they_are_about(
    place: Place, schedules: SqlScheduleStore, me: Owner
) -> None:
    (fire,) = claimed(schedules, me)
    ended = replace(fire, state=FAILED)
    schedules.mark(me, [ended], [failed()], added_up)
    assert len(schedules.alerts()) == 1
    place.clock.now += LEASE
    with pytest.raises(LeaseLost):
        schedules.mark(me, [ended], [failed()], added_up)
    assert schedules.alerts()[0].count == 1


# Messages.


def said(due: Sequence[Alert], now: float) -> tuple[Sequence[Alert], Sequence[Message]]:
    """Say each alert over two channels, and never again."""
    messages = [
        Message(channel, f"{alert.subject} failed", "größer", due=now)
        for alert in due
        for channel in ("mail", "chat")
    ]
    return [replace(alert, due=0.0, said=alert.count, said_at=now) for alert in due], messages


def alarm(store: SqlScheduleStore, me: Owner) -> None:
    """Make two messages of one alert."""
    store.report([failed(due=float(START))], added_up)
    assert store.say(me, 10, said) == 2


def test_alerts_that_are_due_are_said_once(schedules: SqlScheduleStore, me: Owner) -> None:
    events = [failed(due=float(START)), failed("mail", due=START + 1.0), failed("report")]
    schedules.report(events, added_up)
    assert schedules.say(me, 10, said) == 2
    assert schedules.say(me, 10, said) == 0
    after = {alert.subject: alert for alert in schedules.alerts()}
    assert (after["backup"].said, after["backup"].due) == (1, 0.0)
    assert after["mail"].due == START + 1
    assert [(one.channel, one.title, one.body) for one in schedules.messages()] == [
        ("chat", "backup failed", "größer"),
        ("mail", "backup failed", "größer"),
    ]


def test_alerts_are_said_up_to_the_limit(schedules: SqlScheduleStore, me: Owner) -> None:
    schedules.report([failed(str(n), due=1.0 + n) for n in range(3)], added_up)
    assert [schedules.say(me, 2, said) for _ in range(3)] == [4, 2, 0]


def test_fenced_owner_says_nothing(place: Place, schedules: SqlScheduleStore, me: Owner) -> None:
    schedules.report([failed(due=float(START))], added_up)
    place.clock.now += LEASE
    with pytest.raises(LeaseLost):
        schedules.say(me, 10, said)
    assert schedules.messages() == []


def test_message_is_taken_by_one_instance(schedules: SqlScheduleStore, me: Owner) -> None:
    alarm(schedules, me)
    other = schedules.join("two", "there", LEASE, "")
    (mine,) = schedules.take_messages(me, 1)
    (theirs,) = schedules.take_messages(other, 10)
    assert {mine.channel, theirs.channel} == {"mail", "chat"}
    assert (mine.owner, mine.created) == (me.instance, START)
    assert schedules.take_messages(me, 10) == ()


def test_message_of_an_instance_that_is_gone_is_taken_by_another(
    place: Place, schedules: SqlScheduleStore, me: Owner
) -> None:
    alarm(schedules, me)
    assert len(schedules.take_messages(me, 10)) == 2
    place.clock.now += LEASE
    other = schedules.join("two", "there", LEASE, "")
    assert len(schedules.take_messages(other, 10)) == 2


def test_messages_of_an_instance_that_begins_anew_are_free(
    schedules: SqlScheduleStore, me: Owner
) -> None:
    alarm(schedules, me)
    assert len(schedules.take_messages(me, 10)) == 2
    again = schedules.join(me.instance, "here", LEASE, "")
    (one, _) = schedules.take_messages(again, 10)
    schedules.leave(again)
    other = schedules.join("two", "there", LEASE, "")
    assert len(schedules.take_messages(other, 10)) == 2
    assert one.owner == me.instance


def test_message_that_was_sent_is_not_taken_again_one_that_failed_is_later(
    place: Place, schedules: SqlScheduleStore, me: Owner
) -> None:
    alarm(schedules, me)
    one, two = schedules.take_messages(me, 10)
    late = START + 10.0
    results = [replace(one, sent=START + 1.0), replace(two, due=late, attempts=1, error="no")]
    schedules.sent(me, results)
    assert schedules.take_messages(me, 10) == ()
    place.clock.now += 10
    (again,) = schedules.take_messages(me, 10)
    assert (again.id, again.attempts, again.error) == (two.id, 1, "no")
    assert schedules.messages()[-1].sent == START + 1


def test_what_another_owns_is_not_written(schedules: SqlScheduleStore, me: Owner) -> None:
    alarm(schedules, me)
    (mine, _) = schedules.take_messages(me, 10)
    other = schedules.join("two", "there", LEASE, "")
    schedules.sent(other, [replace(mine, sent=5.0)])
    assert {message.sent for message in schedules.messages()} == {0.0}


def test_messages_are_listed_in_pages_and_trimmed(
    place: Place, schedules: SqlScheduleStore, me: Owner
) -> None:
    alarm(schedules, me)
    alarm_two = [failed("mail", due=float(START))]
    schedules.report(alarm_two, added_up)
    schedules.say(me, 10, said)
    newest, second, *_ = schedules.messages()
    assert schedules.messages(before=newest.id, limit=1) == [second]
    taken = schedules.take_messages(me, 10)
    ends = (START + 1.0, -1.0, START + 9.0, 0.0)
    schedules.sent(me, [replace(one, sent=end) for one, end in zip(taken, ends, strict=True)])
    assert schedules.trim_messages(START + 5.0) == 2
    assert sorted(one.sent for one in schedules.messages()) == [0.0, START + 9.0]
