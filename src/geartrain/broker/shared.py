"""
What changes where several servers share the store. Rules only, for ``broker``.

A server holds its stored jobs under a lease. While it can't know whether it still
does, the lease is *in doubt*, and what the store keeps is neither assigned nor
ended; jobs that only clients wait for go on. Once the lease is lost, all of it is
another server's: it is dropped, and whoever works on it or waits for it is cut off.

A stored job with a unique key ends when the store has removed it, and not before:
until then a submission at another server would coalesce with it. Whoever waits
hears of its end after that, so nobody who saw it end can be coalesced into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from geartrain.broker.commands import Command
from geartrain.broker.effects import (
    AdminResult,
    AskOthers,
    Awaited,
    CutOff,
    SendComplete,
    SendException,
    SendFail,
    StatusResult,
)
from geartrain.broker.inquiring import COMPLETED, EXCEPTED, FAILED, heard, tell_inquirers
from geartrain.broker.job import ENDED, ENDING, RUNNING, STORING, WAITING, Job
from geartrain.broker.shared_commands import (
    Coalesced,
    DoubtLease,
    Forgotten,
    JoinStore,
    LoseLease,
    ServersFound,
    StatusFound,
    TrustLease,
    Uncertain,
)

if TYPE_CHECKING:
    from geartrain.broker.broker import Broker
    from geartrain.broker.function import Function, WaitingLine
    from geartrain.broker.session import Ability, Session

# Jobs of a line that are looked at for one the store does not keep, while the lease is in doubt.
MAX_LOOKED_AT: Final = 1000


class Ending:
    """
    A stored job with a unique key that has ended here and is not removed from the store yet.

    Attributes:
        job: The job; its listeners have not been told.
        outcome: COMPLETED, FAILED or EXCEPTED.
        workload: What its listeners will be sent.
        told: The outcome that those hear who inquired.
        words: What came with that.
        answers: Answers to administrators that wait for it.

    """

    __slots__ = ("answers", "job", "outcome", "told", "words", "workload")

    def __init__(self, job: Job, outcome: int, workload: bytes, told: int, words: bytes) -> None:
        self.job = job
        self.outcome = outcome
        self.workload = workload
        self.told = told
        self.words = words
        self.answers: list[AdminResult] = []


def obey(broker: Broker, now: float, command: Command) -> None:
    """Carry out what comes of a store that several servers share."""
    if isinstance(command, Forgotten):
        forgotten(broker, command.numbers)
    elif isinstance(command, Coalesced):
        coalesced(broker, now, command.job, command.handle)
    elif isinstance(command, Uncertain):
        uncertain(broker, now, command.jobs)
    elif isinstance(command, StatusFound):
        status_found(broker, command)
    elif isinstance(command, ServersFound):
        command.answer.rows = command.rows
        command.answer.problem = command.problem
        answered(broker, command.answer, b"")
    elif isinstance(command, DoubtLease):
        doubt(broker, now)
    elif isinstance(command, TrustLease):
        trust(broker, now)
    elif isinstance(command, LoseLease):
        lose(broker, now)
    elif isinstance(command, JoinStore):
        join(broker, command)
    else:
        raise AssertionError(f"nobody knows the command {command!r}")


# Ends of jobs with a unique key.


def end_later(broker: Broker, job: Job, outcome: int, workload: bytes) -> None:
    """Let a job end with its removal from the store; its key is free here from now on."""
    told, words = heard(job, outcome, workload, broker.burying.pop(job.number, b""))
    broker.end(job)
    job.state = ENDING
    broker.jobs[job.handle] = job
    broker.endings[job.number] = Ending(job, outcome, workload, told, words)


def forgotten(broker: Broker, numbers: list[int]) -> None:
    """The store has removed these jobs: tell their listeners how they ended."""
    for number in numbers:
        ending = broker.endings.pop(number, None)
        if ending is None:
            continue
        job = ending.job
        job.state = ENDED
        del broker.jobs[job.handle]
        if job.listeners is not None:
            for listener in job.listeners:
                tell_end(broker, listener, ending)
            broker.stop_listening(job)
        tell_inquirers(broker, job, ending.told, ending.words)
        for answer in ending.answers:
            answer.waits = False
            broker.release(answer.session)


def tell_end(broker: Broker, listener: Session, ending: Ending) -> None:
    """Tell one listener how its job ended."""
    handle = ending.job.handle
    if ending.outcome == COMPLETED:
        broker.tell(listener, SendComplete(listener.number, handle, ending.workload))
    elif ending.outcome == EXCEPTED and listener.exceptions:
        broker.tell(listener, SendException(listener.number, handle, ending.workload))
    else:
        broker.tell(listener, SendFail(listener.number, handle, b""))


def cancel(broker: Broker, session: Session, handle: bytes, answer: AdminResult) -> None:
    """Let the answer to ``cancel job`` wait until the key of the job is free everywhere."""
    job = broker.jobs.get(handle)
    if job is not None and job.state == ENDING:
        answer.waits = True
        broker.endings[job.number].answers.append(answer)
        broker.hold(session, answer)
    else:
        broker.tell(session, answer)


# Submissions that coalesced with another server's job.


def coalesced(broker: Broker, now: float, job: Job, handle: bytes) -> None:
    """
    Give who submitted this job in the background the handle of the job that has its key.

    That one is stored, so they are owed nothing here. Who waits for this job in the
    foreground keeps it.
    """
    waiting = job.unstored
    if waiting is None:
        return
    job.unstored = None
    if job.state == ENDED:
        job.workload = b""
    elif job.state != ENDING:
        # The store has no row of it, so there is nothing to be forgotten.
        job.obligation = False
        if job.listeners is None and job.state != RUNNING:
            broker.end(job)
        elif job.state == STORING:
            broker.enqueue(now, job)
    for created in waiting:
        if not created.listens:
            created.handle = handle
        created.waits = False
    for created in waiting:
        broker.release(created.session)


def uncertain(broker: Broker, now: float, jobs: list[Job]) -> None:
    """
    Cut off who submitted jobs of a commit that may have got through.

    Should this server be lost before it has taken them out again, another one runs them. So it
    would be wrong to refuse them; a connection that ends says nothing.
    """
    concerned: dict[int, bool] = {}
    for job in jobs:
        for created in job.unstored or ():
            concerned[created.session] = True
    cut_off(broker, now, concerned)
    for job in jobs:
        broker.persist_failed(job, b"")


# Jobs of a server that is gone.


def adopt(broker: Broker, now: float, job: Job) -> None:
    """
    Take over a job that another server held, or that was refused here and joined there.

    One that is here already stays as it is, and is owed to whoever submitted it there.
    """
    known = broker.jobs.get(job.handle)
    if known is not None:
        if known.state != ENDING:
            known.obligation = True
        return
    broker.restore(now, job)
    function = job.line
    assert function is not None
    # A foreground job of this server may have the same key. From now on this one is joined.
    function.claim_unique(job)


# A lease in doubt.


def doubt(broker: Broker, now: float) -> None:
    """
    Hold back what the store keeps: another server may have taken it over.

    A worker's word may have come and be held back as well, so nobody's time is up meanwhile.
    """
    if broker.in_doubt:
        return
    broker.in_doubt = True
    broker.doubted = now
    broker.assigning = False
    broker.timetable.hold_deadlines()


def trust(broker: Broker, now: float) -> None:
    """Go on: the lease is ours, or all that it was for has been dropped."""
    if not broker.in_doubt:
        return
    broker.in_doubt = False
    broker.assigning = not broker.stopping
    broker.timetable.release_deadlines(max(0.0, now - broker.doubted))
    waiting: dict[bytes, Function] = {}
    for table in broker.ready:
        waiting.update(table)
    for function in waiting.values():
        for _ in range(min(function.waiting(), len(function.sleepers))):
            broker.wake_worker(now, function)


def holds_back(broker: Broker, session: int, handle: bytes) -> bool:
    """Return whether this worker must not end this job now, because the lease is in doubt."""
    worker = broker.sessions.get(session)
    if worker is None:
        return False
    end = handle.find(b"\0")
    job = worker.running.get(handle if end < 0 else handle[:end])
    return job is not None and job.obligation


def holds_stored_job(broker: Broker, session: int) -> bool:
    """Return whether this worker has a job that the store keeps."""
    worker = broker.sessions.get(session)
    if worker is not None:
        for job in worker.running.values():
            if job.obligation:
                return True
    return False


def find_listened(broker: Broker, session: Session) -> Ability | None:
    """Return an ability with a job that only clients wait for, while the lease is in doubt."""
    if not broker.in_doubt or broker.stopping:
        return None
    for ability in session.order:
        for line in ability.function.lines:
            if ability.function.closed:
                break
            if line.count and first_listened(line) is not None:
                return ability
    return None


def take_listened(broker: Broker, session: Session, ability: Ability) -> Job:
    """Take such a job out of its line; ``find_listened`` has just seen one."""
    function = ability.function
    for priority in range(3):
        line = function.lines[priority]
        job = first_listened(line) if line.count else None
        if job is not None:
            line.take(job)
            if line.count == 0:
                broker.ready[priority].pop(function.name, None)
            function.running += 1
            if broker.round_robin and len(session.order) > 1:
                session.serve_last(ability)
            return job
    raise AssertionError(f"no job of {function.name!r} that only clients wait for")


def first_listened(line: WaitingLine) -> Job | None:
    """Return the first of the next jobs of a line that the store does not keep."""
    assert line.jobs is not None
    for looked_at, job in enumerate(line.jobs):
        if looked_at == MAX_LOOKED_AT:
            return None
        if job.state == WAITING and not job.obligation:
            return job
    return None


# A lease that is lost.


def lose(broker: Broker, now: float) -> None:
    """Drop what the store keeps, which is another server's now, and cut off who is concerned."""
    concerned: dict[int, bool] = {}
    for job in list(broker.jobs.values()):
        if job.obligation or job.unstored is not None or job.state == ENDING:
            drop(broker, job, concerned)
    for ending in broker.endings.values():
        for answer in ending.answers:
            concerned[answer.session] = True
    broker.endings = {}
    broker.own_handles = b""
    cut_off(broker, now, concerned)
    trust(broker, now)


