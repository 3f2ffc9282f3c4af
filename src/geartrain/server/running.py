"""
Runs a job server as a process: event loop, signals, order of start and stop.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from typing import Any

from geartrain.server.server import JobServer

logger = logging.getLogger("geartrain.server")

# Allocations until the garbage collector looks at young objects, and how often it looks at
# older ones. Queued jobs are no garbage: at Python's defaults a million of them cost half of the
# throughput and stops of a quarter of a second, all of it for nothing.
GC_THRESHOLDS = (100_000, 50, 100)


def new_event_loop() -> tuple[asyncio.AbstractEventLoop, str]:
    """Return the fastest event loop there is, and its name."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop(), "asyncio"
    return uvloop.new_event_loop(), "uvloop"


def run_server(
    server: JobServer,
    bound: Callable[[], None] = lambda: None,
    ready: Callable[[], None] = lambda: None,
    reopen_log: Callable[[], None] = lambda: None,
    grace: float | None = None,
) -> None:
    """
    Run a server until a signal or an administrator stops it.

    SIGTERM and SIGINT stop it, SIGUSR1 lets it end when its last job is done,
    SIGHUP reopens the log. Raises UsageError and StoreError before it is ready.

    Args:
        server: Not bound yet.
        bound: Called when the addresses are taken, before the store is opened and anything
            is accepted: the moment to write a pid file and to give up privileges.
        ready: Called when it accepts.
        reopen_log: Called at SIGHUP.
        grace: Seconds that running jobs get at SIGTERM; the server's setting by default.

    """
    server.bind()
    try:
        bound()
        server.open()
    except BaseException:
        server.stop_accepting()
        raise
    loop, name = new_event_loop()
    logger.debug("the event loop is %s", name)

    async def life() -> None:
        await server.start()
        handlers: tuple[tuple[signal.Signals, Callable[..., Any], tuple[Any, ...]], ...] = (
            (signal.SIGTERM, server.stop, (grace,)),
            (signal.SIGINT, server.stop, (grace,)),
            (signal.SIGUSR1, server.stop_when_empty, ()),
            (signal.SIGHUP, reopen_log, ()),
        )
        for number, handler, args in handlers:
            loop.add_signal_handler(number, handler, *args)
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        ready()
        await server.run_until_stopped()

    try:
        loop.run_until_complete(life())
    finally:
        loop.close()
