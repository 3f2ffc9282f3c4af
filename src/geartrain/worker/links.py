"""
The connections of a blocking worker: sockets, their sessions, and one lock.

A `LinkGroup` is a number of connections, one per server, that share slots.
The threads that run handlers write results themselves, under the group's
lock; reading, opening and closing sockets is left to the worker's own thread.
"""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from geartrain.client.address import Address
from geartrain.client.backoff import Backoff
from geartrain.worker.job import Ending
from geartrain.worker.log import log_dropped, log_ending, log_errors
from geartrain.worker.session import Assignment, Slots, WorkerSession

# A handler that sends data faster than the server takes it waits when this much is unsent.
MOST_UNSENT: Final = 1024 * 1024
_POLL_MILLISECONDS: Final = 1000


class Link:
    """
    One server, as one group of connections knows it.

    Attributes:
        address: Where it listens.
        socket: The connection, or None.
        session: The session on that connection, or None.
        unsent: What the socket did not take yet, in order.
        connected_at: When the connection was made, by the monotonic clock.
        dialing: Whether a connection is being made, or will be after a pause.
        watches_write: Whether the selector waits for room in the socket's buffer.
        was_ready: Whether the server has taken note of the abilities.
        gathering: Whether the kernel may keep the next write until the last one is answered.

    """

    def __init__(self, group: LinkGroup, address: Address, backoff: Backoff) -> None:
        self.group = group
        self.address = address
        self.backoff = backoff
        self.socket: socket.socket | None = None
        self.session: WorkerSession | None = None
        self.unsent: deque[memoryview] = deque()
        self.connected_at = 0.0
        self.dialing = False
        self.watches_write = False
        self.was_ready = False
        self.gathering = False

    def gather(self, wanted: bool) -> None:
        """
        Have the next write wait for the answer to the last one, or nothing wait any more.

        The kernel does it (Nagle's algorithm). Where servers say nothing to the last write it would
        wait for their kernel's acknowledgement, which takes 40 ms.
        """
        if self.gathering == wanted or self.socket is None:
            return
        self.gathering = wanted
        if self.socket.family in (socket.AF_INET, socket.AF_INET6):
            # A connection that is gone may refuse; reading from it will say so too.
            with suppress(OSError):
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not wanted)

    def send(self, pieces: list[bytes]) -> None:
        """Send what the socket takes at once, and keep the rest."""
        if len(pieces) == 1 and not self.unsent and self.socket is not None:
            # The usual case, without building a queue for it.
            piece = pieces[0]
            try:
                sent = self.socket.send(piece)
            except BlockingIOError:
                sent = 0
            except OSError:
                # Reading from it will say so too, and then the link is dropped.
                return
            if sent < len(piece):
                self.unsent.append(memoryview(piece)[sent:])
            return
        self.unsent.extend(memoryview(piece) for piece in pieces)
        self.send_rest()

    def send_rest(self) -> None:
        """Send what was left unsent, as far as the socket takes it."""
        while self.unsent and self.socket is not None:
            piece = self.unsent[0]
            try:
                sent = self.socket.send(piece)
            except BlockingIOError:
                return
            except OSError:
                self.unsent.clear()
                return
            if sent < len(piece):
                self.unsent[0] = piece[sent:]
                return
            self.unsent.popleft()

    def wait_for_room(self) -> None:
        """Block while more is unsent than a handler may pile up."""
        while True:
            with self.group.lock:
                if self.socket is None or sum(map(len, self.unsent)) < MOST_UNSENT:
                    return
                poller = select.poll()
                poller.register(self.socket.fileno(), select.POLLOUT)
            # The time limit only covers a socket that is closed meanwhile, which wakes nobody.
            poller.poll(_POLL_MILLISECONDS)
            with self.group.lock:
                self.send_rest()


