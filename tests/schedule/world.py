"""
A world for schedulers, in which time passes when the test says so.

Three schedulers share a store. They are killed in the middle of what they do, stopped for a while
and started again; the store is lost and comes back; the clock is set; zone data change; workers are
late, fail, and are lost. One seed decides all of it.
"""

from __future__ import annotations

import shutil
import zoneinfo
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from geartrain.errors import StoreError, StoreUnavailable
from geartrain.schedule.dispatching import (
    ACKNOWLEDGED,
    ENDED,
    REFUSED,
    SEVERED,
    STARTED,
    TAKEN_BACK,
    UNKNOWN,
    WAITS,
    News,
    Order,
)
from geartrain.schedule.entry import Entry, cron_of, from_definition, read_entry
from geartrain.schedule.scheduler import Scheduler
from geartrain.schedule.settings import SchedulerSettings
from geartrain.schedule.standing import to_schedule
from geartrain.store.schedule_rows import FINAL, STATES, Agent, Alert, Fire, Schedule

__all__ = ["ENTRIES", "Killed", "World"]

MINUTE, HOUR = 60.0, 3_600.0
# Not every entry does something each minute, so that days pass quickly.
ENTRIES: dict[str, dict[str, Any]] = {
    "plain": {"when": "*/10 * * * *"},
    "queued": {"when": "*/20 * * * *", "overlap": "queue_all", "grace": "1h"},
    "caught": {"when": "*/30 * * * *", "catch_up": "all", "catch_up_max": 5},
    "replaced": {"when": "*/15 * * * *", "overlap": "cancel_old"},
    "berlin": {"when": "30 * * * *", "timezone": "Europe/Berlin", "jitter": "10m"},
    "moving": {"when": "15 */3 * * *", "timezone": "Test/City", "catch_up": "first"},
    "interval": {"when": "@every 45m", "overlap": "allow", "retries": 2, "retry_delay": 60},
    "limited": {"when": "5,35 * * * *", "run_timeout": "5m", "queue_timeout": "10m"},
    "window": {"when": "0 * * * *", "window": "06:00-22:00", "catch_up": "none"},
    "everywhere": {"when": "40 * * * *", "target": "all"},
    "shards": {"when": "50 */2 * * *", "target": "shards:3"},
    "behind": {"after": ["plain", "caught"], "rule": "all_done"},
    "careful": {"after": ["interval"], "rule": "all_success", "overlap": "allow"},
    "once": {"when": "@at 2026-03-29T03:07:00Z"},
}
START = datetime(2026, 3, 28, 18, tzinfo=UTC).timestamp()


class Killed(BaseException):
    """The scheduler that was in the middle of something is no more."""


@dataclass
class Job:
    order: Order
    handle: str
    starts: float
    ends: float
    ok: bool
    began: bool = False
    listeners: list[tuple[Desk, Order]] = field(default_factory=list)


