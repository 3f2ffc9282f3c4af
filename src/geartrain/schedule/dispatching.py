"""
Hands fires to job servers, and hears what becomes of them.

A fire is submitted twice in one breath: as a background job, which outlives everybody, and as a
foreground job of the same function and unique key, which every Gearman server joins with the
first. So the obligation is the server's, and its end is heard without asking for it. Where the
listening breaks off, ``ask`` finds out by the key and the handle what has become of it.

It runs on a thread of its own with an event loop, knows nothing of entries and stores, and decides
nothing: what happened is told to whoever made it, as events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from threading import Event as Flag
from threading import Thread
from typing import Any, Final

from geartrain.client.admin_aio import AsyncAdminClient
from geartrain.client.aio import AsyncClient
from geartrain.client.aio_job import AsyncJob
from geartrain.client.reports import JobHandle
from geartrain.client.submission import Priority, Submission
from geartrain.errors import (
    ConnectionFailed,
    ConnectionLost,
    GeartrainError,
    JobException,
    JobFailed,
    JobTimeout,
    ServerError,
)

__all__ = [
    "ACKNOWLEDGED",
    "ENDED",
    "REFUSED",
    "SEVERED",
    "STARTED",
    "TAKEN_BACK",
    "UNKNOWN",
    "WAITS",
    "Dispatcher",
    "News",
    "Order",
]

logger = logging.getLogger("geartrain.schedule")

# What is told of an order. Of one that is submitted: REFUSED; or ACKNOWLEDGED, then perhaps
# STARTED, then ENDED or SEVERED. Of one that is asked for: WAITS or STARTED, then ENDED or SEVERED
# if ``listening``; or at once ENDED, UNKNOWN, or SEVERED where nobody could be asked.
ACKNOWLEDGED: Final = "acknowledged"
REFUSED: Final = "refused"  # and it will not run, unless ``uncertain``
STARTED: Final = "started"
WAITS: Final = "waits"
ENDED: Final = "ended"
SEVERED: Final = "severed"  # nobody listens any more; it may still run
TAKEN_BACK: Final = "taken back"  # before any worker had it, since that was asked for
UNKNOWN: Final = "unknown"  # no server has it, nor kept what became of it

# Our servers answer this function themselves: a handle in, what its job ended with out, once it
# has. They know that option; others refuse it.
_RESULT: Final = "geartrain:result"
_OURS: Final = "fires"
# Seconds for a server's word.
_PATIENCE: Final = 10.0
# Seconds for a connection to be made.
_CONNECTING: Final = 3.0


@dataclass(frozen=True, slots=True)
class Order:
    """
    A job to be done, once per key.

    Attributes:
        fire: Whose it is; given back with each piece of news.
        attempt: The same; tells news of an earlier attempt from that of this one.
        function, key, workload: Of the job.
        priority: ``low``, ``normal`` or ``high``.
        limit: How many bytes of its result are wanted.
        server, handle: Where it was acknowledged, and as what, for ``ask`` and ``cancel``.
        group: Of servers, see `Groups`.

    """

    fire: int
    attempt: int
    function: str
    key: str
    workload: bytes = b""
    priority: Priority = "normal"
    limit: int = 4_096
    server: str = ""
    handle: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """
    What has become of an order.

    Attributes:
        kind: See above.
        server, handle: With ACKNOWLEDGED.
        ok: With ENDED: whether its worker said WORK_COMPLETE.
        data: With ENDED: the result, or what a worker said of its exception.
        reason: With REFUSED, SEVERED and UNKNOWN, for people.
        uncertain: With REFUSED: whether it may run all the same.
        listening: With WAITS and STARTED: whether its end will be told without asking again.

    """

    order: Order
    kind: str
    server: str = ""
    handle: str = ""
    ok: bool = False
    data: bytes = b""
    reason: str = ""
    uncertain: bool = False
    listening: bool = True


class Dispatcher:
    """
    Submits, listens and asks, at some job servers.

    Args:
        servers: Their addresses. Submissions go to the first that answers.
        tell: Is called with news, on this dispatcher's thread; it may not block or raise.

    """

    def __init__(self, servers: Sequence[str], tell: Callable[[Sequence[News]], None]) -> None:
        self.servers = tuple(servers)
        self._tell = tell
        self._loop = asyncio.new_event_loop()
        self._clients: dict[str, AsyncClient] = {}
        # Whether a server remembers how fires ended, where that is known.
        self._remembers: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Fires and attempts that are just being taken back: how they end is told by that alone.
        self._leaving: set[tuple[int, int]] = set()
        self._thread = Thread(target=self._run, name="geartrain-dispatcher", daemon=True)
        self._stopping: asyncio.Event | None = None
        self._ready = Flag()

    # From any thread.

    def start(self) -> None:
        """Begin. To be called once."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """End: disconnect, and tell nothing more. What was acknowledged goes on at the servers."""
        if self._thread.is_alive() and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def submit(self, orders: Sequence[Order]) -> None:
        """Submit orders and listen to them, without waiting for it."""
        self._each(self._submit, orders)

    def ask(self, orders: Sequence[Order]) -> None:
        """Ask what has become of orders that nobody listens to, without waiting for it."""
        self._each(self._ask, orders)

    def look(self, orders: Sequence[Order]) -> None:
        """Ask which of the orders that are listened to have been begun, without waiting for it."""
        self._each(self._look, orders)

    def cancel(self, orders: Sequence[Order]) -> None:
        """Take orders out of their servers' waiting lines; what runs goes on. Tells nothing."""
        self._each(self._cancel, orders)

    def take_back(self, orders: Sequence[Order]) -> None:
        """
        Take orders that are listened to out of the line unless a worker has them.

        Tells TAKEN_BACK, or STARTED of those that run.
        """
        self._each(self._take_back, orders)

    def send(self, function: str, workload: bytes) -> None:
        """Submit a job that nobody listens to, before others; where it fails it is logged."""
        self._soon(lambda: [self._send(function, workload)])

    # On the loop.

    def _each(
        self, act: Callable[[Order], Coroutine[Any, Any, None]], orders: Sequence[Order]
    ) -> None:
        self._soon(lambda: [act(order) for order in orders])

    def _soon(self, acts: Callable[[], list[Coroutine[Any, Any, None]]]) -> None:
        def begin() -> None:
            # In one pass of the loop, so that all of them leave in one write.
            for act in acts():
                task = self._loop.create_task(act)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        self._loop.call_soon_threadsafe(begin)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        self._ready.set()
        await self._stopping.wait()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in self._clients.values():
            await client.close()

    def _client(self, server: str) -> AsyncClient:
        client = self._clients.get(server)
        if client is None:
            client = AsyncClient(server, resend="never", patience=0.0, connect_timeout=_CONNECTING)
            self._clients[server] = client
        return client

    def _say(self, news: News) -> None:
        self._tell([news])

    # Submitting and listening.

    async def _submit(self, order: Order) -> None:
        reasons = []
        for server in self.servers:
            client = self._client(server)
            # Both at once, so that no end can come between them.
            kept = client.start(self._submission(order, background=True))
            heard = client.start(self._submission(order, background=False))
            try:
                ticket = await client.wait_accepted(kept, _PATIENCE)
            except ConnectionFailed as error:
                heard.forget()
                reasons.append(str(error))
                continue
            except ServerError as error:
                await self._refused(order, client, heard, error)
                return
            except (ConnectionLost, JobTimeout) as error:
                heard.forget()
                self._say(News(order, REFUSED, reason=str(error), uncertain=True))
                return
            handle = ticket.handle.decode("utf-8", "backslashreplace")
            self._say(News(order, ACKNOWLEDGED, server=ticket.server, handle=handle))
            await self._listen(order, heard)
            return
        self._say(News(order, REFUSED, reason="; ".join(reasons) or "there is no job server"))

    def _submission(self, order: Order, background: bool) -> Submission:
        return Submission(
            order.function,
            order.workload,
            unique=order.key,
            priority=order.priority,
            background=background,
        )

    async def _refused(
        self, order: Order, client: AsyncClient, heard: AsyncJob, error: ServerError
    ) -> None:
        """Give up the listening half of an order whose durable half was refused."""
        refused = News(order, REFUSED, reason=str(error))
        try:
            ticket = await client.wait_accepted(heard, _PATIENCE)
        except GeartrainError:
            self._say(refused)
            return
        try:
            await self._take_out(ticket)
        except GeartrainError:
            # A worker has it. It is as good as any, as long as somebody listens.
            await self._listen(order, heard)
            return
        heard.forget()
        self._say(refused)

    async def _listen(self, order: Order, job: AsyncJob) -> None:
        """Tell of a job's start and end."""
        started = False
        kept = bytearray()
        try:
            async for event in job.events():
                if event.kind == "failed" and (order.fire, order.attempt) in self._leaving:
                    return
                if event.kind in ("completed", "failed", "raised"):
                    self._say(self._ended(order, event.kind == "completed", kept, event.workload))
                    return
                if not started:
                    started = True
                    self._say(News(order, STARTED))
                if event.kind == "data" and len(kept) < order.limit:
                    kept += event.workload
        except GeartrainError as error:
            self._say(News(order, SEVERED, reason=str(error)))

    @staticmethod
    def _ended(order: Order, ok: bool, kept: bytearray, rest: bytes) -> News:
        data = bytes(kept) + rest if ok else rest
        return News(order, ENDED, ok=ok, data=data[: order.limit])

    # Asking.

    async def _ask(self, order: Order) -> None:
        server = order.server or next(iter(self.servers), "")
        client = self._client(server)
        try:
            remembers = await self._is_ours(server, client)
            status = await client.status(unique=order.key, timeout=_PATIENCE)
            if status.known:
                kind = STARTED if status.running else WAITS
                self._say(News(order, kind, listening=remembers and bool(order.handle)))
            if remembers and order.handle:
                await self._result(order, client)
            elif not status.known:
                self._say(
                    News(order, UNKNOWN, reason="its server keeps no account of jobs that ended")
                )
        except GeartrainError as error:
            self._say(News(order, SEVERED, reason=str(error)))

    async def _look(self, order: Order) -> None:
        client = self._client(order.server or next(iter(self.servers), ""))
        try:
            status = await client.status(unique=order.key, timeout=_PATIENCE)
        except GeartrainError:
            # Whoever listens hears of it as well.
            return
        if status.known:
            self._say(News(order, STARTED if status.running else WAITS))
        else:
            self._say(News(order, UNKNOWN, reason="its server does not know it any more"))

    async def _is_ours(self, server: str, client: AsyncClient) -> bool:
        """Return whether a server remembers how fires ended."""
        if server not in self._remembers:
            try:
                await client.option(_OURS, timeout=_PATIENCE)
            except ServerError:
                self._remembers[server] = False
            else:
                self._remembers[server] = True
        return self._remembers[server]

    async def _result(self, order: Order, client: AsyncClient) -> None:
        """Wait for an order's end at a server that remembers it."""
        job = client.start(Submission(_RESULT, order.handle))
        try:
            data = await job.result()
        except JobException as error:
            self._say(self._ended(order, False, bytearray(), error.workload))
        except JobFailed:
            reason = "it failed without a word, or so long ago that its server has forgotten it"
            self._say(News(order, UNKNOWN, reason=reason))
        else:
            self._say(self._ended(order, True, bytearray().join(job.data), data))

    # Taking back.

    async def _cancel(self, order: Order) -> None:
        if not order.handle:
            return
        ticket = JobHandle(order.server, order.handle.encode())
        try:
            await self._take_out(ticket)
        except GeartrainError as error:
            logger.info("job %s was not cancelled: %s", order.handle, error)

    async def _take_back(self, order: Order) -> None:
        # Our servers cancel what runs as well, and let its worker go on.
        leaving = (order.fire, order.attempt)
        try:
            status = await self._client(order.server).status(unique=order.key, timeout=_PATIENCE)
        except GeartrainError:
            # Whoever listens hears of it as well.
            return
        if status.running:
            self._say(News(order, STARTED))
        # Asked for again while it is on its way out, it is the first one's business.
        if status.running or not status.known or leaving in self._leaving:
            return
        self._leaving.add(leaving)
        try:
            await self._take_out(JobHandle(order.server, order.handle.encode()))
        except GeartrainError as error:
            # What it ended with meanwhile was not listened to.
            self._say(News(order, SEVERED, reason=str(error)))
        else:
            self._say(News(order, TAKEN_BACK))
        finally:
            self._leaving.discard(leaving)

    @staticmethod
    async def _take_out(ticket: JobHandle) -> None:
        async with AsyncAdminClient(
            ticket.server, timeout=_PATIENCE, connect_timeout=_CONNECTING
        ) as admin:
            await admin.cancel_job(ticket)

    async def _send(self, function: str, workload: bytes) -> None:
        for server in self.servers:
            try:
                await self._client(server).submit(
                    function, workload, background=True, priority="high", timeout=_PATIENCE
                )
            except GeartrainError as error:
                logger.warning("%s was not told at %s: %s", function, server, error)
            else:
                return
