"""
The asyncio administration client: the blocking one's methods, to be awaited.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self, TypeVar

from geartrain.client import admin_replies as replies
from geartrain.client.address import AddressLike, parse_address, parse_addresses
from geartrain.client.admin import REPLY_TIMEOUT
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
from geartrain.client.dialing import CONNECT_TIMEOUT, explain
from geartrain.client.dialing_aio import dial_protocol
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive
from geartrain.client.reports import JobHandle
from geartrain.errors import ConnectionFailed, ConnectionLost

Result = TypeVar("Result")

_RECEIVE_SIZE: Final = 64 * 1024


class AsyncAdminClient:
    """
    Asks one server about itself, and tells it what to do.

    Tasks may share it. To be closed, or used in an ``async with`` block. The methods raise
    what those of `AdminClient` raise.

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
        self._lock = asyncio.Lock()
        self._reader: asyncio.StreamReader | None = None
        self._transport: asyncio.Transport | None = None
        self._conversation = Conversation()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; the next command opens another."""
        async with self._lock:
            self._drop()
            # The transport is closed in the next pass of the event loop.
            await asyncio.sleep(0)

    # What the server does.

    async def status(self) -> list[FunctionStatus]:
        """Return each function with its jobs and workers."""
        return await self._run(replies.STATUS)

    async def priority_status(self) -> list[PriorityStatus]:
        """Return each function with its waiting jobs by priority."""
        return await self._run(replies.PRIORITY_STATUS)

    async def waits(self) -> list[FunctionWait]:
        """
        Return for each function how long its jobs wait.

        Raises:
            ServerError: The server is gearmand, which does not know.

        """
        return await self._run(replies.WAITS)

    async def workers(self) -> list[ConnectedPeer]:
        """Return each connection; workers are those that have functions."""
        return await self._run(replies.WORKERS)

    async def show_jobs(self) -> list[ListedJob]:
        """Return each job."""
        return await self._run(replies.SHOW_JOBS)

    async def cluster(self) -> list[ClusterMember]:
        """Return the servers that share the server's store, itself included."""
        return await self._run(replies.CLUSTER)

    async def show_unique_jobs(self) -> list[str]:
        """Return the unique key of each job, empty for those without."""
        return await self._run(replies.SHOW_UNIQUE_JOBS)

    async def show_job(self, job: JobHandle | str | bytes) -> dict[str, str]:
        """Return what the server knows of a job, be it here or ended; names and values."""
        return await self._run(replies.show_job(job))

    async def dead_letters(self, after: int = 0) -> list[DeadLetter]:
        """
        Return jobs that were given up and kept, the oldest first, a hundred at most.

        Args:
            after: Number of the last one that is known; those behind it are returned.

        """
        return await self._run(replies.dead_letters(after))

    async def version(self) -> str:
        """Return the server's version."""
        return await self._run(replies.VERSION)

    async def getpid(self) -> int:
        """Return the server's process id."""
        return await self._run(replies.GETPID)

    async def verbose(self) -> str:
        """Return how much the server logs, such as ``INFO``."""
        return await self._run(replies.VERBOSE)

    # Switches.

    async def cancel_job(self, job: JobHandle | str | bytes) -> None:
        """Cancel a waiting job; its clients get WORK_FAIL. A running job is not stopped."""
        await self._run(replies.cancel_job(job))

    async def retry_job(self, job: JobHandle | str | bytes) -> None:
        """Make a dead letter a job again."""
        await self._run(replies.retry_job(job))

    async def remove_job(self, job: JobHandle | str | bytes) -> None:
        """Forget a dead letter for good."""
        await self._run(replies.remove_job(job))

    async def create_function(self, function: str | bytes) -> None:
        """Make a function known before a worker or a job does."""
        await self._run(replies.create_function(function))

    async def drop_function(self, function: str | bytes) -> None:
        """Forget a function that has no workers."""
        await self._run(replies.drop_function(function))

    async def maxqueue(
        self, function: str | bytes, limit: int | tuple[int, int, int] | None = None
    ) -> None:
        """Limit how many jobs a function may have; see `AdminClient.maxqueue`."""
        await self._run(replies.maxqueue(function, limit))

    async def shutdown(self, *, graceful: bool = False) -> None:
        """Stop the server; ``graceful`` lets it finish its jobs first."""
        await self._run(replies.shutdown(graceful), end_is_reply=True)

    # The connection.

    async def _run(self, command: Command[Result], end_is_reply: bool = False) -> Result:
        """Send a command and return what the reply says."""
        async with self._lock:
            transport, reader = await self._connect()
            complete = False
            try:
                self._conversation.start()
                transport.write(command.request())
                async with asyncio.timeout(self._timeout):
                    while not complete:
                        data = await reader.read(_RECEIVE_SIZE)
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

    async def _connect(self) -> tuple[asyncio.Transport, asyncio.StreamReader]:
        transport, reader = self._transport, self._reader
        if transport is not None and reader is not None:
            # Whether the server has closed the connection is known once the loop has run.
            await asyncio.sleep(0)
            if not reader.at_eof() and not transport.is_closing():
                return transport, reader
            self._drop()
        self._reader = reader = asyncio.StreamReader()
        try:
            self._transport, _ = await dial_protocol(
                self.address,
                lambda: asyncio.StreamReaderProtocol(reader),
                self._connect_timeout,
                self._keepalive,
            )
        except OSError as error:
            raise ConnectionFailed({str(self.address): explain(error)}) from error
        self._conversation = Conversation()
        return self._transport, reader

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


__all__ = ["AsyncAdminClient"]
