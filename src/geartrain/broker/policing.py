"""
Keeps a function's limits: how many of its jobs run, how often one starts, how long one waits.

A function whose jobs may not start now is *closed*: workers find nothing to do
in it, and nobody is woken for it. A job whose key has as many jobs as it may
have is *held*: it stands in no line until one of them has ended.

Functions here are handed the broker, because they are parts of its rules that
most functions never need.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from math import ceil
from typing import TYPE_CHECKING, Final

from geartrain.broker.inquiring import Parts, leave_inquiry
from geartrain.broker.job import ENDED, HELD, RUNNING, WAITING, Job
from geartrain.broker.policy import NO_LIMIT, Policy

if TYPE_CHECKING:
    from geartrain.broker.broker import Broker
    from geartrain.broker.function import Function

__all__ = [
    "Agenda",
    "Policing",
    "apply_policy",
    "assigned",
    "held_back",
    "lift_policy",
    "released",
    "reopen",
    "settle",
    "shift_rates",
    "strike",
    "watch",
]

# An agenda is swept when it holds more of the past than of now, from this many entries on.
_SWEEP_FROM: Final = 64


class Key:
    """
    Jobs of one function that share a key.

    Attributes:
        running: How many of them workers have.
        lined: Those that stand in the function's lines.
        held: Those that do not, first come first, by priority; who ended is passed over.
        waiting: How many really are held.

    """

    __slots__ = ("held", "lined", "running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.lined: list[Job] = []
        self.held: tuple[deque[Job], deque[Job], deque[Job]] = (deque(), deque(), deque())
        self.waiting = 0

    def take(self) -> Job:
        """Take the job out that is next; there has to be one."""
        self.waiting -= 1
        priority = 0
        while True:
            while not self.held[priority]:
                priority += 1
            job = self.held[priority].popleft()
            if job.state == HELD:
                return job

    def is_idle(self) -> bool:
        """Return whether nothing is known of the key."""
        return self.running == 0 and self.waiting == 0 and not self.lined


class Policing:
    """
    The books of a function that has a policy.

    Attributes:
        policy: What is to be kept.
        reserved: Whether the server answers the function's jobs itself.
        next_turn: When the next job would start if all kept the policy's interval, in seconds
            since 1970.
        opening: When the function opens again that its interval has closed.
        losses: How many workers were lost with a job, by handle; lost itself at a restart.
        parts: What running jobs have sent of their results, by handle.
        expiries: Until when a job may wait, by handle, in seconds since 1970.
        keys: Jobs by key, where the policy limits them.
        freed: Keys of which a job has ended or was taken back.

    """

    __slots__ = (
        "expiries",
        "freed",
        "keys",
        "losses",
        "next_turn",
        "opening",
        "parts",
        "policy",
        "reserved",
    )

    def __init__(self, policy: Policy, reserved: bool) -> None:
        self.policy = policy
        self.reserved = reserved
        self.next_turn = 0.0
        self.opening = 0.0
        self.losses: dict[bytes, int] = {}
        self.parts: dict[bytes, Parts] = {}
        self.expiries: dict[bytes, float] = {}
        self.keys: dict[bytes, Key] = {}
        self.freed: list[bytes] = []

    def room(self, now: float, running: int) -> int:
        """Return how many jobs may start now, where so many run; 0 when the function is closed."""
        policy = self.policy
        room = policy.concurrency - running if policy.concurrency else NO_LIMIT
        if policy.interval > 0.0:
            # How far the jobs that started are ahead of the interval; a microsecond is nothing.
            ahead = self.next_turn - now - 0.000001
            used = ceil(ahead / policy.interval) if ahead > 0.0 else 0
            room = min(room, policy.burst - used)
        return max(room, 0)

    def opens(self) -> float:
        """Return when a function that started as many jobs as it may can start another."""
        policy = self.policy
        return self.next_turn - (policy.burst - 1) * policy.interval

    def is_expired(self, now: float, job: Job) -> bool:
        """Return whether a job has waited for as long as it may."""
        return bool(self.expiries) and self.expiries.get(job.handle, now + 1.0) <= now

    def key_of(self, job: Job) -> Key | None:
        """Return the books of a job's key, opened if need be; None where keys are not limited."""
        name = self.policy.key(job.unique)
        if not name:
            return None
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = Key()
        return key

    def free(self, job: Job) -> None:
        """Note that there may be room for another job of this one's key."""
        self.freed.append(self.policy.key(job.unique))


