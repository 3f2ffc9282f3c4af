"""
``geartrain db``: migrate a store, back it up, restore it, move it to another.

None of them runs beside a server: each takes the store as a server does, and a
server that is started meanwhile is refused.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from geartrain.cli.import_gearmand import url_of
from geartrain.errors import UsageError
from geartrain.store.mark import check_not_moving
from geartrain.store.moving import Carried, back_up, count, move, restore
from geartrain.store.queue_store import QueueStore

__all__ = ["app"]

app = typer.Typer(help="Migrate, back up, restore and move a store.", no_args_is_help=True)

Store = Annotated[
    str,
    typer.Option(
        help="URL of the store, or @FILE with it.",
        envvar="GEARTRAIN_STORE",
        show_default="sqlite:///geartrain.db",
    ),
]
Config = Annotated[
    Path | None, typer.Option(help="Configuration file (TOML) that names the store.")
]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]
DryRun = Annotated[bool, typer.Option(help="Count only, and change nothing.")]


@app.command()
def migrate(store: Store = "", config: Config = None) -> None:
    """Create the store's tables, or bring those of an earlier release up to date."""
    found = store_of(store, config)
    generation = found.open()
    try:
        check_not_moving(found)
    finally:
        found.close()
    print(f"{found.name} is up to date (generation {generation})")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to be written; it may not exist yet.")],
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write jobs, dead letters, results and schedules into a file, to be restored."""
    found = store_of(store, config)
    report(back_up(found, str(file)), found.name, str(file), "written to", as_json)


@app.command(name="restore")
def restore_file(
    file: Annotated[Path, typer.Argument(help="What geartrain db backup has written.")],
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Fill an empty store from a backup."""
    found = store_of(store, config)
    report(restore(str(file), found), str(file), found.name, "restored to", as_json)


@app.command(name="move")
def move_queue(
    source: Annotated[str, typer.Option("--from", help="URL of the store to be emptied.")],
    to: Annotated[str, typer.Option(help="URL of the store to be filled; it has to be empty.")],
    listen: Annotated[
        str,
        typer.Option(
            help="HOST:PORT at which to serve meanwhile in the server's place, and refuse new jobs."
        ),
    ] = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Move a queue to another store; again, if need be, until it is finished."""
    one, other = store_of(source, None), store_of(to, None)
    if dry_run:
        report(count(one), one.name, other.name, "would be moved to", as_json)
        return
    with in_its_place(listen):
        carried = move(one, other)
    report(carried, one.name, other.name, "moved to", as_json)


def in_its_place(listen: str) -> AbstractContextManager[object]:
    """Return what serves at an address while the queue is moved; nothing at none."""
    if not listen:
        return nullcontext()
    from geartrain.server.refusing import refusing

    return refusing(listen, "the queue is being moved to another store: try again later")


def store_of(url: str, config: Path | None) -> QueueStore:
    """Return the store that the options name, not open."""
    from geartrain.server.configuration import load_settings
    from geartrain.server.naming import new_handle_prefix
    from geartrain.server.settings import Settings
    from geartrain.server.store_url import store_url
    from geartrain.store.url import open_store

    if url and config:
        raise UsageError("--store and --config both name a store: say one of them")
    settings = load_settings(config) if config else Settings()
    return open_store(
        url_of(url) if url else store_url(settings),
        handle_prefix=new_handle_prefix(settings.handle_prefix),
        table=settings.store_table,
    )


def report(carried: Carried, source: str, target: str, done: str, as_json: bool) -> None:
    """Print the counts."""
    damaged = [{"row": one.row, "reason": one.reason} for one in carried.damaged]
    if as_json:
        print(json.dumps({"from": source, "to": target, **vars(carried), "damaged": damaged}))
        return
    for one in damaged:
        print(f"set aside: {one['row']}: {one['reason']}", file=sys.stderr)
    print(
        f"{carried.jobs} jobs, {carried.dead_letters} dead letters and {carried.results} results "
        f"of {source} {done} {target}"
        + (f"; {carried.schedules} entries, {carried.fires} fires" if carried.schedules else "")
        + (f"; {carried.joined} joined a job of the same key" if carried.joined else "")
        + (f"; {len(damaged)} set aside" if damaged else "")
    )