class LinkGroup:
    """
    Connections that share slots, one per server.

    Safe to call from any thread, except where a method says otherwise.

    Args:
        slots: How many jobs this group may hold.
        new_session: Makes a session for a new connection.
        ask_to_write: Called with a link whose socket did not take everything.

    Attributes:
        enabled: Whether the group should be connected.
        stopping: Whether no more jobs are to be asked for. Set ahead of `stop`, because the
            worker's thread may be busy in a handler.
        gathers: Whether results may leave together while the server has not answered the grab
            that was sent before them. Set before anything is connected.

    """

    def __init__(
        self,
        slots: Slots,
        new_session: Callable[[Slots], WorkerSession],
        ask_to_write: Callable[[Link], None],
    ) -> None:
        self.slots = slots
        self.new_session = new_session
        self.ask_to_write = ask_to_write
        self.gathers = False
        self.lock = threading.Lock()
        self.links: list[Link] = []
        self.by_session: dict[WorkerSession, Link] = {}
        self.enabled = True
        self.stopping = False

    # The worker's own thread.

    def connect(self, link: Link, connection: socket.socket) -> None:
        """Start a session on a new connection."""
        connection.setblocking(False)
        with self.lock:
            session = self.new_session(self.slots)
            link.socket = connection
            link.gathering = False
            link.session = session
            self.by_session[session] = link
            session.announce()
            self.flush()

    def receive(self, link: Link, data: bytes) -> list[Assignment]:
        """Take what arrived on a link and return the jobs to start."""
        session = link.session
        if session is None:
            return []
        with self.lock:
            jobs = session.receive_data(data)
            self.flush()
        if session.errors:
            log_errors(link.address, session.take_errors())
        return jobs

    def close(self, link: Link) -> None:
        """Close a link's connection. The server gives the jobs it held to other workers."""
        with self.lock:
            session, connection = link.session, link.socket
            link.session = link.socket = None
            link.unsent.clear()
            link.was_ready = link.watches_write = False
            if session is not None:
                del self.by_session[session]
                session.lose()
            if connection is not None:
                connection.close()
            self.flush()

    def sever(self) -> None:
        """
        Cut all connections, at once and from any thread; their links are closed later.

        A server gives the jobs of a connection that ended to other workers, and takes it
        that they were lost with this one; `resign` gives them back in order.
        """
        with self.lock:
            for link in self.links:
                if link.session is not None:
                    link.session.lose()
                if link.socket is not None:
                    _shut_down(link.socket)

    def resign(self) -> None:
        """Give all jobs back and cut all connections, from any thread."""
        with self.lock:
            for session in self.slots.sessions:
                session.resign()
            self.flush()
        self.sever()

    def stop(self) -> None:
        """Ask for no more jobs."""
        self.stopping = True
        with self.lock:
            self.stop_sessions()
            self.flush()

    def is_done(self) -> bool:
        """Return whether no handler runs and the servers have taken every result."""
        with self.lock:
            return self.slots.free == self.slots.capacity and all(
                session.is_done() for session in self.slots.sessions
            )

    # Any thread.

    def end(self, assignment: Assignment, ending: Ending) -> None:
        """Send how a job ended, and the grab for the next one in the same write."""
        session = assignment.session
        with self.lock:
            if self.stopping:
                self.stop_sessions()
            sent = session.end(assignment, ending.kind, ending.data)
            self.flush()
        if ending.log:
            log_ending(assignment, ending)
        if not sent:
            log_dropped(assignment)

    def drop(self, assignment: Assignment) -> None:
        """Give up a job that did not start, because its connection is gone."""
        with self.lock:
            assignment.session.finish(assignment)
            self.flush()

    def progress(self, ticket: object, numerator: int, denominator: int) -> None:
        """Send WORK_STATUS for the assignment that ``ticket`` is."""
        assert isinstance(ticket, Assignment)
        with self.lock:
            ticket.session.status(ticket, numerator, denominator)
            self.flush()

    def data(self, ticket: object, data: bytes) -> None:
        """Send WORK_DATA; blocks while the server is far behind."""
        assert isinstance(ticket, Assignment)
        with self.lock:
            ticket.session.data(ticket, data)
            self.flush()
            link = self.by_session.get(ticket.session)
        if link is not None and link.unsent:
            link.wait_for_room()

    def warn(self, ticket: object, data: bytes) -> None:
        """Send WORK_WARNING."""
        assert isinstance(ticket, Assignment)
        with self.lock:
            ticket.session.warning(ticket, data)
            self.flush()

    def stop_sessions(self) -> None:
        """Have no session ask for more jobs. The caller holds the lock."""
        for session in self.slots.sessions:
            session.stop()

    def flush(self) -> None:
        """Send what the sessions have written. The caller holds the lock."""
        for session in self.slots.take_written():
            link = self.by_session.get(session)
            if link is not None:
                grabs = session.grabs_next
                link.send(session.take_output())
                if self.gathers:
                    link.gather(grabs)
                if link.unsent and not link.watches_write:
                    link.watches_write = True
                    self.ask_to_write(link)


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The peer was faster.
        return


__all__ = ["MOST_UNSENT", "Link", "LinkGroup"]
