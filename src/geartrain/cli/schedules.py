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

from geartrain.cli.import_gearmand import url_of
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
def opened(store: str, config: Path | None, *, adds: bool = False) -> Iterator[ScheduleStore]:
    """
    Open the store of schedules that options, environment or configuration name.

    Who ``adds`` entries has servers on it told before, so that they get ready meanwhile.

    Raises:
        UsageError: There is none there, or it keeps no schedules.
        StoreUnavailable: It can't be reached.

    """
    from geartrain.schedule.settings import load_scheduler_settings
    from geartrain.store.schedule_notice import announce

    url = url_of_schedules(store, config)
    if adds:
        announce(url)
    # Takes longer than all that came before it.
    from geartrain.store.schedule_sql import open_schedules

    settings = load_scheduler_settings(config)
    # A copy of another database than the one that was asked for would be of no use.
    reader = "" if store and url != settings.store else settings.store_reader
    found = open_schedules(url, reader=url_of(reader) if reader else "")
    found.open()
    try:
        yield found
    finally:
        found.close()


def url_of_schedules(store: str, config: Path | None) -> str:
    """Return the URL of the store; raises UsageError."""
    from geartrain.schedule.settings import load_scheduler_settings
    from geartrain.server.configuration import load_settings
    from geartrain.server.settings import Settings
    from geartrain.server.store_url import store_url

    own = load_scheduler_settings(config).store
    settings = load_settings(config) if config else Settings()
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
