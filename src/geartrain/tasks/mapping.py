# ruff: noqa: ASYNC109 - the clients take timeouts, so this does
"""One task on many arguments, several at a time, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from geartrain.client.job import forget_all
from geartrain.errors import UsageError
from geartrain.tasks.job import AsyncTaskJob, TaskJob

if TYPE_CHECKING:
    from geartrain.tasks.task import RemoteTask

R = TypeVar("R")


def map_blocking(
    task: RemoteTask[Any, R], items: Iterable[Any], max_in_flight: int, timeout: float | None
) -> Iterator[R]:
    """Yield the results of ``task`` for each item; see `RemoteTask.map`."""
    _check(max_in_flight)
    if task.app.is_eager:
        for item in items:
            yield task._submit((item,), {}).result()
        return
    window: deque[TaskJob[R]] = deque()
    iterator = iter(items)
    # Topped up a few at a time, so that they leave in one write.
    batch = max(1, max_in_flight // 8)
    try:
        more = True
        while more or window:
            while more and len(window) <= max_in_flight - batch:
                taken = list(islice(iterator, batch))
                more = len(taken) == batch
                made = [task.submission((item,), {}, background=False) for item in taken]
                window += [TaskJob(job, job, task) for job in task.app.client.start(made)]
            if window:
                yield window[0].result(timeout)
                window.popleft()
    finally:
        forget_all(job.record for job in window)


async def map_async(
    task: RemoteTask[Any, R], items: Iterable[Any], max_in_flight: int, timeout: float | None
) -> AsyncIterator[R]:
    """Yield the results of ``task`` for each item; see `RemoteTask.amap`."""
    _check(max_in_flight)
    window: deque[AsyncTaskJob[R]] = deque()
    iterator = iter(items)
    try:
        more = True
        while more or window:
            for item in islice(iterator, max_in_flight - len(window)):
                if task.app.is_eager:
                    window.append(await task._asubmit((item,), {}))
                else:
                    made = task.submission((item,), {}, background=False)
                    window.append(AsyncTaskJob(task.app.async_client().start(made), task))
            more = len(window) == max_in_flight
            if window:
                yield await window[0].result(timeout)
                window.popleft()
    finally:
        forget_all(job.record for job in window)


def _check(max_in_flight: int) -> None:
    if max_in_flight < 1:
        raise UsageError("max_in_flight is to be 1 or more")


__all__ = ["map_async", "map_blocking"]
