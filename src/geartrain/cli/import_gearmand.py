"""
``geartrain import gearmand-...``: take over the jobs that a gearmand left in its queue.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from geartrain.errors import UsageError

__all__ = ["import_gearmand", "url_of"]

# A URL may hold a password, which every user of the machine can read on a command line.
FILE_SIGN = "@"


def url_of(word: str) -> str:
    """Return a URL that was given, or the one in the file that ``@FILE`` names."""
    if not word.startswith(FILE_SIGN):
        return word
    path = Path(word[len(FILE_SIGN) :])
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read a URL from {path}: {error}") from None


def import_gearmand(
    context: typer.Context,
    source_url: Annotated[str, typer.Argument(help="URL of gearmand's queue, or @FILE with it.")],
    to: Annotated[
        str,
        typer.Option(
            help="URL of the store that gets the jobs, or @FILE with it.", envvar="GEARTRAIN_STORE"
        ),
    ],
    table: Annotated[str, typer.Option(help="Name of gearmand's table.")] = "",
    function: Annotated[
        list[str] | None,
        typer.Option(help="A function whose name has a dash in it, for a Redis. May be repeated."),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Count only, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Take over the jobs that a gearmand left in its queue, each of them once."""
    from geartrain.server.naming import new_handle_prefix
    from geartrain.store.gearmand_source import open_source
    from geartrain.store.importing import Report, import_jobs, look_through
    from geartrain.store.url import open_store

    # One function for all of them: the command's name says which.
    name = str(context.info_name).removeprefix("gearmand-")
    source = open_source(name, url_of(source_url), table=table, functions=function or ())
    prefix = new_handle_prefix("")
    store = open_store(url_of(to), handle_prefix=prefix)
    if not store.durable:
        raise UsageError(f"{store.name} keeps no jobs: name a store that does")
    if not source.is_there():
        raise UsageError(f"there is no queue of gearmand's in {source.name}")
    if dry_run:
        report: Report = look_through(source)
    else:
        generation = store.open()
        try:
            report = import_jobs(
                source, store, generation=generation, handle_prefix=prefix, now=time.time()
            )
        finally:
            store.close()
    if as_json:
        print(json.dumps(facts_of(report, source.name, store.name, dry_run)))
        return
    for row in report.damaged:
        print(f"set aside: {row.row}: {row.reason}", file=sys.stderr)
    would = "would be imported" if dry_run else "imported"
    print(
        f"{report.found} jobs found in {source.name}: {report.imported} {would}, "
        f"{report.already} were imported before, {report.joined} joined a job of the same key, "
        f"{len(report.damaged)} set aside"
    )


def facts_of(report: object, source: str, store: str, dry_run: bool) -> dict[str, object]:
    """Return what ``--json`` prints."""
    facts = dict(vars(report))
    facts["damaged"] = [{"row": one.row, "reason": one.reason} for one in facts["damaged"]]
    return {"from": source, "to": store, "dry_run": dry_run, **facts}
