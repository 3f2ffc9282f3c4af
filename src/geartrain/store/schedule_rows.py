"""
What the tables of schedules hold, row by row: data, without a rule.

Moments that entries fire at are whole seconds since 1970; all other times are seconds since 1970
as floats, by the database's clock. Zero stands for "never" and "not yet".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "CANCELLED",
    "DONE",
    "FAILED",
    "FINAL",
    "LOST",
    "MISSED",
    "PENDING",
    "RUNNING",
    "SKIPPED",
    "STATES",
    "SUBMITTED",
    "TIMEOUT",
    "WAITING",
    "Agent",
    "Alert",
    "Audit",
    "Fire",
    "Instance",
    "Message",
    "Owner",
    "Plan",
    "Schedule",
]

# States of a fire. The first four are on the way, the others are where it ends.
PENDING: Final = "pending"  # to be submitted when it is due
WAITING: Final = "waiting"  # for an earlier fire of its entry to end (overlap), not yet pending
SUBMITTED: Final = "submitted"  # a job server has acknowledged it
RUNNING: Final = "running"  # a worker has it
DONE: Final = "done"
FAILED: Final = "failed"  # and no attempt is left
TIMEOUT: Final = "timeout"
LOST: Final = "lost"  # nobody can say what became of it
SKIPPED: Final = "skipped"  # by a rule of its entry; ``reason`` names it
MISSED: Final = "missed"  # too late to be caught up
CANCELLED: Final = "cancelled"

STATES: Final = (
    PENDING,
    WAITING,
    SUBMITTED,
    RUNNING,
    DONE,
    FAILED,
    TIMEOUT,
    LOST,
    SKIPPED,
    MISSED,
    CANCELLED,
)
FINAL: Final = frozenset((DONE, FAILED, TIMEOUT, LOST, SKIPPED, MISSED, CANCELLED))


@dataclass(frozen=True, slots=True)
class Owner:
    """
    Who writes: an instance of the scheduler, as of one of its leases.

    A write whose epoch is not the instance's present one, or whose lease has ended, changes
    nothing.
    """

    instance: str
    epoch: int


@dataclass(slots=True)
class Schedule:
    """
    An entry as it stands.

    Attributes:
        id: Given by the store, never again to another; 0 for one that is not stored yet.
        name: Unique.
        definition: The whole entry as JSON (``schedule.entry``); the store reads none of it.
        kind, expression, timezone, function, target, source: Copies out of the definition, for
            listings.
        generation: Rises when the definition changes in what it fires, and with it each fire's key.
        revision: Rises with every write by a person, so that two editors notice each other.
        next_fire: The next nominal moment by the clock; 0 where there is none.
        last_nominal: The last nominal moment that was dealt with; 0 before the first.
        since: From when on its moments count, that is when it was made, enabled, resumed or last
            changed in what it fires; written together with ``next_fire`` and never by a claim.
        runs: How many fires were claimed, for ``max_runs``.
        failures: How many fires in a row ended badly.
        paused_by, paused_why, paused_until: While it is paused; ``paused_at`` is 0 when it is not.

    """

    name: str
    definition: str
    id: int = 0
    kind: str = "cron"
    expression: str = ""
    timezone: str = "UTC"
    function: str = ""
    target: str = "one"
    source: str = ""
    generation: int = 1
    revision: int = 1
    enabled: bool = True
    next_fire: int = 0
    last_nominal: int = 0
    since: int = 0
    runs: int = 0
    failures: int = 0
    paused_at: float = 0.0
    paused_by: str = ""
    paused_why: str = ""
    paused_until: float = 0.0


@dataclass(slots=True)
class Fire:
    """
    One moment of an entry, for one target: the row that says what became of it.

    ``(schedule, generation, nominal, target)`` is unique for ever.

    Attributes:
        id: Given by the store; 0 for one that is not stored yet.
        target: Name of the agent, or ``1/3`` for a shard; empty where any worker does.
        previous: The nominal moment before this one; 0 where there is none.
        due: When it is to be submitted: nominal, jitter and back-off added.
        origin: ``clock``, ``catch-up``, ``run-now``, ``backfill``, ``after``, ``reboot``,
            ``offline``, ``join`` (for an agent that came late) or ``reconcile``.
        reason: Why it ended as it did, for people.
        count: How many moments a ``missed`` or ``skipped`` row stands for.
        attempt: 1 from the first submission on.
        owner, epoch: Whoever submitted it or is about to; see ``Owner``.
        handle: The job's; ``server`` is where it was acknowledged.
        result: What the job ended with, cut to what the entry keeps.
        taken: When its owner took it over from another, as long as it has not found out what became
            of it meanwhile; 0 otherwise.
        followed: Whether what depends on its end has been dealt with.

    """

    schedule: int
    generation: int
    nominal: int
    target: str = ""
    id: int = 0
    previous: int = 0
    due: float = 0.0
    state: str = PENDING
    origin: str = "clock"
    reason: str = ""
    count: int = 1
    attempt: int = 0
    owner: str = ""
    epoch: int = 0
    handle: str = ""
    server: str = ""
    created: float = 0.0
    submitted: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    result: bytes = b""
    taken: float = 0.0
    followed: bool = False


@dataclass(slots=True)
class Plan:
    """
    What becomes of one due entry; written in the transaction that found it due.

    Attributes:
        fires: Rows to insert; one that is there already is left as it is.
        changes: Rows of earlier fires that change, such as one that is cancelled by its successor.
        next_fire, last_nominal, runs, enabled, generation: The entry's new values.
        wake: When it is to be looked at again where nothing was planned; 0 for ``next_fire``.

    """

    next_fire: int
    last_nominal: int
    runs: int
    enabled: bool = True
    generation: int = 1
    wake: float = 0.0
    fires: list[Fire] = field(default_factory=list)
    changes: list[Fire] = field(default_factory=list)


@dataclass(slots=True)
class Instance:
    """A scheduler as the others see it."""

    name: str
    epoch: int
    host: str = ""
    expires: float = 0.0
    # Seconds by which its clock is ahead of the database's.
    skew: float = 0.0
    tzdata: str = ""
    started: float = 0.0


@dataclass(slots=True)
class Agent:
    """
    A machine that runs fires.

    Attributes:
        name: Unique; its jobs' function is ``agent:NAME``.
        tags: What it is chosen by.
        expires: Until when it counts as alive.
        since: When it was first heard of after it had been away.
        table: Revision of the local copy it has.

    """

    name: str
    tags: tuple[str, ...] = ()
    expires: float = 0.0
    since: float = 0.0
    table: int = 0
    version: str = ""


@dataclass(slots=True)
class Alert:
    """
    A condition that somebody should know of, and what was said of it so far.

    ``(rule, subject)`` is unique. As an event, which is merged into what is known, it has the first
    six attributes and ``last``, when it happened; ``count`` is how often.

    Attributes:
        rule: Such as ``missed``; ``subject`` is what it is about, such as the entry's name.
        group: What is said together.
        message: The newest event, for people.
        firing: False after it has recovered.
        since: When this bout began; ``last`` is its newest event, ``count`` how many it had.
        said: How many events of this bout were said; ``said_at`` is when the last message was made.
        messages: How many messages of this bout were made.
        due: When the next message is to be made; 0 for none.
        changes: When it last began to fire or recovered, newest last, for damping.
        acknowledged_by: Who has seen it: nothing more is said of this bout but that it recovered.

    """

    rule: str
    subject: str
    group: str = ""
    message: str = ""
    firing: bool = True
    count: int = 1
    id: int = 0
    since: float = 0.0
    last: float = 0.0
    said: int = 0
    said_at: float = 0.0
    messages: int = 0
    due: float = 0.0
    changes: tuple[float, ...] = ()
    acknowledged_by: str = ""


@dataclass(slots=True)
class Message:
    """
    What is to be said over one channel. It is kept until the channel has taken it.

    Attributes:
        channel: Its name in the configuration.
        title: One line.
        body: Text, or JSON for programs, as the channel's kind wants it.
        due: When it is to be sent, or sent again.
        attempts: How often that failed; ``error`` is how.
        sent: When the channel took it; -1 when it was given up.
        owner, epoch: Who is sending it now; see ``Owner``.

    """

    channel: str
    title: str
    body: str
    id: int = 0
    created: float = 0.0
    due: float = 0.0
    attempts: int = 0
    error: str = ""
    sent: float = 0.0
    owner: str = ""
    epoch: int = 0


@dataclass(slots=True)
class Audit:
    """Who changed what: one line of the book of changes."""

    at: float
    who: str
    action: str
    subject: str
    before: str = ""
    after: str = ""
    id: int = 0