class Agenda:
    """
    When closed functions open, and until when jobs may wait.

    Both stand in a heap; what has become otherwise is passed over.

    Attributes:
        watched: How many jobs that have not ended may wait for a limited time.

    """

    __slots__ = ("expiries", "openings", "turn", "watched")

    def __init__(self) -> None:
        self.openings: list[tuple[float, int, Function]] = []
        self.expiries: list[tuple[float, int, Job]] = []
        self.watched = 0
        # Tells openings of the same moment apart.
        self.turn = 0

    def next(self) -> float:
        """Return when something is due, in seconds since 1970, or -1 for never."""
        due = -1.0
        while self.openings:
            moment, _, function = self.openings[0]
            if is_due(function, moment):
                due = moment
                break
            heappop(self.openings)
        while self.expiries:
            moment, _, job = self.expiries[0]
            if may_wait(job):
                return moment if due < 0 or moment < due else due
            heappop(self.expiries)
        return due

    def open_later(self, moment: float, function: Function) -> None:
        """Have a function looked at when it can start a job."""
        self.turn += 1
        heappush(self.openings, (moment, self.turn, function))

    def expire_later(self, moment: float, job: Job) -> None:
        """Have a job looked at when it has waited long enough."""
        heappush(self.expiries, (moment, job.number, job))
        if len(self.expiries) > _SWEEP_FROM + 2 * self.watched:
            # A job that was tried again may stand there twice.
            waiting = [entry for entry in self.expiries if may_wait(entry[2])]
            self.expiries = list(dict.fromkeys(waiting))
            heapify(self.expiries)

    def take_opening(self, now: float) -> Function | None:
        """Return a function that may open, the earliest first, or None."""
        while self.openings and self.openings[0][0] <= now:
            moment, _, function = heappop(self.openings)
            if is_due(function, moment):
                return function
        return None

    def shift_openings(self, shift: float) -> None:
        """Move all openings by so many seconds, and what they come from."""
        openings: list[tuple[float, int, Function]] = []
        for moment, turn, function in self.openings:
            if is_due(function, moment):
                openings.append((moment + shift, turn, function))
        self.openings = openings

    def take_expired(self, now: float) -> Job | None:
        """Return a job that has waited long enough, the earliest first, or None."""
        while self.expiries and self.expiries[0][0] <= now:
            _, _, job = heappop(self.expiries)
            if may_wait(job):
                return job
        return None


def is_due(function: Function, moment: float) -> bool:
    """Return whether a closed function opens at this moment, and not at another by now."""
    policing = function.policing
    return function.closed and policing is not None and policing.opening == moment


def may_wait(job: Job) -> bool:
    """Return whether a job is neither over nor with a worker."""
    return job.state < ENDED and job.state != RUNNING


# What happens to jobs of functions with a policy.


def shift_rates(broker: Broker, shift: float) -> None:
    """Keep rates as they were: somebody set the clock, by so many seconds."""
    broker.agenda.shift_openings(shift)
    for function in broker.functions.values():
        if function.policing is not None:
            function.policing.next_turn += shift
            function.policing.opening += shift


def watch(broker: Broker, policing: Policing, job: Job) -> None:
    """Note until when a job may wait."""
    expires = policing.policy.expires
    if expires > 0.0:
        moment = policing.expiries.get(job.handle)
        if moment is None:
            moment = max(job.submitted, float(job.epoch)) + expires
            policing.expiries[job.handle] = moment
            broker.agenda.watched += 1
        broker.agenda.expire_later(moment, job)


def held_back(broker: Broker, policing: Policing, job: Job, first: bool) -> bool:
    """Hold a job whose key has as many jobs as it may have; return False where it has room."""
    key = policing.key_of(job) if policing.policy.per_key else None
    if key is None:
        return False
    if key.running + len(key.lined) >= policing.policy.per_key:
        other = least_urgent(key, job)
        if other is None:
            put_aside(key, job, first)
            return True
        unline(broker, other)
        key.lined.remove(other)
        put_aside(key, other, True)
    key.lined.append(job)
    return False


def least_urgent(key: Key, job: Job) -> Job | None:
    """Return a job that stands in line, of a lower priority than this one, or None."""
    found: Job | None = None
    for other in key.lined:
        if other.priority > job.priority and (found is None or other.priority >= found.priority):
            found = other
    return found


def put_aside(key: Key, job: Job, first: bool) -> None:
    """Let a job stand in no line."""
    job.state = HELD
    key.waiting += 1
    if first:
        key.held[job.priority].appendleft(job)
    else:
        key.held[job.priority].append(job)


def unline(broker: Broker, job: Job) -> None:
    """Take a waiting job out of its line, which passes over it from now on."""
    function = job.line
    assert function is not None
    job.state = HELD
    line = function.lines[job.priority]
    line.leave()
    if line.count == 0:
        broker.ready[job.priority].pop(function.name, None)


