"""What a generator's annotation says of the values it yields."""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Callable
from typing import Any, Final, get_args, get_origin

_STREAMS: Final = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.Iterable,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)


def is_stream(function: Callable[..., Any]) -> bool:
    """Return whether a function yields."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def returned_kind(annotation: Any) -> Any:
    """Return the type of the values that something with this annotation yields."""
    if get_origin(annotation) in _STREAMS:
        arguments = get_args(annotation)
        return arguments[0] if arguments else Any
    return Any


__all__ = ["is_stream", "returned_kind"]
