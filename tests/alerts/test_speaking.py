from __future__ import annotations

import json

from geartrain.alerts.speaking import Recipients, Speaking
from geartrain.alerts.suppression import Maintenance, Suppression
from geartrain.store.schedule_rows import Alert

NOON = 1_767_268_800.0


def alert(rule: str, subject: str, group: str = "", *, firing: bool = True) -> Alert:
    text = f"{subject} is not well"
    return Alert(rule, subject, group, text, firing=firing, since=NOON, last=NOON, due=NOON)


def test_one_alert_is_a_mail_that_says_what_when_and_how_often() -> None:
    speaking = Speaking(Suppression(), Recipients(("ops",)), where="production")
    after, messages = speaking.speak([alert("missed", "nightly")], NOON)
    [message] = messages
    assert message.channel == "ops"
    assert message.title == "[geartrain production] nightly: missed"
    assert message.body == (
        "nightly: missed, firing\n"
        "  nightly is not well\n"
        "  once since 2026-01-01T12:00:00Z, last 2026-01-01T12:00:00Z\n"
    )
    assert (message.due, message.created) == (NOON, NOON)
    assert (after[0].messages, after[0].due) == (1, NOON + 3_600)


def test_recovery_is_told_in_the_title() -> None:
    speaking = Speaking(Suppression(), Recipients(("ops",)))
    _, [message] = speaking.speak([alert("failed", "nightly", firing=False)], NOON)
    assert message.title == "[geartrain] nightly: failed, recovered"


def test_what_is_of_one_group_goes_into_one_message() -> None:
    speaking = Speaking(Suppression(), Recipients(("ops",)))
    found = [alert("missed", f"job{n}", "billing") for n in range(60)] + [alert("lost", "other")]
    after, messages = speaking.speak(found, NOON)
    assert len(after) == 61
    assert [one.title for one in messages] == [
        "[geartrain] billing: 60 alerts (missed)",
        "[geartrain] other: lost",
    ]
    assert "job49: missed" in messages[0].body
    assert "job50: missed" not in messages[0].body
    assert "and 10 more: see geartrain alert ls" in messages[0].body


def test_the_rules_channels_come_before_the_groups() -> None:
    recipients = Recipients(("ops",), {"slow": ()}, {"billing": ("billing", "ops")})
    speaking = Speaking(Suppression(), recipients)
    _, messages = speaking.speak(
        [alert("lost", "a"), alert("lost", "b", "billing"), alert("slow", "c", "billing")], NOON
    )
    assert [one.channel for one in messages] == ["ops", "billing", "ops"]


def test_programs_hear_json() -> None:
    speaking = Speaking(Suppression(), Recipients(("hook",)), frozenset(("hook",)), "test")
    _, [message] = speaking.speak([alert("lost", 'a"b\n')], NOON)
    assert json.loads(message.body) == {
        "title": '[geartrain test] a"b : lost',
        "from": "test",
        "alerts": [
            {
                "rule": "lost",
                "subject": 'a"b\n',
                "group": "",
                "state": "firing",
                "message": 'a"b\n is not well',
                "count": 1,
                "since": "2026-01-01T12:00:00Z",
                "last": "2026-01-01T12:00:00Z",
            }
        ],
    }


def test_a_title_is_one_line_of_a_bounded_length() -> None:
    speaking = Speaking(Suppression(), Recipients(("ops",)))
    _, [message] = speaking.speak([alert("lost", "a\r\nBcc: x@y " * 50)], NOON)
    assert "\n" not in message.title
    assert "\r" not in message.title
    assert len(message.title) == 120


def test_what_is_under_maintenance_is_not_said() -> None:
    speaking = Speaking(
        Suppression(maintenance=(Maintenance(NOON - 1, NOON + 60),)), Recipients(("ops",))
    )
    after, messages = speaking.speak([alert("lost", "a")], NOON)
    assert messages == []
    assert after[0].due == NOON + 60


def test_without_channels_nothing_is_said_and_nothing_is_due_again_at_once() -> None:
    after, messages = Speaking(Suppression(), Recipients()).speak([alert("lost", "a")], NOON)
    assert messages == []
    assert after[0].due > NOON


def test_flapping_is_said_to_be_flapping() -> None:
    speaking = Speaking(Suppression(), Recipients(("ops",)))
    one = alert("lost", "a")
    one.changes = tuple(NOON - n for n in range(6))
    _, [message] = speaking.speak([one], NOON)
    assert "a: lost, flapping" in message.body
    assert "told once in 60 minutes" in message.body
