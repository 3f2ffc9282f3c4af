"""
What a broker answers with; the server carries effects out in their order.

Effects for one session come in the order of its requests, although an answer
may have waited for the disk and a later one had nothing to wait for.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from geartrain.broker.job import ENDING, Job


# Acyclic, as are those that come with every job: what lives for one step is nothing for the
# garbage collector, and costs half as much without it.
@mypyc_attr(acyclic=True)
class Effect:
    """Base of all effects."""

    __slots__ = ()


# For the store.


@mypyc_attr(acyclic=True)
class Persist(Effect):
    """Store the job, then step ``Persisted`` or ``PersistFailed``."""

    __slots__ = ("job",)

    def __init__(self, job: Job) -> None:
        self.job = job


class KeepAttempts(Effect):
    """Store how often the job was attempted and its epoch, with the next commit."""

    __slots__ = ("attempts", "epoch", "number")

    def __init__(self, number: int, attempts: int, epoch: int) -> None:
        self.number = number
        self.attempts = attempts
        self.epoch = epoch


@mypyc_attr(acyclic=True)
class Forget(Effect):
    """The stored job has ended; remove it with the next commit."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Bury(Effect):
    """
    Keep a job that was given up as a dead letter, with the next commit, and forget the job.

    Attributes:
        job: The job as it was; a copy.
        reason: Why it was given up, for people.
        died: When, in seconds since 1970.

    """

    __slots__ = ("died", "job", "reason")

    def __init__(self, job: Job, reason: bytes, died: float) -> None:
        self.job = job
        self.reason = reason
        self.died = died


class KeepResult(Effect):
    """Keep what a background job ended with, until it expires, with the next commit."""

    __slots__ = ("data", "ended", "expires", "function", "handle", "number", "outcome")

    def __init__(
        self,
        handle: bytes,
        number: int,
        function: bytes,
        outcome: int,
        data: bytes,
        ended: float,
        expires: float,
    ) -> None:
        self.handle = handle
        self.number = number
        self.function = function
        self.outcome = outcome
        self.data = data
        self.ended = ended
        self.expires = expires


class AskForResult(Effect):
    """
    Ask the store how the job with a handle ended, then step ``ResultFound``.

    Attributes:
        inquiry: Handle of the inquiry.
        handle: Handle of the job it is about.
        local: Another server asks, so no other server is to be asked.

    """

    __slots__ = ("handle", "inquiry", "local")

    def __init__(self, inquiry: bytes, handle: bytes, local: bool) -> None:
        self.inquiry = inquiry
        self.handle = handle
        self.local = local


class AskStore(Effect):
    """
    Ask the store about jobs that ended, then step ``StoreAnswered``.

    Attributes:
        question: SHOW_ENDED, LIST_LETTERS, RETRY_LETTER, REMOVE_LETTER, or CANCEL_ELSEWHERE,
            which is another server's to answer.
        handle: Of the job; empty for a list.
        after: Number behind which a list starts.
        to: What becomes the answer.
        local: Another server asks, so no other server is to be asked.

    """

    __slots__ = ("after", "handle", "local", "question", "to")

    def __init__(
        self, question: int, handle: bytes, after: int, to: StoreReply, local: bool
    ) -> None:
        self.question = question
        self.local = local
        self.handle = handle
        self.after = after
        self.to = to


# For the log.


class GaveUp(Effect):
    """A job was dropped because it came back without a result too often."""

    __slots__ = ("job",)

    def __init__(self, job: Job) -> None:
        self.job = job


# For a session.


@mypyc_attr(acyclic=True)
class SessionEffect(Effect):
    """
    Base of what a session is told.

    Attributes:
        session: Number of the connection.

    """

    __slots__ = ("session",)

    def __init__(self, session: int) -> None:
        self.session = session


@mypyc_attr(acyclic=True)
class Awaited(SessionEffect):
    """
    Base of answers that may have to wait for somebody else than the broker.

    Attributes:
        waits: Nobody has answered yet, so this must not leave the broker.
        refusal: Why there is no answer; the session gets ERROR then.

    """

    __slots__ = ("refusal", "waits")

    waits: bool
    refusal: bytes


