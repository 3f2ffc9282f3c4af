"""What may be put around submitting and running tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geartrain.errors import Retry

if TYPE_CHECKING:
    from geartrain.tasks.current import CurrentJob
    from geartrain.tasks.task import RemoteTask


@dataclass(slots=True)
class Call:
    """
    A call about to be submitted; a middleware may change its arguments.

    Attributes:
        task: What is called.
        args: Arguments by position.
        kwargs: Arguments by name.
        background: Whether nobody waits for the result.

    """

    task: RemoteTask[Any, Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    background: bool


class Middleware:
    """
    Called around every task of an `App`; override what is wanted.

    Before, they are called in the order they were added, after in the opposite one.
    What one raises before submitting goes to the caller, and what one raises while a job
    runs is the job's failure.
    """

    def before_submit(self, call: Call) -> None:
        """Look at a call, or change it."""

    def after_submit(self, call: Call, handle: str) -> None:
        """Take note that the server accepted it."""

    def before_run(self, job: CurrentJob) -> None:
        """Look at a job that is about to run, in the worker's thread or process."""

    def after_run(self, job: CurrentJob, result: Any) -> None:
        """Look at the result of a job that ran well."""

    def on_retry(self, job: CurrentJob, error: Retry) -> None:
        """Take note that the task asked to be run again."""

    def on_failure(self, job: CurrentJob, error: BaseException) -> None:
        """Take note of anything else that the task raised."""


__all__ = ["Call", "Middleware"]
