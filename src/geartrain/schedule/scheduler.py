"""
The scheduler: claims what is due, has it done, and writes what became of it.

It is one of any number, none of which leads. All it knows is in the store; what it holds in memory
is what the store has given to its lease. ``step`` is one pass and does everything, in one thread;
``run`` calls it until it is stopped, and sleeps in between for as long as nothing is due.

No row is locked while anything goes over the network: a claim is committed first, then its fires
are submitted, then their acknowledgements are written. Whoever dies in between leaves rows that
another scheduler finds, and submits under the same unique key.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from threading import Event
from typing import Final, Protocol

from geartrain.errors import LeaseLost, StoreError, StoreUnavailable, UsageError
from geartrain.schedule.alarms import Alarms, Durations
from geartrain.schedule.correcting import tell_corrections
from geartrain.schedule.deciding import Deciding
from geartrain.schedule.dispatching import ACKNOWLEDGED, News, Order
from geartrain.schedule.entry import from_definition
from geartrain.schedule.envelope import control_function
from geartrain.schedule.figures import Figures
from geartrain.schedule.following import Following
from geartrain.schedule.greeting import end_order
from geartrain.schedule.rounds import Rounds
from geartrain.schedule.settings import SchedulerSettings, host_name
from geartrain.schedule.spreading import number_for
from geartrain.schedule.standing import moved
from geartrain.schedule.underway import Underway
from geartrain.store.schedule_rows import (
    FAILED,
    FINAL,
    MISSED,
    PENDING,
    SKIPPED,
    Agent,
    Alert,
    Fire,
    Owner,
    Plan,
    Schedule,
)
from geartrain.store.schedule_store import Merger, ScheduleStore

__all__ = ["Dispatching", "Scheduler"]

logger = logging.getLogger("geartrain.schedule")

WHO: Final = "geartrain scheduler"
# Clocks that differ by more than this: said; and nothing is claimed.
SKEW_SAID: Final = 1.0
SKEW_REFUSED: Final = 30.0
# Seconds between looks at the clock and the zone data, and between lines of figures in the log.
_MINUTE: Final = 60.0
# Seconds between looks at what fires already, at fires that were overlooked, and at lines.
_NOW_AND_THEN: Final = 5.0
# Claims in one pass, so that what they claimed is submitted before there are more.
_CLAIMS: Final = 5
# Seconds in which more news is waited for where some came, so that they are written together.
_TOGETHER: Final = 0.02
# Rows that are followed, and events that are reported, in one transaction.
_MOST: Final = 500
# Seconds for which claiming waits for what became of fires that somebody left behind: what has
# ended long ago should not keep the next one from running.
_PUZZLED: Final = 5.0
# Part of the time between two passes after which a look is taken whether something came that is due
# before the next one.
_GLANCE: Final = 0.25
# Entries that are remembered beyond those at hand, and whose runs' durations are.
_REMEMBERED: Final = 20_000
# Entries that are named on one line of the log.
_NAMED: Final = 5


class Dispatching(Protocol):
    """What a scheduler needs of a ``Dispatcher``."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""

    def submit(self, orders: Sequence[Order]) -> None:
        """Submit orders and listen to them."""

    def ask(self, orders: Sequence[Order]) -> None:
        """Ask what has become of orders."""

    def cancel(self, orders: Sequence[Order]) -> None:
        """Take orders out of their servers' waiting lines."""

    def take_back(self, orders: Sequence[Order]) -> None:
        """Take orders out of the line unless a worker has them."""

    def look(self, orders: Sequence[Order]) -> None:
        """Ask which of the orders that are listened to have been begun."""

    def send(self, function: str, workload: bytes, group: str = "") -> None:
        """Submit a job that nobody listens to."""