def cut_off(broker: Broker, now: float, concerned: dict[int, bool]) -> None:
    """End these sessions, and have their connections closed."""
    for number in concerned:
        session = broker.sessions.get(number)
        if session is not None:
            broker.disconnect(now, session)
            broker.effects.append(CutOff(number))


def drop(broker: Broker, job: Job, concerned: dict[int, bool]) -> None:
    """Drop one job and note who works on it, waits for it or was to hear its handle."""
    if job.unstored is not None:
        for created in job.unstored:
            concerned[created.session] = True
        job.unstored = None
    if job.worker is not None:
        concerned[job.worker.number] = True
        broker.release_worker(job)
    if job.listeners is not None:
        for listener in job.listeners:
            concerned[listener.number] = True
        broker.stop_listening(job)
    for inquiry in broker.inquiries.pop(job.handle, {}):
        for listener in inquiry.listeners or ():
            concerned[listener.number] = True
    # Its row is not ours to remove.
    job.obligation = False
    if job.state == ENDING:
        job.state = ENDED
        del broker.jobs[job.handle]
    else:
        broker.end(job)


def join(broker: Broker, command: JoinStore) -> None:
    """Take part again; jobs that stayed get the numbers of a new server."""
    for job in broker.jobs.values():
        # It may be stored one day, and has to be found among this server's jobs then.
        job.number += command.first_number - broker.first_number
    broker.first_number = command.first_number
    broker.handle_prefix = command.handle_prefix
    broker.own_handles = command.handle_prefix + b":"


