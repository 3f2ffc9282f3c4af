"""
Where commands find the store of schedules, and who they are to it.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from geartrain.errors import UsageError

if TYPE_CHECKING:
    from geartrain.store.schedule_store import ScheduleStore

__all__ = ["Config", "Json", "Store", "me", "opened"]

Store = Annotated[
    str,
    typer.Option(
        "--store",
        help="URL of the database, or @FILE with it.",
        envvar="GEARTRAIN_STORE",
        show_default="sqlite:///geartrain.db",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Configuration file (TOML) that names it.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_SQLITE: Final = "sqlite:"


@contextlib.contextmanager
def opened(store: str, config: Path | None) -> Iterator[ScheduleStore]:
    """
    Open the store of schedules that options, environment or configuration name.

    Raises:
        UsageError: There is none there, or it keeps no schedules.
        StoreUnavailable: It can't be reached.

    """
    from geartrain.store.schedule_sql import open_schedules

    found = open_schedules(url_of_schedules(store, config))
    found.open()
    try:
        yield found
    finally:
        found.close()


def url_of_schedules(store: str, config: Path | None) -> str:
    """Return the URL of the store; raises UsageError."""
    from geartrain.cli.import_gearmand import url_of
    from geartrain.configuration import checked, read_tables, table_of
    from geartrain.server.configuration import load_settings
    from geartrain.server.settings import Settings
    from geartrain.server.store_url import store_url

    settings, own = Settings(), ""
    if config is not None:
        table = table_of(config, read_tables(config), "scheduler")
        own = checked(config, "store", "str", table.get("store", ""))
        settings = load_settings(config)
    if store and not (own and store == os.environ.get("GEARTRAIN_STORE")):
        # What was said last counts; what the environment says is for the queue as well.
        return url_of(store)
    url = url_of(own) if own else store_url(settings)
    if config is None:
        refuse_new(url)
    return url


def refuse_new(url: str) -> None:
    """Raise UsageError where nobody has named a store, and there is none here."""
    from geartrain.store.url import sqlite_path

    scheme, _, rest = url.partition(":")
    path = sqlite_path(rest) if scheme == "sqlite" else ""
    if path and not os.path.exists(path):
        raise UsageError(
            f"there is no {path} in {os.getcwd()}; name the scheduler's database by --store URL, "
            "GEARTRAIN_STORE or --config FILE"
        )


def me() -> str:
    """Return who is asking, for the book of changes: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
