"""
The language in which tests speak with a broker: a line per command, a line per effect.

Commands are ``<session> <packet> <arguments> <name=value>``, as in::

    3 can_do resize
    1 submit_job_bg resize unique=photo-1 workload=a.jpg
    stored

and effects ``<whom> <- <what>``, as in ``1 <- JOB_CREATED H:t:1`` for a session, ``disk <- add 1``
for the store and ``log <- gave up H:t:1`` for the log. Whoever is named is connected.
"""

from __future__ import annotations

import json
import shlex

from geartrain.broker.administering import (
    DONE,
    FUNCTION_IN_USE,
    NO_SUCH_FUNCTION,
    NO_SUCH_JOB,
)
from geartrain.broker.broker import Broker
from geartrain.broker.commands import (
    GRAB_ALL,
    GRAB_PLAIN,
    GRAB_UNIQUE,
    Answer,
    CancelJob,
    CanDo,
    CantDo,
    ClockSet,
    Command,
    Configure,
    Connect,
    CreateFunction,
    DeclarePolicy,
    Disconnect,
    DropFunction,
    Echo,
    GetStatus,
    GetStatusUnique,
    GrabJob,
    Persisted,
    PersistFailed,
    PreSleep,
    RemoveDeadLetter,
    ReportFunctions,
    ReportJobs,
    ReportWorkers,
    ResetAbilities,
    Restore,
    ResultFound,
    RetryDeadLetter,
    SessionCommand,
    SetClientId,
    SetMaxQueue,
    ShowDeadLetters,
    ShowJob,
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
    WorkStatus,
    WorkWarning,
)
from geartrain.broker.effects import (
    AdminResult,
    AskForResult,
    AskOthers,
    AskStore,
    AssignJob,
    Awaited,
    Bury,
    CutOff,
    EchoResult,
    Effect,
    Error,
    Forget,
    FunctionsReport,
    GaveUp,
    JobCreated,
    JobReport,
    JobsReport,
    KeepAttempts,
    KeepResult,
    NoJob,
    Noop,
    OptionResult,
    Persist,
    Reply,
    SendComplete,
    SendData,
    SendException,
    SendFail,
    SendReport,
    SendStatus,
    SendWarning,
    SessionEffect,
    StatusResult,
    StoreReply,
    WorkersReport,
)
from geartrain.broker.inquiring import framed, unframed
from geartrain.broker.job import HIGH, LOW, NORMAL, STATE_NAMES, Job
from geartrain.broker.policy import Policy
from geartrain.broker.shared_commands import (
    Coalesced,
    DoubtLease,
    Forgotten,
    JoinStore,
    LoseLease,
    StatusFound,
    TrustLease,
    Uncertain,
)
from geartrain.server.policies import policy_of

# Priority and whether it is a background job.
SUBMISSIONS = {
    "submit_job": (NORMAL, False),
    "submit_job_bg": (NORMAL, True),
    "submit_job_high": (HIGH, False),
    "submit_job_high_bg": (HIGH, True),
    "submit_job_low": (LOW, False),
    "submit_job_low_bg": (LOW, True),
    "submit_job_epoch": (NORMAL, True),
    "submit_reduce_job": (NORMAL, False),
    "submit_reduce_job_background": (NORMAL, True),
}
GRABS = {"grab_job": GRAB_PLAIN, "grab_job_uniq": GRAB_UNIQUE, "grab_job_all": GRAB_ALL}
REPORTS = {
    "work_complete": WorkComplete,
    "work_fail": WorkFail,
    "work_exception": WorkException,
    "work_data": WorkData,
    "work_warning": WorkWarning,
}
# Packets and lines without arguments.
BARE = {
    "connect": Connect,
    "disconnect": Disconnect,
    "pre_sleep": PreSleep,
    "reset_abilities": ResetAbilities,
    "status": ReportFunctions,
    "workers": ReportWorkers,
    "show_jobs": ReportJobs,
}
# Packets and lines with one argument that goes into the command as it is.
SINGLE = {
    "cant_do": CantDo,
    "set_client_id": SetClientId,
    "option_req": WantExceptions,
    "option_req_local": WantLocal,
    "echo_req": Echo,
    "answer": Answer,
    "get_status": GetStatus,
    "get_status_unique": GetStatusUnique,
    "cancel_job": CancelJob,
    "show_job": ShowJob,
    "retry_job": RetryDeadLetter,
    "remove_job": RemoveDeadLetter,
    "create_function": CreateFunction,
}
# What happens to a server as a whole.
STATES = {
    "stop_assigning": StopAssigning,
    "doubt": DoubtLease,
    "trust": TrustLease,
    "lost": LoseLease,
}
OUTCOME_WORDS = ["completed", "failed", "exception", "too_large", "streamed"]
QUESTIONS = ["show", "letters after", "retry", "remove", "cancel elsewhere"]
OUTCOMES = {
    DONE: "OK",
    NO_SUCH_JOB: "UNKNOWN_JOB",
    NO_SUCH_FUNCTION: "function not found",
    FUNCTION_IN_USE: "function in use",
}
SENT = {
    SendComplete: "WORK_COMPLETE",
    SendData: "WORK_DATA",
    SendException: "WORK_EXCEPTION",
    SendFail: "WORK_FAIL",
    SendWarning: "WORK_WARNING",
}


