"""
The connections of an asyncio client.

What is submitted during one pass of the event loop leaves in one write at its
end. There is a task only while a server is looked for, and a timer only while
an answer is due: an idle client costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections import deque
from random import random
from typing import Final, cast

from geartrain.client.address import Address
from geartrain.client.dialing import explain
from geartrain.client.dialing_aio import dial_protocol
from geartrain.client.job import JobRecord
from geartrain.client.placement import Placement, Server, candidates, failures, next_attempt
from geartrain.client.question import Question
from geartrain.client.session import Request, Session
from geartrain.client.settings import Settings
from geartrain.client.unplaced import Unplaced, take_events
from geartrain.errors import ConnectionFailed, UsageError
from geartrain.wire.packet import OPTION_REQ

# Bytes given to a transport count as sent, so it gets no more than this beyond what the socket
# takes, and large workloads in slices.
_HIGH_WATER: Final = 128 * 1024
_SLICE: Final = 64 * 1024
# Read at a time.
_RECEIVE_SIZE: Final = 64 * 1024

_CLOSED: Final = "the client was closed"


class Connection(asyncio.BufferedProtocol):
    """
    An open connection: transport and session.

    Attributes:
        heard_at: When the server last said something it owed, by the loop's clock.
        cause: Why it ends, where this side knows better than the transport.
        ended: Resolved when the transport is closed.

    """

    def __init__(self, pump: AsyncPump, server: Server) -> None:
        self.pump = pump
        self.server = server
        self.session = Session(pump.settings.max_packet)
        self.heard_at = 0.0
        self.cause: Exception | None = None
        self.answered = False
        self.scheduled = False
        self.paused = False
        # What the transport did not get yet, because the socket does not keep up.
        self.unsent: deque[bytes | memoryview] = deque()
        self.transport: asyncio.Transport | None = None
        self.poller: select.poll | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.ended = pump.loop.create_future()
        # asyncio would allocate 256 KiB for each read, from the kernel, and give them back.
        self.incoming = bytearray(_RECEIVE_SIZE)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(_HIGH_WATER)
        if hasattr(select, "poll"):
            self.poller = select.poll()
            self.poller.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return where to put what arrives."""
        return self.incoming

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what has arrived."""
        data = bytes(memoryview(self.incoming)[:nbytes])
        self.heard_at = self.pump.loop.time()
        if not self.answered:
            self.answered = True
            self.pump.placement.note_answer(self.server)
        take_events(self.session.receive_data(data))
        if self.session.fault is not None:
            self.abort(self.session.fault)

    def connection_lost(self, error: Exception | None) -> None:
        """Sort out what was under way."""
        self.pump.lose(self, self.cause or error)
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        """Keep further bytes in the session."""
        self.paused = True

    def resume_writing(self) -> None:
        """Send what has gathered meanwhile."""
        self.paused = False
        self.flush()

    # What the client calls.

    def send(self, request: Request) -> None:
        """Put a request on the output, which leaves at the end of this pass of the loop."""
        loop = self.pump.loop
        quiet = self.session.is_quiet()
        if not self.session.waiting:
            self.heard_at = loop.time()
            self.watch_silence()
        self.session.send(request)
        if not self.scheduled:
            self.scheduled = True
            if quiet and self.has_unread():
                # The server has gone, or has something to say before it goes. The loop reads it
                # between one pass and the next; then this request is known not to have left.
                loop.call_soon(loop.call_soon, self.flush)
            else:
                loop.call_soon(self.flush)

    def has_unread(self) -> bool:
        """Return whether the socket has something that the loop has not read yet."""
        return self.poller is not None and bool(self.poller.poll(0))

    def flush(self) -> None:
        """Hand the output to the transport, as far as the socket keeps up."""
        self.scheduled = False
        if self.transport is None or self.transport.is_closing():
            return
        if not self.unsent:
            self.unsent.extend(self.session.take_output())
        while self.unsent and not self.paused and not self.transport.is_closing():
            piece = self.unsent[0]
            if len(piece) <= _SLICE:
                self.unsent.popleft()
            else:
                rest = memoryview(piece)
                piece = rest[:_SLICE]
                self.unsent[0] = rest[_SLICE:]
            self.session.note_sent(len(piece))
            self.transport.write(piece)
            if not self.unsent:
                self.unsent.extend(self.session.take_output())

    def watch_silence(self) -> None:
        """Have a timer look whether the server goes on answering."""
        patience = self.pump.settings.answer_timeout
        if patience is not None and self.timer is None:
            self.timer = self.pump.loop.call_at(self.heard_at + patience, self.check_silence)

    def check_silence(self) -> None:
        """Give the connection up where an answer is due for too long."""
        self.timer = None
        patience = self.pump.settings.answer_timeout
        if patience is None or not self.session.waiting:
            return
        if self.pump.loop.time() - self.heard_at >= patience:
            self.abort(TimeoutError(f"no answer for {patience:g} s"))
        else:
            self.watch_silence()

    def abort(self, cause: Exception) -> None:
        """End it now, for a reason of this side's own."""
        self.cause = cause
        if self.transport is not None:
            self.transport.abort()
        # The transport reports it in the next pass; until then nobody may submit here.
        self.pump.lose(self, cause)


