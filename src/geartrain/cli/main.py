"""
The ``geartrain`` command.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from geartrain import __version__
from geartrain.cli import alert, cron, ctl, databases, exit_code, importing, job, up
from geartrain.cli.agent import agent
from geartrain.cli.cluster import cluster
from geartrain.cli.dev import dev
from geartrain.cli.scheduler import scheduler
from geartrain.cli.submit import submit
from geartrain.cli.worker import worker
from geartrain.errors import (
    ConnectionFailed,
    ConnectionLost,
    EntryNotFound,
    EntryRefused,
    GeartrainError,
    ServerError,
    StoreUnavailable,
)

app = typer.Typer(
    name="geartrain",
    help="A distributed job system that speaks the Gearman protocol.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(worker)
app.command()(submit)
app.command()(agent)
app.command()(scheduler)
app.command()(dev)
app.command()(cluster)


# Exit codes for what a command could not handle itself; usage for all else.
_CODES: Final = (
    ((ConnectionFailed, ConnectionLost, StoreUnavailable), exit_code.UNREACHABLE),
    ((EntryNotFound,), exit_code.NOT_FOUND),
    ((ServerError, EntryRefused), exit_code.REFUSED),
)


def is_compiled() -> bool:
    """Return whether the pure rooms run compiled."""
    from geartrain.broker import broker

    return not str(broker.__file__).endswith(".py")


@app.command()
def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Print the version, and what this installation runs on."""
    from geartrain.server.running import new_event_loop

    loop, loop_name = new_event_loop()
    loop.close()
    facts = {
        "version": __version__,
        "python": platform.python_version(),
        "compiled": is_compiled(),
        "event_loop": loop_name,
    }
    if as_json:
        print(json.dumps(facts))
        return
    kind = "compiled" if facts["compiled"] else "pure Python"
    print(f"geartrain {__version__} ({kind}, {loop_name}, Python {facts['python']})")


@app.command()
def serve(
    listen: Annotated[
        list[str] | None,
        typer.Option(
            help="Address to accept on: HOST:PORT, [IPV6]:PORT or unix:PATH. May be repeated.",
            show_default="127.0.0.1:4730",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="Where background jobs are kept: a URL like sqlite:///FILE; memory: for nowhere.",
            envvar="GEARTRAIN_STORE",
            show_default="sqlite:///geartrain.db",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file (TOML).")] = None,
    http: Annotated[
        list[str] | None, typer.Option(help="Address for the HTTP protocol. May be repeated.")
    ] = None,
    no_scheduler: Annotated[
        bool, typer.Option("--no-scheduler", help="Fire no entries; see [scheduler] enabled.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Run a job server, and a scheduler of the entries in its store."""
    from geartrain.cli.daemon import raise_file_limit
    from geartrain.cli.scheduling import own_servers, scheduler_beside
    from geartrain.server.configuration import check
    from geartrain.server.reloading import PolicyFile
    from geartrain.server.running import run_server
    from geartrain.server.server import new_server
    from geartrain.supervisor.notify import notify

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    file = PolicyFile(config)
    settings = file.settings
    if listen:
        settings.listen = listen
    if http:
        settings.http_listen = http
    if store:
        settings.store, settings.store_file = store, ""
    check(settings)
    # Each connection is an open file, and a login shell allows no more than 1,024 of them.
    raise_file_limit(0)
    server = new_server(settings, policies=file.policies)
    beside = None if no_scheduler else scheduler_beside(server, config)

    def ready() -> None:
        names = ", ".join(server.addresses())
        kind = "compiled" if is_compiled() else "pure Python"
        print(f"geartrain {__version__} ({kind}) listens on {names}", file=sys.stderr)
        print(f"jobs are kept in {server.store.name}", file=sys.stderr)
        print("ready", file=sys.stderr, flush=True)
        notify("READY=1")
        if beside is not None:
            beside.scheduling.servers = beside.scheduling.servers or own_servers(server.addresses())
            beside.start()

    try:
        run_server(server, ready=ready, reopen_log=lambda: file.reload(server))
    finally:
        if beside is not None:
            beside.stop()


app.command()(up.up)
app.add_typer(ctl.app, name="ctl")
app.add_typer(importing.app, name="import")
app.add_typer(databases.app, name="db")


app.add_typer(job.app, name="job")
app.add_typer(cron.app, name="cron")
app.add_typer(alert.app, name="alert")


def main() -> None:
    """Run the command; an error of this package is one line, and an exit code of its kind."""
    try:
        app()
    except GeartrainError as error:
        print(f"geartrain: {error}", file=sys.stderr)
        sys.exit(code_of(error))


def code_of(error: GeartrainError) -> int:
    """Return the exit code for what a command could not handle itself."""
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return exit_code.USAGE