def submission(session: int, name: str, args: list[bytes], named: dict[str, str]) -> SubmitJob:
    priority, background = SUBMISSIONS[name]
    return SubmitJob(
        session,
        args[0],
        named.get("unique", "").encode(),
        named.get("workload", "").encode(),
        priority,
        background,
        int(named.get("at", 0)),
        named.get("reducer", "").encode(),
    )


def command_of(line: str) -> SessionCommand:
    """Return the command that a line tells of a session."""
    number, name, *rest = shlex.split(line)
    session = int(number)
    named = dict(word.split("=", 1) for word in rest if "=" in word)
    args = [word.encode() for word in rest if "=" not in word]
    if name in SUBMISSIONS:
        return submission(session, name, args, named)
    if name in GRABS:
        return GrabJob(session, GRABS[name])
    if name in REPORTS:
        return REPORTS[name](session, *args)
    if name in BARE:
        return BARE[name](session)
    if name in SINGLE:
        return SINGLE[name](session, *args)
    if name == "can_do":
        return CanDo(session, args[0], float(named.get("timeout", 0)))
    if name == "work_status":
        return WorkStatus(session, *args)
    if name == "drop_function":
        return DropFunction(session, args[0], args[1:] == [b"force"])
    if name == "maxqueue":
        high, normal, low = (int(arg) for arg in args[1:])
        return SetMaxQueue(session, args[0], (high, normal, low))
    if name == "prioritystatus":
        return ReportFunctions(session, True)
    if name == "policy":
        settings = [f"{key}={value}" for key, value in named.items()]
        return DeclarePolicy(session, b"policy:...", policy(args[0].decode(), *settings))
    if name == "show_dead_letters":
        return ShowDeadLetters(session, int(args[0]) if args else 0)
    assert name == "show_unique_jobs", f"nobody knows the line {line!r}"
    return ReportJobs(session, True)


def found(answer: StatusResult, words: list[str]) -> StatusFound:
    """Return what the other servers say of a job."""
    refusal = b"nobody answers" if "refused" in words else b""
    known = "known" in words
    running = "running" in words
    listeners = 1 if running else 0
    return StatusFound(answer, known, running, b"1", b"2", listeners, refusal)


def result_of(question: AskForResult, words: list[str]) -> ResultFound:
    """Return what the store knows of a job that has ended."""
    data = " ".join(words[1:]).encode()
    outcome = OUTCOME_WORDS.index(words[0])
    if words[0] == "streamed":
        data = framed([word.encode() for word in words[1:]])
    return ResultFound(question.inquiry, question.handle, outcome, data)


def policy(function: str, *settings: str) -> Policy:
    """Return a policy that says ``key=value``, the values as in JSON, or else as text."""
    table: dict[str, object] = {}
    for one in settings:
        key, _, value = one.partition("=")
        try:
            table[key] = json.loads(value)
        except ValueError:
            table[key] = value
    # Retries at exact moments; what spreads them has tests of its own.
    table.setdefault("jitter", 0)
    return policy_of("policy", function, table)


def words_of(effect: Effect) -> str:
    """Return the line that tells of an effect."""
    if isinstance(effect, SessionEffect):
        return f"{effect.session} <- {packet_words(effect)}"
    if isinstance(effect, Persist):
        return f"disk <- add {effect.job.number}"
    if isinstance(effect, KeepAttempts):
        return f"disk <- attempts {effect.number} {effect.attempts}"
    if isinstance(effect, Forget):
        return f"disk <- forget {effect.number}"
    if isinstance(effect, AskOthers):
        return f"others <- {packet_words(effect.answer).split()[1]}?"
    if isinstance(effect, Bury):
        attempts = effect.job.attempts
        return f"disk <- bury {effect.job.number} after {attempts}: {text(effect.reason)}"
    if isinstance(effect, KeepResult):
        outcome = OUTCOME_WORDS[effect.outcome]
        until = f"until {effect.expires:g}"
        data = b" + ".join(unframed(effect.data)) if outcome == "streamed" else effect.data
        return joined(f"disk <- result {text(effect.handle)} {outcome} {until}", data)
    if isinstance(effect, AskForResult):
        return f"disk <- result of {text(effect.handle)} for {text(effect.inquiry)}?"
    if isinstance(effect, AskStore):
        return joined(f"disk <- {QUESTIONS[effect.question]}", effect.handle or str(effect.after))
    assert isinstance(effect, GaveUp)
    return f"log <- gave up {effect.job.handle.decode()}"


