"""
The text protocol on the server's side: lines to commands, reports to lines.

A line that needs no memory of the broker is answered with ``Answer``, so that
answers keep the order of the lines, binary packets in between included.
"""

from __future__ import annotations

from typing import Final

from geartrain.broker.administering import DONE, NO_SUCH_FUNCTION, NO_SUCH_JOB
from geartrain.broker.commands import (
    Answer,
    CancelJob,
    CreateFunction,
    DropFunction,
    RemoveDeadLetter,
    ReportFunctions,
    ReportJobs,
    ReportServers,
    ReportWaits,
    ReportWorkers,
    RetryDeadLetter,
    SessionCommand,
    SetMaxQueue,
    ShowDeadLetters,
    ShowJob,
)
from geartrain.broker.effects import (
    AdminResult,
)
from geartrain.broker.job import STATE_NAMES, Job
from geartrain.wire.text import (
    END_OF_LIST,
    FUNCTION_IN_USE,
    FUNCTION_NOT_FOUND,
    OK,
    UNKNOWN_ERROR,
    UNKNOWN_JOB,
    UNKNOWN_SHOW_ARGUMENTS,
    incomplete_command,
    printable,
    unknown_command,
    words,
)

# gearmand takes at most this many words and closes the connection at one more.
MAX_WORDS: Final = 5
PRIORITY_NAMES: Final = (b"high", b"normal", b"low")
_MAX_LIMIT: Final = 2**31 - 1
# Largest number that a job may have.
_MAX_NUMBER: Final = 2**63 - 1


class TextCommands:
    """
    Understands the text commands.

    Args:
        version: What ``version`` answers.
        process: What ``getpid`` answers.
        verbosity: What ``verbose`` answers, such as ``ERROR``.

    """

    def __init__(self, version: bytes, process: int, verbosity: bytes) -> None:
        self.version = version
        self.process = process
        self.verbosity = verbosity

    def command_of(self, session: int, line: bytes) -> SessionCommand:
        """Return what a line asks for; ``shutdown`` is not among it."""
        parts = words(line)
        if not parts:
            return Answer(session, unknown_command(b""))
        if len(parts) > MAX_WORDS:
            return Answer(session, UNKNOWN_ERROR)
        name = parts[0].lower()
        args = parts[1:]
        if name == b"status":
            return ReportFunctions(session)
        if name == b"workers":
            return ReportWorkers(session)
        if name == b"prioritystatus":
            return ReportFunctions(session, True)
        if name == b"version":
            return Answer(session, b"OK " + self.version + b"\n")
        if name == b"getpid":
            return Answer(session, b"OK %d\n" % self.process)
        if name == b"verbose":
            return Answer(session, b"OK " + self.verbosity + b"\n")
        if name == b"cluster":
            return ReportServers(session)
        if name == b"maxqueue":
            return self.maxqueue(session, parts[0], args)
        if name == b"show":
            return self.show(session, parts[0], args)
        if name == b"cancel":
            return self.cancel(session, parts[0], args)
        if name in (b"retry", b"remove"):
            return self.dead_letter(session, parts[0], args)
        if name == b"create":
            return self.create(session, parts[0], args)
        if name == b"drop":
            return self.drop(session, parts[0], args)
        return Answer(session, unknown_command(parts[0]))

    def maxqueue(self, session: int, word: bytes, args: list[bytes]) -> SessionCommand:
        """``maxqueue F [n | high normal low]``; negative and strange numbers are 0, unlimited."""
        if not args:
            return Answer(session, incomplete_command(word))
        numbers = [limit(text) for text in args[1:]]
        if not numbers:
            numbers = [0, 0, 0]
        elif len(numbers) == 1:
            numbers = numbers * 3
        elif len(numbers) == 2:
            numbers.append(0)
        return SetMaxQueue(session, args[0], (numbers[0], numbers[1], numbers[2]))

    def show(self, session: int, word: bytes, args: list[bytes]) -> SessionCommand:
        """``show jobs``, ``show unique jobs``, and what is ours alone."""
        lowered = [text.lower() for text in args]
        if not args:
            return Answer(session, unknown_command(word))
        if lowered == [b"jobs"]:
            return ReportJobs(session)
        if lowered == [b"unique", b"jobs"]:
            return ReportJobs(session, True)
        if lowered == [b"waits"]:
            return ReportWaits(session)
        if lowered[:1] == [b"job"] and len(args) == 2:
            return ShowJob(session, args[1])
        if lowered[:2] == [b"dead", b"letters"] and len(args) <= 3:
            return ShowDeadLetters(session, after(args[2]) if len(args) == 3 else 0)
        return Answer(session, UNKNOWN_SHOW_ARGUMENTS)

    def cancel(self, session: int, word: bytes, args: list[bytes]) -> SessionCommand:
        """``cancel job HANDLE``."""
        if len(args) < 2:
            return Answer(session, unknown_command(word))
        if args[0].lower() != b"job" or len(args) > 2:
            return Answer(session, UNKNOWN_ERROR)
        return CancelJob(session, args[1])

    def dead_letter(self, session: int, word: bytes, args: list[bytes]) -> SessionCommand:
        """``retry job HANDLE`` and ``remove job HANDLE``, of dead letters."""
        if len(args) != 2 or args[0].lower() != b"job":
            return Answer(session, incomplete_command(word))
        if word.lower() == b"retry":
            return RetryDeadLetter(session, args[1])
        return RemoveDeadLetter(session, args[1])

    def create(self, session: int, word: bytes, args: list[bytes]) -> SessionCommand:
        """``create function F``."""
        if len(args) != 2 or args[0].lower() != b"function":
            return Answer(session, incomplete_command(word))
        return CreateFunction(session, args[1])

    def drop(self, session: int, word: bytes, args: list[bytes]) -> SessionCommand:
        """``drop function F``, and ``drop function F force`` to drop its waiting jobs too."""
        force = len(args) == 3 and args[2].lower() == b"force"
        if len(args) != (3 if force else 2) or args[0].lower() != b"function":
            return Answer(session, incomplete_command(word))
        return DropFunction(session, args[1], force)


