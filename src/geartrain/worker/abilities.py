"""
The functions a worker can do: name, handler, time limit.

The one place where a name on the wire leads to code. A job for a name that
was not registered runs nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from geartrain.errors import UsageError

# In seconds. In milliseconds it still fits the 32-bit number that servers read it into.
LONGEST_TIMEOUT: Final = 2_000_000

AnyHandler = TypeVar("AnyHandler", bound=Callable[..., object])


class Abilities(Generic[AnyHandler]):
    """
    Handlers by function.

    Args:
        allow_async: Whether handlers may be ``async def``.

    Attributes:
        handlers: Function -> its handler.
        timeouts: Function -> milliseconds a job of it may take, 0 for no limit.

    """

    def __init__(self, allow_async: bool) -> None:
        self.allow_async = allow_async
        self.handlers: dict[bytes, AnyHandler] = {}
        self.timeouts: dict[bytes, int] = {}

    def register(
        self, function: str | bytes, handler: AnyHandler, timeout: float | None = None
    ) -> bytes:
        """
        Add a function and return its name as it is sent.

        Args:
            function: Its name; text is sent as UTF-8.
            handler: Called with each `Job`.
            timeout: Seconds after which the server gives the job to another worker.

        Raises:
            UsageError: The name, the handler or the time can't be used.

        """
        name = function.encode() if isinstance(function, str) else bytes(function)
        if not name or b"\0" in name:
            raise UsageError(f"a function's name can't be {function!r}: empty, or with a NUL in it")
        if name in self.handlers:
            raise UsageError(f"function {function!r} is registered already, once is enough")
        self.check_handler(function, handler)
        if timeout is not None and not 0 < timeout <= LONGEST_TIMEOUT:
            raise UsageError(
                f"timeout of {function!r} is {timeout!r}; give seconds above 0, or None"
            )
        self.handlers[name] = handler
        # Whole milliseconds, as servers read them; never 0, which means no limit.
        self.timeouts[name] = max(1, round(timeout * 1000)) if timeout else 0
        return name

    def check_handler(self, function: str | bytes, handler: AnyHandler) -> None:
        if not callable(handler):
            raise UsageError(f"the handler of {function!r} is {handler!r}, which can't be called")
        if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
            raise UsageError(
                f"the handler of {function!r} is a generator; send parts of a result with "
                "job.data() and return the rest"
            )
        if not self.allow_async and is_async(handler):
            raise UsageError(
                f"the handler of {function!r} is 'async def'; it runs in an AsyncWorker, "
                "not in a Worker"
            )


def is_async(handler: object) -> bool:
    """Return whether calling ``handler`` gives something to await."""
    if inspect.iscoroutinefunction(handler):
        return True
    return callable(handler) and inspect.iscoroutinefunction(type(handler).__call__)


__all__ = ["LONGEST_TIMEOUT", "Abilities"]
