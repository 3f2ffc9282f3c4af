"""
The connections of a worker of python-gearman's kind, served by the thread that calls ``work``.

Which words go over the wire is decided by the worker's `WorkerSession`, one per
connection, all drawing on the same slots. Dialing blocks, as it always did.
"""

from __future__ import annotations

import logging
import random
import selectors
import socket
import threading
import time
from typing import Final

from geartrain.client.address import Address
from geartrain.client.backoff import Backoff
from geartrain.client.dialing import dial, explain
from geartrain.compat.gearman.connection import GearmanConnection
from geartrain.worker.log import log_errors, log_loss
from geartrain.worker.session import Assignment, Slots, WorkerSession

logger = logging.getLogger("gearman.worker")

_READ_SIZE: Final = 64 * 1024
# Seconds. A silence is noticed at the second look, so it has lasted one to two of these.
_LOOK: Final = 15.0
# A server that takes nothing for so long is given up.
_SEND_TIMEOUT: Final = 60.0
_LONGEST_DELAY: Final = 30.0


class WorkerConnection(GearmanConnection):
    """
    One server of a worker.

    Attributes:
        socket: The connection, or None.
        session: What to say on it, or None.
        retry_at: When to dial again, by the monotonic clock.
        failure: Why it is not connected; empty before the first attempt.

    """

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.socket: socket.socket | None = None
        self.session: WorkerSession | None = None
        self.backoff = Backoff(random.random, limit=_LONGEST_DELAY)
        self.retry_at = 0.0
        self.failure = ""

    @property
    def connected(self) -> bool:
        """Whether a connection to it stands."""
        return self.socket is not None