def assigned(broker: Broker, policing: Policing, job: Job, timeout: float) -> float:
    """Note that a worker got a job; return how many seconds it has, 0 for any number."""
    policy = policing.policy
    function = job.line
    worker = job.worker
    assert function is not None
    assert worker is not None
    # What it says of the job from here on is about this attempt, not about the one that raised.
    worker.excepted.pop(job.handle, None)
    if policing.parts:
        policing.parts.pop(job.handle, None)
    if policy.queued_only:
        function.release_unique(job)
    if policy.per_key:
        key = policing.key_of(job)
        if key is not None:
            key.lined.remove(job)
            key.running += 1
    if policy.interval > 0.0:
        policing.next_turn = max(policing.next_turn, broker.now) + policy.interval
    if policing.room(broker.now, function.running) == 0:
        close(broker, policing, function)
    if policy.timeout > 0.0 and not 0.0 < timeout < policy.timeout:
        return policy.timeout
    return timeout


def close(broker: Broker, policing: Policing, function: Function) -> None:
    """Let workers find nothing to do in a function."""
    function.closed = True
    for ready in broker.ready:
        ready.pop(function.name, None)
    moment = policing.opens()
    if policing.policy.interval > 0.0 and moment > broker.now:
        policing.opening = moment
        broker.agenda.open_later(moment, function)


def reopen(broker: Broker, policing: Policing, function: Function) -> None:
    """Let workers find a function's jobs again if some may start now, and wake as many."""
    room = policing.room(broker.now, function.running)
    if room == 0:
        return
    if function.closed:
        function.closed = False
        for priority in range(3):
            if function.lines[priority].count:
                broker.ready[priority][function.name] = function
    if policing.policy.is_limited():
        # Fewer were woken than jobs came.
        for _ in range(min(room, function.waiting())):
            if function.sleepers:
                broker.wake_worker(broker.now, function)


def released(broker: Broker, policing: Policing, job: Job) -> None:
    """Note that a worker no longer has a job; ``settle`` looks after what may start now."""
    if policing.policy.per_key:
        key = policing.key_of(job)
        if key is not None:
            key.running -= 1
            policing.free(job)
    if policing.policy.holds_back():
        assert job.line is not None
        broker.freed.append(job.line)


def strike(broker: Broker, policing: Policing, job: Job, state: int) -> None:
    """Strike a job out that has ended in a state."""
    if policing.reserved:
        leave_inquiry(broker, job)
    policing.losses.pop(job.handle, 0)
    if policing.parts:
        policing.parts.pop(job.handle, None)
    if policing.expiries.pop(job.handle, -1.0) >= 0.0:
        broker.agenda.watched -= 1
    if policing.policy.per_key and state in (WAITING, HELD):
        key = policing.key_of(job)
        if key is not None:
            if state == HELD:
                key.waiting -= 1
            else:
                key.lined.remove(job)
            policing.free(job)
            assert job.line is not None
            broker.freed.append(job.line)


def settle(broker: Broker) -> None:
    """Let jobs start for which there is room since others ended or were taken back."""
    while broker.freed:
        functions = dict.fromkeys(broker.freed)
        broker.freed = []
        for function in functions:
            policing = function.policing
            if policing is not None:
                admit(broker, policing)
                reopen(broker, policing, function)


def admit(broker: Broker, policing: Policing) -> None:
    """Let held jobs stand in line where their keys have room again, before all others."""
    freed = policing.freed
    policing.freed = []
    for name in freed:
        key = policing.keys.get(name)
        if key is None:
            continue
        while key.waiting and key.running + len(key.lined) < policing.policy.per_key:
            broker.line_up(broker.now, key.take(), True)
        if key.is_idle():
            del policing.keys[name]


def apply_policy(broker: Broker, function: Function, policy: Policy) -> None:
    """Give a function that may have jobs a policy, or another one than it has."""
    policing = function.policing
    if policing is None:
        policing = function.policing = Policing(policy, False)
    elif policing.policy.values() == policy.values():
        return
    else:
        most = policing.policy.maxqueue
        if function.limits == (most, most, most):
            # Nobody has changed them meanwhile.
            function.limits = (0, 0, 0)
        policing.policy = policy
    if policy.maxqueue:
        function.limits = (policy.maxqueue, policy.maxqueue, policy.maxqueue)
    jobs = [job for job in broker.jobs.values() if job.line is function]
    waiting = [job for line in function.lines for job in line.take_all()]
    waiting += sorted([job for job in jobs if job.state == HELD], key=number_of)
    for ready in broker.ready:
        ready.pop(function.name, None)
    policing.keys = {}
    policing.freed = []
    broker.agenda.watched -= len(policing.expiries)
    policing.expiries = {}
    for job in jobs:
        watch(broker, policing, job)
        if job.state == RUNNING and policy.per_key:
            key = policing.key_of(job)
            if key is not None:
                key.running += 1
    function.closed = False
    if policing.room(broker.now, function.running) == 0:
        close(broker, policing, function)
    for job in waiting:
        broker.line_up(broker.now, job, False)


def lift_policy(broker: Broker, function: Function) -> None:
    """Let a function be as if it never had a policy."""
    apply_policy(broker, function, Policy(function.name))
    function.policing = None


def number_of(job: Job) -> int:
    """Return a job's number, to sort by."""
    return job.number