@mypyc_attr(acyclic=True)
class JobCreated(Awaited):
    """
    The submission is accepted; for a durable one this means it is on disk.

    Attributes:
        handle: The job's handle.
        listens: The session waits for the result.

    """

    __slots__ = ("handle", "listens")

    def __init__(self, session: int, handle: bytes, waits: bool) -> None:
        self.session = session
        self.handle = handle
        self.waits = waits
        self.listens = False
        self.refusal = b""


@mypyc_attr(acyclic=True)
class AssignJob(SessionEffect):
    """
    The worker has the job; ``form`` says how much it wants to hear of it.

    Attributes:
        attempt: How often the job had come back when it was assigned.

    """

    __slots__ = ("attempt", "form", "job")

    def __init__(self, session: int, job: Job, form: int) -> None:
        self.session = session
        self.job = job
        self.form = form
        self.attempt = job.attempts

    def is_stale(self) -> bool:
        """Return whether the worker lost the job again before it heard of it."""
        job = self.job
        return (
            job.worker is None or job.worker.number != self.session or job.attempts != self.attempt
        )


@mypyc_attr(acyclic=True)
class NoJob(SessionEffect):
    """There is nothing to do for this worker."""

    __slots__ = ()


@mypyc_attr(acyclic=True)
class Noop(SessionEffect):
    """Wake the worker up."""

    __slots__ = ()


@mypyc_attr(acyclic=True)
class SendReport(SessionEffect):
    """Base of what a listener hears of its job."""

    __slots__ = ("handle", "workload")

    def __init__(self, session: int, handle: bytes, workload: bytes) -> None:
        self.session = session
        self.handle = handle
        self.workload = workload


@mypyc_attr(acyclic=True)
class SendComplete(SendReport):
    """The job is done; ``workload`` is its result."""

    __slots__ = ()


class SendFail(SendReport):
    """The job failed; ``workload`` is empty."""

    __slots__ = ()


class SendException(SendReport):
    """The job raised; only for sessions that asked for exceptions."""

    __slots__ = ()


class SendData(SendReport):
    """A part of the result."""

    __slots__ = ()


class SendWarning(SendReport):
    """A warning."""

    __slots__ = ()


class SendStatus(SessionEffect):
    """Progress; both numbers as the worker sent them."""

    __slots__ = ("denominator", "handle", "numerator")

    def __init__(self, session: int, handle: bytes, numerator: bytes, denominator: bytes) -> None:
        self.session = session
        self.handle = handle
        self.numerator = numerator
        self.denominator = denominator


class StatusResult(Awaited):
    """
    Answer to GET_STATUS and GET_STATUS_UNIQUE.

    Attributes:
        name: The handle or unique key that was asked for.
        by_unique: Which of the two it is.
        known: Whether the server has such a job.
        running: Whether a worker has it.
        numerator: Progress, digits.
        denominator: Progress, digits.
        listeners: How many clients wait for it.
        local: Another server asks, so no other server is to be asked.

    """

    __slots__ = (
        "by_unique",
        "denominator",
        "known",
        "listeners",
        "local",
        "name",
        "numerator",
        "running",
    )

    def __init__(self, session: int, name: bytes, by_unique: bool, job: Job | None) -> None:
        self.session = session
        self.waits = False
        self.refusal = b""
        self.name = name
        self.by_unique = by_unique
        self.local = False
        self.show(job)

    def show(self, job: Job | None) -> None:
        """Say of the job what is to be said; None where there is none."""
        self.known = job is not None
        self.running = job is not None and (job.worker is not None or job.state == ENDING)
        self.numerator = b"0" if job is None else job.numerator
        self.denominator = b"0" if job is None else job.denominator
        self.listeners = 0 if job is None or job.listeners is None else len(job.listeners)


class OptionResult(SessionEffect):
    """The option is set."""

    __slots__ = ("option",)

    def __init__(self, session: int, option: bytes) -> None:
        self.session = session
        self.option = option