def packet_words(effect: SessionEffect) -> str:
    """Return what a session is told, by the names of its packets."""
    if isinstance(effect, Awaited):
        assert not effect.refusal, "a refusal left as an answer"
    if isinstance(effect, CutOff):
        return "cut off"
    if isinstance(effect, SendReport):
        return joined(SENT[type(effect)], effect.handle, effect.workload)
    if isinstance(effect, JobCreated):
        assert not effect.waits, "an answer left before the store had answered"
        return joined("JOB_CREATED", effect.handle)
    if isinstance(effect, AssignJob):
        return assignment_words(effect)
    if isinstance(effect, NoJob):
        return "NO_JOB"
    if isinstance(effect, Noop):
        return "NOOP"
    if isinstance(effect, Error):
        return joined("ERROR", effect.code, effect.text)
    if isinstance(effect, SendStatus):
        return joined("WORK_STATUS", effect.handle, effect.numerator, effect.denominator)
    if isinstance(effect, StatusResult):
        return status_words(effect)
    if isinstance(effect, OptionResult):
        return joined("OPTION_RES", effect.option)
    if isinstance(effect, EchoResult):
        return joined("ECHO_RES", effect.workload)
    if isinstance(effect, Reply | StoreReply):
        return joined("reply", effect.reply)
    if isinstance(effect, JobReport):
        return f"job {text(effect.job.handle)} {STATE_NAMES[effect.job.state]}"
    return report_words(effect)


def assignment_words(effect: AssignJob) -> str:
    job = effect.job
    if effect.form == GRAB_PLAIN:
        return joined("JOB_ASSIGN", job.handle, job.function, job.workload)
    if effect.form == GRAB_UNIQUE or not job.reducer:
        return joined("JOB_ASSIGN_UNIQ", job.handle, job.function, job.unique, job.workload)
    return joined("JOB_ASSIGN_ALL", job.handle, job.function, job.unique, job.reducer, job.workload)


def status_words(effect: StatusResult) -> str:
    name = "STATUS_RES_UNIQUE" if effect.by_unique else "STATUS_RES"
    known = "known" if effect.known else "unknown"
    running = "running" if effect.running else "idle"
    progress = f"{effect.numerator.decode()}/{effect.denominator.decode()}"
    return f"{joined(name, effect.name)} {known} {running} {progress} clients={effect.listeners}"


def report_words(effect: SessionEffect) -> str:
    if isinstance(effect, AdminResult):
        return OUTCOMES[effect.outcome]
    if isinstance(effect, FunctionsReport):
        if effect.by_priority:
            return lines("prioritystatus", [joined(*map(text, row)) for row in effect.rows])
        return lines("status", [joined(*map(text, row[:4])) for row in effect.rows])
    if isinstance(effect, WorkersReport):
        rows = [
            joined(str(number), client_id or b"-", ":", *functions)
            for number, client_id, functions in effect.rows
        ]
        return lines("workers", rows)
    assert isinstance(effect, JobsReport)
    if effect.unique:
        return lines("unique", [job.unique.decode() for job in effect.jobs])
    return lines("jobs", [f"{job.handle.decode()} {job.attempts}" for job in effect.jobs])


