"""
How long tasks may run, and what is raised inside those that do so too long.

A soft time-out is raised in the task by whatever reaches it: a signal in a main
thread, an asynchronous exception in any other, a cancellation on an event loop.
Only the end of a process ends what ignores it, which is the worker's business.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, TypeAlias

from geartrain.errors import SoftTimeout, UsageError

Duration: TypeAlias = "float | str"

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")


def seconds_of(name: str, value: Duration | None) -> float | None:
    """
    Return a time in seconds: a number as it is, text such as ``"10m"`` or ``"1h30m"`` read.

    Raises:
        UsageError: It is no time above 0.

    """
    seconds = value
    if isinstance(value, str):
        text = value.strip().lower()
        parts = _PART.findall(text)
        whole = "".join(number + unit for number, unit in parts) == text.replace(" ", "")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts) if whole else 0.0
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise UsageError(f"{name} is {value!r}; give seconds above 0, or text such as '30s', '10m'")
    return float(seconds)


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """
    How long a task may run.

    Attributes:
        soft: Seconds after which `SoftTimeout` is raised inside it; None for never.
        hard: Seconds after which it is cut off; None for never.

    """

    soft: float | None = None
    hard: float | None = None

    def __post_init__(self) -> None:
        if self.soft is not None and self.hard is not None and self.soft >= self.hard:
            raise UsageError(
                f"soft_timeout ({self.soft:g} s) is to be less than timeout ({self.hard:g} s), "
                "so that the task has time to tidy up"
            )


@contextmanager
def soft_limit(seconds: float | None) -> Iterator[None]:
    """Raise `SoftTimeout` inside a ``with`` block that takes longer than ``seconds``."""
    if seconds is None:
        yield
    elif threading.current_thread() is threading.main_thread():
        with _by_signal(seconds):
            yield
    else:
        with _WATCH.limit(seconds):
            yield


@contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    """By a signal, which also ends waiting in system calls."""

    def expire(number: int, frame: FrameType | None) -> None:
        raise SoftTimeout(seconds)

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Pending:
    """One limit that is being watched."""

    __slots__ = ("over", "raised", "seconds", "thread")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.thread = threading.get_ident()
        self.over = False
        self.raised = False


class _Watch:
    """
    One thread that waits for the next limit of all threads, started with the first.

    It raises the exception at the next bytecode of the thread; what waits in a system call
    hears of it when the call returns.
    """

    def __init__(self) -> None:
        # Taken as it is where the exception may arrive: a condition's own way to take it is
        # Python code, and would keep the lock if it were interrupted there.
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.heap: list[tuple[float, int, _Pending]] = []
        self.numbers = itertools.count()
        self.running = False

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        pending = _Pending(seconds)
        with self.changed:
            heapq.heappush(self.heap, (time.monotonic() + seconds, next(self.numbers), pending))
            if not self.running:
                self.running = True
                threading.Thread(target=self.watch, name="geartrain-limits", daemon=True).start()
            self.changed.notify()
        try:
            yield
        except _Expired as error:
            raise SoftTimeout(seconds) from error
        finally:
            self.release(pending)

    def release(self, pending: _Pending) -> None:
        """Stop watching; take back what was raised and has not arrived."""
        with self.lock:
            pending.over = True
            if pending.raised:
                _raise_in(pending.thread, None)

    def watch(self) -> None:
        """Wait for limits; sleeps while there are none."""
        with self.changed:
            while True:
                while self.heap and self.heap[0][2].over:
                    heapq.heappop(self.heap)
                if not self.heap:
                    self.changed.wait()
                    continue
                left = self.heap[0][0] - time.monotonic()
                if left > 0:
                    self.changed.wait(left)
                    continue
                _, _, pending = heapq.heappop(self.heap)
                pending.raised = True
                _raise_in(pending.thread, _Expired)


class _Expired(SoftTimeout):
    """What is raised in the thread; it can carry no arguments."""


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise an exception in a thread, or take one back that has not arrived."""
    kind: Any = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), kind)


_WATCH: Final = _Watch()

__all__ = ["Duration", "TimeLimits", "seconds_of", "soft_limit"]