class EchoResult(SessionEffect):
    """What the session sent, back."""

    __slots__ = ("workload",)

    def __init__(self, session: int, workload: bytes) -> None:
        self.session = session
        self.workload = workload


class Reply(SessionEffect):
    """An ``Answer``, in its turn."""

    __slots__ = ("reply",)

    def __init__(self, session: int, reply: bytes) -> None:
        self.session = session
        self.reply = reply


class StoreReply(Awaited):
    """What the store answers to a session's text command, in its turn."""

    __slots__ = ("reply",)

    def __init__(self, session: int) -> None:
        self.session = session
        self.reply = b""
        self.waits = True
        self.refusal = b""


class JobReport(SessionEffect):
    """Answer to ``ShowJob`` for a job that has not ended."""

    __slots__ = ("job",)

    def __init__(self, session: int, job: Job) -> None:
        self.session = session
        self.job = job


class Error(SessionEffect):
    """
    The session did what it may not, or what can't be done now.

    Attributes:
        code: First argument of the ERROR packet.
        text: Second argument.

    """

    __slots__ = ("code", "text")

    def __init__(self, session: int, code: bytes, text: bytes) -> None:
        self.session = session
        self.code = code
        self.text = text


class AdminResult(Awaited):
    """Answer to an administrator's command: OK, or which refusal."""

    __slots__ = ("outcome",)

    def __init__(self, session: int, outcome: int) -> None:
        self.session = session
        self.waits = False
        self.refusal = b""
        self.outcome = outcome


class FunctionsReport(SessionEffect):
    """
    Answer to ``ReportFunctions``.

    Attributes:
        rows: Per function its name and four counts. By default jobs in all,
            running jobs, workers, and 0; by priority waiting jobs of HIGH,
            NORMAL and LOW, and workers.
        by_priority: Which of the two it is.

    """

    __slots__ = ("by_priority", "rows")

    def __init__(
        self, session: int, rows: list[tuple[bytes, int, int, int, int]], by_priority: bool
    ) -> None:
        self.session = session
        self.rows = rows
        self.by_priority = by_priority


class WorkersReport(SessionEffect):
    """Answer to ``ReportWorkers``: of each session its number, client id and functions."""

    __slots__ = ("rows",)

    def __init__(self, session: int, rows: list[tuple[int, bytes, list[bytes]]]) -> None:
        self.session = session
        self.rows = rows


class JobsReport(SessionEffect):
    """Answer to ``ReportJobs``."""

    __slots__ = ("jobs", "unique")

    def __init__(self, session: int, jobs: list[Job], unique: bool) -> None:
        self.session = session
        self.jobs = jobs
        self.unique = unique


# Where several servers share the store.


class WaitsReport(SessionEffect):
    """
    Answer to ``ReportWaits``.

    Attributes:
        rows: Per function its name, how many jobs stand in line, how many run, and for how many
            seconds the first in line has waited; -1.0 where none does.

    """

    __slots__ = ("rows",)

    def __init__(self, session: int, rows: list[tuple[bytes, int, int, float]]) -> None:
        self.session = session
        self.rows = rows


class ServersReport(Awaited):
    """
    Answer to ``ReportServers``.

    Attributes:
        problem: Why it can't be told who they are; empty where it can.
        rows: Of each server its name, its address, what the store calls it, whether it is this
            one, for how many seconds its lease lasts, and how many jobs it holds.

    """

    __slots__ = ("problem", "rows")

    def __init__(self, session: int) -> None:
        self.session = session
        self.waits = True
        self.refusal = b""
        self.problem = b""
        self.rows: list[tuple[str, str, int, bool, float, int]] = []


class AskOthers(Effect):
    """
    Ask the other servers for what is not known here, then step what they say.

    Attributes:
        answer: What the session gets when they have answered: after ``StatusFound`` the status
            of a job, after ``ServersFound`` who they are.

    """

    __slots__ = ("answer",)

    def __init__(self, answer: Awaited) -> None:
        self.answer = answer


class CutOff(SessionEffect):
    """
    Close the connection, and send nothing of what was to be sent.

    It works on, or waits for, what another server has taken over, or may.
    """

    __slots__ = ()
