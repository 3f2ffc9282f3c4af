"""
What a broker can be stepped with.

Most commands are a packet that a session sent, in the broker's words; the
others come from the store (``Persisted``, ``PersistFailed``, ``Restore``), from
the clock (``Tick``) and from the listener (``Connect``, ``Disconnect``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from geartrain.broker.job import Job
from geartrain.broker.policy import Policy

if TYPE_CHECKING:
    from geartrain.broker.effects import StoreReply

# How much a worker wants to hear about the job it grabs.
GRAB_PLAIN: Final = 0  # handle, function, workload
GRAB_UNIQUE: Final = 1  # and the unique key
GRAB_ALL: Final = 2  # and the reducer
GRAB_ATTEMPT: Final = 3  # and which attempt it is, for a session that wants attempts


# Acyclic, as are those that come with every job: what lives for one step is nothing for the
# garbage collector, and costs half as much without it.
@mypyc_attr(acyclic=True)
class Command:
    """Base of all commands."""

    __slots__ = ()


@mypyc_attr(acyclic=True)
class SessionCommand(Command):
    """
    Base of the commands that a session gives.

    Attributes:
        session: Number of the connection.

    """

    __slots__ = ("session",)

    def __init__(self, session: int) -> None:
        self.session = session


class Connect(SessionCommand):
    """A peer connected; its number was not used before."""

    __slots__ = ()


class Disconnect(SessionCommand):
    """A peer is gone; what it held goes back to the waiting lines."""

    __slots__ = ()


# From clients.


@mypyc_attr(acyclic=True)
class SubmitJob(SessionCommand):
    """SUBMIT_JOB and its eleven sisters."""

    __slots__ = ("background", "epoch", "function", "priority", "reducer", "unique", "workload")

    def __init__(
        self,
        session: int,
        function: bytes,
        unique: bytes,
        workload: bytes,
        priority: int,
        background: bool,
        epoch: int = 0,
        reducer: bytes = b"",
    ) -> None:
        self.session = session
        self.function = function
        self.unique = unique
        self.workload = workload
        self.priority = priority
        self.background = background
        self.epoch = epoch
        self.reducer = reducer


class GetStatus(SessionCommand):
    """GET_STATUS."""

    __slots__ = ("handle",)

    def __init__(self, session: int, handle: bytes) -> None:
        self.session = session
        self.handle = handle


class GetStatusUnique(SessionCommand):
    """GET_STATUS_UNIQUE."""

    __slots__ = ("unique",)

    def __init__(self, session: int, unique: bytes) -> None:
        self.session = session
        self.unique = unique


# From workers.


@mypyc_attr(acyclic=True)
class GrabJob(SessionCommand):
    """GRAB_JOB, GRAB_JOB_UNIQ or GRAB_JOB_ALL, told apart by ``form``."""

    __slots__ = ("form",)

    def __init__(self, session: int, form: int) -> None:
        self.session = session
        self.form = form


@mypyc_attr(acyclic=True)
class PreSleep(SessionCommand):
    """PRE_SLEEP."""

    __slots__ = ()


class CanDo(SessionCommand):
    """CAN_DO or CAN_DO_TIMEOUT; ``timeout`` is in seconds, 0 for none."""

    __slots__ = ("function", "timeout")

    def __init__(self, session: int, function: bytes, timeout: float = 0.0) -> None:
        self.session = session
        self.function = function
        self.timeout = timeout


class CantDo(SessionCommand):
    """CANT_DO."""

    __slots__ = ("function",)

    def __init__(self, session: int, function: bytes) -> None:
        self.session = session
        self.function = function


class ResetAbilities(SessionCommand):
    """RESET_ABILITIES."""

    __slots__ = ()


class SetClientId(SessionCommand):
    """SET_CLIENT_ID."""

    __slots__ = ("client_id",)

    def __init__(self, session: int, client_id: bytes) -> None:
        self.session = session
        self.client_id = client_id


class WorkStatus(SessionCommand):
    """WORK_STATUS; both numbers are decimal digits, as the worker sent them."""

    __slots__ = ("denominator", "handle", "numerator")

    def __init__(self, session: int, handle: bytes, numerator: bytes, denominator: bytes) -> None:
        self.session = session
        self.handle = handle
        self.numerator = numerator
        self.denominator = denominator


@mypyc_attr(acyclic=True)
class WorkReport(SessionCommand):
    """Base of what a worker says of a job it holds; ``workload`` is empty for WORK_FAIL."""

    __slots__ = ("handle", "workload")

    def __init__(self, session: int, handle: bytes, workload: bytes = b"") -> None:
        self.session = session
        self.handle = handle
        self.workload = workload


@mypyc_attr(acyclic=True)
class WorkComplete(WorkReport):
    """WORK_COMPLETE."""

    __slots__ = ()


class WorkFail(WorkReport):
    """WORK_FAIL."""

    __slots__ = ()


class WorkException(WorkReport):
    """WORK_EXCEPTION; it ends the job."""

    __slots__ = ()


class WorkData(WorkReport):
    """WORK_DATA."""

    __slots__ = ()


class WorkWarning(WorkReport):
    """WORK_WARNING."""

    __slots__ = ()


class DeclarePolicy(SessionCommand):
    """OPTION_REQ ``policy:...``; ``option`` is echoed as it was sent."""

    __slots__ = ("option", "policy")

    def __init__(self, session: int, option: bytes, policy: Policy) -> None:
        self.session = session
        self.option = option
        self.policy = policy


# From either.


class WantExceptions(SessionCommand):
    """OPTION_REQ ``exceptions``; ``option`` is echoed as it was sent."""

    __slots__ = ("option",)

    def __init__(self, session: int, option: bytes) -> None:
        self.session = session
        self.option = option


class WantAttempts(SessionCommand):
    """OPTION_REQ ``attempts``; ``option`` is echoed as it was sent."""

    __slots__ = ("option",)

    def __init__(self, session: int, option: bytes) -> None:
        self.session = session
        self.option = option


class WantLocal(SessionCommand):
    """OPTION_REQ ``local``, from another server: answer from here alone what it asks for."""

    __slots__ = ("option",)

    def __init__(self, session: int, option: bytes) -> None:
        self.session = session
        self.option = option


class Echo(SessionCommand):
    """ECHO_REQ."""

    __slots__ = ("workload",)

    def __init__(self, session: int, workload: bytes) -> None:
        self.session = session
        self.workload = workload


class Answer(SessionCommand):
    """
    An answer that needs none of the broker's memory, such as ERROR for a strange packet.

    It passes through the broker because answers leave in the order of the
    requests, and an earlier one may still wait for the disk.
    """

    __slots__ = ("reply",)

    def __init__(self, session: int, reply: bytes) -> None:
        self.session = session
        self.reply = reply


# From administrators.


class CancelJob(SessionCommand):
    """``cancel job HANDLE``."""

    __slots__ = ("handle",)

    def __init__(self, session: int, handle: bytes) -> None:
        self.session = session
        self.handle = handle


class CreateFunction(SessionCommand):
    """``create function NAME``."""

    __slots__ = ("function",)

    def __init__(self, session: int, function: bytes) -> None:
        self.session = session
        self.function = function


class DropFunction(SessionCommand):
    """``drop function NAME``, or ``drop function NAME force`` to drop waiting jobs too."""

    __slots__ = ("force", "function")

    def __init__(self, session: int, function: bytes, force: bool = False) -> None:
        self.session = session
        self.function = function
        self.force = force


class SetMaxQueue(SessionCommand):
    """``maxqueue NAME [HIGH NORMAL LOW]``; 0 is unlimited."""

    __slots__ = ("function", "limits")

    def __init__(self, session: int, function: bytes, limits: tuple[int, int, int]) -> None:
        self.session = session
        self.function = function
        self.limits = limits


class ReportFunctions(SessionCommand):
    """``status`` and ``prioritystatus``."""

    __slots__ = ("by_priority",)

    def __init__(self, session: int, by_priority: bool = False) -> None:
        self.session = session
        self.by_priority = by_priority


class ReportWorkers(SessionCommand):
    """``workers``."""

    __slots__ = ()


class ReportJobs(SessionCommand):
    """``show jobs`` and ``show unique jobs``."""

    __slots__ = ("unique",)

    def __init__(self, session: int, unique: bool = False) -> None:
        self.session = session
        self.unique = unique


class ShowJob(SessionCommand):
    """``show job HANDLE``, of a job that is here or has ended."""

    __slots__ = ("handle",)

    def __init__(self, session: int, handle: bytes) -> None:
        self.session = session
        self.handle = handle


class ShowDeadLetters(SessionCommand):
    """``show dead letters [NUMBER]``, of jobs with larger numbers than this."""

    __slots__ = ("after",)

    def __init__(self, session: int, after: int) -> None:
        self.session = session
        self.after = after


class RetryDeadLetter(SessionCommand):
    """``retry job HANDLE``."""

    __slots__ = ("handle",)

    def __init__(self, session: int, handle: bytes) -> None:
        self.session = session
        self.handle = handle


class RemoveDeadLetter(SessionCommand):
    """``remove job HANDLE``."""

    __slots__ = ("handle",)

    def __init__(self, session: int, handle: bytes) -> None:
        self.session = session
        self.handle = handle


class ReportWaits(SessionCommand):
    """``show waits``."""

    __slots__ = ()


class ReportServers(SessionCommand):
    """``cluster``."""

    __slots__ = ()


# From the store and the clock.


class StoreAnswered(Command):
    """The store's answer to ``AskStore``, as the session is to be sent it."""

    __slots__ = ("reply", "to")

    def __init__(self, to: StoreReply, reply: bytes) -> None:
        self.to = to
        self.reply = reply


