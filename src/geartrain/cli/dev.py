"""
``geartrain dev``: a job server and a worker with reload, for development.

The server runs in this process, the worker in one of its own that is replaced
when files change, so that the queue outlives both code and crashes of tasks.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import typer

from geartrain.cli.reloading import Reloader


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
    reloader: Reloader | None = None
    watching: threading.Thread | None = None

    def ready() -> None:
        nonlocal reloader, watching
        address = server.addresses()[0]
        kept = server.store.name if store else "a temporary file"
        print(f"server on {address}, jobs kept in {kept}", file=sys.stderr)
        if place is None:
            print("no worker: name one as geartrain dev module:app", file=sys.stderr)
        else:
            options = ["--concurrency", str(concurrency), "--pool", pool, "--grace", "5"]
            reloader = Reloader(["worker", place, "--server", address, *options], [Path.cwd()])
            watching = threading.Thread(target=reloader.run, name="geartrain-reload")
            watching.start()
        print("ready; Ctrl-C ends it", file=sys.stderr, flush=True)

    try:
        # SIGHUP says that the terminal is gone.
        run_server(server, ready=ready, reopen_log=server.stop)
    finally:
        if reloader is not None and watching is not None:
            reloader.stop()
            watching.join()
        passing.cleanup()


__all__ = ["dev"]