def limit(text: bytes) -> int:
    """Return a limit of ``maxqueue``, 0 for what is no positive number."""
    return min(int(text), _MAX_LIMIT) if text.isdigit() and len(text) <= 20 else 0


def after(text: bytes) -> int:
    """Return the number of the job behind which a list starts, 0 for what is no number."""
    return min(int(text), _MAX_NUMBER) if text.isdigit() and len(text) <= 20 else 0


def outcome_line(effect: AdminResult) -> bytes:
    """Return the line for what became of an administrator's command."""
    if effect.outcome == DONE:
        return OK
    if effect.outcome == NO_SUCH_JOB:
        return UNKNOWN_JOB
    if effect.outcome == NO_SUCH_FUNCTION:
        return FUNCTION_NOT_FOUND
    return FUNCTION_IN_USE


def function_lines(rows: list[tuple[bytes, int, int, int, int]], by_priority: bool) -> bytes:
    """Return lines of ``status`` or ``prioritystatus``, without the end of the list."""
    lines: list[bytes] = []
    for name, first, second, third, fourth in rows:
        if by_priority:
            numbers = b"\t%d\t%d\t%d\t%d\n" % (first, second, third, fourth)
        else:
            numbers = b"\t%d\t%d\t%d\n" % (first, second, third)
        lines.append(printable(name) + numbers)
    return b"".join(lines)


def wait_lines(rows: list[tuple[bytes, int, int, float]]) -> bytes:
    """Return lines of ``show waits``, without the end of the list."""
    lines: list[bytes] = []
    for name, waiting, running, seconds in rows:
        words = b"-" if seconds < 0 else b"%.3f" % seconds
        lines.append(b"%b\t%d\t%d\t%b\n" % (printable(name), waiting, running, words))
    return b"".join(lines)


def server_lines(rows: list[tuple[str, str, int, bool, float, int]]) -> bytes:
    """Return lines of ``cluster``, without the end of the list."""
    return b"".join(
        [
            b"%b\t%b\t%d\t%b\t%.1f\t%d\n"
            % (
                printable(name.encode()) or b"-",
                printable(address.encode()) or b"-",
                generation,
                b"here" if here else b"there",
                lease_left,
                jobs,
            )
            for name, address, generation, here, lease_left, jobs in rows
        ]
    )


def worker_line(descriptor: int, address: bytes, client_id: bytes, functions: list[bytes]) -> bytes:
    """Return one line of ``workers``; blanks in a client id would break its columns."""
    name = printable(client_id).replace(b" ", b"_") or b"-"
    abilities = b"".join([b" " + printable(function) for function in functions])
    return b"%d %b %b :%b\n" % (descriptor, address, name, abilities)


def job_lines(jobs: list[Job], unique: bool) -> bytes:
    """Return lines of ``show jobs`` or ``show unique jobs``, without the end of the list."""
    if unique:
        return b"".join([printable(job.unique) + b"\n" for job in jobs])
    return b"".join(
        [
            b"%b\t%d\t0\t%d\n" % (job.handle, job.attempts, 1 if job.obligation else 0)
            for job in jobs
        ]
    )


def job_facts(job: Job) -> list[tuple[bytes, bytes]]:
    """Return what ``show job`` says of a job that has not ended."""
    return [
        (b"handle", job.handle),
        (b"function", job.function),
        (b"unique", job.unique),
        (b"state", STATE_NAMES[job.state].encode()),
        (b"priority", PRIORITY_NAMES[job.priority]),
        (b"attempts", b"%d" % job.attempts),
        (b"submitted", b"%.3f" % job.submitted),
        (b"epoch", b"%d" % job.epoch),
        (b"background", b"1" if job.obligation else b"0"),
        (b"progress", job.numerator + b"/" + job.denominator),
        (b"size", b"%d" % len(job.workload)),
    ]


def fact_lines(facts: list[tuple[bytes, bytes]]) -> bytes:
    """Return the lines of ``show job``: a name and what it is, with a tab between."""
    lines = [name + b"\t" + printable(value) + b"\n" for name, value in facts]
    return b"".join(lines) + END_OF_LIST


__all__ = [
    "TextCommands",
    "fact_lines",
    "function_lines",
    "job_facts",
    "job_lines",
    "outcome_line",
    "server_lines",
    "worker_line",
]
