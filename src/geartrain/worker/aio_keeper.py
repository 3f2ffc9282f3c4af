"""
Keeps an event loop's worker connected, and runs its jobs.

Everything happens on one loop: connections, ``async def`` handlers as tasks,
and plain handlers right where their job arrives.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from geartrain.client.address import Address
from geartrain.client.backoff import Backoff
from geartrain.client.dialing import explain
from geartrain.client.dialing_aio import dial_protocol
from geartrain.client.keepalive import Keepalive
from geartrain.worker.abilities import Abilities
from geartrain.worker.job import (
    THIS,
    AsyncHandler,
    AsyncJob,
    Ending,
    complete,
    fail,
    is_ctrl_c,
    leave_copy,
    unknown,
)
from geartrain.worker.log import (
    log_dropped,
    log_ending,
    log_errors,
    log_loss,
    log_no_connection,
    logger,
)
from geartrain.worker.session import Assignment, Slots, WorkerSession

# Plain handlers keep the loop to themselves for so many seconds, or for one job, at a time.
_STRETCH: Final = 0.005
# Read at a time.
_READ_SIZE: Final = 64 * 1024
# Seconds that handlers get to answer their cancellation.
_LAST_WORDS: Final = 5.0


class Connection(asyncio.BufferedProtocol):
    """
    One connection to one server, and the outlet of the jobs that came by it.

    Attributes:
        session: What to say on it.
        lost: Done when the connection is gone.
        writable: Set while the transport takes more.

    """

    transport: asyncio.Transport

    def __init__(self, keeper: AsyncKeeper, address: Address) -> None:
        self.keeper = keeper
        self.address = address
        self.session = keeper.new_session(keeper.slots)
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.writable = asyncio.Event()
        self.writable.set()
        # asyncio would allocate 256 KiB for each read, from the kernel, and give them back.
        self.incoming = bytearray(_READ_SIZE)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Announce the worker."""
        # A cast, since uvloop's transports don't descend from asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        if self.keeper.stop_asked:
            self.transport.abort()
            return
        self.keeper.connections[self.session] = self
        self.session.announce()
        self.keeper.flush()
        self.keeper.watch_answers()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return where to put what arrives."""
        return self.incoming

    def buffer_updated(self, nbytes: int) -> None:
        """Take what the server sent, and run the jobs in it."""
        session = self.session
        was_ready = session.is_ready()
        jobs = session.receive_data(bytes(memoryview(self.incoming)[:nbytes]))
        if session.errors:
            log_errors(self.address, session.take_errors())
        if session.fault is not None:
            self.drop(f"it broke the protocol: {session.fault}")
        if was_ready != session.is_ready():
            self.keeper.update_ready()
        self.keeper.watch_answers()
        self.keeper.take(jobs)

    def connection_lost(self, error: Exception | None) -> None:
        """Take note that the connection is gone."""
        reason = "the server closed the connection"
        if isinstance(error, OSError):
            reason = explain(error)
        self.drop(reason)
        self.writable.set()
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        """Have handlers wait in `AsyncJob.drain`."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Let them go on."""
        self.writable.set()

    def resign(self) -> None:
        """Give all jobs back and close the connection once the server was told so."""
        self.session.resign()
        self.keeper.flush()
        self.keeper.connections.pop(self.session, None)
        self.session.lose()
        self.transport.close()

    def drop(self, reason: str) -> None:
        """Close the connection. The server gives the jobs it held to other workers."""
        if self.keeper.connections.pop(self.session, None) is None:
            return
        if not self.keeper.stop_asked:
            log_loss(self.address, reason, len(self.session.held))
        self.session.lose()
        self.transport.abort()
        self.keeper.flush()
        self.keeper.update_ready()
        self.keeper.note_progress()

    # What handlers report; the ticket is the assignment.

    def progress(self, ticket: object, numerator: int, denominator: int) -> None:
        """Send WORK_STATUS."""
        assert isinstance(ticket, Assignment)
        self.session.status(ticket, numerator, denominator)
        self.keeper.flush()

    def data(self, ticket: object, data: bytes) -> None:
        """Send WORK_DATA."""
        assert isinstance(ticket, Assignment)
        self.session.data(ticket, data)
        self.keeper.flush()

    def warn(self, ticket: object, data: bytes) -> None:
        """Send WORK_WARNING."""
        assert isinstance(ticket, Assignment)
        self.session.warning(ticket, data)
        self.keeper.flush()

    async def drain(self, ticket: object) -> None:
        """Wait until the connection takes more."""
        await self.writable.wait()


