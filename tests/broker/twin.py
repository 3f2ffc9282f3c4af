"""
The broker's plain twin: the same rules, with lists that are walked from end to end.

It is slow and keeps nothing twice, so that one can see that it is right. It knows who is told
what, in which order jobs are assigned, what coalesces, and what the store is asked for. It does
not choose whom to wake: that is the broker's to decide, within limits that its rules check.
"""

from __future__ import annotations

import re

from geartrain.broker import commands
from geartrain.broker.administering import (
    DONE,
    FUNCTION_IN_USE,
    NO_SUCH_FUNCTION,
    NO_SUCH_JOB,
)
from geartrain.broker.broker import MAX_EXCEPTED, MAX_UNIQUE
from geartrain.broker.commands import Command, SessionCommand, SubmitJob
from geartrain.broker.job import Job
from geartrain.broker.policy import Policy
from tests.broker.story import GRABS, OUTCOMES, REPORTS, joined, lines, text

STORING, WAITING, DELAYED, RUNNING, ENDED = "storing", "waiting", "delayed", "running", "ended"
HELD = "held"
NO_POLICY = Policy(b"")


class TwinAnswer:
    """Something a session is told in its turn."""

    def __init__(self, words: str) -> None:
        self.words = words
        # Whether it waits for the store.
        self.ready = True
        # The job that it acknowledges as accepted in the background.
        self.owes: TwinJob | None = None
        # The job that it assigns, and how often that had come back by then.
        self.assigns: TwinJob | None = None
        self.attempt = 0
        # The jobs that it lists, with their attempts by the time it is told.
        self.lists: list[TwinJob] | None = None


class TwinJob:
    """A job; what was submitted, and what became of it."""

    def __init__(self, number: int, handle: str, submission: SubmitJob) -> None:
        self.number = number
        self.handle = handle
        self.submission = submission
        self.function = text(submission.function)
        self.state = WAITING
        # Accepted in the background.
        self.owed = False
        self.cancelled = False
        # Sessions that wait for its result, once per submission.
        self.clients: list[int] = []
        self.worker: int | None = None
        self.due: float | None = None
        self.attempts = 0
        self.progress = ("0", "0")
        # Answers that wait for the store.
        self.unstored: list[TwinAnswer] | None = None
        self.submitted = 0.0
        # Until when it is delayed, and until when it may wait.
        self.wake = 0.0
        self.expires: float | None = None
        # Workers lost with it.
        self.losses = 0
        # What its worker has sent of its result.
        self.parts: list[bytes] = []
        # Whether submissions with its unique key join it; when it last got in line.
        self.claims = False
        self.lined = 0

    def is_like(self, submission: SubmitJob) -> bool:
        """Return whether a submission has its unique key."""
        mine = self.submission
        if (
            not mine.unique
            or mine.unique != submission.unique
            or mine.function != submission.function
        ):
            return False
        return mine.unique != b"-" or (
            mine.workload != b"" and mine.workload == submission.workload
        )


