"""
What becomes of a fire when its job has ended: done, another attempt, or the end of its attempts.

Whoever ran it has the first word (done, failed, retry at, next run at); the entry bounds it: an
attempt behind the deadline is none, and the entry's next moment lies between now and its end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from geartrain.errors import UsageError
from geartrain.schedule.entry import Entry, for_agents
from geartrain.schedule.envelope import DONE as SAID_DONE
from geartrain.schedule.envelope import FAILED as SAID_FAILED
from geartrain.schedule.envelope import RETRY, Answer, read_answer, text_of
from geartrain.schedule.sequence import opening
from geartrain.schedule.spreading import number_for
from geartrain.store.schedule_rows import DONE, FAILED, PENDING, TIMEOUT, Fire

__all__ = ["Conclusion", "answered", "backoff", "concluded", "failed", "said_next"]

# An executor that asks for one more attempt for ever is told that it is enough.
MOST_ATTEMPTS: Final = 1_000
# How far away an attempt or a next run may be put.
_LONGEST: Final = 366 * 86_400
_STEPS: Final = 1_000_000


class Conclusion(NamedTuple):
    """What a fire's row becomes, and when its executor wants the entry to fire next, or 0."""

    fire: Fire
    next_run: int = 0


def concluded(
    entry: Entry, fire: Fire, now: float, *, ok: bool, result: bytes = b"", reason: str = ""
) -> Conclusion:
    """
    Return what becomes of a fire whose job has ended.

    Args:
        entry: Its entry. Only one whose workload is an envelope is believed to answer in ours.
        fire: Its row.
        now: The time.
        ok: Whether the job completed.
        result: What it ended with.
        reason: Why it failed, in words.

    """
    answer = None
    if entry.envelope or for_agents(entry):
        try:
            answer = read_answer(result)
        except UsageError as error:
            return Conclusion(failed(entry, fire, now, f"its answer can't be read: {error}"))
    if answer is not None:
        if not ok and answer.kind == SAID_DONE:
            answer = replace(answer, kind=SAID_FAILED)
        return answered(entry, fire, now, answer)
    fire = replace(fire, result=result[: entry.result_size])
    if ok:
        return Conclusion(replace(fire, state=DONE, reason="", ended=now))
    return Conclusion(failed(entry, fire, now, reason))


def answered(entry: Entry, fire: Fire, now: float, answer: Answer) -> Conclusion:
    """Return what becomes of a fire whose executor said how it ended."""
    kept = (answer.output or answer.errors).encode("utf-8", "replace")[: entry.result_size]
    fire = replace(fire, result=kept)
    if answer.started:
        # By its own clock, and long ago where it is asked for a second time.
        fire.started = now - max(answer.ended - answer.started, 0.0)
    if answer.kind == SAID_FAILED:
        bad = failed(entry, fire, now, answer.reason or _status(answer))
        if answer.timed_out and bad.state == FAILED:
            bad.state = TIMEOUT
        return Conclusion(bad)
    if answer.kind == RETRY:
        return Conclusion(_again(entry, fire, now, float(answer.at), answer.reason))
    fire = replace(fire, state=DONE, reason=answer.reason, ended=now)
    return Conclusion(fire, _bounded(entry, now, answer.at) if answer.at else 0)


def failed(entry: Entry, fire: Fire, now: float, reason: str) -> Fire:
    """Return the row of a fire whose attempt failed: pending again, or at the end of them."""
    if fire.attempt > entry.retries:
        return replace(fire, state=FAILED, reason=reason, ended=now)
    return _again(entry, fire, now, now + backoff(entry, fire), reason)


def backoff(entry: Entry, fire: Fire) -> float:
    """Return for how long a fire pauses behind its attempt: the same, whoever asks."""
    # No power of two beyond the largest pause there is.
    delay = min(entry.retry_delay * 2.0 ** min(fire.attempt - 1, 60), entry.retry_max)
    seed = f"{fire.schedule}\0{fire.nominal}\0{fire.target}\0{fire.attempt}"
    part = number_for(seed, _STEPS) / _STEPS * 2 - 1
    return delay * (1 + part * entry.retry_jitter)


def _again(entry: Entry, fire: Fire, now: float, due: float, reason: str) -> Fire:
    due = opening(entry, min(max(due, now), now + _LONGEST))
    if entry.deadline and due > fire.submitted + entry.deadline:
        why = "another attempt would come behind its deadline"
    elif fire.attempt >= MOST_ATTEMPTS:
        why = f"{MOST_ATTEMPTS} attempts are enough"
    else:
        return replace(fire, state=PENDING, due=due, reason=reason, handle="", server="")
    return replace(fire, state=FAILED, reason=f"{reason}; {why}" if reason else why, ended=now)


def _bounded(entry: Entry, now: float, at: int) -> int:
    """Return the moment an executor asked for, between now and the entry's end."""
    moment = min(max(at, int(now) + 1), int(now) + _LONGEST)
    return min(moment, entry.end) if entry.end > now else moment


def _status(answer: Answer) -> str:
    if answer.status is None:
        return "it says that it failed"
    if answer.status < 0:
        return f"ended by signal {-answer.status}"
    return f"ended with status {answer.status}"


def said_next(moment: int) -> str:
    """Return the reason of moments that an executor's answer left out."""
    return f"the executor asked for {text_of(moment)} as the next one"
