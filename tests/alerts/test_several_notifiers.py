"""Several instances beside one store of schedules: each message is sent by one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Barrier, Event, Lock

import pytest

from geartrain.alerts.notifier import Notifier
from geartrain.alerts.notifying import Notifying
from geartrain.alerts.speaking import Recipients, Speaking
from geartrain.alerts.suppression import Suppression
from geartrain.store.schedule_rows import Alert, Message, Owner
from geartrain.store.schedule_sql import open_schedules
from geartrain.store.schedule_store import ScheduleStore

SUPPRESSION = Suppression()


class Inbox:
    """A channel that all instances share."""

    for_programs = False

    def __init__(self, expected: int) -> None:
        self.titles: list[str] = []
        self.expected = expected
        self.full = Event()
        self._lock = Lock()

    def send(self, message: Message) -> None:
        with self._lock:
            self.titles.append(message.title)
            if len(self.titles) >= self.expected:
                self.full.set()


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[ScheduleStore]]:
    with ExitStack() as stack:
        found = []
        for _ in range(3):
            store = open_schedules(f"sqlite:///{tmp_path}/queue.db")
            stack.enter_context(closing(store))
            store.open()
            found.append(store)
        yield found


def notifier(store: ScheduleStore, inbox: Inbox) -> Notifier:
    return Notifier(store, Speaking(SUPPRESSION, Recipients(("ops",))), {"ops": inbox})


def lost(store: ScheduleStore, count: int) -> None:
    now = store.now()
    events = [Alert("lost", f"job{n}", message="gone", last=now) for n in range(count)]
    store.report(events, SUPPRESSION.merge)


def test_three_instances_send_each_message_once(stores: list[ScheduleStore]) -> None:
    inbox = Inbox(30)
    together = Barrier(3)

    def owner_of(store: ScheduleStore, name: str) -> Owner:
        return store.join(name, "here", 30.0, "")

    threads = []
    for number, store in enumerate(stores):
        me = owner_of(store, f"s{number}")

        def whose(me: Owner = me, first: list[bool] = []) -> Owner:  # noqa: B006
            if not first:
                first.append(True)
                together.wait(10)
            return me

        threads.append(Notifying(notifier(store, inbox), whose, poll=0.01))
    lost(stores[0], 30)
    for thread in threads:
        thread.start()
    assert inbox.full.wait(15)
    for thread in threads:
        thread.stop()
    assert sorted(inbox.titles) == sorted(f"[geartrain] job{n}: lost" for n in range(30))
    assert all(one.sent > 0 for one in stores[0].messages())


def test_what_an_instance_took_and_did_not_send_is_sent_by_another(
    stores: list[ScheduleStore],
) -> None:
    inbox = Inbox(1)
    first, second = stores[:2]
    lost(first, 1)
    dead = first.join("first", "here", 30.0, "")
    speaking = Speaking(SUPPRESSION, Recipients(("ops",)))
    first.say(dead, 10, speaking.speak)
    assert len(first.take_messages(dead, 10)) == 1
    me = second.join("second", "here", 30.0, "")
    told = notifier(second, inbox)
    assert told.step(me) == 0
    # Its lease is over.
    first.leave(dead)
    assert told.step(me) == 1
    assert inbox.titles == ["[geartrain] job0: lost"]


def test_recovery_is_told_once_and_the_bout_is_over(stores: list[ScheduleStore]) -> None:
    inbox = Inbox(2)
    store = stores[0]
    me = store.join("one", "here", 30.0, "")
    told = notifier(store, inbox)
    lost(store, 1)
    assert told.step(me) == 1
    store.report([Alert("lost", "job0", firing=False, last=store.now())], SUPPRESSION.merge)
    assert told.step(me) == 1
    assert told.step(me) == 0
    assert inbox.titles == ["[geartrain] job0: lost", "[geartrain] job0: lost, recovered"]
