"""Schedulers on a real store, with the time and the news of jobs as a test has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geartrain.schedule.dispatching import ACKNOWLEDGED, ENDED, News, Order
from geartrain.schedule.entry import read_entry
from geartrain.schedule.scheduler import Scheduler
from geartrain.schedule.settings import SchedulerSettings
from geartrain.schedule.standing import to_schedule
from geartrain.store.schedule_rows import Alert, Fire, Schedule
from tests.store.schedule_engines import Place, sqlite_url

__all__ = ["NOON", "Desk", "Stage", "desk_of"]

NOON = round(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())


class Desk:
    """What a scheduler takes for its dispatcher: keeps what it is told."""

    def __init__(self, tell: Callable[[Sequence[News]], None]) -> None:
        self.tell = tell
        self.orders: list[Order] = []
        self.asked: list[Order] = []
        self.looked: list[Order] = []
        self.cancelled: list[Order] = []
        self.sent: list[str] = []
        self.is_running = False

    def start(self) -> None:
        self.is_running = True

    def stop(self) -> None:
        self.is_running = False

    def submit(self, orders: Sequence[Order]) -> None:
        self.orders += orders

    def ask(self, orders: Sequence[Order]) -> None:
        self.asked += orders

    def look(self, orders: Sequence[Order]) -> None:
        self.looked += orders

    def cancel(self, orders: Sequence[Order]) -> None:
        self.cancelled += orders

    def take_back(self, orders: Sequence[Order]) -> None:
        self.cancelled += orders

    def send(self, function: str, workload: bytes, group: str = "") -> None:
        self.sent.append(function)

    def say(self, kind: str, order: Order | None = None, **values: Any) -> None:
        """Tell of an order, the last one by default."""
        self.tell([News(order or self.orders[-1], kind, **values)])

    def end(self, order: Order | None = None, *, ok: bool = True, data: bytes = b"") -> None:
        self.say(ACKNOWLEDGED, order, server="s:1", handle="H:1")
        self.say(ENDED, order, ok=ok, data=data)


class Stage:
    """A store, a clock, and schedulers."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(sqlite_url(folder))
        self.clock = self.place.clock
        self.clock.now = NOON - 1.0
        self.store = self.place.store()
        self.skew = 0.0
        self.alerts: list[Alert] = []

    def scheduler(self, name: str = "one", lease: float = 86_400.0) -> Scheduler:
        return Scheduler(
            self.place.store(),
            Desk,
            SchedulerSettings(instance=name, lease=lease),
            self.merge,
            clock=lambda: self.clock.now + self.skew,
            monotonic=self.clock,
            zones=lambda: "test",
        )

    def merge(self, known: Alert | None, event: Alert) -> Alert | None:
        self.alerts.append(event)
        return event

    def add(self, name: str = "hourly", **table: Any) -> Schedule:
        table = {"when": "0 * * * *", "function": "report"} | table
        table = {key: value for key, value in table.items() if value is not None}
        return self.store.add(to_schedule(read_entry(name, table), self.clock.now), "ann")

    def fires(self, name: str = "hourly") -> list[Fire]:
        return list(self.store.fires(schedule=self.row(name).id))[::-1]

    def row(self, name: str = "hourly") -> Schedule:
        found = self.store.schedule(name)
        assert found is not None
        return found

    def states(self, name: str = "hourly") -> list[str]:
        return [fire.state for fire in self.fires(name)]

    def at(self, seconds: float, *schedulers: Scheduler) -> None:
        """Have schedulers do what there is to do at so many seconds after noon."""
        self.clock.now = NOON + seconds
        for scheduler in schedulers:
            # Twice: what one pass brings about, the next one may have to deal with.
            scheduler.step()
            scheduler.step()


def desk_of(scheduler: Scheduler) -> Desk:
    desk = scheduler.dispatcher
    assert isinstance(desk, Desk)
    return desk