class WorkerConnections:
    """
    All connections of one worker.

    Handlers may report from other threads, so everything said goes out under one lock.

    Attributes:
        slots: Room for one job at a time, more while jobs are put off.
        abilities: Function -> 0, as sessions take them.
        client_id: Name of the worker in the servers' lists, or empty.

    """

    def __init__(self) -> None:
        self.slots = Slots(1)
        self.abilities: dict[bytes, int] = {}
        self.client_id = b""
        self.lock = threading.RLock()
        self.connections: list[WorkerConnection] = []
        # One without a descriptor, which processes forked before the work begins would share.
        self.selector = selectors.PollSelector()
        self.by_session: dict[WorkerSession, WorkerConnection] = {}
        # Jobs whose handler returned without ending them.
        self.put_off: set[Assignment] = set()
        self.next_look = 0.0
        # Whether anything came during the last `wait`.
        self.heard = False
        # Whether the connections are being ended on purpose.
        self.leaving = False

    # Connecting.

    def any_connected(self) -> bool:
        """Return whether there is a connection."""
        return any(connection.connected for connection in self.connections)

    def connect_due(self, timeout: float, insist: bool = False) -> None:
        """Dial the servers whose time has come; with ``insist`` all that are not connected."""
        for connection in self.connections:
            if not connection.connected and (insist or connection.retry_at <= time.monotonic()):
                self.connect(connection, timeout)

    def connect(self, connection: WorkerConnection, timeout: float) -> None:
        """Dial one server."""
        try:
            connected = dial(connection.address, timeout)
        except (OSError, UnicodeError) as error:
            connection.failure = explain(error) if isinstance(error, OSError) else str(error)
            connection.retry_at = time.monotonic() + connection.backoff.next_delay()
            logger.debug("%s: %s", connection.address, connection.failure)
            return
        connected.settimeout(_SEND_TIMEOUT)
        connection.backoff.reset()
        with self.lock:
            session = WorkerSession(self.slots, self.client_id, self.abilities, [b"exceptions"])
            connection.socket, connection.session = connected, session
            self.by_session[session] = connection
            self.selector.register(connected, selectors.EVENT_READ, connection)
            session.announce()
            self.flush()

    def lose(self, connection: WorkerConnection, reason: str) -> None:
        """Close a connection that failed; its server gives the jobs held to other workers."""
        with self.lock:
            session, connected = connection.session, connection.socket
            if session is None or connected is None:
                return
            if not self.leaving:
                log_loss(connection.address, reason, len(session.held))
            connection.failure = reason
            connection.retry_at = time.monotonic() + connection.backoff.next_delay()
            self.close(connection)

    def close(self, connection: WorkerConnection) -> None:
        """Close one connection."""
        session, connected = connection.session, connection.socket
        if session is None or connected is None:
            return
        connection.socket = connection.session = None
        self.selector.unregister(connected)
        connected.close()
        del self.by_session[session]
        session.lose()
        for assignment in [one for one in self.put_off if one.session is session]:
            self.take_back(assignment)
            session.finish(assignment)

    def close_all(self) -> None:
        """Close all connections, and be as new."""
        with self.lock:
            for connection in self.connections:
                self.close(connection)
                connection.retry_at = 0.0
            self.slots = Slots(1)
            self.leaving = False

    def interrupt(self) -> None:
        """End the connections from another thread, or from a signal's handler."""
        self.leaving = True
        for connection in self.connections:
            connected = connection.socket
            if connected is not None:
                try:
                    connected.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    # Waiting.

    def wait(self, deadline: float | None) -> list[tuple[WorkerConnection, Assignment]] | None:
        """
        Wait for something to come, and return the jobs in it; None where ``deadline`` came first.

        Returns early, with an empty list, when a server is to be dialled or has been silent.
        """
        ready = self.selector.select(self.time_to_wait(deadline))
        self.heard = bool(ready)
        jobs = []
        for key, _ in ready:
            jobs += [(key.data, assignment) for assignment in self.read(key.data)]
        if time.monotonic() >= self.next_look:
            self.check_answers()
        if not ready and deadline is not None and time.monotonic() >= deadline:
            return None
        return jobs

    def time_to_wait(self, deadline: float | None) -> float | None:
        moments = [one.retry_at for one in self.connections if not one.connected]
        if any(session.awaits_answer() for session in self.by_session):
            moments.append(self.next_look)
        if deadline is not None:
            moments.append(deadline)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def read(self, connection: WorkerConnection) -> list[Assignment]:
        """Take what a server sent and return the jobs in it."""
        session, connected = connection.session, connection.socket
        if session is None or connected is None:
            return []
        try:
            data = connected.recv(_READ_SIZE)
        except OSError as error:
            self.lose(connection, explain(error))
            return []
        if not data:
            self.lose(connection, "the server closed the connection")
            return []
        with self.lock:
            jobs = session.receive_data(data)
            log_errors(connection.address, session.take_errors())
            if session.fault is not None:
                self.lose(connection, f"it broke the protocol: {session.fault}")
            self.flush()
        return jobs

    def check_answers(self) -> None:
        """Give up servers that owe an answer and say nothing."""
        self.next_look = time.monotonic() + _LOOK
        for session, connection in list(self.by_session.items()):
            if session.is_stuck():
                self.lose(connection, f"no answer for {_LOOK:g} s and more")

    # Saying.

    def flush(self) -> None:
        """Send what the sessions have written."""
        with self.lock:
            for session in self.slots.take_written():
                connection = self.by_session.get(session)
                pieces = session.take_output()
                if connection is None or connection.socket is None:
                    continue
                try:
                    connection.socket.sendall(b"".join(pieces))
                except OSError as error:
                    self.lose(connection, explain(error))

    def end(self, assignment: Assignment, kind: int, data: bytes = b"") -> None:
        """End a job, once; a second end is ignored."""
        with self.lock:
            if assignment not in assignment.session.held:
                return
            self.take_back(assignment)
            if not assignment.session.end(assignment, kind, data):
                logger.warning(
                    "%s: the connection it came by is gone, and the server gave the job to "
                    "another worker; the result is dropped",
                    assignment.handle.decode("ascii", "backslashreplace"),
                )
            self.flush()

    def hold_grabs(self) -> None:
        """Ask for no job until `release_grabs`: whether to go on is not known yet."""
        with self.lock:
            self.slots.free -= 1

    def drop(self, assignment: Assignment) -> None:
        """Forget a job whose function was withdrawn: its server gives it to another worker."""
        with self.lock:
            assignment.session.finish(assignment)
            self.flush()

    def release_grabs(self) -> None:
        """Ask for the next job."""
        with self.lock:
            self.slots.free += 1
            self.slots.deal()
            self.flush()

    def put_off_end(self, assignment: Assignment) -> None:
        """Make room for other jobs where a handler returned without ending its own."""
        with self.lock:
            session = assignment.session
            if assignment not in session.held:
                return
            if not session.open:
                session.finish(assignment)
                return
            self.put_off.add(assignment)
            self.slots.capacity += 1
            self.slots.free += 1

    def take_back(self, assignment: Assignment) -> None:
        """Take the room of `put_off_end` back, ahead of the job's end."""
        if assignment in self.put_off:
            self.put_off.discard(assignment)
            self.slots.capacity -= 1
            self.slots.free -= 1


__all__ = ["WorkerConnection", "WorkerConnections"]
