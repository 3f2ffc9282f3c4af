"""
The connections of a blocking client.

Moves requests to servers and answers back, in whichever thread waits; see
``turns``. Nobody blocks while holding the lock, but for the time of a send or
receive that takes what is there.
"""

from __future__ import annotations

import os
import select
import socket
import time
import weakref
from collections import deque
from random import random
from typing import Final

from mypy_extensions import mypyc_attr

from geartrain.client.address import Address
from geartrain.client.dialing import dial, explain
from geartrain.client.job import JobRecord
from geartrain.client.placement import Placement, Server, candidates, failures, next_attempt
from geartrain.client.question import Question
from geartrain.client.readiness import READABLE, WRITABLE
from geartrain.client.session import Request, Session
from geartrain.client.settings import Settings
from geartrain.client.turns import Turns
from geartrain.client.unplaced import Unplaced, take_events
from geartrain.errors import ConnectionFailed, UsageError
from geartrain.wire.packet import OPTION_REQ

# Less than malloc takes from the kernel, and gives back, each time.
_RECEIVE_SIZE: Final = 64 * 1024
# Output that gathers for one write before it goes out without being asked to.
_FLUSH_SIZE: Final = 64 * 1024

_CLOSED: Final = "the client was closed"


class Connection:
    """
    An open connection: its socket, its session, and what the socket did not take yet.

    Attributes:
        name: The server's address, in words.
        heard_at: When the server last said something it owed, by the monotonic clock.
        answered: Whether it has said anything on this connection.

    """

    __slots__ = (
        "answered",
        "dirty",
        "heard_at",
        "name",
        "open",
        "poller",
        "server",
        "session",
        "socket",
        "unsent",
        "watches_write",
    )

    def __init__(self, server: Server, connected: socket.socket, session: Session) -> None:
        self.server = server
        self.name = str(server.address)
        self.socket = connected
        self.session = session
        # Of this socket alone: whether there is something to read, were it only its end.
        self.poller = select.poll()
        self.poller.register(connected, select.POLLIN)
        self.unsent: deque[bytes | memoryview] = deque()
        self.heard_at = 0.0
        self.answered = False
        self.open = True
        self.dirty = False
        self.watches_write = False


