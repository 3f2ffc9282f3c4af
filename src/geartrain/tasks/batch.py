"""Many background calls in one go."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from geartrain.client.reports import JobHandle
from geartrain.client.submission import Submission
from geartrain.errors import UsageError
from geartrain.tasks.handle import TaskHandle

if TYPE_CHECKING:
    from geartrain.tasks.app import App
    from geartrain.tasks.task import RemoteTask

P = ParamSpec("P")
R = TypeVar("R")


class Batch:
    """
    Calls that are collected, and submitted together at the end of a ``with`` block.

    ::

        with app.batch() as batch:
            for url in urls:
                batch.add(thumbs, url, size=64)
        batch.handles          # one each, in order

    An exception inside the block leaves everything unsent. `PartlySubmitted` at its end
    tells which calls the server did not take.

    Attributes:
        handles: Where to ask for each, once the block has ended.

    """

    def __init__(self, app: App, max_in_flight: int = 1000) -> None:
        self.app = app
        self.max_in_flight = max_in_flight
        self.handles: list[TaskHandle[Any]] = []
        self.calls: list[tuple[RemoteTask[Any, Any], Submission]] = []

    def __len__(self) -> int:
        return len(self.calls)

    def add(self, task: RemoteTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Add a call. Raises what `RemoteTask.delay` raises before anything is sent."""
        self.calls.append((task, task.submission(args, kwargs, background=True)))

    def submit(self) -> list[TaskHandle[Any]]:
        """Submit what was added, and return the handles. Raises PartlySubmitted."""
        calls, self.calls = self.calls, []
        if self.app.is_eager:
            self.handles = [task.send_background(submission) for task, submission in calls]
            return self.handles
        tickets = self.app.client.submit_many(
            [submission for _, submission in calls], max_in_flight=self.max_in_flight
        )
        self.handles = self._handles(calls, tickets)
        return self.handles

    async def asubmit(self) -> list[TaskHandle[Any]]:
        """Submit as `submit` does, on an event loop."""
        calls, self.calls = self.calls, []
        if self.app.is_eager:
            raise UsageError("in eager mode a batch is submitted with submit()")
        tickets = await self.app.async_client().submit_many(
            [submission for _, submission in calls], max_in_flight=self.max_in_flight
        )
        self.handles = self._handles(calls, tickets)
        return self.handles

    def _handles(
        self, calls: list[tuple[RemoteTask[Any, Any], Submission]], tickets: Any
    ) -> list[TaskHandle[Any]]:
        handles = []
        for (task, _), ticket in zip(calls, tickets, strict=True):
            assert isinstance(ticket, JobHandle)
            handles.append(task.handle(ticket.server, ticket.handle))
        return handles

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.submit()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            await self.asubmit()


__all__ = ["Batch"]