class Scheduler:
    """
    One scheduler.

    Args:
        store: Opened by ``run``.
        dispatcher: Made by a function that is given where its news go.
        settings: See `SchedulerSettings`.
        merge: Puts alerts together; see ``ScheduleStore``.
        secret: What orders to agents are signed with.
        clock: This machine's time, for comparing it with the database's.
        monotonic: Seconds that pass whatever anybody sets.
        zones: Tells which zone data there are.

    """

    def __init__(
        self,
        store: ScheduleStore,
        dispatcher: Callable[[Callable[[Sequence[News]], None]], Dispatching],
        settings: SchedulerSettings,
        merge: Merger,
        *,
        secret: bytes = b"",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        zones: Callable[[], str] | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.merge = merge
        self.secret = secret
        self.clock = clock
        self.monotonic = monotonic
        self.name = settings.instance or f"{host_name()}:{os.getpid()}"
        self.me: Owner | None = None
        self.figures = Figures()
        self.underway = Underway()
        self.following = Following(store)
        self.deciding = Deciding(self.name)
        self.rounds = Rounds(store, self._report, zones)
        self.dispatcher = dispatcher(self._tell)
        self._news: deque[News] = deque()
        self._wake = Event()
        self._stopping = False
        self._agents: Sequence[Agent] = ()
        self._firing: set[tuple[str, str]] = set()
        self._durations: dict[int, Durations] = {}
        self._revision = -1
        # When, by the monotonic clock, each thing was done last.
        self._done: dict[str, float] = {}
        # When fires are due that belong to nobody until then.
        self._soon: list[float] = []
        self._hurries = False
        self._puzzled_until = 0.0
        # When the next entry was due at the end of the last pass; 0 for never.
        self._due = 0
        # When the last pass went well, by ``time.monotonic``.
        self.well_at = time.monotonic()

    # From any thread.

    def stop(self) -> None:
        """Have ``run`` end, after it has written what it knows."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Have the next pass come at once."""
        self._wake.set()

    def _tell(self, news: Sequence[News]) -> None:
        self._news.extend(news)
        self._wake.set()

    # The loop.

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Work until ``stop`` is called; errors of the store are waited out."""
        self.dispatcher.start()
        is_open = False
        troubled = ""
        try:
            while not self._stopping:
                pause = self.settings.poll
                try:
                    if not is_open:
                        self.store.open()
                        is_open = True
                    pause = self.step()
                    self.well_at = time.monotonic()
                    if troubled:
                        logger.warning("the store of entries answers again")
                    troubled = ""
                    ready, said = (lambda: None), ready
                    said()
                except StoreError as error:
                    if str(error) != troubled:
                        logger.error("nothing is scheduled: %s", error)
                    troubled = str(error)
                self._sleep(pause, glances=not troubled)
        finally:
            self._leave()

    def _sleep(self, seconds: float, glances: bool) -> None:
        end = time.monotonic() + seconds
        glance = self.settings.poll * _GLANCE if glances else seconds
        while (left := end - time.monotonic()) > glance and not self._wake.wait(glance):
            if self._is_early():
                return
        if self._wake.wait(max(left, 0.0)) and not self._stopping:
            # What comes by the hundreds is written together.
            time.sleep(_TOGETHER)
        self._wake.clear()

    def _is_early(self) -> bool:
        """Whether an entry has come meanwhile that is due before all that were known."""
        try:
            due = self.store.next_fire()
        except StoreError:
            # The next pass says so.
            return False
        return 0 < due < (self._due or due + 1)

    def _leave(self) -> None:
        """Write what is known, and let the others have the rest."""
        try:
            if self.me is not None:
                self._hear(self.store.now())
                self._mark(self.store.now())
                self.store.leave(self.me)
        except StoreError as error:
            logger.warning("the lease was not given back, and ends by itself: %s", error)
        self.dispatcher.stop()

    def step(self) -> float:
        """Do what there is to do now; return for how many seconds there is nothing. Blocks."""
        self._hurries = False
        try:
            now = self.store.now()
            self._keep_lease(now)
            self._look_around(now)
            self._hear(now)
            # First, so that what has ended holds up nothing that is claimed now.
            self._mark(now)
            self._take(now)
            self._claim(now)
            self._submit(now)
            self._watch(now)
            self._mark(now)
            self._follow(now)
            return self._pause(self.store.now())
        except LeaseLost:
            logger.warning("the lease of %s was lost; it begins anew", self.name)
            self._forget()
            return 0.0

    def _pause(self, now: float) -> float:
        if self._hurries or self._news:
            return 0.0
        # Not all of them at the same time.
        poll = self.settings.poll * (0.9 + number_for(f"{self.name}{now:.0f}", 100) / 1_000)
        if abs(self.figures.skew) > SKEW_REFUSED or self._is_puzzled:
            # What is due stays so meanwhile; news wake us.
            return poll / 4
        due = self._due = self.store.next_fire()
        pause = min(poll, due - now) if due else poll
        if self._soon:
            pause = min(pause, self._soon[0] - now)
        return max(pause, 0.0)

    def _is_time(self, what: str, seconds: float) -> bool:
        """Whether something was done so long ago; notes that it is done now."""
        now = self.monotonic()
        if what in self._done and 0 <= now - self._done[what] < seconds:
            return False
        self._done[what] = now
        return True

    # The lease.

    def _keep_lease(self, now: float) -> None:
        if self.me is None:
            self.me = self.store.join(
                self.name, host_name(), self.settings.lease, self.rounds.version
            )
            self._done["lease"] = self.monotonic()
            self.deciding.returning.begin(now)
            self._measure(now)
        elif self._is_time("lease", self.settings.lease / 3):
            if not self.store.renew(self.me, self.settings.lease, self.figures.skew):
                raise LeaseLost(f"the lease of {self.name} was lost")
            # What a write of ours gave us and was not heard of is ours all the same.
            known = self.underway.held
            owned = self.store.owned(self.me)
            self._hold([one for one in owned if one.id not in known], now)

    def _forget(self) -> None:
        self.me = None
        self.underway.clear()

    def _measure(self, now: float) -> None:
        """Compare this machine's clock with the database's."""
        self.figures.skew = skew = self.clock() - now
        if abs(skew) > SKEW_REFUSED:
            logger.error(
                "this machine's clock is %+.1f s off the database's: nothing is claimed "
                "until it is set right",
                skew,
            )
        elif abs(skew) > SKEW_SAID:
            logger.warning("this machine's clock is %+.1f s off the database's", skew)

    def _look_around(self, now: float) -> None:
        """Take note of what changes seldom."""
        if self._is_time("minute", _MINUTE):
            self._measure(now)
            self.rounds.look_at_zones()
            self.rounds.settle(now)
            logger.debug("%s", self.figures.line())
            if len(self.underway.rows) > _REMEMBERED:
                self.underway.forget_rows()
        if not self._is_time("poll", self.settings.poll / 2):
            return
        revision = self.store.revision()
        if revision != self._revision:
            self._revision = revision
            self._look_up(list({held.fire.schedule for held in self.underway.held.values()}))
        if self._is_time("firing", _NOW_AND_THEN):
            self._agents = self.store.agents()
            self._firing = {(one.rule, one.subject) for one in self.store.alerts(firing=True)}
        if self._is_time("around", _NOW_AND_THEN) or self.deciding.looks_around:
            others = self.store.instances()
            self.deciding.others = {one.name for one in others if one.expires > now}
            self.deciding.looks_around = False

    # Fires at hand.

    def _take(self, now: float) -> None:
        """Get fires that are due, or that another scheduler has left behind."""
        while self._soon and self._soon[0] <= now:
            heappop(self._soon)
            self._done.pop("take", None)
        if self.me is None or not self._is_time("take", self.settings.poll / 2):
            return
        fires = self.store.take(self.me, self.settings.batch)
        if any(fire.submitted for fire in fires):
            self._puzzled_until = self.monotonic() + _PUZZLED
        self.figures.takeovers += sum(bool(fire.submitted) for fire in fires)
        self._hold(fires, now)
        self._hurries |= len(fires) == self.settings.batch
        if len(fires) == self.settings.batch:
            self._done.pop("take", None)

    def _hold(self, fires: Sequence[Fire], now: float) -> None:
        self._look_up([fire.schedule for fire in fires if fire.schedule not in self.underway.rows])
        self.underway.hold(fires, now)

    def _look_up(self, identities: Sequence[int]) -> None:
        """Read entries of fires at hand; one that is gone is forgotten."""
        if not identities:
            return
        wanted = sorted(set(identities))
        for identity in wanted:
            self.underway.rows.pop(identity, None)
        for row in self.store.schedules(ids=wanted, limit=len(wanted)):
            self.underway.rows[row.id] = row

    # Claiming.

    def _claim(self, now: float) -> None:
        """Deal with entries that are due."""
        if abs(self.figures.skew) > SKEW_REFUSED or self.me is None or self._is_puzzled:
            return
        for _ in range(_CLAIMS):
            plans: dict[int, tuple[Schedule, Plan]] = {}
            # Without a key agents have no copy of entries, and run nothing by themselves.
            self.deciding.has_copies = bool(self.secret)

            def decide(
                row: Schedule,
                at: float,
                fires: Sequence[Fire],
                agents: Sequence[Agent],
                plans: dict[int, tuple[Schedule, Plan]] = plans,
            ) -> Plan:
                made = self.deciding.decide(row, at, fires, agents)
                plans[row.id] = (row, made)
                return made

            fires = self.store.claim(self.me, self.settings.batch, decide)
            if not plans:
                return
            # At once, so that no mistake of ours leaves fires that nobody holds.
            self.underway.rows.update((row.id, row) for row, _ in plans.values())
            self.underway.hold(fires, now)
            tell_corrections(plans.values())
            said: list[Alert] = []
            for row, made in plans.values():
                said += self._planned(row, made, now)
            self._report(said)
            self._tell_missed(plans.values())
            self.figures.claimed += len(plans)
        self._hurries = True

    @property
    def _is_puzzled(self) -> bool:
        """Whether fires that somebody left behind may turn out to have ended long ago."""
        return self.monotonic() < self._puzzled_until and self.underway.is_puzzled

    def _planned(self, row: Schedule, made: Plan, now: float) -> list[Alert]:
        """Take note of a plan that was written; return what there is to say of it."""
        alarms = Alarms(from_definition(row.definition))
        said: list[Alert] = []
        for fire in made.fires:
            if fire.state == PENDING and fire.due > now:
                heappush(self._soon, fire.due)
            elif fire.state == MISSED:
                self.figures.missed += fire.count
            elif fire.state == SKIPPED:
                self.figures.skipped += fire.count
            if fire.state in FINAL:
                said += alarms.ended(fire, row, self._firing, self._durations_of(row.id))
        row.next_fire, row.last_nominal = made.next_fire, made.last_nominal
        row.enabled = made.enabled
        said += alarms.planned(row, self._firing, now)
        cancelled = [self.underway.order_to_cancel(fire) for fire in made.changes]
        if cancelled:
            if from_definition(row.definition).overlap == "kill_old":
                self._kill(self.underway.kills_of(made.changes))
            self.underway.drop(fire.id for fire in made.changes)
            self.dispatcher.cancel(cancelled)
        return said

    def _kill(self, kills: Sequence[tuple[str, str, str]]) -> None:
        """Have agents end what they run of some fires."""
        for agent, key, group in kills:
            self.dispatcher.send(control_function(agent), end_order(key, self.secret), group)

    @staticmethod
    def _tell_missed(plans: Iterable[tuple[Schedule, Plan]]) -> None:
        """Log what did not run, on one line."""
        missed = [
            f"{row.name} {fire.count} ({fire.reason})"
            for row, made in plans
            for fire in made.fires
            if fire.state == MISSED
        ]
        if missed:
            more = f" and {len(missed) - _NAMED} more" if len(missed) > _NAMED else ""
            logger.warning("missed: %s%s", ", ".join(missed[:_NAMED]), more)

    def _report(self, alerts: Sequence[Alert]) -> None:
        if alerts:
            self.store.report(alerts, self.merge)

    def _durations_of(self, schedule: int) -> Durations:
        if schedule not in self._durations and len(self._durations) >= _REMEMBERED:
            # The one that has been here for longest.
            del self._durations[next(iter(self._durations))]
        return self._durations.setdefault(schedule, Durations())

    # Jobs.

    def _submit(self, now: float) -> None:
        orders = self.underway.submissions(now, self._agents)
        if orders:
            self.dispatcher.submit(orders)

    def _hear(self, now: float) -> None:
        """Take in what has become of jobs."""
        while self._news:
            news = self._news.popleft()
            held = self.underway.held.get(news.order.fire)
            if news.kind == ACKNOWLEDGED and held is not None and not held.fire.submitted:
                self.figures.submitted += 1
                self.figures.lags.append(now - held.fire.due)
            self.underway.hear(news, now)

    def _watch(self, now: float) -> None:
        if not self._is_time("watch", self.settings.poll / 2):
            return
        watch = self.underway.watch(now, self._agents)
        if watch.asks:
            self.dispatcher.ask(watch.asks)
        if watch.cancels:
            self.dispatcher.cancel(watch.cancels)
        if watch.looks:
            self.dispatcher.look(watch.looks)
        self._kill(watch.kills)
        if replaceable := self.underway.replaceable():
            open_fires = self.store.open_fires(replaceable)
            self.dispatcher.take_back(self.underway.replaced(open_fires))
        self._tell_late(now)

    def _tell_late(self, now: float) -> None:
        """Say of fires that they should be at a job server and are not."""
        said: list[Alert] = []
        told: list[Fire] = []
        for fire in self.underway.late(now):
            row = self.underway.rows.get(fire.schedule)
            if row is None or len(said) >= _MOST:
                continue
            alarms = Alarms(from_definition(row.definition))
            events = alarms.unsubmitted(fire, now)
            if events or not alarms.is_timed(fire):
                told.append(fire)
            said += events
        self._report(said)
        for fire in told:
            self.underway.told(fire)

    def _mark(self, now: float) -> None:
        """Write what became of fires."""
        changes = self.underway.take_changes()
        if not changes or self.me is None:
            return
        try:
            written = set(self.store.mark(self.me, changes, self._alerts_of(changes), self.merge))
        except StoreUnavailable:
            # They are written once it answers again, unless there is newer to be said then.
            for fire in changes:
                self.underway.changed.setdefault(fire.id, fire)
            raise
        self.underway.submitted.difference_update(fire.id for fire in changes)
        self.underway.drop(fire.id for fire in changes if fire.id not in written)
        for fire in changes:
            if fire.id in written and fire.state == PENDING:
                heappush(self._soon, fire.due)
            elif fire.id in written and fire.state in FINAL:
                self.figures.ended += 1
                self.figures.missed += fire.state == MISSED
                self._done.pop("follow", None)
        self._move_on(now)

    def _alerts_of(self, changes: Sequence[Fire]) -> list[Alert]:
        """Return what there is to say of fires that have changed."""
        # How often an entry has failed is known to the store alone.
        self._look_up([fire.schedule for fire in changes if fire.state == FAILED])
        said: list[Alert] = []
        for fire in changes:
            row = self.underway.rows.get(fire.schedule)
            if row is None:
                continue
            alarms = Alarms(from_definition(row.definition))
            if fire.state in FINAL:
                durations = self._durations_of(row.id)
                said += alarms.ended(fire, row, self._firing, durations)
            elif fire.id in self.underway.submitted:
                said += alarms.submitted(fire, self._firing)
        return said

    def _move_on(self, now: float) -> None:
        """Have entries fire next when their executors said."""
        asked, self.underway.next_runs = self.underway.next_runs, []
        for one in asked:
            row = self.store.schedules(ids=(one.fire.schedule,), limit=1)
            if not row or row[0].generation != one.fire.generation or not row[0].enabled:
                continue
            changed, skipped = moved(row[0], one.next_run, now)
            try:
                self.store.replace(changed, WHO)
            except UsageError as error:
                logger.warning("entry %s does not fire next when it said: %s", row[0].name, error)
                continue
            if skipped is not None:
                self.store.insert([skipped], WHO)

    # Consequences.

    def _follow(self, now: float) -> None:
        if self.me is None:
            return
        if self._is_time("follow", self.settings.poll / 2):
            found = self.following.step(self.me, now, self._agents, _MOST)
            if found:
                # What came after may be due at once.
                self._done.pop("take", None)
                self._done.pop("follow", None)
                self._hurries = True
        if self._is_time("release", _NOW_AND_THEN) and self.following.release(self.me, now):
            self._done.pop("take", None)
            self._hurries = True
        if self._is_time("rounds", self.settings.poll):
            self._hurries |= self.rounds.step(now, self._agents)
            if self._hurries:
                self._done.pop("rounds", None)
