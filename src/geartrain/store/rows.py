"""
A job as a row of columns, and what a row has to look like to become a job again.

Nothing that is read is believed: rows come from disks that rot, from tools
that wrote by hand, and from people who mean harm. A row that can't be a job is
returned as ``Damaged``; it is neither repaired nor guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from typing import Final

from geartrain.broker.job import HIGH, LOW, NORMAL, Job
from geartrain.store.batch import COMPLETED, STREAMED, DeadLetter, Result
from geartrain.store.queue_store import Damaged

__all__ = [
    "COLUMNS",
    "LETTER_COLUMNS",
    "MAX_HANDLE",
    "RESULT_COLUMNS",
    "letter_row_of",
    "read_letter",
    "read_result",
    "read_row",
    "result_row_of",
    "row_of",
]

# The order of a row everywhere. ``function`` and ``unique`` are reserved words of SQL, so these
# two columns are called what gearmand calls them.
COLUMNS: Final = (
    "number",
    "handle",
    "function_name",
    "unique_key",
    "workload",
    "priority",
    "epoch",
    "reducer",
    "submitted",
    "attempts",
)
# A dead letter is a job and these.
LETTER_COLUMNS: Final = (*COLUMNS, "reason", "died")
RESULT_COLUMNS: Final = (
    "handle",
    "number",
    "function_name",
    "outcome",
    "data",
    "ended",
    "expires",
)
TYPES: Final = (int, bytes, bytes, bytes, bytes, int, int, bytes, float, int)
# What a database calls the types a driver returns.
KINDS: Final[dict[type, str]] = {
    type(None): "NULL",
    bytes: "binary",
    float: "a real number",
    int: "an integer",
}
# Longest handle in bytes; libgearman has room for 64 with the NUL at the end.
MAX_HANDLE: Final = 63
# What a packet and a line of text can carry.
is_handle: Final = re.compile(rb"[!-~]{1,%d}" % MAX_HANDLE).fullmatch


def row_of(job: Job) -> tuple[object, ...]:
    """Return the job's columns in the order of ``COLUMNS``."""
    return (
        job.number,
        job.handle,
        job.function,
        job.unique,
        job.workload,
        job.priority,
        job.epoch,
        job.reducer,
        job.submitted,
        job.attempts,
    )


def read_row(row: Sequence[object]) -> Job | Damaged:
    """
    Return the job that a row holds, or what is wrong with it.

    Args:
        row: The columns in the order of ``COLUMNS``, in the driver's types: ``bytes``
            for binary columns and only for these, ``int``, ``float``.

    """
    number, handle, function, unique, workload, priority, epoch, reducer, submitted, attempts = row
    if (
        type(number) is int
        and number > 0
        and type(handle) is bytes
        and is_handle(handle)
        and type(function) is bytes
        and function
        and type(unique) is bytes
        and type(workload) is bytes
        and type(priority) is int
        and HIGH <= priority <= LOW
        and type(epoch) is int
        and epoch >= 0
        and type(reducer) is bytes
        and type(submitted) is float
        and isfinite(submitted)
        and type(attempts) is int
        and attempts >= 0
    ):
        return Job(
            number,
            handle,
            function,
            unique,
            workload,
            priority,
            epoch,
            reducer,
            submitted,
            attempts,
        )
    return Damaged(f"number {number}", reason(row))


def reason(row: Sequence[object]) -> str:
    """Return what keeps a row from being a job, for the log."""
    for name, value, wanted in zip(COLUMNS, row, TYPES, strict=True):
        if type(value) is not wanted:
            return f"{name} is {KINDS.get(type(value), 'text')}, not {KINDS[wanted]}"
    number, handle, function, _, _, priority, epoch, _, submitted, attempts = row
    if isinstance(handle, bytes) and not is_handle(handle):
        return f"handle is {handle!r:.100}, not 1 to {MAX_HANDLE} bytes of printable ASCII"
    if not function:
        return "function_name is empty"
    if priority not in (HIGH, NORMAL, LOW):
        return f"priority is {priority}, not {HIGH}, {NORMAL} or {LOW}"
    return (
        f"one of these is out of range: number {number}, epoch {epoch}, "
        f"submitted {submitted}, attempts {attempts}"
    )


# What is kept of jobs that ended.


def letter_row_of(letter: DeadLetter) -> tuple[object, ...]:
    """Return a dead letter's columns in the order of ``LETTER_COLUMNS``."""
    return (*row_of(letter.job), letter.reason, letter.died)


def read_letter(row: Sequence[object]) -> DeadLetter | Damaged:
    """Return the dead letter that a row holds, or what is wrong with it."""
    *columns, why, died = row
    job = read_row(columns)
    if isinstance(job, Damaged):
        return job
    if type(why) is bytes and type(died) is float and isfinite(died):
        return DeadLetter(job, why, died)
    return Damaged(f"number {job.number}", f"reason or died can't be read: {why!r:.100}, {died!r}")


def result_row_of(result: Result) -> tuple[object, ...]:
    """Return a result's columns in the order of ``RESULT_COLUMNS``."""
    return (
        result.handle,
        result.number,
        result.function,
        result.outcome,
        result.data,
        result.ended,
        result.expires,
    )


def read_result(row: Sequence[object]) -> Result | Damaged:
    """Return the result that a row holds, or what is wrong with it."""
    handle, number, function, outcome, data, ended, expires = row
    if (
        type(handle) is bytes
        and type(number) is int
        and type(function) is bytes
        and type(outcome) is int
        and COMPLETED <= outcome <= STREAMED
        and type(data) is bytes
        and type(ended) is float
        and type(expires) is float
    ):
        return Result(handle, number, function, outcome, data, ended, expires)
    return Damaged(f"result of {handle!r}", f"outcome {outcome!r} or another column can't be read")
