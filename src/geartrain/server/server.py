"""
The job server: listeners, connections, the pass of the event loop, the store.

Everything that arrived in one pass of the event loop is stepped through the
broker; then every socket is written once, and the store gets its batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence

from geartrain import __version__
from geartrain.broker.broker import Broker
from geartrain.broker.commands import ClockSet, Configure, Restore, StopAssigning
from geartrain.broker.effects import ServersReport
from geartrain.broker.job import Job
from geartrain.broker.policy import Policy
from geartrain.broker.shared_commands import ServersFound
from geartrain.errors import StoreError, StoreUnavailable, UsageError
from geartrain.server.asker import Asker
from geartrain.server.clock import SteadyClock
from geartrain.server.cluster import Cluster, shared_store
from geartrain.server.committer import Committer
from geartrain.server.connection import Connection, PacketConnection
from geartrain.server.exchange import KEEP_RUNNING, STOP_GRACEFULLY, Exchange
from geartrain.server.http_connection import HttpConnection
from geartrain.server.listener import (
    bind_problem,
    close_listener,
    is_beyond_loopback,
    name_of,
    open_listeners,
)
from geartrain.server.memory import give_back
from geartrain.server.naming import (
    advertised_address,
    name_among_others,
    new_handle_prefix,
)
from geartrain.server.peer_log import PeerLog
from geartrain.server.settings import Settings
from geartrain.server.status import own_row
from geartrain.server.store_url import store_url
from geartrain.server.text_commands import TextCommands
from geartrain.store.batch import Coalesced
from geartrain.store.mark import check_not_moving
from geartrain.store.queue_store import Damaged, QueueStore
from geartrain.store.url import open_store

logger = logging.getLogger("geartrain.server")
# What an administrator has to hear, however little is logged otherwise.
warnings = logging.getLogger("geartrain.warning")

# Bits of a job's number that count within a generation of the store: a million millions.
GENERATION_SHIFT = 40
# Connections accepted at a time. Where descriptors have run out, asyncio's own loop tries as many
# times before it serves anybody else.
ACCEPTS = 16
# Seconds between looks at connections that are in the middle of a packet or don't read.
WATCH_INTERVAL = 1.0
# A request under way makes progress when it grows by this many bytes in ``partial_timeout``; a
# peer reads when what waits for it shrinks by as many in ``stalled_timeout``.
PROGRESS = 4096
# Longest sleep while something is due later, in case the system's clock is set.
LONGEST_SLEEP = 1.0
# Seconds after a peer that left megabytes unread until their memory is given back.
TIDY_AFTER = 1.0
# How long the writer thread may take to commit what is left when the server stops, and peers to
# read what they are still to be sent, in seconds: less than two together.
LAST_COMMIT = 1.0
LAST_WRITES = 0.8
# How long a thread may run before another gets its turn. Python's default of 5 ms lets the
# writer thread and the event loop wait for each other.
SWITCH_INTERVAL = 0.0005

_STORE_HANGS = StoreUnavailable("it does not answer in time")


class JobServer:
    """
    One job server.

    Args:
        settings: What is set.
        store: The queue store, not yet open.
        handle_prefix: Start of handles, as ``new_handle_prefix`` returns it; never used before.
        verbosity: What the text command ``verbose`` answers.
        clock: The time to go by.
        policies: Configured policies of functions, in the order in which patterns are tried.

    """

    def __init__(
        self,
        settings: Settings,
        store: QueueStore,
        handle_prefix: bytes | None = None,
        verbosity: str = "INFO",
        clock: SteadyClock | None = None,
        policies: Sequence[Policy] = (),
    ) -> None:
        self.settings = settings
        self.store = store
        self.verbosity = verbosity
        self.steady_clock = clock or SteadyClock()
        self.clock = self.steady_clock.now
        self.policies = list(policies)
        self.handle_prefix = handle_prefix or new_handle_prefix(settings.handle_prefix)
        self.connections: dict[int, Connection] = {}
        self.connection_count = 0
        self.watched: set[Connection] = set()
        self.watching: asyncio.TimerHandle | None = None
        self.tidying: asyncio.TimerHandle | None = None
        self.listeners: list[socket.socket] = []
        self.http_listeners: list[socket.socket] = []
        self.servers: list[asyncio.AbstractServer] = []
        self.pass_scheduled = False
        self.timer: asyncio.TimerHandle | None = None
        self.timer_due = 0.0
        self.committer: Committer | None = None
        self.asker = Asker(self)
        shared = shared_store(store)
        # Its part among the servers of the store, where there are others.
        self.cluster = None if shared is None else Cluster(self, shared)
        # Runs while submissions wait for the store.
        self.patience: asyncio.TimerHandle | None = None
        # Asked to end once no worker has a job, or once no job is left at all.
        self.winding_up = False
        self.emptying = False
        # Whether all connections are being closed.
        self.closing = False

    # Life.

    def bind(self) -> None:
        """Take the addresses; raises UsageError. Nothing is accepted before ``start``."""
        settings = self.settings
        self.listeners = open_listeners(settings.listen, settings.backlog)
        try:
            self.http_listeners = open_listeners(settings.http_listen, settings.backlog)
        except UsageError:
            self.stop_accepting()
            raise
        for listener in self.listeners + self.http_listeners:
            if is_beyond_loopback(listener):
                warnings.warning(
                    "WARNING: %s is open to other machines, and anyone who reaches it may submit,"
                    " run and cancel jobs; keep it behind a firewall or listen on 127.0.0.1",
                    name_of(listener),
                )

    def open(self) -> None:
        """Open the store and take over the jobs it holds; raises StoreError and UsageError."""
        generation = self.store.open() if self.cluster is None else self.cluster.open()
        try:
            check_not_moving(self.store)
        except BaseException:
            self.store.close()
            raise
        self.exchange = Exchange(
            Broker(
                self.handle_prefix,
                first_number=self.first_number(generation),
                durable=self.store.durable,
                job_retries=self.settings.job_retries,
                per_function=self.settings.compat == "1.1",
                round_robin=self.settings.compat != "1.1" or self.settings.round_robin,
                exceptions=self.settings.exceptions,
                policies=self.policies,
                shared=self.cluster is not None,
            ),
            TextCommands(__version__.encode(), os.getpid(), self.verbosity.encode()),
            self.settings.max_packet,
            self.settings.allow_shutdown,
            self.settings.output_limit,
        )
        now = self.clock()
        restored = damaged = 0
        for found in self.store.replay():
            if isinstance(found, Damaged):
                damaged += 1
                logger.error("set aside row %s of the store: %s", found.row, found.reason)
            else:
                restored += 1
                self.exchange.step(now, Restore(found))
        imported = getattr(self.store, "imported", None)
        if imported is not None:
            logger.info(
                "%d jobs taken over from gearmand, whose table is now called %s",
                imported.jobs,
                imported.table,
            )
            for row in imported.damaged:
                logger.error("not taken over from gearmand: %s: %s", row.row, row.reason)
        if restored or damaged:
            logger.info("%d jobs taken over from the store, %d set aside", restored, damaged)

    async def start(self) -> None:
        """Accept connections; raises UsageError where an address was taken meanwhile."""
        self.loop = asyncio.get_running_loop()
        self.peer_log = PeerLog(self.loop.time)
        self.stopped = asyncio.Event()
        self.all_left = asyncio.Event()
        sys.setswitchinterval(SWITCH_INTERVAL)
        try:
            for listener in self.listeners:
                self.servers.append(await self.serve(listener, PacketConnection))
            for listener in self.http_listeners:
                self.servers.append(await self.serve(listener, HttpConnection))
        except UsageError:
            self.stop_accepting()
            self.store.close()
            raise
        if self.store.durable:
            answer = self.store_answered_from_thread
            if self.cluster is None:
                self.committer = Committer(self.store, answer)
            else:
                self.committer = self.cluster.start(answer)
            self.committer.start()
        self.asker.forget_results()
        self.schedule_pass()

    async def serve(
        self, listener: socket.socket, kind: type[Connection]
    ) -> asyncio.AbstractServer:
        """Accept on one socket."""
        listener.setblocking(False)
        create: Callable[..., Awaitable[asyncio.AbstractServer]] = self.loop.create_server
        options: dict[str, bool] = {}
        if listener.family == socket.AF_UNIX:
            create = self.loop.create_unix_server
            if sys.version_info >= (3, 13):
                # close_listener removes the file, and not one of the service manager's.
                options["cleanup_socket"] = False
        try:
            # Only now: two that start at the same moment may both have bound the port.
            listener.listen(self.settings.backlog)
            server = await create(lambda: kind(self), sock=listener, backlog=ACCEPTS, **options)
            # Which has just made the backlog as short as that.
            listener.listen(self.settings.backlog)
        except OSError as error:
            raise UsageError(
                f"can't listen on {name_of(listener)}: {bind_problem(error)}"
            ) from None
        return server

    def stop(self, grace: float | None = None) -> None:
        """
        Stop: no new connections, no new assignments; running jobs get ``grace`` seconds.

        Asked a second time, it stops at once.
        """
        if self.winding_up:
            self.stopped.set()
            return
        self.winding_up = True
        self.stop_accepting()
        self.exchange.step(self.clock(), StopAssigning())
        seconds = self.settings.grace if grace is None else grace
        self.loop.call_later(seconds, self.stopped.set)
        self.schedule_pass()

    def configure(self, policies: list[Policy]) -> None:
        """Keep other configured policies from now on, also for jobs that wait already."""
        self.exchange.step(self.clock(), Configure(policies))
        self.schedule_pass()

    def stop_when_empty(self) -> None:
        """Stop accepting connections, and end when the last job is done."""
        self.stop_accepting()
        self.emptying = True
        self.schedule_pass()

    def stop_accepting(self) -> None:
        """Close the listening sockets."""
        for server in self.servers:
            server.close()
        self.servers = []
        for listener in self.listeners + self.http_listeners:
            close_listener(listener)
        self.listeners = []
        self.http_listeners = []

    async def run_until_stopped(self) -> None:
        """Wait for ``stop``, then close connections and store."""
        await self.stopped.wait()
        self.stop_accepting()
        for connection in self.connections.values():
            # What a peer says from here on could no longer be stored.
            if not connection.transport.is_closing():
                connection.transport.pause_reading()
        self.finish_pass()
        closed = True
        if self.committer is not None:
            closed = await self.loop.run_in_executor(None, self.committer.close, LAST_COMMIT)
            if not closed:
                logger.error("the store did not answer; what it has not confirmed may run again")
            # What the last commit confirmed has to reach the clients.
            await asyncio.sleep(0)
            self.finish_pass()
        if self.cluster is not None:
            self.cluster.close()
        await self.close_connections()
        if closed:
            # Else the thread still is in the middle of it, and ends with the process.
            self.store.close()

    async def close_connections(self) -> None:
        """Close all connections; what was written to them gets a moment to arrive."""
        self.closing = True
        for connection in list(self.connections.values()):
            connection.transport.close()
        if self.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.all_left.wait(), LAST_WRITES)
        for connection in list(self.connections.values()):
            connection.transport.abort()

    def first_number(self, generation: int) -> int:
        """Return the number of the first job of a generation of the store."""
        return (generation << GENERATION_SHIFT) + 1

    def next_handle_prefix(self) -> bytes:
        """Return a start of handles that nobody has used."""
        self.handle_prefix = new_handle_prefix(self.settings.handle_prefix)
        return self.handle_prefix

    def name(self) -> str:
        """Return what this server is called among others."""
        return name_among_others(self.settings)

    def advertised(self) -> str:
        """Return where others reach this server."""
        return advertised_address(self.settings)

    def addresses(self) -> list[str]:
        """Return the addresses that are listened on, as a person writes them."""
        names = [name_of(listener) for listener in self.listeners]
        return names + [f"http://{name_of(listener)}" for listener in self.http_listeners]

    # Connections.

    def connected(
        self, connection: Connection, descriptor: int, address: bytes, local: bool
    ) -> None:
        """Enter a connection."""
        self.connection_count += 1
        number = self.connection_count
        self.connections[number] = connection
        connection.enter(number, descriptor, address, local)

    def disconnected(self, connection: Connection) -> None:
        """Let a connection go."""
        self.connections.pop(connection.peer.session, None)
        self.watched.discard(connection)
        self.exchange.disconnect(self.clock(), connection.peer.session)
        self.schedule_pass()
        if connection.large and self.tidying is None:
            self.tidying = self.loop.call_later(TIDY_AFTER, self.tidy)
        if self.closing and not self.connections:
            self.all_left.set()

    def tidy(self) -> None:
        """Give memory back that peers who are gone have left free."""
        self.tidying = None
        self.loop.run_in_executor(None, give_back)

    def keep_alive(self, raw: socket.socket) -> None:
        """Have TCP notice peers that are gone without a word."""
        settings = self.settings
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            for option, value in (
                (socket.TCP_KEEPIDLE, settings.keepalive_idle),
                (socket.TCP_KEEPINTVL, settings.keepalive_interval),
                (socket.TCP_KEEPCNT, settings.keepalive_count),
            ):
                if value > 0:
                    raw.setsockopt(socket.IPPROTO_TCP, option, value)

    # Connections that stay in the middle of something.

    def watch(self, connection: Connection) -> None:
        """Look after a connection that has to finish a packet, or to read."""
        self.watched.add(connection)
        if self.watching is None:
            self.watching = self.loop.call_later(WATCH_INTERVAL, self.look_after)

    def look_after(self) -> None:
        """Drop who has not made progress in time; forget who is through."""
        self.watching = None
        now = self.loop.time()
        for connection in list(self.watched):
            if connection.stalled_since:
                self.look_at_stalled(connection, now)
            elif connection.partial_since:
                self.look_at_partial(connection, now)
            else:
                self.watched.discard(connection)
        if self.watched:
            self.watching = self.loop.call_later(WATCH_INTERVAL, self.look_after)

    def look_at_stalled(self, connection: Connection, now: float) -> None:
        """Drop a connection that does not read what waits for it."""
        if now - connection.stalled_since <= self.settings.stalled_timeout:
            return
        size = connection.transport.get_write_buffer_size()
        if connection.stalled_size - size < PROGRESS:
            connection.drop("it has not read for too long")
            return
        connection.stalled_since = now
        connection.stalled_size = size

    def look_at_partial(self, connection: Connection, now: float) -> None:
        """Drop a connection whose request does not grow."""
        if now - connection.partial_since <= self.settings.partial_timeout:
            return
        size = connection.pending_size()
        # While we don't listen to a peer it can't go on.
        if connection.transport.is_reading() and size - connection.partial_size < PROGRESS:
            connection.drop("it did not finish its request in time")
            return
        connection.partial_since = now
        connection.partial_size = size

    # The pass.

    def schedule_pass(self) -> None:
        """Have ``finish_pass`` run after what arrived in this pass."""
        if not self.pass_scheduled:
            self.pass_scheduled = True
            self.loop.call_soon(self.finish_pass)

    def finish_pass(self) -> None:
        """Carry out what this pass of the event loop has decided, each socket written once."""
        self.pass_scheduled = False
        exchange = self.exchange
        connections = self.connections
        cluster = self.cluster
        if cluster is not None:
            cluster.look()
        for peer in exchange.take_written():
            connection = connections.get(peer.session)
            if connection is not None and not (cluster and cluster.withholds(peer)):
                connection.flush()
        if exchange.has_store_work():
            if self.committer is not None:
                self.commit(self.committer)
            elif not self.store.durable:
                self.store.commit(exchange.take_batch())
        if exchange.has_errands():
            self.run_errands(exchange)
        if (self.emptying and not exchange.broker.jobs) or (
            self.winding_up and not exchange.broker.running()
        ):
            self.stopped.set()
        self.set_timer()

    def run_errands(self, exchange: Exchange) -> None:
        """See to what few passes leave behind."""
        if exchange.asked:
            self.ask_others()
        if exchange.store_questions or exchange.result_questions:
            self.asker.put_questions()
        if exchange.buried:
            self.asker.log_buried()
        if exchange.given_up:
            self.log_given_up()
        if exchange.requested != KEEP_RUNNING:
            self.obey_shutdown()

    def set_timer(self) -> None:
        """Have the broker ticked when something is due."""
        deadline = self.exchange.broker.next_deadline()
        if deadline is None:
            return
        if self.timer is not None:
            # One that comes too early does no harm, and moving it for each job would.
            if self.timer_due <= deadline:
                return
            self.timer.cancel()
        sleep = min(max(deadline - self.clock(), 0.0), LONGEST_SLEEP)
        self.timer_due = self.clock() + sleep
        self.timer = self.loop.call_later(sleep, self.tick)

    def tick(self) -> None:
        """Something may be due."""
        self.timer = None
        shift = self.steady_clock.follow()
        if shift:
            logger.warning("the system's clock was set by %+.1f s", shift)
            self.exchange.step(self.clock(), ClockSet(shift))
        self.exchange.tick(self.clock())
        self.finish_pass()

    def commit(self, committer: Committer) -> None:
        """Give the store its batch; refuse at once what would wait for a store that hangs."""
        batch = self.exchange.take_batch()
        if batch.adds and committer.stalled:
            self.loop.call_soon(self.store_answered, batch.adds, _STORE_HANGS, ())
            batch.adds = []
        committer.put(batch)
        if batch.adds and self.patience is None:
            self.patience = self.loop.call_later(self.settings.store_timeout, self.lose_patience)

    def lose_patience(self) -> None:
        """Refuse what waits for a commit that takes too long."""
        self.patience = None
        committer = self.committer
        assert committer is not None
        timeout = self.settings.store_timeout
        left = committer.time_left(timeout)
        if left is None:
            return
        if left > 0:
            # The commit under way may have more time than the next one.
            self.patience = self.loop.call_later(min(left, timeout), self.lose_patience)
            return
        jobs = committer.give_up()
        logger.error("the store %s does not answer, jobs are refused", self.store.name)
        self.store_answered(jobs, _STORE_HANGS, ())

    def store_answered_from_thread(
        self, jobs: list[Job], error: StoreError | None, coalesced: Sequence[Coalesced]
    ) -> None:
        """Hand the store's answer to the event loop."""
        self.loop.call_soon_threadsafe(self.store_answered, jobs, error, coalesced)

    def store_answered(
        self, jobs: list[Job], error: StoreError | None, coalesced: Sequence[Coalesced]
    ) -> None:
        """Acknowledge or refuse what the store has answered for."""
        if coalesced and self.cluster is not None:
            jobs = self.cluster.step_coalesced(jobs, coalesced)
        if error is None:
            self.exchange.persisted(self.clock(), jobs)
        else:
            reason = f"the job could not be stored: {error}".encode()
            self.exchange.persist_failed(self.clock(), jobs, reason)
        self.finish_pass()

    def ask_others(self) -> None:
        """Have others asked for what is not known here; alone, answer at once."""
        for answer in self.exchange.take_asked():
            if self.cluster is not None:
                self.cluster.status.ask(answer)
            elif isinstance(answer, ServersReport):
                found = ServersFound(answer, [own_row(self)])
                self.exchange.step(self.clock(), found)
                self.schedule_pass()

    def log_given_up(self) -> None:
        """Log jobs that came back without a result too often."""
        given_up = self.exchange.given_up
        self.exchange.given_up = []
        for job in given_up:
            logger.warning(
                "dropped job %s of %r (unique %r): %d attempts without a result",
                job.handle.decode(),
                job.function,
                job.unique,
                job.attempts,
            )

    def obey_shutdown(self) -> None:
        """Do what an administrator asked for."""
        requested = self.exchange.requested
        self.exchange.requested = KEEP_RUNNING
        logger.info("asked to shut down by an administrator")
        if requested == STOP_GRACEFULLY:
            self.stop_when_empty()
        else:
            self.stop()


def new_server(
    settings: Settings, verbosity: str = "INFO", policies: Sequence[Policy] = ()
) -> JobServer:
    """Return a server with the store that its settings name; raises UsageError."""
    prefix = new_handle_prefix(settings.handle_prefix)
    store = open_store(
        store_url(settings),
        handle_prefix=prefix,
        table=settings.store_table,
        server=name_among_others(settings),
        address=advertised_address(settings),
        lease=settings.lease,
        reader=settings.store_reader,
    )
    return JobServer(settings, store, prefix, verbosity, policies=policies)