class Pump:
    """
    Moves requests to servers and answers back, whoever calls it.

    Methods are to be called with the lock held, but for ``close``.

    Args:
        addresses: The servers.
        settings: How to treat them.

    Attributes:
        turns: The lock, and whose turn it is to wait for the sockets.
        options: Options asked for on each connection as it opens.
        unplaced: Submissions that have no server yet, or none any more.

    """

    def __init__(self, addresses: list[Address], settings: Settings) -> None:
        self.settings = settings
        self.placement = Placement(addresses, settings.placement, random)
        self.unplaced = Unplaced(self.placement, settings.patience, settings.resend == "if_unique")
        self.options: list[bytes] = [b"exceptions"] if settings.exceptions else []
        self.connections: dict[Address, Connection] = {}
        # Connections with output that nobody has tried to send yet.
        self.dirty: list[Connection] = []
        # Whether a thread looks for servers.
        self.dialing = False
        self.closed = False
        self.turns = Turns(self)
        # Serves the sockets until something is done.
        self.wait = self.turns.wait
        self.anchor = Anchor(self)

    # What the waiting threads do in turn.

    def prepare(self, deadline: float | None) -> bool:
        """Send what is to be sent, and find servers for those who have none."""
        self.flush()
        if not self.unplaced.records:
            return False
        self.unplaced.drop_forgotten()
        if not self.unplaced or self.dialing or self.unplaced.next_attempt() > time.monotonic():
            return False
        self.place_all(deadline)
        self.flush()
        return True

    def next_moment(self) -> float | None:
        """Return when to look for a server again, or whether one still answers."""
        moment = None
        if self.unplaced.records and not self.dialing:
            moment = self.unplaced.next_attempt()
        patience = self.settings.answer_timeout
        if patience is not None:
            for connection in self.connections.values():
                if connection.session.waiting:
                    given_up_at = connection.heard_at + patience
                    if moment is None or given_up_at < moment:
                        moment = given_up_at
        return moment

    def serve(self, connection: Connection, mask: int) -> None:
        """Read from and write to a socket that is ready."""
        if mask & READABLE and connection.open:
            self.receive(connection)
        if mask & WRITABLE and connection.open:
            self.send_output(connection)

    def meet_moment(self) -> None:
        """Give up the connections whose server owes an answer for too long."""
        patience = self.settings.answer_timeout
        if patience is None:
            return
        now = time.monotonic()
        for connection in list(self.connections.values()):
            if connection.session.waiting and now - connection.heard_at >= patience:
                self.lose(connection, TimeoutError(f"no answer for {patience:g} s"))

    # Submitting.

    def submit(self, record: JobRecord) -> None:
        """Put a submission on its way: to a server, or where none is connected, in line for one."""
        if self.closed:
            raise UsageError("the client is closed; make a new one")
        best = self.unplaced.best_server(record)
        connection = self.connections.get(best.address)
        if connection is not None and self.check(connection):
            self.send_job(connection, record)
        else:
            # Left to whoever waits next.
            self.unplaced.add(record)
            self.turns.ring_bell()

    def check(self, connection: Connection) -> bool:
        """
        Return whether a connection is still good.

        A server that went away while nobody was waiting is noticed here, before a
        submission would be sent into nothing and be uncertain for it.
        """
        if connection.session.is_idle() and not connection.unsent:
            # Asked first, because a receive in vain is an exception.
            while connection.poller.poll(0) and self.receive(connection):
                pass
        return connection.open

    def send_job(self, connection: Connection, record: JobRecord) -> None:
        """Put a submission on a connection."""
        record.address = connection.name
        try:
            self.send(connection, record.make_request())
        except UsageError as error:
            record.fail(error)

    def send(self, connection: Connection, request: Request) -> None:
        """Put a request on a connection's output; it leaves before anybody waits."""
        session = connection.session
        if not session.waiting:
            connection.heard_at = time.monotonic()
            if self.turns.leading:
                # Who waits for the sockets has not counted on an answer that may fail to come.
                self.turns.ring_bell()
        session.send(request)
        if not connection.dirty:
            connection.dirty = True
            self.dirty.append(connection)
        if session.written - session.sent > _FLUSH_SIZE:
            self.flush()

    # Finding servers.

    def place_all(self, deadline: float | None) -> None:
        """Give each submission in line a server, or let it wait on, or fail it."""
        self.dialing = True
        insist = self.unplaced.insists(time.monotonic())
        try:
            for _ in range(len(self.unplaced)):
                if not self.unplaced:
                    break
                record = self.unplaced.records[0]
                connection = self.find_server(record, insist, deadline)
                if not self.unplaced.remove(record) or record.forgotten:
                    # Its caller gave up meanwhile.
                    continue
                if connection is not None:
                    self.send_job(connection, record)
                elif deadline is not None and time.monotonic() >= deadline:
                    self.unplaced.add(record)
                    break
                else:
                    # The others need not try again what has just failed.
                    insist = False
                    self.unplaced.note_unreachable(record, time.monotonic())
        finally:
            self.dialing = False
        self.turns.ring_bell()
        self.turns.settle()

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
            if self.closed or (deadline is not None and time.monotonic() >= deadline):
                break
            connection = self.connections.get(server.address)
            if connection is None or not self.check(connection):
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
            with self.turns.unlocked():
                connected = dial(server.address, timeout, self.settings.keepalive)
        except OSError as error:
            # Also where the caller had less time than connect_timeout: the next one, who may
            # have no more, should begin with another server.
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
        return self.open(server, connected)

    def open(self, server: Server, connected: socket.socket) -> Connection:
        """Start a session, and ask for the options on it."""
        connected.setblocking(False)
        connection = Connection(server, connected, Session(self.settings.max_packet))
        self.connections[server.address] = connection
        self.turns.watch(connected, connection)
        for option in self.options:
            # Servers that don't know it refuse it, which is as good.
            self.send(connection, Request(OPTION_REQ, [option], None))
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
            TimeoutError: It could not be reached by the deadline.

        """
        give_up_at = time.monotonic() + self.settings.patience
        servers = self.placement.servers_at(address)
        while True:
            if self.closed:
                raise UsageError("the client is closed; make a new one")
            now = time.monotonic()
            connection = self.connect_any(candidates(servers, now, insist=True), deadline)
            if connection is not None:
                question = Question(kind, args)
                self.send(connection, question.request)
                return question
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                raise TimeoutError from ConnectionFailed(failures(servers))
            if now >= give_up_at:
                raise ConnectionFailed(failures(servers))
            pause_ends = min(next_attempt(servers), give_up_at)
            self.wait(_never, pause_ends if deadline is None else min(pause_ends, deadline))

    def add_option(self, option: bytes) -> None:
        """Have an option asked for on each connection, those that are open included."""
        if option in self.options:
            return
        self.options.append(option)
        for connection in list(self.connections.values()):
            self.send(connection, Request(OPTION_REQ, [option], None))
        self.flush()

    # Serving sockets.

    def receive(self, connection: Connection) -> bool:
        """Take in what has arrived on one connection; return whether there may be more."""
        try:
            data = connection.socket.recv(_RECEIVE_SIZE)
        except BlockingIOError:
            return False
        except OSError as error:
            self.lose(connection, error)
            return False
        if not data:
            self.lose(connection, None)
            return False
        self.take(connection, data)
        fault = connection.session.fault
        if fault is not None:
            self.lose(connection, fault)
        return connection.open

    def take(self, connection: Connection, data: bytes) -> None:
        """Hand what was read to the session."""
        connection.heard_at = time.monotonic()
        if not connection.answered:
            connection.answered = True
            self.placement.note_answer(connection.server)
        take_events(connection.session.receive_data(data))

    def flush(self) -> None:
        """Send what was put on the output of connections since the last time."""
        while self.dirty:
            connection = self.dirty.pop()
            connection.dirty = False
            if connection.open and not connection.watches_write:
                self.send_output(connection)

    def send_output(self, connection: Connection) -> None:
        """Send as much as the socket takes; have the leader wait for room for the rest."""
        session = connection.session
        unsent = connection.unsent
        try:
            while unsent or session.has_output():
                if not unsent:
                    unsent.extend(session.take_output())
                piece = unsent[0]
                count = connection.socket.send(piece)
                session.note_sent(count)
                if count == len(piece):
                    unsent.popleft()
                else:
                    unsent[0] = memoryview(piece)[count:]
        except BlockingIOError:
            pass
        except OSError as error:
            self.lose(connection, error)
            return
        if unsent or connection.watches_write:
            self.watch_write(connection, bool(unsent))

    def unsent_size(self) -> int:
        """Return how many bytes wait to be sent, on all connections together."""
        return sum(
            connection.session.written - connection.session.sent
            for connection in self.connections.values()
        )

    def watch_write(self, connection: Connection, wanted: bool) -> None:
        """Have the leader wait for room in the socket's buffer, or no more."""
        if wanted != connection.watches_write:
            connection.watches_write = wanted
            self.turns.watch(connection.socket, connection, wanted)

    # Losing connections.

    def lose(self, connection: Connection, cause: Exception | None) -> None:
        """Take in that a connection ended; place again what may be, and fail the rest."""
        if not connection.open:
            return
        self.receive_rest(connection)
        self.drop(connection)
        server = connection.server
        reason = explain(cause) if isinstance(cause, OSError) else str(cause or "connection closed")
        self.placement.note_failure(server, time.monotonic(), reason)
        self.unplaced.take_losses(server, connection.session.end(), cause, time.monotonic())
        self.turns.ring_bell()
        self.turns.settle()

    def receive_rest(self, connection: Connection) -> None:
        """Read what the server said before the connection broke."""
        try:
            while connection.session.fault is None:
                data = connection.socket.recv(_RECEIVE_SIZE)
                if not data:
                    return
                self.take(connection, data)
        except OSError:
            return

    def drop(self, connection: Connection) -> None:
        """Close the socket and forget it."""
        connection.open = False
        del self.connections[connection.server.address]
        self.turns.unwatch(connection.socket)
        connection.socket.close()

    # The end.

    def close(self) -> None:
        """Close all connections; jobs that have not ended are lost. Safe to call twice."""
        with self.turns.lock:
            self.closed = True
            self.unplaced.may_resend = False
            for connection in list(self.connections.values()):
                self.lose(connection, UsageError(_CLOSED))
            self.unplaced.fail_all(_CLOSED)
            self.turns.close()

    def start_anew_in_child(self) -> None:
        """
        Let go of what a forked process shares with its parent.

        The sockets are the parent's: two processes can't both read the answers. They are
        closed here without a word to the server, and jobs under way are lost to the child.
        """
        self.turns.start_anew_in_child()
        self.dialing = False
        cause = UsageError("the connection stayed with the parent process")
        for connection in self.connections.values():
            connection.open = False
            connection.socket.close()
            events = connection.session.end()
            self.unplaced.take_losses(connection.server, events, cause, time.monotonic())
        self.connections = {}
        self.dirty.clear()
        self.unplaced.fail_all(str(cause))


def _never() -> bool:
    return False


@mypyc_attr(native_class=False)
class Anchor:
    """Lets a pump be found after a fork, while there is one: compiled, it can't be weakly held."""

    def __init__(self, pump: Pump) -> None:
        self.pump = pump
        _ANCHORS.add(self)


_ANCHORS: Final[weakref.WeakSet[Anchor]] = weakref.WeakSet()


def _start_anew_in_child() -> None:
    for anchor in list(_ANCHORS):
        anchor.pump.start_anew_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_in_child)


__all__ = ["Connection", "Pump"]