# Status of jobs that other servers hold.


def get_status(broker: Broker, session: Session, name: bytes, by_unique: bool) -> None:
    """Ask the other servers for a job that is not here, unless it can only have ended."""
    if by_unique:
        for ending in broker.endings.values():
            if ending.job.unique == name:
                broker.tell(session, StatusResult(session.number, name, True, ending.job))
                return
    answer = StatusResult(session.number, name, by_unique, None)
    answer.local = session.local
    if not name or (not by_unique and is_over(broker, name)):
        broker.tell(session, answer)
        return
    answer.waits = True
    broker.hold(session, answer)
    broker.effects.append(AskOthers(answer))


def is_over(broker: Broker, handle: bytes) -> bool:
    """Return whether a handle that is not here is of a job that can only have ended."""
    own = broker.own_handles
    return bool(own) and not broker.in_doubt and handle.startswith(own)


def status_found(broker: Broker, found: StatusFound) -> None:
    """Answer what the other servers were asked for; the job may be here by now."""
    answer = found.answer
    if not (found.known or found.refusal or answer.by_unique):
        answer.show(broker.jobs.get(answer.name))
        answered(broker, answer, b"")
        return
    answer.known = found.known
    answer.running = found.running
    answer.numerator = found.numerator
    answer.denominator = found.denominator
    answer.listeners = found.listeners
    answered(broker, answer, found.refusal)


def answered(broker: Broker, answer: Awaited, refusal: bytes) -> None:
    """Let an answer go, or say why there is none."""
    answer.refusal = refusal
    answer.waits = False
    broker.release(answer.session)


__all__ = [
    "COMPLETED",
    "EXCEPTED",
    "FAILED",
    "Ending",
    "adopt",
    "cancel",
    "coalesced",
    "doubt",
    "end_later",
    "find_listened",
    "forgotten",
    "get_status",
    "holds_back",
    "holds_stored_job",
    "is_over",
    "join",
    "lose",
    "obey",
    "status_found",
    "take_listened",
    "trust",
]
