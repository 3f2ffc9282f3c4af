"""Items that come from ``for`` or from ``async for``, taken a few at a time."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any


class Source:
    """What is iterable one way or the other, taken a few items at a time."""

    def __init__(self, items: Iterable[Any] | AsyncIterable[Any]) -> None:
        self.plain: Iterator[Any] | None = None
        self.asynchronous: AsyncIterator[Any] | None = None
        if isinstance(items, AsyncIterable):
            self.asynchronous = aiter(items)
        else:
            self.plain = iter(items)

    async def take(self, count: int) -> list[Any]:
        """Return the next items, ``count`` at most; fewer only at the end."""
        items: list[Any] = []
        try:
            while len(items) < count:
                if self.plain is not None:
                    items.append(next(self.plain))
                elif self.asynchronous is not None:
                    items.append(await anext(self.asynchronous))
        except (StopIteration, StopAsyncIteration):
            pass
        return items


__all__ = ["Source"]
