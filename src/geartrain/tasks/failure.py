"""
A task's failure as it goes over the wire: a JSON object in WORK_EXCEPTION.

::

    {"type": "ValueError", "message": "no such size"}
    {"type": "Retry", "message": "...", "retry": true, "retry_after": 10.0}
    {"type": "Reject", "message": "...", "reject": true}

The server looks at ``retry``, ``retry_after`` and ``reject`` where the function
has a policy; callers in any language read the rest.
"""

from __future__ import annotations

import time
import traceback
from datetime import datetime
from typing import Any, Final

import msgspec

from geartrain.errors import CodecError, GivenUp, JobException, Reject, Retry, TaskError
from geartrain.tasks.arguments import ArgumentsError
from geartrain.wire.packet import WORK_EXCEPTION
from geartrain.worker.job import Ending

# What a server says that gave a job up: of a dead letter, and to who waits for it.
_DEAD: Final = b"dead letter: "
_GIVEN_UP: Final = "GivenUp"
# With these, the same job would fail the same way again.
_HOPELESS: Final = (ArgumentsError, CodecError, Reject)


class ResultTooLarge(CodecError):
    """A task's result does not fit a packet."""


def failure_ending(function: str, error: BaseException, with_traceback: bool = False) -> Ending:
    """
    Return the end of a job whose task raised.

    Args:
        function: Name of the task, for the log.
        error: What it raised.
        with_traceback: Whether the caller gets the traceback too; the log always does.

    """
    fields = describe(error)
    trace = _clean("".join(traceback.format_exception(error)).rstrip())
    if with_traceback:
        fields["traceback"] = trace
    if isinstance(error, (Retry, *_HOPELESS)):
        log = f"{function!r} ended with {fields['type']}: {fields['message']}"
    else:
        log = f"{function!r} raised:\n{trace}"
    return Ending(WORK_EXCEPTION, msgspec.json.encode(fields), log)


def describe(error: BaseException) -> dict[str, Any]:
    """Return an exception as the object that is sent."""
    try:
        message = str(error)
    except Exception:
        message = "(an exception that can't say what it is)"
    fields: dict[str, Any] = {"type": type(error).__name__, "message": _clean(message)}
    if isinstance(error, Retry):
        fields["retry"] = True
        if error.at is not None:
            at = error.at.timestamp() if isinstance(error.at, datetime) else error.at
            fields["retry_after"] = max(0.0, at - time.time())
        elif error.countdown is not None:
            fields["retry_after"] = max(0.0, float(error.countdown))
    elif isinstance(error, _HOPELESS):
        fields["reject"] = True
    return fields


def timeout_ending(function: str, seconds: float) -> Ending:
    """Return the end of a job whose task was cut off by its ``timeout``."""
    message = f"the task {function!r} was cut off after {seconds:g} s, its timeout"
    data = msgspec.json.encode({"type": "HardTimeout", "message": message})
    return Ending(WORK_EXCEPTION, data, message)


def read_failure(error: JobException, server: str = "") -> JobException:
    """
    Return a job's exception as a `TaskError` where a task's worker sent it, else as it is.

    Args:
        error: As a client raised it.
        server: The server that was asked for a kept result; what is a dead letter is one there.

    """
    if server and error.workload.startswith(_DEAD):
        return _read_letter(error, server)
    fields = _read_object(error.workload)
    if not fields:
        return error
    kind, message = fields["type"], str(fields.get("message", ""))
    if kind == _GIVEN_UP:
        return GivenUp(error.handle, error.workload, message)
    failure = TaskError(error.handle, error.workload, kind, message)
    return _complete(failure, fields)


def _read_letter(error: JobException, server: str) -> GivenUp:
    """Read why a job is a dead letter: the server's words, and behind them the exception."""
    said = error.workload[len(_DEAD) :]
    reason, _, data = said.partition(b": {")
    fields = _read_object(b"{" + data)
    if not fields:
        return GivenUp(error.handle, error.workload, said.decode("utf-8", "replace"), server)
    kind, message = fields["type"], str(fields.get("message", ""))
    words = reason.decode("utf-8", "replace")
    failure = GivenUp(error.handle, error.workload, words, server, kind, message)
    _complete(failure, fields)
    return failure


def _complete(failure: TaskError, fields: dict[str, Any]) -> TaskError:
    failure.traceback = str(fields.get("traceback", ""))
    failure.rejected = fields.get("reject") is True
    return failure


def _read_object(workload: bytes) -> dict[str, Any]:
    """Return what a task's worker sent; empty where it is something else."""
    try:
        fields = msgspec.json.decode(workload)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        return {}
    return fields


def _clean(text: str) -> str:
    """Return text that UTF-8 can say."""
    return text.encode("utf-8", "backslashreplace").decode()


__all__ = ["ResultTooLarge", "describe", "failure_ending", "read_failure", "timeout_ending"]
