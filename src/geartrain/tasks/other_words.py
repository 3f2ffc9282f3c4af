"""
What other task libraries call things, so that an error can name what it is called here.

Nothing of theirs is imitated: the words are looked up when somebody has used one in vain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

# Options of a task, of a call, and methods of tasks and of handles: theirs -> ours.
TASK_OPTIONS: Final[Mapping[str, str]] = {
    "acks_late": "nothing: a job is done when its worker says so",
    "autoretry_for": "retries=N: whatever a task raises is tried again, but for Reject",
    "bind": "current_job() inside the task",
    "default_retry_delay": "backoff='10s'",
    "ignore_result": "nothing: results are kept only with retention",
    "max_retries": "retries",
    "queue": "name, and geartrain worker --queues",
    "queue_name": "name, and geartrain worker --queues",
    "rate_limit": "rate='10/s'",
    "result_ttl": "retention='1d'",
    "retry_backoff": "backoff='exp(1s, 10m)'",
    "serializer": "codec",
    "soft_time_limit": "soft_timeout",
    "time_limit": "timeout",
}
CALL_OPTIONS: Final[Mapping[str, str]] = {
    "countdown": "delay",
    "eta": "at",
    "expires": "@app.task(expires='1h')",
    "job_id": "unique",
    "link": "a chain: task.s(...) | other.s()",
    "queue": "another name of the task",
    "retries": "@app.task(retries=N)",
    "task_id": "unique",
    "time_limit": "@app.task(timeout=...)",
}
TASK_METHODS: Final[Mapping[str, str]] = {
    "apply": "a plain call: task(...)",
    "apply_async": "task.options(delay=60).delay(...)",
    "delay_on_commit": "geartrain.integrations.django, which waits for the transaction",
    "enqueue": "task.delay(...)",
    "kicker": "task.options(...)",
    "kiq": "task.delay(...), or await task.adelay(...)",
    "retry": "raise Retry(countdown=10)",
    "schedule": "task.options(delay=60).delay(...)",
    "send": "task.delay(...)",
    "send_with_options": "task.options(delay=60).delay(...)",
    "si": "task.s(...)",
    "signature": "task.s(...)",
}
HANDLE_METHODS: Final[Mapping[str, str]] = {
    "failed": "result(), which raises what failed",
    "get": "result(timeout=10)",
    "get_status": "status()",
    "id": "handle",
    "ready": "status(), whose known is False at the end",
    "return_value": "result(timeout=10)",
    "revoke": "cancel()",
    "state": "status()",
    "successful": "result(), which raises what failed",
    "wait_result": "result(timeout=10)",
}


def hints(words: Iterable[str], known: Mapping[str, str]) -> str:
    """Return what to write in the place of words of another library; empty for unknown words."""
    said = [f"here {word} is {known[word]}" for word in words if word in known]
    return "".join(f"; {one}" for one in said)


def no_attribute(kind: type, name: str, known: Mapping[str, str]) -> AttributeError:
    """Return the error for an attribute that is missing, with what it is called here."""
    text = f"{kind.__name__!r} object has no attribute {name!r}"
    return AttributeError(text + hints([name], known), name=name)


__all__ = [
    "CALL_OPTIONS",
    "HANDLE_METHODS",
    "TASK_METHODS",
    "TASK_OPTIONS",
    "hints",
    "no_attribute",
]