class ResultFound(Command):
    """
    The store's answer to ``AskForResult``.

    Attributes:
        inquiry: Handle of the job that waits for it.
        handle: The handle that was asked for.
        outcome: How that job ended; FAILED where nothing is known of it.
        data: Its result, or what its exception says.

    """

    __slots__ = ("data", "handle", "inquiry", "outcome")

    def __init__(self, inquiry: bytes, handle: bytes, outcome: int, data: bytes) -> None:
        self.inquiry = inquiry
        self.handle = handle
        self.outcome = outcome
        self.data = data


class Persisted(Command):
    """These jobs are on disk."""

    __slots__ = ("jobs",)

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs


class PersistFailed(Command):
    """These jobs could not be stored, and will not be."""

    __slots__ = ("jobs", "reason")

    def __init__(self, jobs: list[Job], reason: bytes) -> None:
        self.jobs = jobs
        self.reason = reason


class Restore(Command):
    """A job from the store, at start or from a server that is gone, in the order of its number."""

    __slots__ = ("job",)

    def __init__(self, job: Job) -> None:
        self.job = job


class Tick(Command):
    """The moment that ``next_deadline`` named has come."""

    __slots__ = ()


class ClockSet(Command):
    """
    Somebody set the clock, and ``now`` jumps by ``shift`` seconds from here on.

    Moments stay what they are; what a worker has left of its time, too.
    """

    __slots__ = ("shift",)

    def __init__(self, shift: float) -> None:
        self.shift = shift


class StopAssigning(Command):
    """The server is about to stop: workers get nothing more, and finish what they have."""

    __slots__ = ()


class Configure(Command):
    """
    These policies are configured from now on, and no others.

    Attributes:
        policies: In the order in which their patterns are tried.

    """

    __slots__ = ("policies",)

    def __init__(self, policies: list[Policy]) -> None:
        self.policies = policies
