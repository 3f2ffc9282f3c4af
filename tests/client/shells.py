"""
Both clients behind one face, so that one test is run with either.

Blocking calls for both; what iterates comes as a list.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

from geartrain.client.admin import AdminClient
from geartrain.client.admin_aio import AsyncAdminClient
from geartrain.client.aio import AsyncClient
from geartrain.client.sync import Client


class SyncShell:
    """The blocking client, as it is."""

    def __init__(self) -> None:
        self.opened: list[Any] = []

    def open(self, *args: Any, **settings: Any) -> Any:
        self.opened.append(Client(*args, **settings))
        return self.opened[-1]

    def open_admin(self, *args: Any, **settings: Any) -> Any:
        self.opened.append(AdminClient(*args, **settings))
        return self.opened[-1]

    def close(self) -> None:
        for client in self.opened:
            client.close()


class AioShell:
    """The asyncio client, on an event loop that runs while it is called."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.opened: list[Any] = []

    def open(self, *args: Any, **settings: Any) -> Any:
        self.opened.append(AsyncClient(*args, **settings))
        return Face(self.runner, self.opened[-1])

    def open_admin(self, *args: Any, **settings: Any) -> Any:
        self.opened.append(AsyncAdminClient(*args, **settings))
        return Face(self.runner, self.opened[-1])

    def close(self) -> None:
        for client in self.opened:
            self.runner.run(client.close())
        self.runner.close()


class Face:
    """An asynchronous object whose methods block."""

    def __init__(self, runner: asyncio.Runner, inner: Any) -> None:
        self.runner = runner
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **words: Any) -> Any:
            bare_args = [bare(arg) for arg in args]
            return self.dress(self.runner.run(called(found, bare_args, words)))

        return call

    def __len__(self) -> int:
        return len(self.inner)

    def dress(self, result: Any) -> Any:
        """Return what a call gave as a blocking caller wants it."""
        if isinstance(result, AsyncIterator):
            return Steps(self.runner, result)
        if isinstance(result, list):
            return [self.dress(one) for one in result]
        return Face(self.runner, result) if is_public(result) else result


class Steps:
    """An asynchronous iterator, step by step."""

    def __init__(self, runner: asyncio.Runner, inner: AsyncIterator[Any]) -> None:
        self.runner = runner
        self.inner = inner

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            step = self.runner.run(awaited(anext(self.inner)))
        except StopAsyncIteration:
            raise StopIteration from None
        return Face(self.runner, step) if is_public(step) else step

    def close(self) -> None:
        self.runner.run(awaited(self.inner.aclose()))  # type: ignore[attr-defined]


async def called(method: Callable[..., Any], args: list[Any], words: dict[str, Any]) -> Any:
    """Call a method on the event loop, and await what it returns if that is to be awaited."""
    result = method(*args, **words)
    return await result if isinstance(result, Coroutine) else result


async def awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def is_public(thing: object) -> bool:
    """Return whether a thing is a job or a task set of the asyncio client."""
    return type(thing).__name__ in ("AsyncJob", "AsyncTaskSet")


def bare(thing: Any) -> Any:
    """Return what is behind a face."""
    if isinstance(thing, list):
        return [bare(one) for one in thing]
    return thing.inner if isinstance(thing, Face) else thing
