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

import traceback
from typing import Any, Final

import msgspec

from geartrain.errors import CodecError, JobException, Reject, Retry, TaskError
from geartrain.tasks.arguments import ArgumentsError
from geartrain.wire.packet import WORK_EXCEPTION
from geartrain.worker.job import Ending

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
        if error.countdown is not None:
            fields["retry_after"] = max(0.0, float(error.countdown))
    elif isinstance(error, _HOPELESS):
        fields["reject"] = True
    return fields


def timeout_ending(function: str, seconds: float) -> Ending:
    """Return the end of a job whose task was cut off by its ``timeout``."""
    message = f"the task {function!r} was cut off after {seconds:g} s, its timeout"
    data = msgspec.json.encode({"type": "HardTimeout", "message": message})
    return Ending(WORK_EXCEPTION, data, message)


def read_failure(error: JobException) -> JobException:
    """Return a job's exception as a `TaskError` where a task's worker sent it, else as it is."""
    try:
        fields = msgspec.json.decode(_object_in(error.workload))
    except (ValueError, RecursionError):
        return error
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        return error
    return TaskError(
        error.handle,
        error.workload,
        fields["type"],
        str(fields.get("message", "")),
        str(fields.get("traceback", "")),
        fields.get("reject") is True,
    )


def _object_in(workload: bytes) -> bytes:
    """Return the object of an exception; in a dead letter, the server's words stand before it."""
    start = workload.find(b'{"type":')
    return workload[max(start, 0) :]


def _clean(text: str) -> str:
    """Return text that UTF-8 can say."""
    return text.encode("utf-8", "backslashreplace").decode()


__all__ = ["ResultTooLarge", "describe", "failure_ending", "read_failure", "timeout_ending"]
