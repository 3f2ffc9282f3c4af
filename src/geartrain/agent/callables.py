"""
Callables that an agent runs: found when it starts, called by the name they were registered under.

::

    def nightly(task: FireTask) -> None:
        rotate(task.previous, task.nominal, key=task.key)

What one returns says how its fire ended, and what comes next: nothing at all, or a text for the
fire's result, is `Done`; an exception is `Failed`.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from geartrain.errors import Fail, Retry, UsageError
from geartrain.schedule.envelope import DONE, FAILED, NEXT_RUN, RETRY, Answer, Envelope

__all__ = [
    "Callables",
    "Done",
    "Failed",
    "FireTask",
    "NextRun",
    "call",
    "find_callable",
    "find_callables",
]

# An instant, with a time zone or in seconds since 1970.
Moment: TypeAlias = datetime | float


class FireTask:
    """
    One fire, as a callable gets it.

    Attributes:
        entry: Name of the entry.
        nominal: The moment it stands for, in UTC, whenever it runs.
        previous: The moment before, so that both bound what is to be done; None for the first.
        key: Names the fire for ever, and is the same for each attempt.
        payload: The entry's payload.
        shard: Which of how many, counted from 1; None without shards.
        attempt: From 1 on.

    """

    __slots__ = (
        "_cancelled",
        "attempt",
        "entry",
        "key",
        "nominal",
        "payload",
        "previous",
        "shard",
    )

    def __init__(self, envelope: Envelope, cancelled: threading.Event | None = None) -> None:
        self.entry = envelope.entry
        self.nominal = datetime.fromtimestamp(envelope.nominal, UTC)
        self.previous = (
            datetime.fromtimestamp(envelope.previous, UTC) if envelope.previous else None
        )
        self.key = envelope.key
        self.payload = envelope.payload
        self.shard = envelope.shard
        self.attempt = envelope.attempt
        self._cancelled = cancelled or threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether it is to end: it was cancelled, its time is over, or the agent stops."""
        return self._cancelled.is_set()

    def wait(self, seconds: float) -> bool:
        """Do nothing for so long, or until it is to end; return whether it is to end."""
        return self._cancelled.wait(seconds)

    def __repr__(self) -> str:
        return f"<FireTask {self.entry} of {self.nominal:%Y-%m-%dT%H:%M:%SZ}>"


@dataclass(frozen=True, slots=True)
class Done:
    """It has been done; ``result`` is kept with the fire."""

    result: str | bytes = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed, and says why; the entry's ``retries`` decide whether it is tried again."""

    reason: str


@dataclass(frozen=True, slots=True)
class NextRun:
    """It has been done, and the entry is to fire next at this instant."""

    at: Moment
    result: str | bytes = ""


Callables: TypeAlias = "Mapping[str, Callable[[FireTask], object]]"


def call(app: Callable[[FireTask], object], task: FireTask) -> Answer:
    """Call a callable and return what its end means. Whatever it raises ends the fire alone."""
    try:
        found = app(task)
        return _meaning(found)
    except Retry as retry:
        return _retried(retry)
    except Fail as error:
        return Answer(kind=FAILED, reason=str(error) or "it failed")
    except (Exception, SystemExit) as error:
        text = "".join(traceback.format_exception(error))
        return Answer(kind=FAILED, reason=_described(error), errors=text)


def _meaning(found: object) -> Answer:
    if found is None:
        return Answer(kind=DONE)
    if isinstance(found, str | bytes):
        return Answer(kind=DONE, output=_text(found))
    if isinstance(found, Done):
        return Answer(kind=DONE, output=_text(found.result))
    if isinstance(found, Failed):
        return Answer(kind=FAILED, reason=found.reason)
    if isinstance(found, NextRun):
        return Answer(kind=NEXT_RUN, at=_seconds(found.at), output=_text(found.result))
    if isinstance(found, Retry):
        return _retried(found)
    raise TypeError(
        f"it returned {type(found).__name__}; return None, a text, Done, Failed, Retry or NextRun"
    )


def _retried(retry: Retry) -> Answer:
    """Without a time, it is left to the entry when it is tried again, and whether."""
    if retry.at is not None:
        return Answer(kind=RETRY, at=_seconds(retry.at), reason=str(retry))
    if retry.countdown is not None:
        return Answer(kind=RETRY, at=_seconds(time.time() + retry.countdown), reason=str(retry))
    return Answer(kind=FAILED, reason=str(retry))


def _seconds(moment: Moment) -> int:
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            raise ValueError(f"{moment!r} has no time zone; give one, such as datetime.UTC")
        moment = moment.timestamp()
    return math.ceil(moment)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        # An exception that can't say what it is.
        return type(error).__name__


# Finding them.

_DEFAULT: Final = "app"


def find_callables(places: Mapping[str, str]) -> dict[str, Callable[[FireTask], object]]:
    """Import what is named as ``module:name``, by the names it is registered under."""
    return {name: find_callable(place) for name, place in places.items()}


def find_callable(place: str) -> Callable[[FireTask], object]:
    """
    Import a module, also one in the current directory, and return a callable of it.

    Raises:
        UsageError: There is no such module, or it has no such callable.

    """
    name, _, attribute = place.partition(":")
    if not name or "/" in name:
        raise UsageError(f"{place!r} names no module; write module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(
                f"there is no module {name!r}; start the agent in the directory that holds it, "
                "or install it"
            ) from error
        raise
    for part in (attribute or _DEFAULT).split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise UsageError(f"{attribute or _DEFAULT!r} in module {name!r} can't be called")
    return found
