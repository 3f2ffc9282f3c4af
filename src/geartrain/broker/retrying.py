"""
What becomes of a job whose attempt ended without a result, where a policy says so.

A job that *failed* (WORK_FAIL, WORK_EXCEPTION, its time was up) waits for its
back-off and joins the end of its line. A job whose worker was *lost* is not to
blame for that, and is the next one in line, as without a policy; but one that
takes worker after worker with it is poison. A job that is given up becomes a
dead letter, if it was accepted in the background.
"""

from __future__ import annotations

import json
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from geartrain.broker.effects import Bury, GaveUp, KeepAttempts
from geartrain.broker.inquiring import EXCEPTED, FAILED, conclude
from geartrain.broker.job import Job
from geartrain.broker.policing import Policing, reopen, watch

if TYPE_CHECKING:
    from geartrain.broker.broker import Broker

__all__ = ["MAX_QUOTED", "attempt_failed", "attempt_lost", "look_at_agenda"]

# What a worker says of its exception is looked at up to this size, in bytes, and quoted up to that.
_MAX_WISH: Final = 64 * 1024
MAX_QUOTED: Final = 2000
# Longest wait that a worker may ask for, in seconds.
_MAX_DELAY: Final = 30 * 86_400.0
# A worker that asks for a retry where the policy knows none waits for this long.
_WISHED_DELAY: Final = 1.0


class Wish:
    """
    What a worker wants to become of its job.

    Attributes:
        retry: Try it again, although the policy may know no retries.
        reject: Don't try it again, although the policy may.
        after: Seconds until then; -1 for the policy's.

    """

    __slots__ = ("after", "reject", "retry")

    def __init__(self, retry: bool, reject: bool, after: float) -> None:
        self.retry = retry
        self.reject = reject
        self.after = after


_TOO_LONG: Final = b"it took too long"
_NO_WISH: Final = Wish(False, False, -1.0)


def wish_of(data: bytes) -> Wish:
    """Return what a WORK_EXCEPTION asks for; anything but such a JSON object asks for nothing."""
    if not data.startswith(b"{") or len(data) > _MAX_WISH:
        return _NO_WISH
    try:
        # What starts with a brace is an object, or nothing.
        said: dict[str, Any] = json.loads(data)
    except (ValueError, RecursionError):
        return _NO_WISH
    after = said.get("retry_after")
    seconds = -1.0
    if isinstance(after, (int, float)) and not isinstance(after, bool) and after >= 0:
        seconds = min(float(min(after, _MAX_DELAY)), _MAX_DELAY)
    return Wish(said.get("retry") is True, said.get("reject") is True, seconds)


def attempt_failed(
    broker: Broker, policing: Policing, job: Job, outcome: int, data: bytes, why: bytes
) -> bool:
    """
    Have a job tried again whose worker is released; False where it has ended.

    Listeners of a job that is tried again go on waiting. Where False is returned, the caller
    tells them how it ended.

    Args:
        broker: The broker.
        policing: Of the job's function.
        job: No longer with its worker.
        outcome: FAILED or EXCEPTED.
        data: What the exception says.
        why: What happened, for people.

    """
    policy = policing.policy
    job.attempts += 1
    job.numerator = job.denominator = b"0"
    if not job.obligation:
        return False
    wish = wish_of(data)
    if wish.reject:
        why = why + b", which the worker rejected"
    elif policy.attempts and job.attempts >= policy.attempts:
        why = why + b" at attempt %d of %d" % (job.attempts, policy.attempts)
    elif policing.is_expired(broker.now, job):
        why = why + b" after the time it may wait"
    elif policy.attempts or wish.retry:
        try_again(broker, policing, job, wish.after)
        return True
    if policy.keeps_failures:
        conclude(broker, job, outcome, data, why + b": " + data if data else why)
        bury(broker, job, why + b": " + data[:MAX_QUOTED] if data else why)
    return False


