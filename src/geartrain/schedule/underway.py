"""
The fires that one scheduler is at work on: what to submit, to ask and to cancel, and what it hears.

It holds the rows that the store has given to this scheduler, takes in news of their jobs, and gives
out what is to be written. No clock, no socket, no database: the scheduler says what the time is and
carries out what is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from geartrain.client.submission import Priority
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
from geartrain.schedule.entry import Entry, for_agents, from_definition
from geartrain.schedule.envelope import agent_function, envelope_for, fire_key
from geartrain.schedule.overlapping import REPLACED, is_replaced
from geartrain.schedule.retrying import concluded
from geartrain.schedule.targeting import NOBODY, function_of, shard_of
from geartrain.schedule.timeouts import overdue
from geartrain.store.schedule_rows import (
    CANCELLED,
    FINAL,
    LOST,
    MISSED,
    PENDING,
    RUNNING,
    SUBMITTED,
    TIMEOUT,
    Agent,
    Fire,
    Schedule,
)

__all__ = ["Ended", "Underway", "Watch", "order_of"]

# Seconds between two looks at a job that nobody listens to, and between two attempts to submit:
# the first pause, doubled up to the longest.
_FIRST: Final = 1.0
_LONGEST: Final = 10.0
# Seconds for which news of an end may be on its way from a server that has forgotten the job.
_ON_ITS_WAY: Final = 5.0
# Jobs that are asked for in one look.
_MOST: Final = 500
_REASON: Final = 200
_AGENT: Final = agent_function("")
# Seconds in which agents that are there have greeted, and for which one is waited for at least.
_GREETED: Final = 30.0
# What the row of a fire says that waits for an agent, so that another scheduler knows as well.
_SENT: Final = "sent to agent "
_REMOVED: Final = Entry(name="removed", function="removed")


@dataclass(slots=True)
class Held:
    """A fire at hand, and how far its job has got."""

    fire: Fire
    order: Order | None = None
    # Whether somebody listens to its job.
    heard: bool = False
    # Since when it is at hand.
    since: float = 0.0
    # When to submit or to ask again, and how long the pause before that was.
    again: float = 0.0
    pause: float = _FIRST
    # Since when no server knows a job that is listened to.
    unknown: float = 0.0
    # Whether another scheduler submitted it, and nothing is known of it yet.
    inherited: bool = False
    # Whether it was said that it is late.
    told: bool = False
    # When it was last known to wait for a worker, and whether its server ever said so.
    waited: float = 0.0
    waits: bool = False
    # From when on its agent counts as gone where nothing was heard of it: agents that are there
    # have greeted whoever took the fire over by then.
    trusted: float = 0.0


@dataclass(slots=True)
class Watch:
    """What is to be told to job servers."""

    asks: list[Order] = field(default_factory=list)
    # Of those that are listened to.
    looks: list[Order] = field(default_factory=list)
    cancels: list[Order] = field(default_factory=list)
    # Agents that run what has taken too long, its key, and the group of servers.
    kills: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Ended:
    """A fire whose executor said when its entry is to fire next."""

    fire: Fire
    next_run: int


class Underway:
    """Fires at hand, by id."""

    def __init__(self) -> None:
        self.held: dict[int, Held] = {}
        # Their entries, by id; whoever holds fires sees to it that they are here.
        self.rows: dict[int, Schedule] = {}
        self.changed: dict[int, Fire] = {}
        # Those whose first submission was heard of here, until that is written.
        self.submitted: set[int] = set()
        self.next_runs: list[Ended] = []

    def __len__(self) -> int:
        return len(self.held)

    def clear(self) -> None:
        """Let everything go, since it is somebody else's."""
        self.held.clear()
        self.changed.clear()
        self.submitted.clear()

    def hold(self, fires: Iterable[Fire], now: float) -> None:
        """Take fires in that the store has given to this scheduler."""
        for fire in fires:
            # Of what was submitted by somebody else, somebody has to find out what became.
            inherited = fire.state != PENDING
            held = self.held[fire.id] = Held(fire, since=now, again=now, inherited=inherited)
            if held.inherited:
                held.trusted = now + _GREETED
                held.order = self._sent(fire)

    def _sent(self, fire: Fire) -> Order | None:
        """Return the order of a fire that another scheduler sent to an agent of its choice."""
        if not fire.reason.startswith(_SENT):
            return None
        function = agent_function(fire.reason.removeprefix(_SENT))
        group = self._entry(fire).servers
        return Order(fire.id, fire.attempt, function, _key(fire), group=group)

    @property
    def is_puzzled(self) -> bool:
        """Whether it is not known yet what became of fires that another scheduler submitted."""
        return any(held.inherited for held in self.held.values())

    def forget_rows(self) -> None:
        """Forget entries that have no fire at hand."""
        wanted = {held.fire.schedule for held in self.held.values()}
        self.rows = {identity: row for identity, row in self.rows.items() if identity in wanted}

    def drop(self, identities: Iterable[int]) -> None:
        """Let fires go that were ended by somebody else, or are somebody else's."""
        for identity in identities:
            self.held.pop(identity, None)

    def take_changes(self) -> list[Fire]:
        """Return rows that are to be written; what was ended or put off is held no longer."""
        changes = list(self.changed.values())
        self.changed.clear()
        return changes

    def order_to_cancel(self, fire: Fire) -> Order:
        """Return the order of a fire that is to be cancelled, as far as it is known."""
        held = self.held.get(fire.id)
        return self._asking(held if held is not None else Held(fire))

    def kills_of(self, fires: Sequence[Fire]) -> list[tuple[str, str, str]]:
        """Return which agents are to end which of some fires; see ``Watch``."""
        found = []
        for fire in fires:
            held = self.held.get(fire.id) or Held(fire)
            if agent := self._agent(held):
                order = self._asking(held)
                found.append((agent, order.key, order.group))
        return found

    # To be submitted.

    def submissions(self, now: float, agents: Sequence[Agent]) -> list[Order]:
        """Return orders for what is pending; each is on its way from then on."""
        orders = []
        for held in self.held.values():
            fire = held.fire
            if fire.state != PENDING or held.order is not None or held.again > now:
                continue
            if held.pause > _FIRST and self._overdue(held, now):
                # It was refused for too long, and is given up where that is looked for.
                continue
            order = self._order(held, agents)
            if order is None:
                held.again = now + _FIRST
                self._nobody(held, now)
            else:
                # Its server has so long to say something.
                held.order, held.again = order, now + _LONGEST
                orders.append(order)
        for identity, fire in self.changed.items():
            if fire.state in FINAL:
                self.held.pop(identity, None)
        return orders

    def _order(self, held: Held, agents: Sequence[Agent]) -> Order | None:
        fire = held.fire
        row = self.rows.get(fire.schedule)
        if row is None:
            self._change(held, replace(fire, state=CANCELLED, reason="its entry was removed"))
            return None
        return order_of(from_definition(row.definition), fire, agents)

    def _nobody(self, held: Held, now: float) -> None:
        """Give up a fire that has waited for an agent for as long as it is on time."""
        fire = held.fire
        # Where no scheduler was there, agents could greet nobody.
        late = now - max(fire.due, held.since) > max(self._entry(fire).grace, _GREETED)
        if fire.state == PENDING and late and not fire.submitted:
            self._change(held, replace(fire, state=MISSED, reason=NOBODY, ended=now))

    def late(self, now: float) -> list[Fire]:
        """Return what is due and was not submitted yet, each until ``told`` is called for it."""
        return [
            held.fire
            for held in self.held.values()
            if held.fire.state == PENDING
            and not held.fire.submitted
            and not held.told
            and held.fire.due < now - _FIRST
        ]

    def told(self, fire: Fire) -> None:
        """Take note that it was said of a fire that it is late."""
        self.held[fire.id].told = True

    # What is heard.

    def hear(self, news: News, now: float) -> None:
        """Take in what has become of an order."""
        held = self.held.get(news.order.fire)
        if held is None or held.fire.state in FINAL:
            return
        if not self._is_of(held, news.order):
            return
        if held.inherited:
            held.inherited = False
            # Written in any case: others see by that that somebody knows of it.
            self.changed.setdefault(held.fire.id, held.fire)
        if news.kind == ACKNOWLEDGED:
            self._acknowledged(held, news, now)
        elif news.kind == STARTED:
            self._began(held, news, now)
        elif news.kind == WAITS:
            self._waits(held, news, now)
        elif news.kind == TAKEN_BACK:
            self._change(held, replace(held.fire, state=CANCELLED, reason=REPLACED, ended=now))
            del self.held[held.fire.id]
        elif news.kind == ENDED:
            self._ended(held, news, now)
        elif news.kind == REFUSED:
            self._refused(held, news, now)
        elif news.kind == SEVERED:
            held.heard = False
            self._later(held, now)
        elif news.kind == UNKNOWN:
            self._unknown(held, news, now)

    @staticmethod
    def _is_of(held: Held, order: Order) -> bool:
        """Whether news of an order are news of the present attempt."""
        if held.order is None:
            return order.attempt == held.fire.attempt
        # One that was taken from an agent that is gone has the same number.
        elsewhere = order.function and order.function != held.order.function
        return order.attempt == held.order.attempt and not elsewhere

    def _acknowledged(self, held: Held, news: News, now: float) -> None:
        held.heard = True
        held.again, held.pause, held.waited = now + _FIRST, _FIRST, now
        self._change(
            held,
            replace(
                self._submitted(held, now),
                handle=news.handle or held.fire.handle,
                server=news.server or held.fire.server,
            ),
        )

    def _submitted(self, held: Held, now: float) -> Fire:
        fire = held.fire
        attempt = held.order.attempt if held.order else fire.attempt
        return replace(
            fire,
            state=SUBMITTED,
            attempt=attempt,
            reason=self._whereto(held),
            submitted=fire.submitted or now,
            # Of a later attempt: what its time in the line is counted from.
            due=now if attempt > 1 and fire.state == PENDING else fire.due,
            started=0.0,
        )

    def _whereto(self, held: Held) -> str:
        """Return what is to be known of a fire that was sent to an agent which it does not name."""
        function = held.order.function if held.order else ""
        if not function.startswith(_AGENT) or self._repeats(held.fire):
            return ""
        return _SENT + function.removeprefix(_AGENT)

    def _began(self, held: Held, news: News, now: float) -> None:
        held.unknown = 0.0
        held.heard = news.listening
        self._later(held, now)
        if held.fire.state != RUNNING:
            fire = held.fire if held.fire.state == SUBMITTED else self._submitted(held, now)
            self._change(held, replace(fire, state=RUNNING, started=now))

    def _waits(self, held: Held, news: News, now: float) -> None:
        held.unknown, held.waited, held.waits = 0.0, now, True
        held.heard = news.listening
        self._later(held, now)
        if held.fire.state != SUBMITTED:
            self._change(held, self._submitted(held, now))

    def _ended(self, held: Held, news: News, now: float) -> None:
        fire = held.fire if held.fire.state != PENDING else self._submitted(held, now)
        if held.waited and not (fire.started and held.waits):
            # It was seen to run a while after it began, or never.
            fire = replace(fire, started=held.waited)
        if not fire.started:
            fire = replace(fire, started=max(fire.submitted, min(fire.due, now)))
        reason = "" if news.ok else _reason(news.data)
        end = concluded(self._entry(fire), fire, now, ok=news.ok, result=news.data, reason=reason)
        if end.fire.state == PENDING:
            # It is nobody's until then: not so soon that it would be ours while that is written.
            end.fire.due = max(end.fire.due, now + _FIRST)
        self._change(held, end.fire)
        del self.held[fire.id]
        if end.next_run:
            self.next_runs.append(Ended(end.fire, end.next_run))

    def _refused(self, held: Held, news: News, now: float) -> None:
        held.heard = False
        if not news.uncertain:
            held.order = None
        self._later(held, now)

    def _unknown(self, held: Held, news: News, now: float) -> None:
        """No server knows it: it has ended, or was lost; unless its end is on its way."""
        if held.heard:
            held.unknown = held.unknown or now
            held.heard = now - held.unknown < _ON_ITS_WAY
            held.again = now + _FIRST if held.heard else now
            return
        fire = held.fire
        if fire.state == PENDING or self._repeats(fire):
            # It never arrived; or its agent has it in its journal and runs nothing twice.
            again = replace(fire, state=PENDING, attempt=max(fire.attempt - 1, 0))
            held.fire = fire if fire.state == PENDING else again
            held.order, held.heard, held.unknown = None, False, 0.0
            self._later(held, now)
            return
        reason = news.reason or "no server knows its job"
        self._change(held, replace(fire, state=LOST, reason=reason, ended=now))
        del self.held[fire.id]

    def _repeats(self, fire: Fire) -> bool:
        entry = self._entry(fire)
        return for_agents(entry) and bool(fire.target) and shard_of(entry, fire.target) is None

    # Looking after them.

    def watch(self, now: float, agents: Sequence[Agent]) -> Watch:
        """Return what is to be asked for, cancelled and ended now."""
        found = Watch()
        alive = {agent_function(agent.name) for agent in agents}
        for held in list(self.held.values()):
            fire = held.fire
            if reason := self._overdue(held, now):
                self._time_out(held, reason, now, found)
            elif fire.state == PENDING and held.order is None:
                continue
            elif self._is_orphaned(held, alive, now):
                found.cancels.append(self._asking(held))
                self._begin_again(held, now)
            elif held.again <= now and len(found.asks) + len(found.looks) < _MOST:
                if not held.heard:
                    found.asks.append(self._asking(held))
                elif fire.state == SUBMITTED or held.unknown:
                    found.looks.append(self._asking(held))
                self._later(held, now)
        return found

    def replaceable(self) -> list[int]:
        """Return the entries whose fires are taken back when the next one comes."""
        return sorted(
            {held.fire.schedule for held in self.held.values() if self._may_be_replaced(held)}
        )

    def replaced(self, open_fires: Mapping[int, Sequence[Fire]]) -> list[Order]:
        """Return the orders of fires that the next one has come for; see ``replaceable``."""
        return [
            self._asking(held)
            for held in self.held.values()
            if self._may_be_replaced(held)
            and is_replaced(
                self._entry(held.fire), held.fire, open_fires.get(held.fire.schedule, ())
            )
        ]

    def _may_be_replaced(self, held: Held) -> bool:
        is_listened_to = held.fire.state == SUBMITTED and held.heard and bool(held.fire.handle)
        return is_listened_to and self._entry(held.fire).overlap == "cancel_old"

    def _is_orphaned(self, held: Held, alive: set[str], now: float) -> bool:
        """Whether a fire waits for an agent that is gone, and another one may have it."""
        order = held.order
        if order is None or held.fire.state != SUBMITTED or self._repeats(held.fire):
            return False
        if held.inherited or now < held.trusted:
            return False
        return order.function.startswith(_AGENT) and order.function not in alive

    def _begin_again(self, held: Held, now: float) -> None:
        fire = held.fire
        held.order, held.heard, held.unknown, held.again = None, False, 0.0, now
        self._change(held, replace(fire, state=PENDING, attempt=fire.attempt - 1, handle=""))

    def _overdue(self, held: Held, now: float) -> str:
        """Return which limit a fire is behind; empty where it has time."""
        fire = held.fire
        if fire.state != PENDING:
            return overdue(self._entry(fire), fire, now)
        if held.order is not None:
            # It is on its way, and may have arrived.
            return ""
        # It waits since somebody is there to submit it.
        return overdue(self._entry(fire), replace(fire, due=max(fire.due, held.since)), now)

    def _time_out(self, held: Held, reason: str, now: float, found: Watch) -> None:
        fire = held.fire
        order = self._asking(held)
        agent = self._agent(held)
        if fire.state == RUNNING and agent:
            found.kills.append((agent, order.key, order.group))
        elif fire.state != PENDING:
            found.cancels.append(order)
        self._change(held, replace(fire, state=TIMEOUT, reason=reason, ended=now))
        self.held.pop(fire.id, None)

    def _agent(self, held: Held) -> str:
        """Return the agent that has a fire; empty where none has, or nobody knows which."""
        if self._repeats(held.fire):
            return held.fire.target
        function = held.order.function if held.order else ""
        return function.removeprefix(_AGENT) if function.startswith(_AGENT) else ""

    def _asking(self, held: Held) -> Order:
        fire = held.fire
        group = self._entry(fire).servers
        order = held.order or Order(fire.id, fire.attempt, "", _key(fire), group=group)
        return replace(order, workload=b"", server=fire.server, handle=fire.handle)

    def _later(self, held: Held, now: float) -> None:
        entry = self._entry(held.fire)
        # What has a limit is looked at each second, so that it is known to have begun.
        timed = bool(entry.queue_timeout or entry.run_timeout)
        held.again = now + (_FIRST if timed else held.pause)
        held.pause = min(held.pause * 2, _LONGEST)

    def _entry(self, fire: Fire) -> Entry:
        row = self.rows.get(fire.schedule)
        return _REMOVED if row is None else from_definition(row.definition)

    def _change(self, held: Held, fire: Fire) -> None:
        if fire.submitted and not held.fire.submitted:
            self.submitted.add(fire.id)
        held.fire = fire
        self.changed[fire.id] = fire


def order_of(entry: Entry, fire: Fire, agents: Sequence[Agent]) -> Order | None:
    """Return the order of a fire's next attempt; None while there is no agent for it."""
    attempt = fire.attempt + 1
    fire = replace(fire, attempt=attempt)
    function = function_of(entry, fire, agents)
    if not function:
        return None
    enveloped = entry.envelope or for_agents(entry)
    return Order(
        fire=fire.id,
        attempt=attempt,
        function=function,
        key=_key(fire),
        workload=envelope_for(entry, fire).to_bytes() if enveloped else entry.payload,
        priority=_PRIORITIES[entry.priority],
        limit=max(entry.result_size, 65_536) if enveloped else entry.result_size,
        group=entry.servers,
    )


_PRIORITIES: Final[Mapping[str, Priority]] = {"low": "low", "normal": "normal", "high": "high"}


def _key(fire: Fire) -> str:
    return fire_key(fire.schedule, fire.generation, fire.nominal, fire.target)


def _reason(data: bytes) -> str:
    """Return what a worker said of its failure, as a reason on one line."""
    text = data[:_REASON].decode("utf-8", "replace").strip()
    lines = text.splitlines()
    return lines[-1] if lines else "its worker said that it failed"
