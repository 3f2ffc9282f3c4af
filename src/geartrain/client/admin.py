"""
The blocking administration client: what a server does, and a few switches.

Each method is one text command to one server. Connects when it is first used,
and again after it was cut off; nothing is sent twice.
"""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Final, Self, TypeVar

from geartrain.client import admin_replies as replies
from geartrain.client.address import AddressLike, parse_address, parse_addresses
from geartrain.client.admin_replies import (
    ClusterMember,
    Command,
    ConnectedPeer,
    Conversation,
    DeadLetter,
    FunctionStatus,
    FunctionWait,
    ListedJob,
    PriorityStatus,
)
from geartrain.client.dialing import CONNECT_TIMEOUT, dial, explain
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive
from geartrain.client.reports import JobHandle
from geartrain.errors import ConnectionFailed, ConnectionLost

Result = TypeVar("Result")

# Seconds.
REPLY_TIMEOUT: Final = 10.0

_RECEIVE_SIZE: Final = 64 * 1024


class AdminClient:
    """
    Asks one server about itself, and tells it what to do.

    Threads may share it. To be closed, or used in a ``with`` block. All methods raise

    - `ConnectionFailed` where the server can't be reached,
    - `ConnectionLost` where the connection ends, or time is over, before the reply,
    - `ServerError` where the server answers with an error.

    Args:
        server: The server's address; None for the first of ``GEARMAN_SERVERS``, or
            one on this machine.
        timeout: Seconds to wait for a reply.
        connect_timeout: Seconds for one attempt to connect.
        keepalive: When the kernel probes the quiet connection; None for never.

    """

    def __init__(
        self,
        server: AddressLike | None = None,
        *,
        timeout: float = REPLY_TIMEOUT,
        connect_timeout: float = CONNECT_TIMEOUT,
        keepalive: Keepalive | None = DEFAULT_KEEPALIVE,
    ) -> None:
        self.address = parse_addresses()[0] if server is None else parse_address(server)
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._keepalive = keepalive
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._conversation = Conversation()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        with self._lock:
            self._drop()

    # What the server does.

    def status(self) -> list[FunctionStatus]:
        """Return each function with its jobs and workers."""
        return self._run(replies.STATUS)

    def priority_status(self) -> list[PriorityStatus]:
        """Return each function with its waiting jobs by priority."""
        return self._run(replies.PRIORITY_STATUS)

    def waits(self) -> list[FunctionWait]:
        """
        Return for each function how long its jobs wait.

        Raises:
            ServerError: The server is gearmand, which does not know.

        """
        return self._run(replies.WAITS)

    def workers(self) -> list[ConnectedPeer]:
        """Return each connection; workers are those that have functions."""
        return self._run(replies.WORKERS)

    def show_jobs(self) -> list[ListedJob]:
        """Return each job."""
        return self._run(replies.SHOW_JOBS)

    def cluster(self) -> list[ClusterMember]:
        """Return the servers that share the server's store, itself included."""
        return self._run(replies.CLUSTER)

    def show_unique_jobs(self) -> list[str]:
        """Return the unique key of each job, empty for those without."""
        return self._run(replies.SHOW_UNIQUE_JOBS)

    def show_job(self, job: JobHandle | str | bytes) -> dict[str, str]:
        """Return what the server knows of a job, be it here or ended; names and values."""
        return self._run(replies.show_job(job))

    def dead_letters(self, after: int = 0) -> list[DeadLetter]:
        """
        Return jobs that were given up and kept, the oldest first, a hundred at most.

        Args:
            after: Number of the last one that is known; those behind it are returned.

        """
        return self._run(replies.dead_letters(after))

    def version(self) -> str:
        """Return the server's version."""
        return self._run(replies.VERSION)

    def getpid(self) -> int:
        """Return the server's process id."""
        return self._run(replies.GETPID)

    def verbose(self) -> str:
        """Return how much the server logs, such as ``INFO``."""
        return self._run(replies.VERBOSE)

    # Switches.

    def cancel_job(self, job: JobHandle | str | bytes) -> None:
        """Cancel a waiting job; its clients get WORK_FAIL. A running job is not stopped."""
        self._run(replies.cancel_job(job))

    def retry_job(self, job: JobHandle | str | bytes) -> None:
        """Make a dead letter a job again."""
        self._run(replies.retry_job(job))

    def remove_job(self, job: JobHandle | str | bytes) -> None:
        """Forget a dead letter for good."""
        self._run(replies.remove_job(job))

    def create_function(self, function: str | bytes) -> None:
        """Make a function known before a worker or a job does."""
        self._run(replies.create_function(function))

    def drop_function(self, function: str | bytes) -> None:
        """Forget a function that has no workers."""
        self._run(replies.drop_function(function))

    def maxqueue(
        self, function: str | bytes, limit: int | tuple[int, int, int] | None = None
    ) -> None:
        """
        Limit how many jobs a function may have; further submissions are refused.

        Args:
            function: Its name; servers ignore the command for one they don't know.
            limit: Jobs, or a triple for high, normal and low priority; 0 for no limit,
                None for the server's default.

        """
        self._run(replies.maxqueue(function, limit))

    def shutdown(self, *, graceful: bool = False) -> None:
        """Stop the server; ``graceful`` lets it finish its jobs first."""
        self._run(replies.shutdown(graceful), end_is_reply=True)

    # The connection.

    def _run(self, command: Command[Result], end_is_reply: bool = False) -> Result:
        """Send a command and return what the reply says."""
        with self._lock:
            connected = self._connect()
            deadline = time.monotonic() + self._timeout
            complete = False
            try:
                self._conversation.start()
                connected.settimeout(self._timeout)
                connected.sendall(command.request())
                while not complete:
                    connected.settimeout(max(0.001, deadline - time.monotonic()))
                    data = connected.recv(_RECEIVE_SIZE)
                    if not data:
                        break
                    complete = self._conversation.receive_data(data, command)
            except OSError as error:
                if not (end_is_reply and isinstance(error, ConnectionError)):
                    reason = f"{self.address} gave no reply to {command.line!r}: {explain(error)}"
                    raise ConnectionLost(str(self.address), reason) from error
            finally:
                # What may still come would be taken for the reply to the next command.
                if not complete or self._conversation.fault is not None:
                    self._drop()
            if not complete and end_is_reply:
                return command.read([b"OK"])
            if not complete:
                raise ConnectionLost(str(self.address))
            return self._conversation.result(command)

    def _connect(self) -> socket.socket:
        if self._socket is not None and self._is_stale(self._socket):
            self._drop()
        if self._socket is None:
            try:
                self._socket = dial(self.address, self._connect_timeout, self._keepalive)
            except OSError as error:
                raise ConnectionFailed({str(self.address): explain(error)}) from error
            self._conversation = Conversation()
        return self._socket

    def _is_stale(self, connected: socket.socket) -> bool:
        """Return whether the server has closed the connection, or said what nobody asked."""
        connected.setblocking(False)
        try:
            connected.recv(1)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


__all__ = ["REPLY_TIMEOUT", "AdminClient"]