class AsyncPump:
    """
    Moves requests to servers and answers back, on the running event loop.

    Args:
        addresses: The servers.
        settings: How to treat them.

    Attributes:
        options: Options asked for on each connection as it opens.
        unplaced: Submissions that have no server yet, or none any more.

    """

    def __init__(self, addresses: list[Address], settings: Settings) -> None:
        self.settings = settings
        self.placement = Placement(addresses, settings.placement, random)
        self.unplaced = Unplaced(self.placement, settings.patience, settings.resend == "if_unique")
        self.options: list[bytes] = [b"exceptions"] if settings.exceptions else []
        self.connections: dict[Address, Connection] = {}
        # Connections being made, so that two who need one share it.
        self.dialing: dict[Address, asyncio.Task[Connection | None]] = {}
        self.placing: asyncio.Task[None] | None = None
        self.news = asyncio.Event()
        self.closed = False
        self.running_loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the first use; the client belongs to it."""
        if self.running_loop is None:
            self.running_loop = asyncio.get_running_loop()
        return self.running_loop

    def check_open(self) -> None:
        """Raise `UsageError` where the client is closed, or belongs to another event loop."""
        if self.closed:
            raise UsageError("the client is closed; make a new one")
        if self.loop is not asyncio.get_running_loop():
            raise UsageError("the client belongs to another event loop; make one for each")

    # Submitting.

    def submit(self, record: JobRecord) -> None:
        """Put a submission on its way: to a server, or where none is connected, in line for one."""
        self.check_open()
        best = self.placement.order(*record.key())[0]
        connection = self.connections.get(best.address)
        if connection is None:
            self.unplaced.add(record)
            self.start_placing()
        else:
            self.send_job(connection, record)

    def send_job(self, connection: Connection, record: JobRecord) -> None:
        """Put a submission on a connection."""
        record.address = str(connection.server.address)
        try:
            connection.send(record.make_request())
        except UsageError as error:
            record.fail(error)

    # Finding servers.

    def start_placing(self) -> None:
        """Have the task that finds servers look at the line."""
        self.news.set()
        if self.placing is None:
            self.placing = self.loop.create_task(self.place_until_done())

    async def place_until_done(self) -> None:
        """Find servers until nobody is in line for one."""
        try:
            while self.unplaced:
                self.news.clear()
                await self.place_all()
                pause = self.unplaced.next_attempt() - self.loop.time() if self.unplaced else 0.0
                if pause > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self.news.wait()
        finally:
            self.placing = None

    async def place_all(self) -> None:
        """Give each submission in line a server, or let it wait on, or fail it."""
        self.unplaced.drop_forgotten()
        insist = self.unplaced.insists(self.loop.time())
        for _ in range(len(self.unplaced)):
            if not self.unplaced:
                break
            record = self.unplaced.records[0]
            order = self.placement.order(*record.key())
            connection = await self.connect_any(candidates(order, self.loop.time(), insist))
            if not self.unplaced.remove(record) or record.forgotten:
                # Its caller gave up meanwhile.
                continue
            if connection is not None:
                self.placement.note_reached(connection.server)
                self.send_job(connection, record)
            else:
                # The others need not try again what has just failed.
                insist = False
                self.unplaced.note_unreachable(record, self.loop.time())

    async def connect_any(self, servers: list[Server]) -> Connection | None:
        """Return a connection to the first of some servers that can be reached."""
        for server in servers:
            connection = self.connections.get(server.address) or await self.connect(server)
            if connection is not None:
                return connection
        return None

    async def connect(self, server: Server) -> Connection | None:
        """Return a new connection to a server, or None where it can't be reached."""
        task = self.dialing.get(server.address)
        if task is None:
            task = self.loop.create_task(self.dial(server))
            self.dialing[server.address] = task
        # One of those who wait for it may be cancelled without taking it from the others.
        connection = await asyncio.shield(task)
        # It may have been lost again in the same pass of the event loop.
        return self.connections.get(server.address) if connection is not None else None

    async def dial(self, server: Server) -> Connection | None:
        """Make a connection, and ask for the options on it."""
        settings = self.settings
        try:
            _, connection = await dial_protocol(
                server.address,
                lambda: Connection(self, server),
                settings.connect_timeout,
                settings.keepalive,
            )
        except OSError as error:
            self.placement.note_failure(server, self.loop.time(), explain(error))
            return None
        finally:
            del self.dialing[server.address]
        if connection.ended.done():
            self.placement.note_failure(server, self.loop.time(), "connection closed at once")
            return None
        self.connections[server.address] = connection
        for option in self.options:
            # Servers that don't know it refuse it, which is as good.
            connection.send(Request(OPTION_REQ, [option], None))
        return connection

    # Questions.

    async def ask(self, address: Address | None, question: Question) -> None:
        """
        Send a question to one server.

        Args:
            address: The server; None for the one that submissions go to.
            question: The question.

        Raises:
            ConnectionFailed: It can't be reached.

        """
        give_up_at = self.loop.time() + self.settings.patience
        servers = self.placement.servers_at(address)
        while True:
            self.check_open()
            connection = await self.connect_any(candidates(servers, self.loop.time(), insist=True))
            if connection is not None:
                connection.send(question.request)
                return
            now = self.loop.time()
            if now >= give_up_at:
                raise ConnectionFailed(failures(servers))
            await asyncio.sleep(min(next_attempt(servers), give_up_at) - now)

    def add_option(self, option: bytes) -> None:
        """Have an option asked for on each connection, those that are open included."""
        if option in self.options:
            return
        self.options.append(option)
        for connection in self.connections.values():
            connection.send(Request(OPTION_REQ, [option], None))

    # Losing connections.

    def lose(self, connection: Connection, cause: Exception | None) -> None:
        """Take in that a connection ended; place again what may be, and fail the rest."""
        server = connection.server
        if self.connections.get(server.address) is not connection:
            return
        del self.connections[server.address]
        if connection.timer is not None:
            connection.timer.cancel()
        reason = explain(cause) if isinstance(cause, OSError) else str(cause or "connection closed")
        self.placement.note_failure(server, self.loop.time(), reason)
        self.unplaced.take_losses(server, connection.session.end(), cause, self.loop.time())
        if self.unplaced:
            self.start_placing()

    async def close(self) -> None:
        """Close all connections; jobs that have not ended are lost. Safe to call twice."""
        self.closed = True
        self.unplaced.may_resend = False
        tasks = [task for task in (self.placing, *self.dialing.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        connections = list(self.connections.values())
        for connection in connections:
            connection.abort(UsageError(_CLOSED))
        self.unplaced.fail_all(_CLOSED)
        for connection in connections:
            await connection.ended


__all__ = ["AsyncPump", "Connection"]