def text(value: bytes | int | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def joined(*parts: bytes | str) -> str:
    """Return the parts in one line, empty ones as ``''`` unless they are the last."""
    texts = [text(part) for part in parts]
    while texts and not texts[-1]:
        texts.pop()
    return " ".join(part or "''" for part in texts)


def lines(name: str, rows: list[str]) -> str:
    return f"{name}: " + " | ".join(rows) if rows else f"{name}: nothing"


class Stage:
    """
    A broker with a clock, and a store that answers when it is told to.

    Called with lines, it carries them out and returns the lines of their effects.
    Beside the lines of sessions it knows::

        stored [NUMBER ...]     these jobs are on disk; without numbers all that are due
        refused [NUMBER ...]    the disk is full
        wait SECONDS            time passes, and the broker is woken when it wants to be
        tick                    the broker is woken without having asked for it
        stop_assigning          the server is about to stop

    and, where the store is shared::

        forgotten NUMBER ...    these jobs are gone from the store
        uncertain [NUMBER ...]  these jobs may be stored or not
        coalesced NUMBER HANDLE the store did not keep the job: that of this handle has its key
        adopted HANDLE FUNCTION unique=KEY workload=BYTES
                                a job of a server that is gone
        doubt, trust, lost      what is known of the lease
        joined PREFIX NUMBER    the server takes part again, with these handles and numbers
        found [known] [running] [refused]
                                what the others say of the job that they were first asked for

    and, where functions have policies::

        policy FUNCTION KEY=VALUE ...
                                a worker declares a policy, with the values of JSON
        configure [FUNCTION KEY=VALUE ...]
                                this one policy is configured from now on, or none
        answered TEXT           what the store says to the question that it was first asked
        result OUTCOME [DATA]   how the job ended that an inquiry was first asked for

    """

    def __init__(self, **settings: object) -> None:
        self.broker = Broker(b"H:t", **settings)
        self.now = 1000.0
        # Jobs the store was asked to keep and has not answered for.
        self.storing: list[Job] = []
        # Answers that other servers are asked for, and how many jobs of theirs were adopted.
        self.asked: list[StatusResult] = []
        self.adopted = 0
        # What the store was asked and has not answered.
        self.questions: list[AskStore] = []
        self.inquiries: list[AskForResult] = []

    def __call__(self, *lines: str) -> list[str]:
        return [words for line in lines for words in self.play(line)]

    def play(self, line: str) -> list[str]:
        first, *rest = line.split()
        if first == "stored":
            return self.step(Persisted(self.take(rest)))
        if first == "refused":
            return self.step(PersistFailed(self.take(rest), b"disk full"))
        if first == "wait":
            return self.wait(float(rest[0]))
        if first == "tick":
            return self.step(Tick())
        if first == "configure":
            return self.step(Configure([policy(rest[0], *rest[1:])] if rest else []))
        if first in STATES:
            return self.step(STATES[first]())
        if first == "forgotten":
            return self.step(Forgotten([int(number) for number in rest]))
        if first == "coalesced":
            return self.step(Coalesced(self.take(rest[:1])[0], rest[1].encode()))
        if first == "uncertain":
            return self.step(Uncertain(self.take(rest)))
        if first == "adopted":
            return self.adopt(rest)
        if first == "joined":
            return self.step(JoinStore(rest[0].encode(), int(rest[1])))
        if first == "found":
            return self.step(found(self.asked.pop(0), rest))
        if first == "answered":
            question = self.questions.pop(0)
            return self.step(StoreAnswered(question.to, " ".join(rest).encode()))
        if first == "result":
            return self.step(result_of(self.inquiries.pop(0), rest))
        command = command_of(line)
        if command.session not in self.broker.sessions and not isinstance(command, Disconnect):
            self.step(Connect(command.session))
        return self.step(command)

    def step(self, command: Command) -> list[str]:
        """Step the broker and return the lines of its effects."""
        effects = self.broker.step(self.now, command)
        self.storing += [effect.job for effect in effects if isinstance(effect, Persist)]
        self.asked += [effect.answer for effect in effects if isinstance(effect, AskOthers)]
        self.questions += [effect for effect in effects if isinstance(effect, AskStore)]
        self.inquiries += [effect for effect in effects if isinstance(effect, AskForResult)]
        return [words_of(effect) for effect in effects]

    def set_clock(self, shift: float) -> None:
        """Set the clock forth or back."""
        self.now += shift
        assert self.step(ClockSet(shift)) == []

    def adopt(self, words: list[str]) -> list[str]:
        """Take over a job of another server, with a number of another generation."""
        self.adopted += 1
        handle, function, *_ = words
        named = dict(word.split("=", 1) for word in words if "=" in word)
        unique, workload = (named.get(name, "").encode() for name in ("unique", "workload"))
        number = 1_000_000 + self.adopted
        job = Job(
            number, handle.encode(), function.encode(), unique, workload, NORMAL, 0, b"", 900.0, 0
        )
        return self.step(Restore(job))

    def take(self, numbers: list[str]) -> list[Job]:
        """Take jobs out of those the store has not answered for, in the order given."""
        taken = self.storing
        if numbers:
            by_number = {str(job.number): job for job in self.storing}
            taken = [by_number[number] for number in numbers]
        self.storing = [job for job in self.storing if job not in taken]
        return taken

    def wait(self, seconds: float) -> list[str]:
        """Let time pass as the server does: tick whenever the broker asked for it."""
        until = self.now + seconds
        told: list[str] = []
        for _ in range(1000):
            deadline = self.broker.next_deadline()
            if deadline is None or deadline > until:
                self.now = until
                return told
            self.now = max(self.now, deadline)
            told += self.step(Tick())
        raise AssertionError(f"the broker is never done at {self.now}")
