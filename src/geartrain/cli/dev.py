"""
``geartrain dev``: a job server and a worker with reload, for development.

The server runs in this process, the worker in one of its own that is replaced
when files change, so that the queue outlives both code and crashes of tasks.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geartrain.cli.reloading import Reloader

if TYPE_CHECKING:
    from geartrain.server.server import JobServer


def dev(
    place: Annotated[
        str | None,
        typer.Argument(metavar="[MODULE:APP]", help="Where the app is; none for no worker."),
    ] = None,
    listen: Annotated[str, typer.Option(help="Address to accept on.")] = "127.0.0.1:4730",
    store: Annotated[
        str | None,
        typer.Option(help="Where background jobs are kept.", show_default="until it ends"),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", help="Tasks that run at once.")
    ] = 2,
    pool: Annotated[str, typer.Option(help="Where they run: thread, process or async.")] = "thread",
) -> None:
    """Run a job server, and a worker that starts anew when files change."""
    from geartrain.server.running import run_server
    from geartrain.server.server import new_server
    from geartrain.server.settings import Settings

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    # Like one in production, with everything that takes a disk, and gone when it ends.
    passing = tempfile.TemporaryDirectory(prefix="geartrain-dev-")
    server = new_server(
        Settings(listen=[listen], store=store or f"sqlite:///{passing.name}/dev.db")
    )
    worker = DevWorker(server)

    def ready() -> None:
        address = server.addresses()[0]
        kept = server.store.name if store else "a temporary file"
        print(f"server on {address}, jobs kept in {kept}", file=sys.stderr)
        if place is None:
            print("no worker: name one as geartrain dev module:app", file=sys.stderr)
        else:
            options = ["--concurrency", str(concurrency), "--pool", pool, "--grace", "5"]
            worker.start(["worker", place, "--server", address, *options])
        worker.take_signals()
        print("ready; Ctrl-C ends it", file=sys.stderr, flush=True)

    try:
        run_server(server, ready=ready)
    finally:
        worker.stop()
        passing.cleanup()


class DevWorker:
    """
    The worker beside the server, which ends before it does.

    Args:
        server: Stopped by a signal once the worker has ended, by a second one at once.

    """

    def __init__(self, server: JobServer) -> None:
        self.server = server
        self.reloader: Reloader | None = None
        self.watching: threading.Thread | None = None
        self.stopping: threading.Thread | None = None

    def start(self, arguments: list[str]) -> None:
        """Start it, and watch the files below the current directory."""
        self.reloader = Reloader(arguments, [Path.cwd()])
        self.watching = threading.Thread(target=self.reloader.run, name="geartrain-reload")
        self.watching.start()

    def stop(self) -> None:
        """End it."""
        if self.reloader is not None and self.watching is not None:
            self.reloader.stop()
            self.watching.join()

    def take_signals(self) -> None:
        """Answer signals on the running event loop, also that the terminal is gone."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.receive_signal, loop)

    def receive_signal(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop the worker, and then the server; the server serves it meanwhile."""
        if self.watching is None or self.stopping is not None:
            self.server.stop()
            return

        def stop_both() -> None:
            self.stop()
            loop.call_soon_threadsafe(self.server.stop)

        self.stopping = threading.Thread(target=stop_both, name="geartrain-stop", daemon=True)
        self.stopping.start()


__all__ = ["dev"]
