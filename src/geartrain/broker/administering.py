"""
What administrators may ask of a broker: its books, and a few switches.

Functions that are handed the broker, because its own file is long enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from geartrain.broker import shared
from geartrain.broker.commands import (
    CancelJob,
    Connect,
    CreateFunction,
    DeclarePolicy,
    DropFunction,
    ReportFunctions,
    ReportJobs,
    ReportServers,
    ReportWaits,
    ReportWorkers,
    SessionCommand,
    SetMaxQueue,
    WantAttempts,
)
from geartrain.broker.effects import (
    AdminResult,
    AskOthers,
    Forget,
    FunctionsReport,
    JobsReport,
    OptionResult,
    SendFail,
    ServersReport,
    WaitsReport,
    WorkersReport,
)
from geartrain.broker.inquiring import CANCEL_ELSEWHERE, FAILED, ask, ask_store, conclude
from geartrain.broker.job import ENDING, RUNNING
from geartrain.broker.policing import apply_policy, lift_policy
from geartrain.broker.policy import RESULT_FUNCTION, Policy
from geartrain.broker.rulebook import MAX_DECLARED
from geartrain.broker.session import Session

if TYPE_CHECKING:
    from geartrain.broker.broker import Broker

__all__ = [
    "DONE",
    "FUNCTION_IN_USE",
    "NO_SUCH_FUNCTION",
    "NO_SUCH_JOB",
    "administer",
]

# Outcomes of an administrator's command.
DONE: Final = 0
NO_SUCH_JOB: Final = 1
NO_SUCH_FUNCTION: Final = 2
FUNCTION_IN_USE: Final = 3


def administer(broker: Broker, session: Session, command: SessionCommand) -> None:
    """Carry out an administrator's command."""
    if isinstance(command, ReportFunctions):
        report_functions(broker, session, command.by_priority)
    elif isinstance(command, ReportWorkers):
        rows = [
            (one.number, one.client_id, [ability.function.name for ability in one.order])
            for one in broker.sessions.values()
        ]
        broker.tell(session, WorkersReport(session.number, rows))
    elif isinstance(command, ReportJobs):
        jobs = list(broker.jobs.values())
        broker.tell(session, JobsReport(session.number, jobs, command.unique))
    elif isinstance(command, CancelJob):
        cancel(broker, session, command.handle)
    elif isinstance(command, CreateFunction):
        broker.function(command.function).kept = True
        broker.tell(session, AdminResult(session.number, DONE))
    elif isinstance(command, DropFunction):
        outcome = drop_function(broker, command.function, command.force)
        broker.tell(session, AdminResult(session.number, outcome))
    elif isinstance(command, SetMaxQueue):
        function = broker.function(command.function)
        function.limits = command.limits
        function.kept = True
        broker.tell(session, AdminResult(session.number, DONE))
    elif isinstance(command, ReportWaits):
        waits = [
            (function.name, function.lined(), function.running, function.waited(broker.now))
            for function in broker.functions.values()
        ]
        broker.tell(session, WaitsReport(session.number, waits))
    elif isinstance(command, ReportServers):
        servers = ServersReport(session.number)
        broker.hold(session, servers)
        broker.effects.append(AskOthers(servers))
    elif isinstance(command, WantAttempts):
        session.attempts = True
        broker.tell(session, OptionResult(session.number, command.option))
    elif isinstance(command, DeclarePolicy):
        declare(broker, session, command)
    elif not ask_store(broker, session, command) and not isinstance(command, Connect):
        raise AssertionError(f"nobody knows the command {command!r}")


def report_functions(broker: Broker, session: Session, by_priority: bool) -> None:
    """Answer ``status`` and ``prioritystatus``."""
    rows: list[tuple[bytes, int, int, int, int]] = []
    for function in broker.functions.values():
        if by_priority:
            high, normal, low = function.lines
            delayed = function.jobs - function.running - function.lined()
            rows.append(
                (function.name, high.count, normal.count + delayed, low.count, function.workers)
            )
        else:
            rows.append((function.name, function.jobs, function.running, function.workers, 0))
    broker.tell(session, FunctionsReport(session.number, rows, by_priority))


def cancel(broker: Broker, session: Session, handle: bytes) -> None:
    """Obey ``cancel job``; a job that is not here may be another server's to cancel."""
    answer = AdminResult(session.number, cancel_job(broker, handle))
    if not broker.shared:
        broker.tell(session, answer)
    elif handle in broker.jobs or answer.outcome == DONE or session.local:
        shared.cancel(broker, session, handle, answer)
    elif shared.is_over(broker, handle):
        broker.tell(session, answer)
    else:
        ask(broker, session, CANCEL_ELSEWHERE, handle, 0)


def cancel_job(broker: Broker, handle: bytes) -> int:
    """
    Give a job up and tell its listeners WORK_FAIL.

    A worker that has it is not stopped, but nobody waits for it any more:
    its unique key is free, and should the worker die, nobody runs it again.
    """
    job = broker.jobs.get(handle)
    if job is None or job.state == ENDING:
        return NO_SUCH_JOB
    if job.state != RUNNING:
        broker.fail(job)
        return DONE
    if broker.shared and job.obligation:
        # Its key stays taken until it is gone from the store, so its worker is let go.
        broker.release_worker(job)
        broker.fail(job)
        return DONE
    conclude(broker, job, FAILED, b"")
    if job.listeners is not None:
        for listener in job.listeners:
            broker.tell(listener, SendFail(listener.number, job.handle, b""))
        broker.stop_listening(job)
    if job.obligation and broker.durable:
        broker.effects.append(Forget(job.number))
    job.obligation = False
    assert job.line is not None
    job.line.release_unique(job)
    return DONE


def drop_function(broker: Broker, name: bytes, force: bool) -> int:
    """Forget a function that nobody serves; its jobs only if ``force`` is given."""
    function = broker.functions.get(name)
    if function is None:
        return NO_SUCH_FUNCTION
    if function.workers or function.running or (function.jobs and not force):
        return FUNCTION_IN_USE
    if function.jobs:
        for job in [job for job in broker.jobs.values() if job.line is function]:
            if job.state != ENDING:
                broker.fail(job)
    # It opens no more: what comes under its name later is another one, with all its rate.
    function.closed = False
    del broker.functions[name]
    return DONE


def declare(broker: Broker, session: Session, command: DeclarePolicy) -> None:
    """Take a policy that a worker declares; what is configured for the function wins."""
    name = command.policy.pattern
    rules = broker.rulebook
    if name == RESULT_FUNCTION:
        broker.refuse(session, b"INVALID_POLICY", b"geartrain:result is the server's own")
        return
    if name not in rules.declared and len(rules.declared) >= MAX_DECLARED:
        text = b"%d functions have declared policies, and no more may" % MAX_DECLARED
        broker.refuse(session, b"INVALID_POLICY", text)
        return
    rules.declared[name] = command.policy
    if rules.configured(name) is None:
        apply_policy(broker, broker.function(name), command.policy)
    broker.tell(session, OptionResult(session.number, command.option))


def configure(broker: Broker, policies: list[Policy]) -> None:
    """Keep other configured policies than before, for jobs that wait already as well."""
    rules = broker.rulebook
    rules.configure(policies)
    for function in list(broker.functions.values()):
        policing = function.policing
        if policing is not None and policing.reserved:
            continue
        policy = rules.policy(function.name)
        if policy is not None:
            apply_policy(broker, function, policy)
        elif policing is not None:
            lift_policy(broker, function)
