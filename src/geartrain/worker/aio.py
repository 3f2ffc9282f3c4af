"""
The worker for the event loop: what programs see of it.

Which words go over the wire is decided in ``session``; connections and jobs
are looked after by ``aio_keeper``.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final, TypeVar

from geartrain.client.address import ServersLike, parse_addresses
from geartrain.client.dialing import CONNECT_TIMEOUT
from geartrain.client.keepalive import DEFAULT_KEEPALIVE, Keepalive
from geartrain.errors import UsageError
from geartrain.wire.reader import MAX_PACKET
from geartrain.worker.abilities import Abilities
from geartrain.worker.aio_keeper import AsyncKeeper
from geartrain.worker.job import AsyncHandler
from geartrain.worker.session import Slots, WorkerSession
from geartrain.worker.settings import (
    ANSWER_TIMEOUT,
    DEFAULT_GRACE,
    check_client_id,
    check_count,
    check_seconds,
)

AnyHandler = TypeVar("AnyHandler", bound=AsyncHandler)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class AsyncWorker:
    """
    Grabs jobs from every server and runs their handlers on the event loop.

    ::

        worker = AsyncWorker("localhost:4730", concurrency=100)

        @worker.function("fetch")
        async def fetch(job: AsyncJob) -> bytes:
            return await download(job.workload.decode())

        asyncio.run(worker.run())

    Handlers that are no ``async def`` run as well. Each keeps the whole loop
    waiting while it runs, so they should be short.

    Args:
        servers: Addresses; the worker connects to all of them. None means those of
            ``GEARMAN_SERVERS``, or ``127.0.0.1:4730``.
        concurrency: How many jobs run at once, all servers together.
        prefetch: Jobs to hold beyond those that can start now; see `Worker`.
        client_id: Name of this worker in the server's lists.
        grace: Seconds that held jobs get to end when the worker is asked to stop.
        connect_timeout: Seconds for one attempt to connect.
        keepalive: When the kernel probes quiet connections; None for never.
        answer_timeout: Seconds after which a server that owes an answer, and sends nothing,
            is given up; its connection is made anew.
        max_packet: Largest packet taken from a server, in bytes.
        options: Sent to each server by OPTION_REQ; one that a server refuses is logged.

    Raises:
        UsageError: An argument can't be used; the message says which.

    """

    def __init__(
        self,
        servers: ServersLike = None,
        *,
        concurrency: int = 1,
        prefetch: int = 0,
        client_id: str | bytes = b"",
        grace: float = DEFAULT_GRACE,
        connect_timeout: float = CONNECT_TIMEOUT,
        keepalive: Keepalive | None = DEFAULT_KEEPALIVE,
        answer_timeout: float = ANSWER_TIMEOUT,
        max_packet: int = MAX_PACKET,
        options: Sequence[bytes] = (),
    ) -> None:
        self._options = [b"exceptions", *options]
        self._was_signalled = False
        self._client_id = check_client_id(client_id)
        self._max_packet = max_packet
        self._abilities: Abilities[AsyncHandler] = Abilities(allow_async=True)
        concurrency = check_count("concurrency", concurrency, 1)
        self._keeper = AsyncKeeper(
            parse_addresses(servers),
            self._abilities,
            Slots(concurrency + check_count("prefetch", prefetch, 0)),
            concurrency,
            self._new_session,
            check_seconds("grace", grace),
            check_seconds("connect_timeout", connect_timeout),
            keepalive,
            check_seconds("answer_timeout", answer_timeout),
        )
        self._started = False
        self._task: asyncio.Task[bool] | None = None

    # Functions.

    def register(
        self, function: str | bytes, handler: AsyncHandler, timeout: float | None = None
    ) -> None:
        """
        Announce a function, before or while the worker runs.

        Args:
            function: Its name; text is sent as UTF-8.
            handler: Called with each `AsyncJob`; it, or what it awaits, returns bytes, str
                or None.
            timeout: Seconds after which the server gives a job of it to another worker.

        Raises:
            UsageError: The name is taken, or an argument can't be used.

        """
        name = self._abilities.register(function, handler, timeout)
        self._keeper.announce(name, self._abilities.timeouts[name])

    def function(
        self, name: str | bytes, timeout: float | None = None
    ) -> Callable[[AnyHandler], AnyHandler]:
        """Decorate the handler of a function; the arguments are those of `register`."""

        def decorate(handler: AnyHandler) -> AnyHandler:
            self.register(name, handler, timeout)
            return handler

        return decorate

    # Running.

    async def run(self) -> bool:
        """
        Work until asked to stop.

        In the main thread, SIGTERM and SIGINT are answered meanwhile: the
        first one asks the worker to stop, as `stop` does; a second one makes
        it leave at once.

        Returns:
            True if every job it held was seen to its end, False if some went
            back to their server.

        Raises:
            UsageError: No function is registered, or the worker has run already.

        """
        self._start()
        with self._signals():
            return await self._keeper.serve()

    def stop(self, grace: float | None = None) -> None:
        """
        Ask for no more jobs, and leave when those held have ended. From any thread.

        Args:
            grace: Seconds they get, instead of the worker's ``grace``; 0 to leave at once.

        """
        self._keeper.ask_stop(grace)

    @property
    def was_signalled(self) -> bool:
        """Whether SIGTERM or SIGINT has asked it to stop."""
        return self._was_signalled

    async def wait_until_ready(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109
        """
        Wait until every connected server, at least one, knows all functions.

        Args:
            timeout: Seconds to wait, or None for no limit.

        Returns:
            Whether they do. False too when the worker has ended.

        """
        return await self._keeper.wait_until_ready(timeout)

    async def __aenter__(self) -> AsyncWorker:
        self._start()
        self._task = asyncio.ensure_future(self._keeper.serve())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self.stop()
        await self._task

    def _start(self) -> None:
        if self._started:
            raise UsageError("a worker runs once; make another one")
        if not self._abilities.handlers:
            raise UsageError("the worker has no function; register one before it runs")
        self._started = True

    def _new_session(self, slots: Slots) -> WorkerSession:
        return WorkerSession(
            slots, self._client_id, self._abilities.timeouts, self._options, self._max_packet
        )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Answer signals while the worker runs in the main thread, and only there."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._receive_signal)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _receive_signal(self) -> None:
        self._was_signalled = True
        self._keeper.ask_stop(0 if self._keeper.stop_asked else None)


__all__ = ["AsyncWorker"]
