"""
The job server's memory and its rules, and nothing else.

A broker is stepped with commands and answers with effects. It opens no
socket, reads no clock and touches no database, so the same commands always
give the same effects: production, tests and simulations run this file.

Clients *submit* jobs for a *function*, workers *grab* them, and the broker
*assigns* a job to the worker that asked. A job that was accepted in the
background is an *obligation*: it runs whoever listens. A foreground client is
a *listener*, and a job without obligation that nobody listens to is dropped.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from geartrain.broker import inquiring
from geartrain.broker import policing as limits
from geartrain.broker import shared as shared_rules
from geartrain.broker.administering import administer, configure
from geartrain.broker.commands import (
    Answer,
    CanDo,
    CantDo,
    ClockSet,
    Command,
    Configure,
    Connect,
    Disconnect,
    Echo,
    GetStatus,
    GetStatusUnique,
    GrabJob,
    Persisted,
    PersistFailed,
    PreSleep,
    ResetAbilities,
    Restore,
    ResultFound,
    SessionCommand,
    SetClientId,
    StopAssigning,
    StoreAnswered,
    SubmitJob,
    Tick,
    WantExceptions,
    WantLocal,
    WorkComplete,
    WorkData,
    WorkException,
    WorkFail,
    WorkReport,
    WorkStatus,
    WorkWarning,
)
from geartrain.broker.effects import (
    AssignJob,
    Awaited,
    EchoResult,
    Effect,
    Error,
    Forget,
    GaveUp,
    JobCreated,
    KeepAttempts,
    NoJob,
    Noop,
    OptionResult,
    Persist,
    Reply,
    SendComplete,
    SendData,
    SendException,
    SendFail,
    SendStatus,
    SendWarning,
    SessionEffect,
)
from geartrain.broker.function import Function
from geartrain.broker.inquiring import COMPLETED, EXCEPTED, FAILED, conclude, inquire, keep_part
from geartrain.broker.job import DELAYED, ENDED, NORMAL, RUNNING, STORING, WAITING, Job
from geartrain.broker.policing import Agenda, assigned, held_back, released, strike, watch
from geartrain.broker.policy import Policy
from geartrain.broker.retrying import attempt_failed, attempt_lost, look_at_agenda
from geartrain.broker.rulebook import Rulebook
from geartrain.broker.session import Ability, Session
from geartrain.broker.status import get_status, get_status_unique, until_nul
from geartrain.broker.timetable import Timetable

# A worker that was woken and does not grab within this many seconds is not waited for.
WAKE_PATIENCE: Final = 0.25
# Longest unique key in bytes, as in gearmand.
MAX_UNIQUE: Final = 64
# Handles of excepted jobs a session's late WORK_FAIL is looked up in.
MAX_EXCEPTED: Final = 64
# Functions nobody uses are forgotten once there are more functions than this.
MAX_IDLE_FUNCTIONS: Final = 20_000
# Functions one worker connection may announce.
MAX_ABILITIES: Final = 16_384

_QUEUE_ERROR: Final = b"QUEUE_ERROR"
_JOB_NOT_FOUND: Final = b"JOB_NOT_FOUND"


class Broker:
    """
    Gearman job server without I/O.

    Args:
        handle_prefix: Start of every job's handle, such as ``b"H:host:boot"``. It must
            be one that no broker used before, since jobs are counted from 1 behind it.
        first_number: Number of the first job; larger than those of restored jobs.
        durable: Whether background jobs have to be stored before they are acknowledged.
        job_retries: How often a job may come back without a result until it is
            given up; -1 for any number of times, 0 and 1 for once.
        per_function: Serve a worker's functions one after the other, the newest
            first, as gearmand 1.1 does; else by priority across all of them.
        round_robin: With ``per_function``, serve the function that was served last.
        exceptions: Whether clients get exceptions without asking for them.
        shared: Whether other servers use the same store; see ``geartrain.broker.shared``.
        policies: Configured policies of functions, in the order in which patterns are tried.

    """

    __slots__ = (
        "agenda",
        "assigning",
        "burying",
        "doubted",
        "durable",
        "effects",
        "endings",
        "exceptions",
        "first_number",
        "freed",
        "function_limit",
        "functions",
        "handle_prefix",
        "in_doubt",
        "inquiries",
        "job_count",
        "job_retries",
        "jobs",
        "now",
        "own_handles",
        "per_function",
        "ready",
        "round_robin",
        "rulebook",
        "sessions",
        "shared",
        "stopping",
        "timetable",
        "wakes",
    )

    def __init__(
        self,
        handle_prefix: bytes,
        first_number: int = 1,
        durable: bool = False,
        job_retries: int = -1,
        per_function: bool = False,
        round_robin: bool = True,
        exceptions: bool = False,
        shared: bool = False,
        policies: list[Policy] | None = None,
    ) -> None:
        self.handle_prefix = handle_prefix
        self.first_number = first_number
        self.durable = durable
        self.job_retries = job_retries
        self.per_function = per_function
        self.round_robin = round_robin
        self.exceptions = exceptions
        self.shared = shared
        self.rulebook = Rulebook(policies or [])

        # The moment of the step, in seconds since 1970.
        self.now = 0.0
        self.job_count = 0
        self.sessions: dict[int, Session] = {}
        self.functions: dict[bytes, Function] = {}
        # With so many of them it is time to look for idle ones.
        self.function_limit = MAX_IDLE_FUNCTIONS
        # Jobs that have not ended, by handle.
        self.jobs: dict[bytes, Job] = {}
        # Functions with waiting jobs, one table per priority.
        self.ready: tuple[dict[bytes, Function], dict[bytes, Function], dict[bytes, Function]] = (
            {},
            {},
            {},
        )
        self.timetable = Timetable()
        # Functions with a policy of which a job has left its worker in this step, and what is
        # due for others.
        self.freed: list[Function] = []
        self.agenda = Agenda()
        # Jobs of geartrain:result, by the handle that they are about.
        self.inquiries: dict[bytes, dict[Job, bool]] = {}
        # Workers that were woken, in that order: until when they may answer, and which time it was.
        self.wakes: deque[tuple[float, Session, int]] = deque()
        self.effects: list[Effect] = []
        self.assigning = True
        self.stopping = False
        # Of a store that is shared: whether others may have taken over what it keeps, how handles
        # start that nobody else gave out, and jobs that have ended and are not removed from it
        # yet, by number.
        self.in_doubt = False
        self.doubted = 0.0
        self.own_handles = handle_prefix + b":"
        self.endings: dict[int, shared_rules.Ending] = {}
        # Of these, jobs that become dead letters and are about to end.
        self.burying: dict[int, bytes] = {}

    # The two doors.

    def step(self, now: float, command: Command) -> list[Effect]:
        """
        Carry out one command.

        Args:
            now: Seconds since 1970.
            command: What happened.

        Returns:
            What has to be done about it, in order.

        """
        self.now = now
        if isinstance(command, SessionCommand):
            session = self.sessions.get(command.session)
            if session is not None:
                self.obey(now, session, command)
            elif isinstance(command, Connect):
                self.sessions[command.session] = Session(command.session, self.exceptions)
        elif isinstance(command, Persisted):
            for job in command.jobs:
                self.persisted(now, job)
        elif isinstance(command, Tick):
            self.tick(now)
        elif isinstance(command, PersistFailed):
            for job in command.jobs:
                self.persist_failed(job, command.reason)
        elif isinstance(command, Restore):
            if self.shared:
                shared_rules.adopt(self, now, command.job)
            else:
                self.restore(now, command.job)
        elif isinstance(command, ResultFound):
            inquiring.result_found(self, command)
        elif isinstance(command, StoreAnswered):
            inquiring.store_answered(self, command)
        elif isinstance(command, ClockSet):
            self.clock_set(command.shift)
        elif isinstance(command, Configure):
            configure(self, command.policies)
        elif isinstance(command, StopAssigning):
            self.assigning = False
            self.stopping = True
        else:
            shared_rules.obey(self, now, command)
        if self.freed:
            limits.settle(self)
        effects = self.effects
        self.effects = []
        return effects

    def running(self) -> int:
        """Return how many jobs workers have."""
        return sum([function.running for function in self.functions.values()])

    def next_deadline(self) -> float | None:
        """Return when to step ``Tick``, in seconds since 1970, or None for never."""
        deadline = self.timetable.next()
        due = self.agenda.next()
        if due >= 0 and (deadline < 0 or due < deadline):
            deadline = due
        while self.wakes:
            end, session, wake_number = self.wakes[0]
            if session.woken_for is not None and session.wake_number == wake_number:
                if deadline < 0 or end < deadline:
                    deadline = end
                break
            self.wakes.popleft()
        return None if deadline < 0 else deadline

    def obey(self, now: float, session: Session, command: SessionCommand) -> None:
        """Carry out a command of a session that is here; the most frequent come first."""
        if isinstance(command, SubmitJob):
            self.submit_job(now, session, command)
        elif isinstance(command, GrabJob):
            self.grab_job(now, session, command.form)
        elif isinstance(command, WorkComplete):
            self.work_complete(now, session, command)
        elif isinstance(command, PreSleep):
            self.pre_sleep(now, session)
        elif isinstance(command, WorkData):
            self.work_data(session, command)
        elif isinstance(command, WorkStatus):
            self.work_status(session, command)
        elif isinstance(command, WorkFail):
            self.work_fail(now, session, command)
        elif isinstance(command, WorkException):
            self.work_exception(now, session, command)
        elif isinstance(command, WorkWarning):
            self.work_warning(session, command)
        elif isinstance(command, GetStatus):
            get_status(self, session, until_nul(command.handle))
        elif isinstance(command, Echo):
            self.tell(session, EchoResult(session.number, command.workload))
        elif isinstance(command, CanDo):
            self.can_do(now, session, command)
        elif isinstance(command, CantDo):
            self.cant_do(now, session, command.function)
        elif isinstance(command, ResetAbilities):
            self.reset_abilities(now, session)
        elif isinstance(command, SetClientId):
            session.client_id = command.client_id
        elif isinstance(command, WantExceptions):
            session.exceptions = True
            self.tell(session, OptionResult(session.number, command.option))
        elif isinstance(command, Disconnect):
            self.disconnect(now, session)
        elif isinstance(command, Answer):
            self.tell(session, Reply(session.number, command.reply))
        elif isinstance(command, GetStatusUnique):
            get_status_unique(self, session, until_nul(command.unique))
        elif isinstance(command, WantLocal):
            session.local = True
            self.tell(session, OptionResult(session.number, command.option))
        else:
            administer(self, session, command)

    # Clients.

    def submit_job(self, now: float, session: Session, command: SubmitJob) -> None:
        """Accept a job, or let the submission join the job that has its unique key."""
        if len(command.unique) > MAX_UNIQUE:
            self.refuse(session, b"ARGUMENT_TOO_LARGE", b"Unique value too large")
            return
        function = self.function(command.function)
        if function.policing is not None and function.policing.reserved:
            inquire(self, session, command)
            return
        job = function.find(command.unique, command.workload)
        if job is not None:
            self.join(session, job, command.background)
            return
        limit = function.limits[command.priority]
        if limit and function.jobs >= limit:
            self.refuse(session, _QUEUE_ERROR, b"Job queue is full")
            return
        job = self.create_job(now, function, command)
        if not command.background:
            self.listen(session, job)
        elif self.durable:
            job.obligation = True
            job.state = STORING
            self.store(session, job)
            return
        else:
            job.obligation = True
        # The client hears the handle before anything else of the job.
        self.tell(session, JobCreated(session.number, job.handle, False))
        self.enqueue(now, job)

    def create_job(self, now: float, function: Function, command: SubmitJob) -> Job:
        """Return a new job, entered in the function's books."""
        count = self.job_count + 1
        self.job_count = count
        job = Job(
            self.first_number + count - 1,
            b"%b:%d" % (self.handle_prefix, count),
            function.name,
            command.unique,
            command.workload,
            command.priority,
            command.epoch,
            command.reducer,
            now,
            0,
        )
        job.line = function
        if function.policing is not None and function.policing.policy.queued_only:
            # The store would have it joined while it runs.
            job.apart = True
        self.jobs[job.handle] = job
        function.add(job)
        return job

    def join(self, session: Session, job: Job, background: bool) -> None:
        """Let a submission coalesce with a job that waits or runs."""
        if background:
            if not job.obligation:
                # So far only listeners wanted it. From now on it runs without them too.
                job.obligation = True
                if self.durable:
                    self.store(session, job)
                    return
        else:
            self.listen(session, job)
        if job.unstored is not None and (background or job.state == STORING):
            created = JobCreated(session.number, job.handle, True)
            created.listens = not background
            job.unstored.append(created)
            self.tell(session, created)
        else:
            self.tell(session, JobCreated(session.number, job.handle, False))

    def listen(self, session: Session, job: Job) -> None:
        """Let a session wait for the job's result, once more if it does already."""
        if job.listeners is None:
            job.listeners = [session]
        else:
            job.listeners.append(session)
        session.listening[job.handle] = job

    def store(self, session: Session, job: Job) -> None:
        """Have the job stored, and the session told after that."""
        created = JobCreated(session.number, job.handle, True)
        job.unstored = [created]
        self.effects.append(Persist(job))
        self.tell(session, created)

    # The store's answers; one that was given already is not heard again.

    def persisted(self, now: float, job: Job) -> None:
        """Acknowledge a job that is on disk, and let it run."""
        waiting = job.unstored
        if waiting is None:
            return
        job.unstored = None
        if job.state == STORING:
            self.enqueue(now, job)
        elif job.state >= ENDED:
            job.workload = b""
        for created in waiting:
            created.waits = False
        for created in waiting:
            self.release(created.session)

    def persist_failed(self, job: Job, reason: bytes) -> None:
        """Refuse what the store refused; foreground clients of a job that waits or runs keep it."""
        waiting = job.unstored
        if waiting is None:
            return
        job.unstored = None
        refusal = reason or b"The queue store failed"
        if job.state >= ENDED:
            # It was stored for the sake of a second client, and is done already.
            refusal = b""
            job.workload = b""
        else:
            job.obligation = False
            if job.state == STORING:
                self.stop_listening(job)
                self.end(job)
            elif job.listeners is None and job.state != RUNNING:
                self.end(job)
        for created in waiting:
            created.waits = False
            created.refusal = refusal
        for created in waiting:
            self.release(created.session)

    def restore(self, now: float, job: Job) -> None:
        """Take over a job that an earlier process accepted."""
        function = self.function(job.function)
        job.line = function
        job.obligation = True
        self.jobs[job.handle] = job
        function.add(job)
        self.enqueue(now, job)

    # Waiting lines.

    def enqueue(self, now: float, job: Job) -> None:
        """Let a job wait for a worker, or for its epoch."""
        function = job.line
        assert function is not None
        if function.policing is not None:
            watch(self, function.policing, job)
        if job.epoch > now:
            self.timetable.postpone(job, float(job.epoch))
        else:
            self.line_up(now, job, False)

    def line_up(self, now: float, job: Job, first: bool) -> None:
        """Let a job wait in line, before all others or behind them, and wake a worker for it."""
        function = job.line
        assert function is not None
        policing = function.policing
        if policing is not None and held_back(self, policing, job, first):
            return
        job.state = WAITING
        line = function.lines[job.priority]
        if first:
            line.appendleft(job)
        else:
            line.append(job)
        if line.count == 1 and not function.closed:
            self.ready[job.priority][function.name] = function
        if function.sleepers and (
            policing is None or function.waiting() <= policing.room(now, function.running)
        ):
            self.wake_worker(now, function)

    def put_back(self, now: float, job: Job, overdue: bool = False) -> None:
        """
        Take a job from its worker and let it wait at the head of its line.

        It keeps its handle, its progress starts over, and the attempt counts.
        """
        worker = job.worker
        gone = worker is not None and worker.number not in self.sessions
        function = self.release_worker(job)
        policing = function.policing
        if policing is not None and attempt_lost(self, policing, job, overdue, gone):
            return
        job.attempts += 1
        job.numerator = job.denominator = b"0"
        if not job.obligation and job.listeners is None:
            self.end(job)
            return
        if self.job_retries >= 0 and job.attempts >= max(1, self.job_retries):
            self.effects.append(GaveUp(job))
            self.fail(job)
            return
        if job.obligation and self.durable:
            self.effects.append(KeepAttempts(job.number, job.attempts, job.epoch))
        self.line_up(now, job, True)

    def release_worker(self, job: Job) -> Function:
        """Take a running job from its worker; the worker's late words change nothing then."""
        function = job.line
        worker = job.worker
        assert function is not None
        assert worker is not None
        del worker.running[job.handle]
        job.worker = None
        function.running -= 1
        self.timetable.clear_deadline(job)
        if function.policing is not None:
            released(self, function.policing, job)
        return function

    def end(self, job: Job) -> None:
        """Strike a job out that nobody works on any more. Its listeners have been told."""
        function = job.line
        assert function is not None
        state = job.state
        job.state = ENDED
        if state == WAITING:
            line = function.lines[job.priority]
            line.leave()
            if line.count == 0:
                self.ready[job.priority].pop(function.name, None)
        elif state == DELAYED:
            self.timetable.drop_postponed()
        if function.policing is not None:
            strike(self, function.policing, job, state)
        function.remove(job)
        del self.jobs[job.handle]
        if job.obligation and self.durable:
            self.effects.append(Forget(job.number))
        # A line or a heap may still name the job for a while; the store may be reading it.
        if job.unstored is None:
            job.workload = b""

    def ends_later(self, job: Job) -> bool:
        """Return whether nobody may hear of a job's end before the store has removed it."""
        if not self.shared or not job.unique:
            return False
        return job.obligation or job.number in self.burying

    def fail(self, job: Job, outcome: int = FAILED, data: bytes = b"") -> None:
        """
        End a job that nobody works on, FAILED or EXCEPTED, and tell its listeners so.

        Those who did not ask for exceptions, ``data``, hear only that it failed.
        """
        conclude(self, job, outcome, data)
        if self.shared and self.ends_later(job):
            shared_rules.end_later(self, job, outcome, data)
            return
        listeners = job.listeners
        if listeners is not None:
            for listener in listeners:
                if outcome == EXCEPTED and listener.exceptions:
                    self.tell(listener, SendException(listener.number, job.handle, data))
                else:
                    self.tell(listener, SendFail(listener.number, job.handle, b""))
            self.stop_listening(job)
        self.end(job)

    def stop_listening(self, job: Job) -> None:
        """Detach all listeners of a job."""
        listeners = job.listeners
        if listeners is not None:
            for listener in listeners:
                listener.listening.pop(job.handle, None)
            job.listeners = None

    def function(self, name: bytes) -> Function:
        """Return the books of a function, opened if need be."""
        function = self.functions.get(name)
        if function is None:
            if len(self.functions) >= self.function_limit:
                self.forget_idle_functions()
            function = Function(name)
            self.rulebook.enter(function)
            self.functions[name] = function
        return function

    def forget_idle_functions(self) -> None:
        """Forget functions without jobs and workers, so that inventing names fills no memory."""
        busy = {
            name: function
            for name, function in self.functions.items()
            if function.jobs or function.workers or function.kept
        }
        self.functions = busy
        # Were it fixed, each new name beyond it would cost a walk through all others.
        self.function_limit = max(MAX_IDLE_FUNCTIONS, 2 * len(busy))

    # Workers.

    def can_do(self, now: float, session: Session, command: CanDo) -> None:
        """Enter an ability; one that is known only gets the new time-out."""
        ability = session.abilities.get(command.function)
        if ability is not None:
            ability.timeout = command.timeout
            return
        if len(session.abilities) >= MAX_ABILITIES:
            self.refuse(session, b"ARGUMENT_TOO_LARGE", b"Too many functions on one connection")
            return
        function = self.function(command.function)
        if function.policing is not None and function.policing.reserved:
            self.refuse(session, b"INVALID_ARGUMENT", b"The server answers this function itself")
            return
        function.workers += 1
        session.serve_first(function, command.timeout)
        if not session.asleep:
            session.unlisted[function] = True
            return
        function.sleepers[session.number] = session
        # A worker that learns a function while it sleeps must not sleep beside its jobs.
        if function.waiting():
            self.wake_worker(now, function)

    def cant_do(self, now: float, session: Session, name: bytes) -> None:
        """Strike an ability out; a job of it that the worker holds goes back."""
        ability = session.abilities.get(name)
        if ability is None:
            return
        function = ability.function
        session.forget_ability(ability)
        function.workers -= 1
        function.sleepers.pop(session.number, None)
        session.unlisted.pop(function, None)
        if session.woken_for is function:
            self.answer_wake(now, session, None)
        for job in reversed([job for job in session.running.values() if job.line is function]):
            self.put_back(now, job)

    def reset_abilities(self, now: float, session: Session) -> None:
        """Strike all abilities out; all jobs that the worker holds go back."""
        for ability in session.order:
            ability.function.workers -= 1
            ability.function.sleepers.pop(session.number, None)
        session.abilities = {}
        session.order = []
        session.unlisted = {}
        if session.woken_for is not None:
            self.answer_wake(now, session, None)
        for job in reversed(list(session.running.values())):
            self.put_back(now, job)

    def pre_sleep(self, now: float, session: Session) -> None:
        """Let a worker sleep, or wake it at once: a job may have come since NO_JOB."""
        if session.asleep:
            return
        session.asleep = True
        if session.unlisted:
            for function in session.unlisted:
                function.sleepers[session.number] = session
            session.unlisted = {}
        found = self.find_work(session)
        previous = session.woken_for
        session.woken_for = None
        if found is not None:
            self.wake(now, session, found.function)
        if previous is not None and (found is None or found.function is not previous):
            # It does not say why it did not grab; whoever else sleeps may.
            self.wake_others(now, previous)

    def grab_job(self, now: float, session: Session, form: int) -> None:
        """Assign the worker a job, if there is one it can do."""
        session.asleep = False
        ability = self.find_work(session)
        if ability is None:
            self.tell(session, NoJob(session.number))
            if session.woken_for is not None:
                self.answer_wake(now, session, None)
            return
        if self.in_doubt:
            job = shared_rules.take_listened(self, session, ability)
        else:
            job = self.take_job(session, ability)
        job.state = RUNNING
        job.worker = session
        session.running[job.handle] = job
        timeout = ability.timeout
        policing = ability.function.policing
        if policing is not None:
            timeout = assigned(self, policing, job, timeout)
        if timeout > 0:
            self.timetable.set_deadline(job, now + timeout)
        self.tell(session, AssignJob(session.number, job, session.form_of(form)))
        if session.woken_for is not None:
            self.answer_wake(now, session, ability.function)

    def find_work(self, session: Session) -> Ability | None:
        """Return the ability whose function the worker serves next; ``take_job`` picks the job."""
        order = session.order
        if not order or not self.assigning:
            return shared_rules.find_listened(self, session)
        if len(order) == 1:
            return order[0] if order[0].function.waiting() else None
        if self.per_function:
            return self.first_ready(session, 0, NORMAL + 1)
        for priority in range(3):
            ability = self.first_ready(session, priority, priority)
            if ability is not None:
                return ability
        return None

    def first_ready(self, session: Session, highest: int, lowest: int) -> Ability | None:
        """
        Return the worker's first ability with a job of a priority in this range.

        The shorter way is taken: through the worker's abilities, which are in
        order, or through the functions that have jobs, which are not.
        """
        ready = 0
        for priority in range(highest, lowest + 1):
            ready += len(self.ready[priority])
        if ready == 0:
            return None
        if len(session.order) <= ready:
            for ability in session.order:
                for priority in range(highest, lowest + 1):
                    if ability.function.lines[priority].count and not ability.function.closed:
                        return ability
            return None
        first: Ability | None = None
        for priority in range(highest, lowest + 1):
            for name in self.ready[priority]:
                found = session.abilities.get(name)
                if found is not None and (first is None or found.turn < first.turn):
                    first = found
        return first

    def take_job(self, session: Session, ability: Ability) -> Job:
        """Take the next job of an ability out of its line; there has to be one."""
        function = ability.function
        priority = 0
        while function.lines[priority].count == 0:
            priority += 1
        line = function.lines[priority]
        job = line.popleft()
        if line.count == 0:
            del self.ready[priority][function.name]
        function.running += 1
        if self.round_robin and len(session.order) > 1:
            session.serve_last(ability)
        return job

    # Waking workers up.

    def wake_worker(self, now: float, function: Function) -> None:
        """Wake the worker that sleeps longest of those that can do the function, if one does."""
        sleepers = function.sleepers
        while sleepers and (self.assigning or self.in_doubt) and not function.closed:
            _, session = sleepers.popitem(last=False)
            session.unlisted[function] = True
            if session.asleep:
                self.wake(now, session, function)
                return

    def wake(self, now: float, session: Session, function: Function) -> None:
        """Send a sleeping worker NOOP and remember what for."""
        session.asleep = False
        session.woken_for = function
        session.wake_number += 1
        self.wakes.append((now + WAKE_PATIENCE, session, session.wake_number))
        self.tell(session, Noop(session.number))

    def answer_wake(self, now: float, session: Session, served: Function | None) -> None:
        """Note that a woken worker answered; wake another if it took up something else."""
        function = session.woken_for
        session.woken_for = None
        if function is not None and function is not served:
            self.wake_others(now, function)

    def wake_others(self, now: float, function: Function) -> None:
        """Wake another worker if the function still has jobs."""
        if self.assigning and function.sleepers and function.waiting():
            self.wake_worker(now, function)

    # What workers say of their jobs.

    def held_job(self, session: Session, command: WorkReport, text: bytes) -> Job | None:
        """Return the job a worker speaks of, or refuse: it may have lost it meanwhile."""
        job = session.running.get(command.handle)
        if job is None:
            job = session.running.get(until_nul(command.handle))
        if job is None:
            self.refuse(session, _JOB_NOT_FOUND, text)
        return job

    def work_data(self, session: Session, command: WorkData) -> None:
        """Pass a part of the result on."""
        job = self.held_job(session, command, b"Job does not exist on server")
        if job is None:
            return
        if job.line is not None and job.line.policing is not None:
            keep_part(job.line.policing, job, command.workload)
        if job.listeners is not None:
            for listener in job.listeners:
                self.tell(listener, SendData(listener.number, job.handle, command.workload))

    def work_warning(self, session: Session, command: WorkWarning) -> None:
        """Pass a warning on."""
        job = self.held_job(session, command, b"Job does not exist on server")
        if job is not None and job.listeners is not None:
            for listener in job.listeners:
                self.tell(listener, SendWarning(listener.number, job.handle, command.workload))

    def work_status(self, session: Session, command: WorkStatus) -> None:
        """Keep a job's progress and pass it on."""
        job = session.running.get(command.handle)
        if job is None:
            self.refuse(session, _JOB_NOT_FOUND, b"Job given in work result not found")
            return
        job.numerator = command.numerator
        job.denominator = command.denominator
        if job.listeners is not None:
            for listener in job.listeners:
                self.tell(
                    listener,
                    SendStatus(listener.number, job.handle, command.numerator, command.denominator),
                )

    def work_complete(self, now: float, session: Session, command: WorkComplete) -> None:
        """End a job well."""
        if session.excepted and session.excepted.pop(until_nul(command.handle), False):
            return
        job = self.held_job(session, command, b"Job given in work result not found")
        if job is None:
            return
        self.release_worker(job)
        conclude(self, job, COMPLETED, command.workload)
        if self.shared and self.ends_later(job):
            shared_rules.end_later(self, job, shared_rules.COMPLETED, command.workload)
            return
        listeners = job.listeners
        if listeners is not None:
            for listener in listeners:
                self.tell(listener, SendComplete(listener.number, job.handle, command.workload))
            self.stop_listening(job)
        self.end(job)

    def work_fail(self, now: float, session: Session, command: WorkFail) -> None:
        """End a job badly. WORK_FAIL is a result, unless a policy has the job tried again."""
        if session.excepted and session.excepted.pop(until_nul(command.handle), False):
            return
        job = self.held_job(session, command, b"Job given in work result not found")
        if job is not None:
            policing = self.release_worker(job).policing
            if policing is None or not attempt_failed(
                self, policing, job, FAILED, b"", b"its worker said WORK_FAIL"
            ):
                self.fail(job)

    def work_exception(self, now: float, session: Session, command: WorkException) -> None:
        """End a job badly, and say why to those who asked for exceptions."""
        job = self.held_job(
            session, command, b"An exception was received for a job that does not exist"
        )
        if job is None:
            return
        function = self.release_worker(job)
        # Perl's and Python's workers send WORK_FAIL behind it; that one is swallowed.
        if len(session.excepted) >= MAX_EXCEPTED:
            del session.excepted[next(iter(session.excepted))]
        session.excepted[job.handle] = True
        if function.policing is not None and attempt_failed(
            self, function.policing, job, EXCEPTED, command.workload, b"its worker raised"
        ):
            return
        self.fail(job, EXCEPTED, command.workload)

    # Departures and deadlines.

    def disconnect(self, now: float, session: Session) -> None:
        """
        Let a session go.

        What it worked on goes back to the head of the lines, the oldest first
        in line again. What only it listened to and nobody runs is dropped.
        """
        del self.sessions[session.number]
        # From here on it is neither woken nor told anything.
        session.asleep = False
        session.held = None
        for job in list(session.listening.values()):
            assert job.listeners is not None
            others = [listener for listener in job.listeners if listener is not session]
            job.listeners = others if others else None
            if not others and not job.obligation and job.state != RUNNING:
                self.end(job)
        session.listening = {}
        # After that, or it would hear of jobs that fail because it left.
        self.reset_abilities(now, session)

    def tick(self, now: float) -> None:
        """Do what has become due."""
        look_at_agenda(self)
        job = self.timetable.take_postponed(now)
        while job is not None:
            self.line_up(now, job, False)
            job = self.timetable.take_postponed(now)
        job = self.timetable.take_overdue(now)
        while job is not None:
            self.put_back(now, job, True)
            job = self.timetable.take_overdue(now)
        while self.wakes and self.wakes[0][0] <= now:
            _, session, wake_number = self.wakes.popleft()
            if session.wake_number == wake_number and session.woken_for is not None:
                self.wake_others(now, session.woken_for)

    def clock_set(self, shift: float) -> None:
        """Let what was to end after a span of time do so by the clock as it was set."""
        self.timetable.shift_deadlines(shift)
        limits.shift_rates(self, shift)
        self.wakes = deque([(end + shift, session, wake) for end, session, wake in self.wakes])

    # Telling sessions.

    def refuse(self, session: Session, code: bytes, text: bytes) -> None:
        """Answer with an ERROR packet."""
        self.tell(session, Error(session.number, code, text))

    def tell(self, session: Session, effect: SessionEffect) -> None:
        """Tell a session something, after what it has to hear first."""
        if session.held is not None:
            session.held.append(effect)
        elif isinstance(effect, JobCreated) and effect.waits:
            session.held = deque([effect])
        else:
            self.effects.append(effect)

    def hold(self, session: Session, effect: SessionEffect) -> None:
        """Let a session wait for something it is to be told, and for what comes after that."""
        if session.held is None:
            session.held = deque([effect])
        else:
            session.held.append(effect)

    def release(self, number: int) -> None:
        """Tell a session what it may hear now that the store has answered."""
        session = self.sessions.get(number)
        if session is None or session.held is None:
            return
        held = session.held
        while held:
            effect = held[0]
            if isinstance(effect, Awaited):
                if effect.waits:
                    return
                if effect.refusal:
                    effect = Error(number, _QUEUE_ERROR, effect.refusal)
            elif isinstance(effect, AssignJob) and effect.is_stale():
                effect = NoJob(number)
            held.popleft()
            self.effects.append(effect)
        session.held = None


__all__ = ["Broker"]
