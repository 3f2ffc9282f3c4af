"""
``geartrain scheduler``: fire entries, beside any job servers.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from geartrain.cli.schedules import Config, Store, url_of_schedules

__all__ = ["scheduler"]


def scheduler(
    store: Store = "",
    servers: Annotated[
        list[str] | None,
        typer.Option(
            "--servers",
            "-s",
            metavar="HOST:PORT,...",
            help="Job servers that get the fires, the first that answers. May be repeated.",
            show_default="127.0.0.1:4730",
        ),
    ] = None,
    config: Config = None,
    instance: Annotated[
        str | None,
        typer.Option(help="Its name among those of one database.", show_default="host and process"),
    ] = None,
    poll: Annotated[
        float | None,
        typer.Option(help="Seconds between two looks at the database.", show_default="1"),
    ] = None,
    lease: Annotated[
        float | None,
        typer.Option(help="Seconds of silence after which others take over.", show_default="30"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Fire entries when they are due. Any number may share a database; none of them leads."""
    from geartrain.cli.scheduling import Scheduling
    from geartrain.schedule.settings import check_scheduler, load_scheduler_settings
    from geartrain.supervisor.notify import notify

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    settings = load_scheduler_settings(config)
    given = {"instance": instance, "poll": poll, "lease": lease}
    for key, value in given.items():
        if value is not None:
            setattr(settings, key, value)
    check_scheduler(settings)
    settings.store = found_store(store, config)
    places = [one for text in servers or settings.servers for one in text.split(",") if one]
    scheduling = Scheduling(settings, places or ["127.0.0.1:4730"], config)

    def ready() -> None:
        assert scheduling.scheduler is not None
        name = scheduling.scheduler.name
        print(f"ready: scheduler {name} for {', '.join(scheduling.servers)}", file=sys.stderr)
        sys.stderr.flush()
        notify("READY=1")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduling.stop())
    scheduling.run(ready)


def found_store(store: str, config: Path | None) -> str:
    """Return the URL of the database; a file of SQLite's that was named need not be there yet."""
    url = url_of_schedules(store or os.environ.get("GEARTRAIN_STORE", ""), config)
    # Said now, and not from a thread later.
    from geartrain.store.schedule_sql import database_of

    database_of(url)
    return url