class AsyncKeeper:
    """
    Keeps connections to every server, and runs the jobs that come by them.

    Args:
        addresses: The servers.
        abilities: The functions and their handlers.
        slots: How many jobs may be held.
        concurrency: How many of them may run.
        new_session: Makes a session for a new connection.
        grace: Seconds that held jobs get to end, once the worker is asked to stop.
        connect_timeout: Seconds for one attempt to connect.
        keepalive: When the kernel probes quiet connections, or None.
        answer_timeout: Seconds after which a server that owes an answer, and sends nothing,
            is given up.

    """

    def __init__(
        self,
        addresses: list[Address],
        abilities: Abilities[AsyncHandler],
        slots: Slots,
        concurrency: int,
        new_session: Callable[[Slots], WorkerSession],
        grace: float,
        connect_timeout: float,
        keepalive: Keepalive | None,
        answer_timeout: float,
    ) -> None:
        self.addresses = addresses
        self.abilities = abilities
        self.slots = slots
        self.concurrency = concurrency
        self.new_session = new_session
        self.grace = grace
        self.connect_timeout = connect_timeout
        self.keepalive = keepalive
        # A silence is noticed at the second look, so it has lasted one to two of these.
        self.look = answer_timeout / 2
        self.connections: dict[WorkerSession, Connection] = {}
        # Jobs that came by prefetch, or while plain handlers had kept the loop long enough.
        self.waiting: deque[Assignment] = deque()
        self.tasks: set[asyncio.Task[None]] = set()
        self.runs_later = False
        self.look_timer: asyncio.TimerHandle | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.stop_asked = False
        self.abort_asked = False
        self.stop_event = asyncio.Event()
        self.done = asyncio.Event()
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()

    def ask_stop(self, grace: float | None = None) -> None:
        """Ask for no more jobs, and leave when those held have ended. From any thread."""
        if grace is not None:
            self.grace = grace
            self.abort_asked = grace <= 0
        self.stop_asked = True
        if self.loop is None:
            return
        try:
            self.loop.call_soon_threadsafe(self.stop_event.set)
            if self.abort_asked:
                self.loop.call_soon_threadsafe(self.done.set)
        except RuntimeError:
            # The loop is closed: there is nothing left to stop.
            return

    def announce(self, function: bytes, milliseconds: int) -> None:
        """Announce one more function on every connection."""
        for connection in list(self.connections.values()):
            connection.session.can_do(function, milliseconds)
        self.flush()
        self.update_ready()

    async def wait_until_ready(self, timeout: float | None) -> bool:  # noqa: ASYNC109
        """Return whether the servers know the abilities, waiting up to ``timeout`` seconds."""
        waits = {asyncio.ensure_future(event.wait()) for event in (self.ready, self.ended)}
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return self.ready.is_set()

    # On the loop.

    async def serve(self) -> bool:
        """Keep the connections until a stop; return whether every job was seen to its end."""
        self.loop = asyncio.get_running_loop()
        if self.stop_asked:
            self.stop_event.set()
        keepers = [self.loop.create_task(self.keep(address)) for address in self.addresses]
        stop = self.loop.create_task(self.stop_event.wait())
        try:
            await asyncio.wait([stop, *keepers], return_when=asyncio.FIRST_COMPLETED)
            for keeper in keepers:
                if keeper.done():
                    # They end for a stop only; anything else is a defect, and is said aloud.
                    keeper.result()
            return await self.finish()
        finally:
            everything = [stop, *keepers, *self.tasks]
            self.close()
            for task in everything:
                task.cancel()
            await asyncio.wait(everything, timeout=_LAST_WORDS)

    async def finish(self) -> bool:
        """See held jobs to their end; return whether there was time for it."""
        logger.info("stopping: no more jobs are asked for, %g s for those held", self.grace)
        for connection in self.connections.values():
            connection.session.stop()
        self.flush()
        self.note_progress()
        try:
            await asyncio.wait_for(self.done.wait(), 0 if self.abort_asked else self.grace)
        except TimeoutError:
            logger.warning("time is over; servers give the jobs still held to other workers")
            return False
        return not self.abort_asked

    def close(self) -> None:
        """Close every connection, which gives the jobs still held to other workers."""
        self.stop_asked = True
        self.ended.set()
        self.waiting.clear()
        for connection in list(self.connections.values()):
            connection.resign()
        self.update_ready()
        self.note_progress()
        if self.look_timer is not None:
            self.look_timer.cancel()

    # Connections.

    async def keep(self, address: Address) -> None:
        """Keep one server connected."""
        backoff = Backoff(random.random)
        while not self.stop_asked:
            started = time.monotonic()
            try:
                _, connection = await dial_protocol(
                    address,
                    lambda: Connection(self, address),
                    self.connect_timeout,
                    self.keepalive,
                )
            except (OSError, UnicodeError) as error:
                delay = backoff.next_delay()
                reason = explain(error) if isinstance(error, OSError) else str(error)
                log_no_connection(address, reason, backoff.attempts)
            else:
                await connection.lost
                if time.monotonic() - started > backoff.limit:
                    backoff.reset()
                delay = backoff.next_delay()
            await asyncio.sleep(delay)

    def flush(self) -> None:
        """Send what the sessions have written, each connection once."""
        for session in self.slots.take_written():
            connection = self.connections.get(session)
            if connection is not None:
                connection.transport.write(b"".join(session.take_output()))

    def note_progress(self) -> None:
        """Take note that something ended or was answered, which may be what a stop waits for."""
        if (
            self.stop_asked
            and self.slots.free == self.slots.capacity
            and all(session.is_done() for session in self.slots.sessions)
        ):
            self.done.set()

    def update_ready(self) -> None:
        sessions = list(self.connections)
        if sessions and all(session.is_ready() for session in sessions):
            self.ready.set()
        else:
            self.ready.clear()

    def watch_answers(self) -> None:
        """Look after a while whether the answers that are due have come."""
        if self.look_timer is None and self.loop is not None:
            self.look_timer = self.loop.call_later(self.look, self.check_answers)

    def check_answers(self) -> None:
        """Give up servers that hang, and come back as long as answers may be due."""
        self.look_timer = None
        for session, connection in list(self.connections.items()):
            if session.is_stuck():
                connection.drop(f"no answer for {self.look:g} s and more")
            elif session.awaits_answer():
                self.watch_answers()
        if self.slots.are_taken():
            self.watch_answers()

    # Jobs.

    def take(self, assignments: list[Assignment]) -> None:
        """Run these jobs as soon as there is room."""
        self.waiting.extend(assignments)
        if not self.runs_later:
            self.run_waiting()

    def run_waiting(self) -> None:
        """Start the jobs there is room for; let the loop go on now and then."""
        self.runs_later = False
        waiting = self.waiting
        enough = time.monotonic() + _STRETCH
        while waiting and len(self.tasks) < self.concurrency:
            self.run_job(waiting.popleft())
            if waiting and time.monotonic() > enough:
                self.runs_later = True
                asyncio.get_running_loop().call_soon(self.run_waiting)
                break
        self.flush()
        if self.stop_asked:
            self.note_progress()

    def run_job(self, assignment: Assignment) -> None:
        """Run a plain handler to its end, or start an ``async def``."""
        connection = self.connections.get(assignment.session)
        if connection is None:
            assignment.session.finish(assignment)
            return
        handler = self.abilities.handlers.get(assignment.function)
        if handler is None:
            self.end(assignment, unknown(assignment.function))
            return
        job = AsyncJob(
            connection,
            assignment,
            assignment.handle,
            assignment.function,
            assignment.unique,
            assignment.reducer,
            assignment.workload,
            assignment.attempt,
        )
        process = THIS.number
        try:
            result = handler(job)
        except BaseException as error:
            leave_copy(process, error)
            if is_ctrl_c(error):
                raise
            self.end(assignment, fail(assignment.function, error))
            return
        leave_copy(process)
        if isinstance(result, bytes) or not inspect.isawaitable(result):
            self.end(assignment, complete(assignment.function, result))
            return
        task = asyncio.get_running_loop().create_task(self.await_end(assignment, result))
        self.tasks.add(task)
        task.add_done_callback(self.task_done)

    async def await_end(self, assignment: Assignment, result: Awaitable[Any]) -> None:
        """Wait for an ``async def`` handler and end its job."""
        process = THIS.number
        try:
            ending = complete(assignment.function, await result)
        except asyncio.CancelledError as error:
            if self.ended.is_set():
                # The worker leaves; the server gives the job to another.
                raise
            ending = fail(assignment.function, error)
        except BaseException as error:
            leave_copy(process, error)
            if is_ctrl_c(error):
                raise
            ending = fail(assignment.function, error)
        leave_copy(process)
        self.end(assignment, ending)

    def task_done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self.run_waiting()

    def end(self, assignment: Assignment, ending: Ending) -> None:
        if not assignment.session.end(assignment, ending.kind, ending.data):
            log_dropped(assignment)
        if ending.log:
            log_ending(assignment, ending)


__all__ = ["AsyncKeeper"]
