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
from geartrain.store.queue_store import Damaged

__all__ = ["COLUMNS", "MAX_HANDLE", "row_of", "read_row"]

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
