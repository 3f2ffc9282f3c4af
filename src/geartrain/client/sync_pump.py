"""
The sockets of a blocking client, and the order in which threads serve them.

There is no thread of its own here, and nothing polls. Whoever waits serves
the sockets for everybody: the first waiting thread leads, the others follow
and sleep; the leader wakes those whose wait is over, and when its own is, it
hands the lead to the next. With nobody waiting, nothing runs.

Nobody blocks while holding the lock, but for the time of a send or receive
that takes what is there.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import random
from typing import Any, Final

from geartrain.client.address import Address
from geartrain.client.dialing import dial, explain
from geartrain.client.job import JobRecord, Question
from geartrain.client.placement import Placement, Server, candidates, failures, next_attempt
from geartrain.client.session import Request, Session
from geartrain.client.settings import Settings
from geartrain.client.unplaced import Unplaced, take_events
from geartrain.errors import ConnectionFailed, UsageError
from geartrain.wire.packet import OPTION_REQ

_RECEIVE_SIZE: Final = 128 * 1024
# Output that gathers for one write before it goes out without being asked to.
_FLUSH_SIZE: Final = 64 * 1024
_READ_WRITE: Final = selectors.EVENT_READ | selectors.EVENT_WRITE


class Connection:
    """
    An open connection: its socket, its session, and what the socket did not take yet.

    Attributes:
        heard_at: When the server last said something it owed, by the monotonic clock.
        answered: Whether it has said anything on this connection.

    """

    __slots__ = (
        "answered",
        "dirty",
        "heard_at",
        "open",
        "server",
        "session",
        "socket",
        "unsent",
        "watches_write",
    )

    def __init__(self, server: Server, connected: socket.socket, session: Session) -> None:
        self.server = server
        self.socket = connected
        self.session = session
        self.unsent: deque[memoryview] = deque()
        self.heard_at = 0.0
        self.answered = False
        self.open = True
        self.dirty = False
        self.watches_write = False

    def is_behind(self) -> bool:
        """Return whether there is output that the socket has not taken."""
        return bool(self.unsent) or self.session.has_output()


class Follower:
    """A thread that waits while another leads."""

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


class Pump:
    """
    Moves requests to servers and answers back, whoever calls it.

    Methods that start with ``do_`` expect the lock to be held; so does ``wait``.

    Args:
        addresses: The servers.
        settings: How to treat them.

    Attributes:
        lock: Guards everything here, the sessions, and the records of jobs.
        options: Options asked for on each connection as it opens.
        unplaced: Submissions that have no server yet, or none any more.
        callbacks: To be called without the lock, as soon as a thread comes by.
        expected_callbacks: How many jobs under way somebody wants to be called back for.

    """

    def __init__(self, addresses: list[Address], settings: Settings) -> None:
        self.settings = settings
        self.placement = Placement(addresses, settings.placement, random)
        self.options: list[bytes] = [b"exceptions"] if settings.exceptions else []
        self.connections: dict[Address, Connection] = {}
        self.unplaced = Unplaced(self.placement, settings.patience, settings.resend == "if_unique")
        # Connections with output that nobody has tried to send yet.
        self.dirty: list[Connection] = []
        self.callbacks: deque[Callable[[], None]] = deque()
        self.expected_callbacks = 0
        self.helper: threading.Thread | None = None
        self.followers: list[Follower] = []
        self.lock = threading.Lock()
        self.leading = False
        self.dialing = False
        self.closed = False
        # Opened with the first connection.
        self.selector: selectors.BaseSelector | None = None
        self.bell: tuple[socket.socket, socket.socket] | None = None
        _PUMPS.add(self)

    # Waiting.

    def wait(self, done: Callable[[], bool], deadline: float | None) -> bool:
        """
        Serve the sockets, or follow the thread that does, until ``done()``.

        Returns:
            False where ``deadline``, by the monotonic clock, came first.

        """
        try:
            while not done():
                self.do_flush()
                if self.callbacks:
                    self.run_callbacks()
                if done():
                    break
                now = time.monotonic()
                if deadline is not None and now >= deadline:
                    return False
                if self.unplaced and not self.dialing and self.unplaced.next_attempt() <= now:
                    self.place_all(deadline)
                elif not self.leading:
                    self.lead(deadline)
                else:
                    self.follow(done, deadline)
            if self.callbacks:
                self.run_callbacks()
            return True
        finally:
            if self.followers and not self.leading:
                self.followers[0].wake()

    def run_callbacks(self) -> None:
        """Call back those whose jobs have ended, with the lock released."""
        with self.unlocked():
            while self.callbacks:
                self.callbacks.popleft()()

    def do_call_back(self, callback: Callable[[Any], object], record: JobRecord) -> None:
        """Leave a callback to the next thread that comes by."""
        self.callbacks.append(partial(call_back, callback, record))
        self.expected_callbacks -= 1

    def do_expect_callback(self) -> None:
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
        """Wait until no callback is due any more."""
        with self.lock:
            self.wait(lambda: self.expected_callbacks == 0, None)
            self.helper = None

    def lead(self, deadline: float | None) -> None:
        """Wait for the sockets once, and serve those that are ready."""
        selector = self.do_open_selector()
        timeout = self.do_select_timeout(deadline)
        self.leading = True
        try:
            with self.unlocked():
                ready = selector.select(timeout)
        finally:
            self.leading = False
        for key, mask in ready:
            if key.data is None:
                self.do_silence_bell()
            elif key.data.open:
                self.do_serve(key.data, mask)
        self.do_drop_silent()
        self.do_settle()
        if self.closed:
            self.do_dispose()

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

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """Let other threads go on for the time of a ``with`` block."""
        self.lock.release()
        try:
            yield
        finally:
            self.lock.acquire()

    def do_settle(self) -> None:
        """Wake the followers whose wait is over."""
        for follower in self.followers:
            if follower.done():
                follower.wake()

    def do_select_timeout(self, deadline: float | None) -> float | None:
        """Return for how many seconds the leader may sleep; None for as long as it takes."""
        moments = [] if deadline is None else [deadline]
        if self.unplaced and not self.dialing:
            moments.append(self.unplaced.next_attempt())
        patience = self.settings.answer_timeout
        if patience is not None:
            moments += [
                connection.heard_at + patience
                for connection in self.connections.values()
                if connection.session.waiting
            ]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    # The bell wakes the leader when what it waits for has changed.

    def do_open_selector(self) -> selectors.BaseSelector:
        if self.selector is None:
            self.selector = selectors.DefaultSelector()
            self.bell = socket.socketpair()
            for end in self.bell:
                end.setblocking(False)
            self.selector.register(self.bell[0], selectors.EVENT_READ)
        return self.selector

    def do_ring_bell(self) -> None:
        """Wake the leader, if there is one."""
        if self.leading and self.bell is not None:
            with _ignoring_full_pipe():
                self.bell[1].send(b"\0")

    def do_silence_bell(self) -> None:
        if self.bell is not None:
            with _ignoring_full_pipe():
                self.bell[0].recv(1024)

    # Submitting.

    def do_submit(self, record: JobRecord) -> None:
        """Put a submission on its way: to a server, or where none is connected, in line for one."""
        if self.closed:
            raise UsageError("the client is closed; make a new one")
        connection = self.do_find_connection(record)
        if connection is not None and self.do_check(connection):
            self.do_send_job(connection, record)
        else:
            # Left to whoever waits next.
            self.unplaced.add(record)
            self.do_ring_bell()

    def do_find_connection(self, record: JobRecord) -> Connection | None:
        """Return the connection that the submission should take, if it is open."""
        best = self.placement.order(*record.key())[0]
        return self.connections.get(best.address)

    def do_check(self, connection: Connection) -> bool:
        """
        Return whether a connection is still good.

        A server that went away while nobody was waiting is noticed here, before a
        submission would be sent into nothing and be uncertain for it.
        """
        if connection.session.is_quiet() and not connection.is_behind():
            self.do_receive(connection)
        return connection.open

    def do_send_job(self, connection: Connection, record: JobRecord) -> None:
        record.address = str(connection.server.address)
        try:
            self.do_send(connection, record.make_request())
        except UsageError as error:
            record.fail(error)

    def do_send(self, connection: Connection, request: Request) -> None:
        """Put a request on a connection's output; it leaves before anybody waits."""
        session = connection.session
        if not session.waiting:
            connection.heard_at = time.monotonic()
        session.send(request)
        if not connection.dirty:
            connection.dirty = True
            self.dirty.append(connection)
        if session.written - session.sent > _FLUSH_SIZE:
            self.do_flush()

    def do_abandon(self, record: JobRecord) -> None:
        """Forget a submission: nobody wants to hear of it any more."""
        record.forget()
        self.unplaced.remove(record)

    # Finding servers.

    def place_all(self, deadline: float | None) -> None:
        """Give each submission in line a server, or let it wait on, or fail it."""
        self.dialing = True
        insist = self.unplaced.has_fresh()
        try:
            for _ in range(len(self.unplaced)):
                if not self.unplaced:
                    break
                record = self.unplaced.records[0]
                connection = self.find_server(record, insist, deadline)
                if not self.unplaced.remove(record):
                    # Its caller gave up meanwhile.
                    continue
                if connection is not None:
                    self.do_send_job(connection, record)
                elif deadline is not None and time.monotonic() >= deadline:
                    self.unplaced.add(record)
                    break
                else:
                    # The others need not try again what has just failed.
                    insist = False
                    self.unplaced.note_unreachable(record, time.monotonic())
        finally:
            self.dialing = False
        self.do_ring_bell()
        self.do_settle()

    def find_server(
        self, record: JobRecord, insist: bool, deadline: float | None
    ) -> Connection | None:
        """Return a connection to the best server that can be reached now."""
        order = self.placement.order(*record.key())
        servers = candidates(order, time.monotonic(), insist)
        connection = self.connect_any(servers, deadline)
        if connection is not None:
            self.placement.note_reached(connection.server)
        return connection

    def connect_any(self, servers: list[Server], deadline: float | None) -> Connection | None:
        """Return a connection to the first of some servers that can be reached."""
        for server in servers:
            if self.closed:
                break
            connection = self.connections.get(server.address)
            if connection is None or not self.do_check(connection):
                connection = self.connect(server, deadline)
            if connection is not None:
                return connection
        return None

    def connect(self, server: Server, deadline: float | None) -> Connection | None:
        """Return a new connection to a server, or None where it can't be reached."""
        timeout = self.settings.connect_timeout
        if deadline is not None:
            timeout = max(0.001, min(timeout, deadline - time.monotonic()))
        try:
            with self.unlocked():
                connected = dial(server.address, timeout, self.settings.keepalive)
        except OSError as error:
            if not isinstance(error, TimeoutError) or timeout == self.settings.connect_timeout:
                self.placement.note_failure(server, time.monotonic(), explain(error))
            return None
        if self.closed:
            connected.close()
            return None
        rival = self.connections.get(server.address)
        if rival is not None:
            # Another thread was faster.
            connected.close()
            return rival
        return self.do_open(server, connected)

    def do_open(self, server: Server, connected: socket.socket) -> Connection:
        connected.setblocking(False)
        connection = Connection(server, connected, Session(self.settings.max_packet))
        self.connections[server.address] = connection
        self.do_open_selector().register(connected, selectors.EVENT_READ, connection)
        for option in self.options:
            # Servers that don't know it refuse it, which is as good.
            self.do_send(connection, Request(OPTION_REQ, [option], None))
        self.do_ring_bell()
        return connection

    # Questions.

    def ask(
        self, address: Address | None, kind: int, args: list[bytes], deadline: float | None
    ) -> Question:
        """
        Return a question that is on its way to one server.

        Args:
            address: The server; None for the one that submissions go to.
            kind: Number of the packet.
            args: Its arguments.
            deadline: When to stop trying to connect.

        Raises:
            ConnectionFailed: It can't be reached.

        """
        give_up_at = time.monotonic() + self.settings.patience
        if deadline is not None:
            give_up_at = min(give_up_at, deadline)
        servers = self.do_servers_at(address)
        while True:
            if self.closed:
                raise UsageError("the client is closed; make a new one")
            now = time.monotonic()
            connection = self.connect_any(candidates(servers, now, insist=True), deadline)
            if connection is not None:
                question = Question(kind, args)
                self.do_send(connection, question.request)
                return question
            retry_at = max(time.monotonic(), next_attempt(servers))
            if retry_at >= give_up_at:
                raise ConnectionFailed(failures(servers))
            self.wait(_never, retry_at)

    def do_servers_at(self, address: Address | None) -> list[Server]:
        if address is None:
            return self.placement.order(b"", b"")
        known = [server for server in self.placement.servers if server.address == address]
        return known or [Server(address, random)]

    def addresses(self) -> list[Address]:
        """Return the servers, the one that submissions go to first."""
        return [server.address for server in self.placement.order(b"", b"")]

    def do_add_option(self, option: bytes) -> None:
        """Have an option asked for on each connection, those that are open included."""
        if option in self.options:
            return
        self.options.append(option)
        for connection in self.connections.values():
            self.do_send(connection, Request(OPTION_REQ, [option], None))
        self.do_flush()

    # Serving sockets.

    def do_serve(self, connection: Connection, mask: int) -> None:
        if mask & selectors.EVENT_READ:
            self.do_receive(connection)
        if mask & selectors.EVENT_WRITE and connection.open:
            self.do_send_output(connection)

    def do_receive(self, connection: Connection) -> None:
        """Take in what has arrived on one connection."""
        try:
            data = connection.socket.recv(_RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self.do_lose(connection, error)
            return
        if not data:
            self.do_lose(connection, None)
            return
        self.do_take(connection, data)
        if connection.session.fault is not None:
            self.do_lose(connection, connection.session.fault)

    def do_take(self, connection: Connection, data: bytes) -> None:
        connection.heard_at = time.monotonic()
        if not connection.answered:
            connection.answered = True
            self.placement.note_answer(connection.server)
        take_events(connection.session.receive_data(data))

    def do_flush(self) -> None:
        """Send what was put on the output of connections since the last time."""
        while self.dirty:
            connection = self.dirty.pop()
            connection.dirty = False
            if connection.open and not connection.watches_write:
                self.do_send_output(connection)

    def do_send_output(self, connection: Connection) -> None:
        """Send as much as the socket takes; have the leader wait for room for the rest."""
        session = connection.session
        try:
            while True:
                if not connection.unsent:
                    connection.unsent.extend(memoryview(part) for part in session.take_output())
                    if not connection.unsent:
                        break
                piece = connection.unsent[0]
                count = connection.socket.send(piece)
                session.note_sent(count)
                if count == len(piece):
                    connection.unsent.popleft()
                else:
                    connection.unsent[0] = piece[count:]
        except BlockingIOError:
            pass
        except OSError as error:
            self.do_lose(connection, error)
            return
        self.do_watch_write(connection, connection.is_behind())

    def unsent_size(self) -> int:
        """Return how many bytes wait to be sent, on all connections together."""
        return sum(
            connection.session.written - connection.session.sent
            for connection in self.connections.values()
        )

    def do_watch_write(self, connection: Connection, wanted: bool) -> None:
        if wanted != connection.watches_write and self.selector is not None:
            connection.watches_write = wanted
            events = _READ_WRITE if wanted else selectors.EVENT_READ
            self.selector.modify(connection.socket, events, connection)
            self.do_ring_bell()

    # Losing connections.

    def do_drop_silent(self) -> None:
        """Give up the connections whose server owes an answer for too long."""
        patience = self.settings.answer_timeout
        if patience is None:
            return
        now = time.monotonic()
        for connection in list(self.connections.values()):
            if connection.session.waiting and now - connection.heard_at >= patience:
                reason = f"no answer for {patience:g} s"
                self.do_lose(connection, TimeoutError(reason))

    def do_lose(self, connection: Connection, cause: Exception | None) -> None:
        """Take in that a connection ended; place again what may be, and fail the rest."""
        if not connection.open:
            return
        self.do_receive_rest(connection)
        self.do_close(connection)
        server = connection.server
        reason = explain(cause) if isinstance(cause, OSError) else str(cause or "connection closed")
        self.placement.note_failure(server, time.monotonic(), reason)
        self.unplaced.take_losses(server, connection.session.end(), cause, time.monotonic())
        self.do_ring_bell()
        self.do_settle()

    def do_receive_rest(self, connection: Connection) -> None:
        """Read what the server said before the connection broke."""
        try:
            while connection.session.fault is None:
                data = connection.socket.recv(_RECEIVE_SIZE)
                if not data:
                    return
                self.do_take(connection, data)
        except OSError:
            return

    def do_close(self, connection: Connection) -> None:
        connection.open = False
        del self.connections[connection.server.address]
        if self.selector is not None:
            self.selector.unregister(connection.socket)
        connection.socket.close()

    # The end.

    def close(self) -> None:
        """Close all connections; jobs that have not ended are lost. Safe to call twice."""
        with self.lock:
            self.closed = True
            self.unplaced.may_resend = False
            for connection in list(self.connections.values()):
                self.do_lose(connection, UsageError("the client was closed"))
            self.unplaced.fail_all("the client was closed")
            for follower in self.followers:
                follower.wake()
            if self.leading:
                # The leader sees it when it wakes.
                self.do_ring_bell()
            else:
                self.do_dispose()
            self.run_callbacks()

    def do_dispose(self) -> None:
        if self.selector is not None:
            self.selector.close()
            self.selector = None
        if self.bell is not None:
            for end in self.bell:
                end.close()
            self.bell = None

    def start_anew_in_child(self) -> None:
        """
        Let go of what a forked process shares with its parent.

        The sockets are the parent's: two processes can't both read the answers. They are
        closed here without a word to the server, and jobs under way are lost to the child.
        """
        self.lock = threading.Lock()
        self.followers = []
        self.leading = self.dialing = False
        self.helper = None
        if self.selector is not None:
            # First of all: taking sockets out of it would take them out of the parent's.
            self.selector.close()
            self.selector = None
        cause = UsageError("the connection stayed with the parent process")
        for connection in self.connections.values():
            connection.open = False
            connection.socket.close()
            events = connection.session.end()
            self.unplaced.take_losses(connection.server, events, cause, time.monotonic())
        self.connections = {}
        self.unplaced.fail_all(str(cause))
        self.dirty.clear()
        self.do_dispose()


def call_back(callback: Callable[[Any], object], record: JobRecord) -> None:
    """Call back; an exception is logged and goes no further."""
    try:
        callback(record)
    except Exception:
        # Loaded where it is needed: most programs never come here.
        import logging

        logging.getLogger("geartrain.client").exception("callback of %r raised", record)


def _never() -> bool:
    return False


@contextmanager
def _ignoring_full_pipe() -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        return


_PUMPS: Final[weakref.WeakSet[Pump]] = weakref.WeakSet()


def _start_anew_in_child() -> None:
    for pump in list(_PUMPS):
        pump.start_anew_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_in_child)


__all__ = ["Connection", "Pump"]