class Server:
    """A job server with its workers: one job for a key that it knows, and it remembers ends."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.jobs: dict[str, Job] = {}
        self.ended: dict[str, bool] = {}
        self.runs: dict[str, int] = {}
        self.down_until = 0.0
        self.count = 0

    @property
    def is_down(self) -> bool:
        return self.world.passed < self.down_until

    def submit(self, order: Order) -> Job:
        job = self.jobs.get(order.key)
        if job is None:
            chance, now = self.world.chance, self.world.passed
            self.count += 1
            starts = now + chance.choice([1, 1, 5, 60, 700])
            ends = starts + chance.choice([1, 10, 60, 400, 2_000])
            job = Job(order, f"H:{self.count}", starts, ends, chance.random() > 0.1)
            self.jobs[order.key] = job
        return job

    def step(self) -> None:
        """Have jobs begin and end whose time has come."""
        now = self.world.passed
        for key, job in list(self.jobs.items()):
            if not job.began and now >= job.starts:
                job.began = True
                self.runs[key] = self.runs.get(key, 0) + 1
            if job.began and now >= job.ends:
                del self.jobs[key]
                self.ended[job.handle] = job.ok
                for desk, order in job.listeners:
                    desk.say(News(order, ENDED, ok=job.ok, data=b"result"))

    def restart(self) -> None:
        """Be down for a while: jobs stay, and nobody listens to them any more."""
        self.down_until = self.world.passed + 3 * MINUTE
        for job in self.jobs.values():
            for desk, order in job.listeners:
                desk.say(News(order, SEVERED, reason="restarted"))
            job.listeners.clear()


class Desk:
    """What a scheduler takes for its dispatcher."""

    def __init__(self, server: Server, tell: Callable[[Sequence[News]], None]) -> None:
        self.server = server
        self.tell = tell
        self.is_closed = False

    def say(self, news: News) -> None:
        if not self.is_closed:
            self.tell([news])

    def start(self) -> None:
        """Nothing to be begun."""

    def stop(self) -> None:
        self.is_closed = True

    def submit(self, orders: Sequence[Order]) -> None:
        chance = self.server.world.chance
        for order in orders:
            if self.server.is_down:
                self.say(News(order, REFUSED, reason="down"))
                continue
            job = self.server.submit(order)
            if chance.random() < 0.02:
                # The connection ended before the server's word came.
                self.say(News(order, REFUSED, uncertain=True))
                continue
            job.listeners.append((self, order))
            self.say(News(order, ACKNOWLEDGED, server="s", handle=job.handle))

    def ask(self, orders: Sequence[Order]) -> None:
        for order in orders:
            job = self.server.jobs.get(order.key)
            if self.server.is_down:
                self.say(News(order, SEVERED))
            elif job is not None:
                job.listeners.append((self, order))
                self.say(News(order, STARTED if job.began else WAITS))
            elif order.handle in self.server.ended:
                self.say(News(order, ENDED, ok=self.server.ended[order.handle]))
            else:
                self.say(News(order, UNKNOWN, reason="unknown"))

    def look(self, orders: Sequence[Order]) -> None:
        for order in orders:
            job = self.server.jobs.get(order.key)
            if job is not None and not self.server.is_down:
                self.say(News(order, STARTED if job.began else WAITS))

    def cancel(self, orders: Sequence[Order]) -> None:
        for order in orders:
            job = self.server.jobs.get(order.key)
            if job is not None and not job.began:
                job.ends = job.starts = self.server.world.passed
                job.ok = False

    def take_back(self, orders: Sequence[Order]) -> None:
        for order in orders:
            job = self.server.jobs.get(order.key)
            if job is None or self.server.is_down:
                continue
            if job.began:
                self.say(News(order, STARTED))
                continue
            del self.server.jobs[order.key]
            self.server.ended[job.handle] = False
            self.say(News(order, TAKEN_BACK))

    def send(self, function: str, workload: bytes, group: str = "") -> None:
        """No agent is told anything here."""


class Fragile:
    """A store that is lost at times, and in whose calls the caller may die."""

    def __init__(self, store: Any, world: World) -> None:
        self._store = store
        self._world = world

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found) or name in ("open", "close"):
            return found

        def call(*values: Any, **options: Any) -> Any:
            self._world.may_fail(before=True)
            result = found(*values, **options)
            self._world.may_fail(before=False)
            return result

        return call


@dataclass
class Member:
    """One of the schedulers, or where one was."""

    number: int
    store: Any
    scheduler: Scheduler | None = None
    desk: Desk | None = None
    # Seconds that have passed when it is to do something.
    wakes: float = 0.0


def unmerged(known: Alert | None, event: Alert) -> Alert | None:
    """Leave alerts out."""
    return None


class World:
    """
    Three schedulers and what happens to them.

    Args:
        place: Where their store is.
        seed: Decides everything.
        folder: For zone data.

    Attributes:
        passed: Seconds that have passed, whatever the clock says.

    """

    def __init__(self, place: Any, seed: int, folder: Path) -> None:
        self.place = place
        self.chance = Random(seed)
        self.passed = 0.0
        self.server = Server(self)
        self.store_back = 0.0
        self.trouble = 0.0
        # When the agents greet again.
        self.greets = 0.0
        self.zones = Zones(folder)
        place.clock.now = START
        self.plain = place.store()
        # Nobody else is to be let through.
        self.plain._writer.database.rest = 0.0
        self.members = [Member(number, place.store()) for number in range(3)]
        for member in self.members:
            member.store._writer.database.rest = 0.0
        self.accounted: dict[str, int] = {}
        self.happened: dict[str, int] = {}
        self.found = 0
        self.newest = 0
        for name, table in ENTRIES.items():
            entry = read_entry(name, {"function": "work", "keep": 100_000} | table)
            self.plain.add(to_schedule(entry, START), "test")
            self.accounted[name] = int(START)

    # What may happen.

    def may_fail(self, before: bool) -> None:
        if self.passed < self.store_back:
            raise StoreUnavailable("lost")
        if not self.trouble:
            return
        fate = self.chance.random() / self.trouble
        if fate < 0.0005:
            self.note("killed in the middle")
            raise Killed
        if fate < 0.0008 and before:
            self.note("an answer of the store was lost")
            raise StoreUnavailable("cut off")

    def note(self, what: str) -> None:
        self.happened[what] = self.happened.get(what, 0) + 1

    def misfortune(self) -> None:
        """Something that happens every now and then."""
        what = self.chance.choice(
            ["stopped", "killed", "store", "server", "back", "forth", "zones", "agents", "nothing"]
        )
        self.note(what)
        member = self.chance.choice(self.members)
        if what == "stopped":
            member.wakes = self.passed + self.chance.choice([20, 200, 2_000])
        elif what == "killed":
            self.kill(member)
        elif what == "store":
            self.store_back = self.passed + self.chance.choice([10, 300, 4_000])
        elif what == "server":
            self.server.restart()
        elif what == "back":
            self.place.clock.now -= self.chance.choice([5, 300, 1_200])
        elif what == "forth":
            self.place.clock.now += self.chance.choice([5, 600, 7_200])
        elif what == "zones":
            self.change_zones()

    def change_zones(self) -> None:
        """Have clocks of one zone changed at other times, when all that was due is in the books."""
        self.account("moving")
        self.zones.change()

    def kill(self, member: Member) -> None:
        if member.desk is not None:
            member.desk.stop()
            for job in self.server.jobs.values():
                job.listeners = [one for one in job.listeners if one[0] is not member.desk]
        member.scheduler = None
        member.wakes = self.passed + self.chance.choice([1, 10, 100, 1_000])

    # Time.

    def run(self, seconds: float, each: float = HOUR) -> None:
        """Let time pass, with a misfortune every now and then."""
        self.trouble = 1.0
        end, next_misfortune = self.passed + seconds, self.passed + each
        while self.passed < end:
            self.step()
            if self.passed >= next_misfortune:
                self.misfortune()
                next_misfortune += self.chance.uniform(0.2, 1.8) * each
        self.trouble = 0.0

    def settle(self) -> None:
        """Let time pass without any misfortune until all that has fired so far has ended."""
        self.trouble, self.store_back = 0.0, 0.0
        until = self.passed + 24 * HOUR
        self.let_pass(HOUR)
        newest = self.plain.fires(limit=1)[0].id
        while self.passed < until:
            self.let_pass(HOUR)
            if not self.unended(newest):
                return

    def let_pass(self, seconds: float) -> None:
        until = self.passed + seconds
        while self.passed < until:
            self.step()

    def unended(self, newest: int) -> list[Fire]:
        """Return fires with ids up to the newest that have not ended."""
        self.newest = newest
        states = [state for state in STATES if state not in FINAL]
        return list(self.plain.fires(states=states, before=newest + 1, limit=1_000))

    def step(self) -> None:
        """Let time pass until the next thing happens, and have it happen."""
        moment = min(member.wakes for member in self.members)
        moment = min([moment, *(self.event_of(job) for job in self.server.jobs.values())])
        moment = max(moment, self.passed + 0.01)
        self.place.clock.now += moment - self.passed
        self.passed = moment
        if not self.server.is_down:
            self.server.step()
        if self.passed >= max(self.store_back, self.greets):
            self.greets = self.passed + HOUR / 2
            for name in ("a", "b", "c"):
                self.plain.greet(Agent(name), 2 * HOUR)
        for member in self.members:
            if member.wakes <= self.passed:
                self.let_work(member)

    def event_of(self, job: Job) -> float:
        moment = job.ends if job.began else job.starts
        return max(moment, self.server.down_until)

    def let_work(self, member: Member) -> None:
        try:
            if member.scheduler is None:
                self.begin(member)
            assert member.scheduler is not None
            member.wakes = self.passed + member.scheduler.step()
        except Killed:
            self.kill(member)
        except StoreError:
            member.wakes = self.passed + 10

    def begin(self, member: Member) -> None:
        settings = SchedulerSettings(instance=f"scheduler {member.number}", poll=60.0, lease=300.0)
        member.scheduler = Scheduler(
            Fragile(member.store, self),
            lambda tell: self.new_desk(member, tell),
            settings,
            unmerged,
            clock=self.place.clock,
            monotonic=lambda: self.passed,
            zones=self.zones.version,
        )

    def new_desk(self, member: Member, tell: Callable[[Sequence[News]], None]) -> Desk:
        member.desk = Desk(self.server, tell)
        return member.desk

    # The books.

    def row(self, name: str) -> Schedule:
        found = self.plain.schedule(name)
        assert found is not None
        return found

    def rows(self, schedule: int) -> list[Fire]:
        found: list[Fire] = []
        before = 0
        while page := self.plain.fires(schedule=schedule, before=before, limit=1_000):
            found += page
            before = page[-1].id
        return found

    def account(self, name: str) -> int:
        """Check that each moment up to the last is in exactly one row; return how many."""
        row = self.row(name)
        begin, end = self.accounted[name], row.last_nominal
        expected = moments(from_definition(row.definition), begin, end)
        found: list[int] = []
        keys: set[tuple[int, str]] = set()
        for fire in self.rows(row.id):
            assert fire.origin in ("clock", "catch-up", "after"), fire
            assert (fire.nominal, fire.target) not in keys, f"{fire} twice"
            keys.add((fire.nominal, fire.target))
            if begin < fire.nominal <= end and fire.nominal not in found[-1:]:
                index = expected.index(fire.nominal)
                found += expected[index : index + fire.count]
        assert sorted(set(found)) == expected, f"{name}: lost or made up"
        assert len(set(found)) == len(found) or row.target != "one", f"{name}: twice"
        self.accounted[name] = max(begin, end)
        self.found += len(expected)
        return len(expected)

    def check(self) -> None:
        """Check everything that has to hold when all has ended."""
        assert self.unended(self.newest) == []
        for name, table in ENTRIES.items():
            row = self.row(name)
            rows = self.rows(row.id)
            if "when" in table:
                self.account(name)
            for fire in rows:
                if fire.state == "done":
                    assert fire.attempt >= 1
                    assert fire.started >= fire.submitted - 3 * HOUR
            if name == "behind":
                nominals = {fire.nominal for fire in rows}
                assert len(nominals) == len(rows)


def moments(entry: Entry, after: int, until: int) -> list[int]:
    """Return the moments of an entry by going through them."""
    cron = cron_of(entry)
    assert cron is not None
    if until <= after:
        return []
    first, last = (datetime.fromtimestamp(one, UTC) for one in (after, until))
    return [round(fire.timestamp()) for fire in cron.fires(first, last)]


class Zones:
    """Zone data with a zone that changes its mind."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "Test" / "City"
        self.path.parent.mkdir(parents=True)
        self.before = zoneinfo.TZPATH
        self.sources = ["Europe/Berlin", "Asia/Kathmandu"]
        self.number = 0
        self.write()
        zoneinfo.reset_tzpath([str(folder), *self.before])

    def write(self) -> None:
        name = self.sources[self.number % 2]
        source = next(Path(one, name) for one in self.before if Path(one, name).exists())
        shutil.copyfile(source, self.path)

    def change(self) -> None:
        self.number += 1
        self.write()
        zoneinfo.ZoneInfo.clear_cache()
        cron_of.cache_clear()

    def version(self) -> str:
        return f"test {self.number}"

    def restore(self) -> None:
        zoneinfo.reset_tzpath(self.before)
        zoneinfo.ZoneInfo.clear_cache()
        cron_of.cache_clear()
