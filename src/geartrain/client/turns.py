"""
How threads share the waiting for sockets.

There is no thread of its own here, and nothing polls. Whoever waits serves
the sockets for everybody: the first waiting thread leads, the others follow
and sleep; the leader wakes those whose wait is over, and when its own is, it
hands the lead to the next. With nobody waiting, nothing runs.

What the sockets are for is the crew's business.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from geartrain.client.readiness import Readiness


class Crew(Protocol):
    """Serves the sockets; each method is called with the lock held."""

    def prepare(self, deadline: float | None) -> bool:
        """
        Do what is due before anybody sleeps: send what is to be sent, connect.

        Returns:
            Whether it let go of the lock meanwhile, so that much may have changed.

        """

    def next_moment(self) -> float | None:
        """Return when something is due that no socket tells, by the monotonic clock."""

    def serve(self, data: Any, mask: int) -> None:
        """Serve a socket that is ready, registered with ``data``; see `Readiness.wait`."""

    def meet_moment(self) -> None:
        """Do what was due at the moment that ``next_moment`` named."""


class Follower:
    """A thread that sleeps while another leads."""

    __slots__ = ("done", "signal", "woken")

    def __init__(self, done: Callable[[], bool]) -> None:
        self.done = done
        self.signal = threading.Lock()
        self.signal.acquire()
        self.woken = False

    def wake(self) -> None:
        """Let it go on. Safe to call twice."""
        if not self.woken:
            self.woken = True
            self.signal.release()


class Turns:
    """
    The lock of one client, and whose turn it is to wait for its sockets.

    Attributes:
        lock: Guards everything of the client. Held by whoever calls a method here, unless
            the method says otherwise.
        leading: Whether a thread waits for the sockets.

    """

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.lock = threading.Lock()
        self.leading = False
        self.followers: list[Follower] = []
        self.callbacks: deque[Callable[[], None]] = deque()
        # How many jobs under way somebody wants to be called back for.
        self.expected_callbacks = 0
        self.helper: threading.Thread | None = None
        # Opened with the first socket.
        self.selector: Readiness | None = None
        self.bell: tuple[socket.socket, socket.socket] | None = None
        self.closed = False

    # Waiting.

    def wait(self, done: Callable[[], bool], deadline: float | None) -> bool:
        """
        Serve the sockets, or follow the thread that does, until ``done()``.

        Returns:
            False where ``deadline``, by the monotonic clock, came first.

        """
        try:
            while not done():
                changed = self.crew.prepare(deadline)
                if self.callbacks:
                    self.run_callbacks()
                    changed = True
                if deadline is not None and time.monotonic() >= deadline:
                    return done()
                if changed or done():
                    continue
                if self.leading:
                    self.follow(done, deadline)
                else:
                    self.lead(deadline)
            if self.callbacks:
                self.run_callbacks()
            return True
        finally:
            if self.followers and not self.leading:
                self.followers[0].wake()

    def lead(self, deadline: float | None) -> None:
        """Wait for the sockets once, and have those served that are ready."""
        selector = self.selector or self.open_selector()
        moment = self.crew.next_moment()
        due = deadline if moment is None or (deadline is not None and deadline < moment) else moment
        timeout = None if due is None else max(0.0, due - time.monotonic())
        self.leading = True
        # As unlocked() does; written out because each single submission comes by here.
        self.lock.release()
        try:
            ready = selector.wait(timeout)
        finally:
            self.lock.acquire()
            self.leading = False
        for descriptor, mask in ready:
            # None where another thread has taken it out meanwhile.
            data = selector.watched.get(descriptor)
            if data is self:
                self.silence_bell()
            elif data is not None:
                self.crew.serve(data, mask)
        if moment is not None and moment <= time.monotonic():
            self.crew.meet_moment()
        if self.followers:
            self.settle()
        if self.closed:
            self.dispose()

    def follow(self, done: Callable[[], bool], deadline: float | None) -> None:
        """Sleep until the leader says that ``done()``, or leaves."""
        follower = Follower(done)
        self.followers.append(follower)
        try:
            with self.unlocked():
                timeout = -1 if deadline is None else max(0.0, deadline - time.monotonic())
                follower.signal.acquire(timeout=timeout)
        finally:
            self.followers.remove(follower)

    def settle(self) -> None:
        """Wake the followers whose wait is over."""
        for follower in self.followers:
            if follower.done():
                follower.wake()

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """Let other threads go on for the time of a ``with`` block."""
        self.lock.release()
        try:
            yield
        finally:
            self.lock.acquire()

    # The sockets to wait for, and a bell that wakes the leader when they change.

    def open_selector(self) -> Readiness:
        """Return the selector, made when first needed."""
        if self.selector is None:
            self.selector = Readiness()
            self.bell = socket.socketpair()
            for end in self.bell:
                end.setblocking(False)
            self.selector.watch(self.bell[0], self)
        return self.selector

    def watch(self, watched: socket.socket, data: object, writes: bool = False) -> None:
        """Wait for a socket from now on, and with ``writes`` also for room to write."""
        self.open_selector().watch(watched, data, writes)
        self.ring_bell()

    def unwatch(self, watched: socket.socket) -> None:
        """Wait for a socket no more."""
        if self.selector is not None:
            self.selector.unwatch(watched)

    def ring_bell(self) -> None:
        """Wake the leader, if there is one: what it waits for has changed."""
        if self.leading and self.bell is not None:
            # Where it is full, it rings already.
            with contextlib.suppress(BlockingIOError):
                self.bell[1].send(b"\0")

    def silence_bell(self) -> None:
        """Make ready for the next ring."""
        if self.bell is not None:
            with contextlib.suppress(BlockingIOError):
                self.bell[0].recv(1024)

    # Callbacks.

    def expect_callback(self) -> None:
        """
        Have a thread wait for as long as callbacks are due.

        It is the only thread a client ever starts: a callback has to come even if nobody
        waits for anything.
        """
        self.expected_callbacks += 1
        if self.helper is None:
            self.helper = threading.Thread(target=self.help, name="geartrain-client", daemon=True)
            self.helper.start()

    def help(self) -> None:
        """Wait until no callback is due any more. Called without the lock."""
        with self.lock:
            self.wait(lambda: self.expected_callbacks == 0, None)
            self.helper = None

    def leave_callback(self, callback: Callable[[Any], object], argument: object) -> None:
        """Leave an expected callback to the next thread that comes by."""
        self.callbacks.append(partial(call_back, callback, argument))
        self.expected_callbacks -= 1

    def run_callbacks(self) -> None:
        """Call back those whose jobs have ended, with the lock released."""
        with self.unlocked():
            while self.callbacks:
                self.callbacks.popleft()()

    # The end.

    def close(self) -> None:
        """Wake everybody; the selector goes with the leader, if there is one."""
        self.closed = True
        for follower in self.followers:
            follower.wake()
        if self.leading:
            self.ring_bell()
        else:
            self.dispose()
        self.run_callbacks()

    def dispose(self) -> None:
        """Let go of the selector and the bell."""
        self.selector = None
        if self.bell is not None:
            for end in self.bell:
                end.close()
            self.bell = None

    def start_anew_in_child(self) -> None:
        """Forget the threads of the process that was forked, and what they waited for."""
        self.lock = threading.Lock()
        self.leading = False
        self.followers = []
        self.helper = None
        self.dispose()


def call_back(callback: Callable[[Any], object], argument: object) -> None:
    """Call back; an exception is logged and goes no further."""
    try:
        callback(argument)
    except Exception:
        # Loaded where it is needed: most programs never come here.
        import logging

        logging.getLogger("geartrain.client").exception("callback for %r raised", argument)


__all__ = ["Crew", "Turns", "call_back"]