class TwinSession:
    """A connection."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.client_id = ""
        self.exceptions = False
        # Functions with their time-outs, in the order in which they are served.
        self.abilities: list[tuple[str, float]] = []
        self.asleep = False
        # Jobs in the order in which they were grabbed.
        self.holds: list[TwinJob] = []
        self.excepted: list[str] = []
        self.answers: list[TwinAnswer] = []

    def can_do(self, function: str) -> bool:
        return any(name == function for name, _ in self.abilities)


class Twin:
    """
    A broker in plain words.

    ``step`` returns the lines of ``story`` without NOOP. Those for one session are in
    order, and so are those for the store and the log.
    """

    def __init__(
        self, prefix: str, durable: bool, retries: int, compat: str, policies: dict[str, Policy]
    ) -> None:
        self.prefix = prefix
        self.durable = durable
        self.retries = retries
        self.compat = compat
        self.policies = policies
        self.now = 0.0
        # Jobs that stand in no line, the next one first; functions and keys with room since.
        self.held_jobs: list[TwinJob] = []
        self.freed: list[tuple[str, bytes]] = []
        # When the next job of a function with a rate would start, if all came in time.
        self.next_turns: dict[str, float] = {}
        self.linings = 0
        self.count = 0
        self.first_number = 1
        self.sessions: list[TwinSession] = []
        # Names of known functions, and how many jobs they may hold.
        self.functions: list[str] = []
        self.limits: dict[str, tuple[int, int, int]] = {}
        # Jobs that have not ended, oldest first; those that wait, the next one first.
        self.jobs: list[TwinJob] = []
        self.line: list[TwinJob] = []
        # Jobs that ended, and those that somebody was told are accepted in the background.
        self.ended: list[TwinJob] = []
        self.acknowledged: list[TwinJob] = []
        self.told: list[str] = []

    def step(self, now: float, command: Command) -> list[str]:
        """Carry out a command; methods are called as packets are, in small letters."""
        self.now = now
        rule = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", type(command).__name__).lower())
        if isinstance(command, SessionCommand) and not isinstance(command, commands.Connect):
            rule(self.session(command.session), command)
        else:
            rule(command)
        self.settle()
        for session in self.sessions:
            self.flush(session)
        told = self.told
        self.told = []
        return told

    # Looking things up, the long way.

    def session(self, number: int) -> TwinSession:
        return next(session for session in self.sessions if session.number == number)

    def job(self, handle: bytes) -> TwinJob | None:
        return next((job for job in self.jobs if job.handle == text(handle)), None)

    def held(self, session: TwinSession, handle: bytes) -> TwinJob | None:
        return next((job for job in session.holds if job.handle == text(handle)), None)

    def jobs_of(self, function: str) -> list[TwinJob]:
        return [job for job in self.jobs if job.function == function]

    def waiting_of(self, function: str, priority: int) -> list[TwinJob]:
        return [
            job
            for job in self.line
            if job.function == function and job.submission.priority == priority
        ]

    def workers_of(self, function: str) -> list[TwinSession]:
        return [session for session in self.sessions if session.can_do(function)]

    def same(self, submission: SubmitJob) -> TwinJob | None:
        """Return the job that a submission joins."""
        found = [job for job in self.jobs_of(text(submission.function)) if job.claims]
        return next((job for job in found if job.is_like(submission)), None)

    def offer(self, job: TwinJob) -> None:
        """Let submissions join a job, unless another one has its key."""
        job.claims = job.claims or self.same(job.submission) is None

    def know(self, function: str) -> None:
        if function not in self.functions:
            self.functions.append(function)

    # Telling.

    def tell(self, number: int, words: str) -> TwinAnswer:
        answer = TwinAnswer(words)
        for session in self.sessions:
            if session.number == number:
                session.answers.append(answer)
        return answer

    def flush(self, session: TwinSession) -> None:
        """Say what the session may hear: an answer that waits holds up all later ones."""
        while session.answers and session.answers[0].ready:
            answer = session.answers.pop(0)
            job = answer.assigns
            if job is not None and (job not in session.holds or job.attempts != answer.attempt):
                answer.words = "NO_JOB"
            if answer.lists is not None:
                rows = [f"{job.handle} {job.attempts}" for job in answer.lists]
                answer.words = lines("jobs", rows)
            if answer.owes is not None:
                self.acknowledged.append(answer.owes)
            self.told.append(f"{session.number} <- {answer.words}")

    def disk(self, words: str) -> None:
        if self.durable:
            self.told.append(f"disk <- {words}")

    # Coming and going.

    def connect(self, command: commands.Connect) -> None:
        self.sessions.append(TwinSession(command.session))

    def disconnect(self, session: TwinSession, command: Command) -> None:
        self.sessions.remove(session)
        for job in list(self.jobs):
            if session.number in job.clients:
                job.clients = [client for client in job.clients if client != session.number]
                if not job.clients and not job.owed and job.state != RUNNING:
                    self.end(job)
        self.lose(session, session.holds)

    # Clients.

    def submit_job(self, session: TwinSession, command: SubmitJob) -> None:
        function = text(command.function)
        if len(command.unique) > MAX_UNIQUE:
            self.tell(session.number, "ERROR ARGUMENT_TOO_LARGE Unique value too large")
            return
        self.know(function)
        job = self.same(command)
        if job is None:
            limit = self.limits.get(function, (0, 0, 0))[command.priority]
            if limit and len(self.jobs_of(function)) >= limit:
                self.tell(session.number, "ERROR QUEUE_ERROR Job queue is full")
                return
            job = self.create(command)
        self.accept(session, job, command.background)

    def create(self, command: SubmitJob) -> TwinJob:
        number = self.first_number + self.count
        self.count += 1
        job = TwinJob(number, f"{self.prefix}:{self.count}", command)
        job.submitted = self.now
        self.offer(job)
        self.jobs.append(job)
        if self.durable and command.background:
            job.state = STORING
        else:
            self.enqueue(job)
        return job

    def accept(self, session: TwinSession, job: TwinJob, background: bool) -> None:
        if not background:
            job.clients.append(session.number)
        elif not job.owed:
            job.owed = True
            if self.durable:
                job.unstored = []
                self.disk(f"add {job.number}")
        answer = self.tell(session.number, f"JOB_CREATED {job.handle}")
        if background:
            answer.owes = job
        if job.unstored is not None and (background or job.state == STORING):
            answer.ready = False
            job.unstored.append(answer)

    def get_status(self, session: TwinSession, command: commands.GetStatus) -> None:
        words = status_words(self.job(command.handle))
        self.tell(session.number, f"{joined('STATUS_RES', command.handle)} {words}")

    def get_status_unique(self, session: TwinSession, command: commands.GetStatusUnique) -> None:
        found = None
        # It names no function, so the one that was known first and has the key wins.
        for function in reversed(self.functions):
            for job in self.jobs_of(function):
                if job.submission.unique == command.unique and job.claims:
                    found = job
        if command.unique in (b"", b"-"):
            found = None
        words = status_words(found)
        self.tell(session.number, f"{joined('STATUS_RES_UNIQUE', command.unique)} {words}")

    def want_exceptions(self, session: TwinSession, command: commands.WantExceptions) -> None:
        session.exceptions = True
        self.tell(session.number, joined("OPTION_RES", command.option))

    def echo(self, session: TwinSession, command: commands.Echo) -> None:
        self.tell(session.number, joined("ECHO_RES", command.workload))

    def answer(self, session: TwinSession, command: commands.Answer) -> None:
        self.tell(session.number, joined("reply", command.reply))

    # The store.

    def persisted(self, command: commands.Persisted) -> None:
        for stored in command.jobs:
            job, answers = self.answered(stored)
            if job.state == STORING:
                self.enqueue(job)
            for answer in answers:
                answer.ready = True

    def persist_failed(self, command: commands.PersistFailed) -> None:
        for refused in command.jobs:
            job, answers = self.answered(refused)
            for answer in answers:
                answer.ready = True
                if job.state != ENDED:
                    answer.owes = None
                    answer.words = joined("ERROR QUEUE_ERROR", command.reason)
            if job.state != ENDED:
                job.owed = False
                if job.state == STORING or (not job.clients and job.state != RUNNING):
                    self.end(job)

    def answered(self, stored: Job) -> tuple[TwinJob, list[TwinAnswer]]:
        job = next(job for job in self.jobs + self.ended if job.number == stored.number)
        answers = job.unstored
        assert answers is not None
        job.unstored = None
        return job, answers

    def restore(self, command: commands.Restore) -> None:
        old = command.job
        job = TwinJob(
            old.number,
            text(old.handle),
            SubmitJob(
                0,
                old.function,
                old.unique,
                old.workload,
                old.priority,
                True,
                old.epoch,
                old.reducer,
            ),
        )
        job.attempts = old.attempts
        job.submitted = old.submitted
        job.owed = True
        self.know(job.function)
        self.offer(job)
        self.jobs.append(job)
        self.acknowledged.append(job)
        self.enqueue(job)

    # Lines.

    def enqueue(self, job: TwinJob) -> None:
        limit = self.policy(job).expires
        if limit:
            job.expires = max(job.submitted, float(job.submission.epoch)) + limit
        if job.submission.epoch > self.now:
            job.state = DELAYED
            job.wake = float(job.submission.epoch)
        else:
            self.line_up(job, False)

    def line_up(self, job: TwinJob, first: bool) -> None:
        """Let a job wait in line, or hold it where its key has as many as it may have."""
        if self.is_full(job):
            others = [
                other
                for other in self.line
                if other.function == job.function
                and self.key(other) == self.key(job)
                and other.submission.priority > job.submission.priority
            ]
            if not others:
                self.hold(job, first)
                return
            other = max(others, key=lambda one: (one.submission.priority, one.lined))
            self.line.remove(other)
            self.hold(other, True)
        job.state = WAITING
        self.linings += 1
        job.lined = self.linings
        self.line.insert(0 if first else len(self.line), job)

    def hold(self, job: TwinJob, first: bool) -> None:
        job.state = HELD
        self.held_jobs.insert(0 if first else len(self.held_jobs), job)

    def put_back(self, job: TwinJob, overdue: bool, gone: bool) -> None:
        job.worker = job.due = None
        self.free(job)
        if (job.owed or job.clients) and self.is_lost(job, overdue, gone):
            return
        job.attempts += 1
        job.progress = ("0", "0")
        if not job.owed and not job.clients:
            self.end(job)
        elif self.retries >= 0 and job.attempts >= max(1, self.retries):
            self.told.append(f"log <- gave up {job.handle}")
            self.fail(job)
        else:
            if job.owed:
                self.disk(f"attempts {job.number} {job.attempts}")
            self.line_up(job, True)

    def lose(self, session: TwinSession, jobs: list[TwinJob], overdue: bool = False) -> None:
        """Take jobs from a worker, the oldest last, so that it is first in line again."""
        gone = session not in self.sessions
        for job in reversed(list(jobs)):
            session.holds.remove(job)
            self.put_back(job, overdue, gone)

    # Policies.

    def policy(self, job: TwinJob) -> Policy:
        return self.policies.get(job.function, NO_POLICY)

    def key(self, job: TwinJob) -> bytes:
        policy = self.policy(job)
        return policy.key(job.submission.unique) if policy.per_key else b""

    def is_full(self, job: TwinJob) -> bool:
        """Return whether a job's key has as many jobs in line and running as it may have."""
        key = self.key(job)
        if not key:
            return False
        others = [other for other in self.jobs_of(job.function) if self.key(other) == key]
        busy = [other for other in others if other is not job and other.state in (WAITING, RUNNING)]
        return len(busy) >= self.policy(job).per_key

    def free(self, job: TwinJob) -> None:
        """Note that another job of this one's key may get in line, at the end of the step."""
        self.freed.append((job.function, self.key(job)))

    def settle(self) -> None:
        freed, self.freed = self.freed, []
        for function, key in freed:
            held = [
                job for job in self.held_jobs if (job.function, self.key(job)) == (function, key)
            ]
            for job in sorted(held, key=lambda one: one.submission.priority):
                if not self.is_full(job):
                    self.held_jobs.remove(job)
                    self.line_up(job, True)

    def room(self, function: str) -> int:
        """Return how many jobs of a function may start now."""
        policy = self.policies.get(function, NO_POLICY)
        room = 1000
        if policy.concurrency:
            running = [job for job in self.jobs_of(function) if job.state == RUNNING]
            room = policy.concurrency - len(running)
        if policy.interval:
            ahead = self.next_turns.get(function, 0.0) - self.now
            starts = policy.burst
            while ahead > 0.00001:
                ahead -= policy.interval
                starts -= 1
            room = min(room, starts)
        return max(0, room)

    def is_lost(self, job: TwinJob, overdue: bool, gone: bool) -> bool:
        """Return whether a job that came back is not simply the next one in line."""
        policy = self.policy(job)
        if overdue and policy.attempts:
            if not self.tried_again(job, "failed", "", "it took too long"):
                self.fail(job, "it took too long")
            return True
        job.losses += gone
        attempts = job.attempts + 1
        if policy.poison and gone and job.losses >= policy.poison:
            self.give_up(job, f"{job.losses} workers were lost with it")
        elif policy.attempts and attempts >= policy.attempts:
            at = f"attempt {attempts} of {policy.attempts}"
            self.give_up(job, f"it came back without a result at {at}")
        elif self.is_expired(job):
            self.give_up(job, "it came back after the time it may wait")
        else:
            if policy.queued_only:
                self.offer(job)
            return False
        return True

    def tried_again(self, job: TwinJob, outcome: str, data: str, why: str) -> bool:
        """Have a job that failed tried again, if it may be."""
        policy = self.policy(job)
        job.attempts += 1
        job.progress = ("0", "0")
        if not job.owed:
            return False
        if policy.attempts and job.attempts >= policy.attempts:
            why += f" at attempt {job.attempts} of {policy.attempts}"
        elif self.is_expired(job):
            why += " after the time it may wait"
        elif policy.attempts:
            self.disk(f"attempts {job.number} {job.attempts}")
            if policy.queued_only:
                self.offer(job)
            delay = policy.delay(job.handle.encode(), job.attempts)
            job.wake = self.now + delay
            job.state = DELAYED
            if not delay:
                self.line_up(job, False)
            return True
        if policy.keeps_failures:
            self.keep_result(job, outcome, data)
            self.bury(job, f"{why}: {data}" if data else why)
        return False

    def is_expired(self, job: TwinJob) -> bool:
        return job.expires is not None and job.expires <= self.now

    def give_up(self, job: TwinJob, why: str) -> None:
        job.attempts += job.state == RUNNING
        if self.policy(job).dead_letters and job.owed:
            self.keep_result(job, "failed", "")
            self.bury(job, why)
        else:
            self.told.append(f"log <- gave up {job.handle}")
        self.fail(job, why)

    def bury(self, job: TwinJob, why: str) -> None:
        self.told.append(f"disk <- bury {job.number} after {job.attempts}: {why}")
        job.owed = False

    def keep_result(self, job: TwinJob, outcome: str, data: str) -> None:
        retention = self.policy(job).retention
        if retention and job.owed:
            until = f"until {self.now + retention:g}"
            self.told.append(joined(f"disk <- result {job.handle} {outcome} {until}", data))

    # Ends.

    def fail(self, job: TwinJob, why: str = "") -> None:
        """End a job badly, because its policy says so if there is a reason."""
        if why:
            self.raise_in(job, f'{{"type":"GivenUp","message":"{why}"}}')
            return
        self.keep_result(job, "failed", "")
        for client in job.clients:
            self.tell(client, f"WORK_FAIL {job.handle}")
        self.end(job)

    def raise_in(self, job: TwinJob, data: str) -> None:
        self.keep_result(job, "exception", data)
        for client in job.clients:
            if self.session(client).exceptions:
                self.tell(client, joined("WORK_EXCEPTION", job.handle, data))
            else:
                self.tell(client, f"WORK_FAIL {job.handle}")
        self.end(job)

    def end(self, job: TwinJob) -> None:
        if job.state in (WAITING, HELD):
            self.free(job)
        if job in self.held_jobs:
            self.held_jobs.remove(job)
        job.state = ENDED
        job.clients = []
        self.jobs.remove(job)
        self.ended.append(job)
        if job in self.line:
            self.line.remove(job)
        if job.owed:
            self.disk(f"forget {job.number}")

    # Time.

    def tick(self, command: Command) -> None:
        waiting = [job for job in self.jobs if job.state in (WAITING, HELD, DELAYED)]
        for job in sorted(waiting, key=lambda job: (job.expires or 0.0, job.number)):
            if self.is_expired(job):
                self.give_up(job, "it waited for as long as it may")
        delayed = [job for job in self.jobs if job.state == DELAYED]
        for job in sorted(delayed, key=lambda job: (job.wake, job.number)):
            if job.wake <= self.now:
                self.line_up(job, False)
        timed = [(job.due, job.number, job) for job in self.jobs if job.due is not None]
        for due, _, job in sorted(timed):
            if due <= self.now:
                assert job.worker is not None
                self.lose(self.session(job.worker), [job], True)

    def next_deadline(self) -> float | None:
        moments = [job.wake for job in self.jobs if job.state == DELAYED]
        moments += [job.due for job in self.jobs if job.due is not None]
        waiting = [job for job in self.jobs if job.state in (WAITING, HELD, DELAYED)]
        moments += [job.expires for job in waiting if job.expires is not None]
        for function, policy in self.policies.items():
            if policy.interval and self.room(function) == 0:
                moment = self.next_turns.get(function, 0.0) - (policy.burst - 1) * policy.interval
                moments += [moment] if moment > self.now else []
        return min(moments, default=None)

    # Workers.

    def can_do(self, session: TwinSession, command: commands.CanDo) -> None:
        function = text(command.function)
        if session.can_do(function):
            session.abilities = [
                (name, command.timeout if name == function else timeout)
                for name, timeout in session.abilities
            ]
        else:
            self.know(function)
            session.abilities.insert(0, (function, command.timeout))

    def cant_do(self, session: TwinSession, command: commands.CantDo) -> None:
        function = text(command.function)
        if session.can_do(function):
            session.abilities = [ability for ability in session.abilities if ability[0] != function]
            self.lose(session, [job for job in session.holds if job.function == function])

    def reset_abilities(self, session: TwinSession, command: Command) -> None:
        session.abilities = []
        self.lose(session, session.holds)

    def set_client_id(self, session: TwinSession, command: commands.SetClientId) -> None:
        session.client_id = text(command.client_id)

    def pre_sleep(self, session: TwinSession, command: Command) -> None:
        session.asleep = True

    def next_job(self, session: TwinSession) -> TwinJob | None:
        """Return the job that the worker is assigned if it grabs one now."""
        functions = [function for function, _ in session.abilities if self.room(function)]
        if self.compat == "2.0":
            turns = [(function, priority) for priority in range(3) for function in functions]
        else:
            turns = [(function, priority) for function in functions for priority in range(3)]
        for function, priority in turns:
            for job in self.waiting_of(function, priority):
                return job
        return None

    def grab_job(self, session: TwinSession, command: commands.GrabJob) -> None:
        session.asleep = False
        job = self.next_job(session)
        if job is None:
            self.tell(session.number, "NO_JOB")
            return
        ability = next(ability for ability in session.abilities if ability[0] == job.function)
        if self.compat != "1.1":
            session.abilities.remove(ability)
            session.abilities.append(ability)
        self.line.remove(job)
        session.holds.append(job)
        job.state = RUNNING
        job.worker = session.number
        job.parts = []
        if job.handle in session.excepted:
            # What it says of the job from here on is about this attempt.
            session.excepted.remove(job.handle)
        policy = self.policy(job)
        timeouts = [seconds for seconds in (ability[1], policy.timeout) if seconds > 0]
        job.due = self.now + min(timeouts) if timeouts else None
        if policy.queued_only:
            job.claims = False
        if policy.interval:
            turn = max(self.next_turns.get(job.function, 0.0), self.now)
            self.next_turns[job.function] = turn + policy.interval
        answer = self.tell(session.number, assignment_words(job, command.form))
        answer.assigns = job
        answer.attempt = job.attempts

    # What workers say of their jobs.

    def work_status(self, session: TwinSession, command: commands.WorkStatus) -> None:
        job = self.held(session, command.handle)
        if job is None:
            self.refuse(session, "Job given in work result not found")
            return
        job.progress = (text(command.numerator), text(command.denominator))
        for client in job.clients:
            self.tell(client, joined("WORK_STATUS", job.handle, *job.progress))

    def work_data(self, session: TwinSession, command: commands.WorkReport) -> None:
        job = self.held(session, command.handle)
        if job is None:
            self.refuse(session, "Job does not exist on server")
            return
        packet = next(name for name, report in REPORTS.items() if isinstance(command, report))
        if packet == "work_data":
            job.parts.append(command.workload)
        for client in job.clients:
            self.tell(client, joined(packet.upper(), job.handle, command.workload))

    work_warning = work_data

    def work_complete(self, session: TwinSession, command: commands.WorkReport) -> None:
        if text(command.handle) in session.excepted:
            session.excepted.remove(text(command.handle))
            return
        job = self.held(session, command.handle)
        if job is None:
            self.refuse(session, "Job given in work result not found")
            return
        self.release(session, job)
        if isinstance(command, commands.WorkFail):
            if not self.may_try_again(job, "failed", "", "its worker said WORK_FAIL"):
                self.fail(job)
            return
        if job.parts:
            pieces = [*job.parts, command.workload]
            self.keep_result(job, "streamed", " + ".join(text(piece) for piece in pieces))
        else:
            self.keep_result(job, "completed", text(command.workload))
        for client in job.clients:
            self.tell(client, joined("WORK_COMPLETE", job.handle, command.workload))
        self.end(job)

    work_fail = work_complete

    def work_exception(self, session: TwinSession, command: commands.WorkException) -> None:
        job = self.held(session, command.handle)
        if job is None:
            self.refuse(session, "An exception was received for a job that does not exist")
            return
        self.release(session, job)
        session.excepted = [*session.excepted, job.handle][-MAX_EXCEPTED:]
        data = text(command.workload)
        if self.may_try_again(job, "exception", data, "its worker raised"):
            return
        self.raise_in(job, data)

    def may_try_again(self, job: TwinJob, outcome: str, data: str, why: str) -> bool:
        if job.function not in self.policies:
            return False
        return self.tried_again(job, outcome, data, why)

    def release(self, session: TwinSession, job: TwinJob) -> None:
        session.holds.remove(job)
        job.worker = job.due = None
        self.free(job)

    def refuse(self, session: TwinSession, why: str) -> None:
        self.tell(session.number, f"ERROR JOB_NOT_FOUND {why}")

    # Administrators.

    def report_functions(self, session: TwinSession, command: commands.ReportFunctions) -> None:
        rows = []
        for name in self.functions:
            jobs = self.jobs_of(name)
            running = [job for job in jobs if job.state == RUNNING]
            high, normal, low = (len(self.waiting_of(name, priority)) for priority in range(3))
            normal += len(jobs) - len(running) - high - normal - low
            workers = len(self.workers_of(name))
            if command.by_priority:
                rows.append(f"{name} {high} {normal} {low} {workers}")
            else:
                rows.append(f"{name} {len(jobs)} {len(running)} {workers}")
        self.tell(
            session.number, lines("prioritystatus" if command.by_priority else "status", rows)
        )

    def report_workers(self, session: TwinSession, command: Command) -> None:
        rows = [
            joined(str(one.number), one.client_id or "-", ":", *[name for name, _ in one.abilities])
            for one in self.sessions
        ]
        self.tell(session.number, lines("workers", rows))

    def report_jobs(self, session: TwinSession, command: commands.ReportJobs) -> None:
        words = lines("unique", [text(job.submission.unique) for job in self.jobs])
        answer = self.tell(session.number, words)
        if not command.unique:
            answer.lists = list(self.jobs)

    def cancel_job(self, session: TwinSession, command: commands.CancelJob) -> None:
        job = self.job(command.handle)
        if job is None:
            self.tell(session.number, OUTCOMES[NO_SUCH_JOB])
            return
        if job.state == RUNNING:
            self.keep_result(job, "failed", "")
            for client in job.clients:
                self.tell(client, f"WORK_FAIL {job.handle}")
            if job.owed:
                self.disk(f"forget {job.number}")
            job.clients = []
            job.owed = False
            job.cancelled = True
            job.claims = False
        else:
            self.fail(job)
        self.tell(session.number, OUTCOMES[DONE])

    def create_function(self, session: TwinSession, command: commands.CreateFunction) -> None:
        self.know(text(command.function))
        self.tell(session.number, OUTCOMES[DONE])

    def drop_function(self, session: TwinSession, command: commands.DropFunction) -> None:
        name = text(command.function)
        outcome = DONE
        if name not in self.functions:
            outcome = NO_SUCH_FUNCTION
        elif self.workers_of(name) or (self.jobs_of(name) and not command.force):
            outcome = FUNCTION_IN_USE
        else:
            for job in self.jobs_of(name):
                self.fail(job)
            self.functions.remove(name)
            self.limits.pop(name, None)
            # What comes under its name later is another function, with all its rate.
            self.next_turns.pop(name, None)
        self.tell(session.number, OUTCOMES[outcome])

    def set_max_queue(self, session: TwinSession, command: commands.SetMaxQueue) -> None:
        self.know(text(command.function))
        self.limits[text(command.function)] = command.limits
        self.tell(session.number, OUTCOMES[DONE])


def status_words(job: TwinJob | None) -> str:
    if job is None:
        return "unknown idle 0/0 clients=0"
    running = "running" if job.state == RUNNING else "idle"
    return f"known {running} {'/'.join(job.progress)} clients={len(job.clients)}"


def assignment_words(job: TwinJob, form: int) -> str:
    submission = job.submission
    form_name = next(name for name, number in GRABS.items() if number == form)
    words: list[str | bytes] = [job.handle, job.function]
    packet = "JOB_ASSIGN"
    if form_name != "grab_job":
        packet = "JOB_ASSIGN_UNIQ"
        words.append(submission.unique)
    if form_name == "grab_job_all" and submission.reducer:
        packet = "JOB_ASSIGN_ALL"
        words.append(submission.reducer)
    return joined(packet, *words, submission.workload)
