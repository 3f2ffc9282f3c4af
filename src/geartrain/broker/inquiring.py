"""
Answers what the books alone can't: how a job ended, and what became of dead letters.

A foreground job of the reserved function ``geartrain:result`` is an *inquiry*:
nobody runs it, and it ends as the job whose handle is its workload. While that
one waits or runs, the inquiry waits; after that the store is asked.

Text commands about jobs that ended are answered by the store as well, in the
order in which their session gave them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from geartrain.broker.commands import (
    RemoveDeadLetter,
    ResultFound,
    RetryDeadLetter,
    SessionCommand,
    ShowDeadLetters,
    ShowJob,
    StoreAnswered,
    SubmitJob,
)
from geartrain.broker.effects import (
    AskForResult,
    AskStore,
    JobCreated,
    JobReport,
    KeepResult,
    SendComplete,
    SendData,
    SendException,
    SendFail,
    StoreReply,
)
from geartrain.broker.job import ENDING, HELD, Job
from geartrain.broker.session import Session

if TYPE_CHECKING:
    from geartrain.broker.broker import Broker
    from geartrain.broker.policing import Policing

__all__ = [
    "CANCEL_ELSEWHERE",
    "COMPLETED",
    "DEAD",
    "EXCEPTED",
    "FAILED",
    "LIST_LETTERS",
    "MAX_RESULT",
    "NOT_KEPT",
    "REMOVE_LETTER",
    "RETRY_LETTER",
    "SHOW_ENDED",
    "STREAMED",
    "TOO_LARGE",
    "Parts",
    "ask",
    "ask_store",
    "conclude",
    "framed",
    "heard",
    "inquire",
    "keep_part",
    "leave_inquiry",
    "result_found",
    "store_answered",
    "tell_inquirers",
    "unframed",
]

# Outcomes of a job, numbered as the store has them.
COMPLETED: Final = 0
FAILED: Final = 1
EXCEPTED: Final = 2
# Completed, with more than MAX_RESULT bytes, which are not kept.
TOO_LARGE: Final = 3
# Completed, after data that came before; see ``framed``.
STREAMED: Final = 4

# What the answer about a dead letter starts with; the reason follows.
DEAD: Final = b"dead letter: "

# What the store is asked.
SHOW_ENDED: Final = 0
LIST_LETTERS: Final = 1
RETRY_LETTER: Final = 2
REMOVE_LETTER: Final = 3
# What another server is asked to do.
CANCEL_ELSEWHERE: Final = 4

# What the answer says about a result of more than that.
NOT_KEPT: Final = b"the job is done, but its result was too large to be kept"

# Largest result that is kept, in bytes.
MAX_RESULT: Final = 16 * 1024 * 1024

# How the keys of schedules' fires begin, and for how many seconds the server remembers at least
# what these ended with, up to how many bytes.
FIRE_KEY: Final = b"cron:"
FIRE_RETENTION: Final = 3_600.0
MAX_FIRE_RESULT: Final = 64 * 1024


# Results.


def is_fire(job: Job) -> bool:
    """
    Return whether a job is a schedule's fire, by its key.

    Its scheduler listens to it, and may be gone when it ends; the next one asks then. So what it
    ended with is kept for a while, whatever the function's policy says.
    """
    return job.obligation and job.unique.startswith(FIRE_KEY)


def conclude(broker: Broker, job: Job, outcome: int, data: bytes, why: bytes = b"") -> None:
    """
    Keep how a background job ended, where somebody may want to know, and tell who inquired.

    Args:
        broker: The broker.
        job: About to end.
        outcome: How.
        data: What its worker said.
        why: Why it becomes a dead letter; empty for none.

    """
    function = job.line
    if function is None:
        return
    policing = function.policing
    if policing is None and not broker.inquiries and not is_fire(job):
        # As nearly every job there is.
        return
    retention = 0.0 if policing is None else policing.policy.retention
    if is_fire(job) and retention < FIRE_RETENTION:
        retention = FIRE_RETENTION
    if job.obligation and retention > 0.0:
        kept, rest = outcome, data
        if policing is not None and policing.policy.retention > 0.0:
            kept, rest = whole(policing, job, outcome, data)
        elif len(data) > MAX_FIRE_RESULT:
            rest = data[:MAX_FIRE_RESULT]
        now = broker.now
        expires = now + retention
        broker.effects.append(
            KeepResult(job.handle, job.number, function.name, kept, rest, now, expires)
        )
    if not broker.ends_later(job):
        told, words = heard(job, outcome, data, why)
        tell_inquirers(broker, job, told, words)


def heard(job: Job, outcome: int, data: bytes, why: bytes) -> tuple[int, bytes]:
    """Return what those hear who inquired after a job that ends, as `conclude` is told it."""
    if why:
        return EXCEPTED, DEAD + why
    assert job.line is not None
    policing = job.line.policing
    if policing is None or not policing.parts:
        return outcome, data
    parts = policing.parts.get(job.handle)
    if parts is not None and not parts.kept and outcome == COMPLETED:
        # The end without the rest would look like all of it.
        return FAILED, b""
    return whole(policing, job, outcome, data)


def tell_inquirers(broker: Broker, job: Job, outcome: int, data: bytes) -> None:
    """Tell who inquired how a job ended."""
    inquiries = broker.inquiries.pop(job.handle, None)
    if inquiries is not None:
        for inquiry in list(inquiries):
            answer(broker, inquiry, outcome, data)


# Results in parts.


class Parts:
    """
    Data that a running job has sent.

    Attributes:
        kept: Whether they are to be kept.
        pieces: In order; none where they are not kept, or are too many.
        size: Bytes of them all.

    """

    __slots__ = ("kept", "pieces", "size")

    def __init__(self, kept: bool) -> None:
        self.kept = kept
        self.pieces: list[bytes] = []
        self.size = 0


def keep_part(policing: Policing, job: Job, data: bytes) -> None:
    """Note a part of a result; a job that nobody asks for later may still become one."""
    parts = policing.parts.get(job.handle)
    if parts is None:
        parts = policing.parts[job.handle] = Parts(policing.policy.retention > 0.0)
    parts.size += len(data)
    if parts.kept:
        parts.pieces.append(data)
    if parts.size > MAX_RESULT:
        parts.pieces = []


def whole(policing: Policing, job: Job, outcome: int, data: bytes) -> tuple[int, bytes]:
    """Return the outcome and the data that are kept of a job, with all its parts."""
    if outcome != COMPLETED:
        return outcome, data
    parts = policing.parts.get(job.handle)
    if len(data) > MAX_RESULT:
        return TOO_LARGE, b""
    if parts is None:
        return COMPLETED, data
    if not parts.kept or parts.size + len(data) > MAX_RESULT:
        return TOO_LARGE, b""
    return STREAMED, framed([*parts.pieces, data])


def framed(pieces: list[bytes]) -> bytes:
    """Return pieces as one text: each behind its length, in four bytes."""
    return b"".join([len(piece).to_bytes(4, "big") + piece for piece in pieces])


def unframed(data: bytes) -> list[bytes]:
    """Return the pieces; at least one, whatever the store may hold."""
    pieces: list[bytes] = []
    start = 0
    while start + 4 <= len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "big")
        pieces.append(data[start + 4 : end])
        start = end
    return pieces or [b""]


# Questions and answers.


def inquire(broker: Broker, session: Session, command: SubmitJob) -> None:
    """Let a session wait for the result of another job."""
    if command.background:
        broker.refuse(
            session, b"INVALID_ARGUMENT", b"geartrain:result is for foreground jobs: it answers"
        )
        return
    function = broker.function(command.function)
    inquiry = broker.create_job(broker.now, function, command)
    inquiry.state = HELD
    broker.listen(session, inquiry)
    broker.tell(session, JobCreated(session.number, inquiry.handle, False))
    handle = wanted(inquiry)
    # Also for a job that is not here: it may be taken over from another server, and end at once.
    broker.inquiries.setdefault(handle, {})[inquiry] = True
    if not is_here(broker, inquiry, handle):
        broker.effects.append(AskForResult(inquiry.handle, handle, session.local))


def is_here(broker: Broker, inquiry: Job, handle: bytes) -> bool:
    """Return whether the job that an inquiry is about waits or runs here."""
    job = broker.jobs.get(handle)
    return not (job is None or job.state == ENDING or job is inquiry)


def wanted(inquiry: Job) -> bytes:
    """Return the handle that an inquiry is about."""
    return inquiry.workload.rstrip(b"\0\r\n ")


def leave_inquiry(broker: Broker, inquiry: Job) -> None:
    """Note that nobody waits for an inquiry any more."""
    others = broker.inquiries.get(wanted(inquiry))
    if others is not None:
        others.pop(inquiry, False)
        if not others:
            del broker.inquiries[wanted(inquiry)]


def result_found(broker: Broker, command: ResultFound) -> None:
    """Answer an inquiry with what the store knows, unless the job is back meanwhile."""
    inquiry = broker.jobs.get(command.inquiry)
    if inquiry is None:
        return
    if not is_here(broker, inquiry, command.handle):
        leave_inquiry(broker, inquiry)
        answer(broker, inquiry, command.outcome, command.data)


def answer(broker: Broker, inquiry: Job, outcome: int, data: bytes) -> None:
    """Tell who inquired how the job ended, and end the inquiry."""
    listeners = inquiry.listeners
    assert listeners is not None
    if outcome == TOO_LARGE:
        outcome, data = EXCEPTED, NOT_KEPT
    parts = unframed(data) if outcome == STREAMED else [data]
    for listener in listeners:
        if outcome in (COMPLETED, STREAMED):
            for part in parts[:-1]:
                broker.tell(listener, SendData(listener.number, inquiry.handle, part))
            broker.tell(listener, SendComplete(listener.number, inquiry.handle, parts[-1]))
        elif outcome == FAILED or not listener.exceptions:
            broker.tell(listener, SendFail(listener.number, inquiry.handle, b""))
        else:
            broker.tell(listener, SendException(listener.number, inquiry.handle, data))
    broker.stop_listening(inquiry)
    broker.end(inquiry)


# Text commands that the store answers.


def ask_store(broker: Broker, session: Session, command: SessionCommand) -> bool:
    """Carry out a command about jobs that ended; False where it is another command."""
    if isinstance(command, ShowJob):
        job = broker.jobs.get(command.handle)
        if job is not None:
            broker.tell(session, JobReport(session.number, job))
        else:
            ask(broker, session, SHOW_ENDED, command.handle, 0)
    elif isinstance(command, ShowDeadLetters):
        ask(broker, session, LIST_LETTERS, b"", command.after)
    elif isinstance(command, RetryDeadLetter):
        ask(broker, session, RETRY_LETTER, command.handle, 0)
    elif isinstance(command, RemoveDeadLetter):
        ask(broker, session, REMOVE_LETTER, command.handle, 0)
    else:
        return False
    return True


def ask(broker: Broker, session: Session, question: int, handle: bytes, after: int) -> None:
    """Put a question to the store; the session hears nothing else before the answer."""
    reply = StoreReply(session.number)
    broker.hold(session, reply)
    broker.effects.append(AskStore(question, handle, after, reply, session.local))


def store_answered(broker: Broker, command: StoreAnswered) -> None:
    """Give a session the answer that it waits for."""
    reply = command.to
    reply.reply = command.reply
    reply.waits = False
    broker.release(reply.session)