def try_again(broker: Broker, policing: Policing, job: Job, after: float) -> None:
    """Let a job that failed wait for its next attempt."""
    policy = policing.policy
    delay = after
    if delay < 0.0:
        delay = policy.delay(job.handle, job.attempts) if policy.attempts else _WISHED_DELAY
    due = broker.now + delay
    job.epoch = ceil(due) if delay > 0.0 else 0
    if broker.durable:
        broker.effects.append(KeepAttempts(job.number, job.attempts, job.epoch))
    function = job.line
    assert function is not None
    if policy.queued_only:
        function.offer_unique(job)
    if delay > 0.0:
        broker.timetable.postpone(job, due)
    else:
        broker.line_up(broker.now, job, False)
    watch(broker, policing, job)


def attempt_lost(broker: Broker, policing: Policing, job: Job, overdue: bool, gone: bool) -> bool:
    """
    Look after a job that its released worker did not end; False where it goes back in line.

    Args:
        broker: The broker.
        policing: Of the job's function.
        job: No longer with its worker.
        overdue: Its time was up.
        gone: Its worker has left.

    """
    policy = policing.policy
    if not job.obligation and job.listeners is None:
        return False
    if overdue and policy.attempts:
        if not attempt_failed(broker, policing, job, FAILED, b"", _TOO_LONG):
            broker.fail(job, EXCEPTED, given_up(_TOO_LONG))
        return True
    why = b""
    if gone and policy.poison:
        losses = policing.losses.get(job.handle, 0) + 1
        policing.losses[job.handle] = losses
        if losses >= policy.poison:
            why = b"%d workers were lost with it" % losses
    if not why and policy.attempts and job.attempts + 1 >= policy.attempts:
        why = b"it came back without a result at attempt %d of %d" % (
            job.attempts + 1,
            policy.attempts,
        )
    if not why and policing.is_expired(broker.now, job):
        why = b"it came back after the time it may wait"
    if why:
        job.attempts += 1
        give_up(broker, policing, job, why)
        return True
    if policy.queued_only:
        assert job.line is not None
        job.line.offer_unique(job)
    watch(broker, policing, job)
    return False


def give_up(broker: Broker, policing: Policing, job: Job, why: bytes) -> None:
    """End a job that nobody works on, and tell its listeners so."""
    if policing.policy.dead_letters and job.obligation:
        conclude(broker, job, FAILED, b"", why)
        bury(broker, job, why)
    else:
        broker.effects.append(GaveUp(job))
    broker.fail(job, EXCEPTED, given_up(why))


def given_up(why: bytes) -> bytes:
    """Return what a policy ended a job for, as tasks say what they raised."""
    return b'{"type":"GivenUp","message":"%b"}' % why


def bury(broker: Broker, job: Job, why: bytes) -> None:
    """Make a dead letter of a job, which the caller is about to end."""
    letter = Job(
        job.number,
        job.handle,
        job.function,
        job.unique,
        job.workload,
        job.priority,
        job.epoch,
        job.reducer,
        job.submitted,
        job.attempts,
    )
    broker.effects.append(Bury(letter, why, broker.now))
    if broker.ends_later(job):
        broker.burying[job.number] = why
    # The store forgets the job with the same commit that keeps the letter.
    job.obligation = False


def look_at_agenda(broker: Broker) -> None:
    """Give up jobs that have waited long enough, and open functions that may start jobs again."""
    job = broker.agenda.take_expired(broker.now)
    while job is not None:
        assert job.line is not None
        policing = job.line.policing
        # Another policy may let it wait for longer than the one did by which it stands there.
        if policing is not None and policing.is_expired(broker.now, job):
            give_up(broker, policing, job, b"it waited for as long as it may")
        job = broker.agenda.take_expired(broker.now)
    function = broker.agenda.take_opening(broker.now)
    while function is not None:
        policing = function.policing
        assert policing is not None
        reopen(broker, policing, function)
        function = broker.agenda.take_opening(broker.now)
