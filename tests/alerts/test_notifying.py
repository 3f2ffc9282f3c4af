from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from geartrain.alerts.channel import ChannelError
from geartrain.alerts.notifier import GIVEN_UP, PAUSES, Notifier
from geartrain.alerts.speaking import Recipients, Speaking
from geartrain.alerts.suppression import Suppression
from geartrain.store.schedule_rows import Alert, Message, Owner
from geartrain.store.schedule_store import Speaker

ME = Owner("one", 1)


class Outbox:
    """A store of alerts and messages, in memory."""

    def __init__(self, *alerts: Alert) -> None:
        self.time = 1_000.0
        self.alerts = list(alerts)
        self.messages: list[Message] = []

    def now(self) -> float:
        return self.time

    def say(self, me: Owner, limit: int, speaker: Speaker) -> int:
        due = [one for one in self.alerts if 0 < one.due <= self.time]
        after, messages = speaker(due, self.time)
        for before, now in zip(due, after, strict=True):
            self.alerts[self.alerts.index(before)] = now
        for message in messages:
            self.messages.append(replace(message, id=len(self.messages) + 1))
        return len(messages)

    def take_messages(self, me: Owner, limit: int) -> Sequence[Message]:
        return [one for one in self.messages if not one.sent and one.due <= self.time][:limit]

    def sent(self, me: Owner, messages: Sequence[Message]) -> None:
        for message in messages:
            self.messages[message.id - 1] = message


class Recorder:
    """A channel that keeps what it is sent, or raises what it is told to."""

    for_programs = False

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.trouble: ChannelError | None = None

    def send(self, message: Message) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.titles.append(message.title)


def alerts(count: int) -> list[Alert]:
    return [
        Alert("lost", f"job{n}", count=1, since=1_000, last=1_000, due=1_000) for n in range(count)
    ]


def notifier(store: Outbox, channel: Recorder) -> Notifier:
    return Notifier(store, Speaking(Suppression(), Recipients(("ops",))), {"ops": channel})


def test_what_is_due_is_sent_once() -> None:
    store, channel = Outbox(*alerts(2)), Recorder()
    told = notifier(store, channel)
    assert told.step(ME) == 2
    assert channel.titles == ["[geartrain] job0: lost", "[geartrain] job1: lost"]
    assert told.step(ME) == 0
    assert [one.sent for one in store.messages] == [1_000, 1_000]


def test_a_channel_that_is_down_gets_the_message_later() -> None:
    store, channel = Outbox(*alerts(1)), Recorder()
    channel.trouble = ChannelError("down")
    told = notifier(store, channel)
    assert told.step(ME) == 0
    assert (store.messages[0].attempts, store.messages[0].error) == (1, "down")
    assert store.messages[0].due == 1_000 + PAUSES[0]
    channel.trouble = None
    assert told.step(ME) == 0
    store.time += PAUSES[0]
    assert told.step(ME) == 1


def test_one_failure_is_enough_for_all_that_wait_for_a_channel() -> None:
    store, channel = Outbox(*alerts(3)), Recorder()
    channel.trouble = ChannelError("down")
    notifier(store, channel).step(ME)
    assert [one.attempts for one in store.messages] == [1, 0, 0]
    assert {one.due for one in store.messages} == {1_000 + PAUSES[0]}


def test_a_message_nobody_takes_is_given_up_in_the_end() -> None:
    store, channel = Outbox(*alerts(1)), Recorder()
    channel.trouble = ChannelError("down")
    told = notifier(store, channel)
    waited = []
    while not store.messages or not store.messages[0].sent:
        told.step(ME)
        waited.append(store.messages[0].due - store.time)
        store.time = max(store.time + 1, store.messages[0].due)
    assert waited[:-1] == list(PAUSES)
    assert store.messages[0].sent == GIVEN_UP


def test_what_a_channel_will_never_take_is_given_up_at_once_and_the_next_is_sent() -> None:
    store, channel = Outbox(*alerts(1)), Recorder()
    channel.trouble = ChannelError("no such page", final=True)
    told = notifier(store, channel)
    told.step(ME)
    assert store.messages[0].sent == GIVEN_UP
    channel.trouble = None
    store.alerts += alerts(1)
    assert told.step(ME) == 1


def test_a_channel_that_another_scheduler_knows_waits_for_it() -> None:
    store, channel = Outbox(*alerts(1)), Recorder()
    told = Notifier(store, Speaking(Suppression(), Recipients(("ops",))), {})
    assert told.step(ME) == 0
    assert "add [alerts.channels.ops]" in store.messages[0].error
    store.time = store.messages[0].due
    assert notifier(store, channel).step(ME) == 1
