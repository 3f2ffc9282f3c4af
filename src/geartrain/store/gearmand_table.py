"""
gearmand's table of jobs: taken over where it is found, and imitated ever after.

gearmand keeps ``unique_key, function_name, priority, data, when_to_run``. Its
rows become jobs once, in the transaction that also renames the table, so that
a crash repeats all of it or nothing. A view takes the table's place, for the
scripts that count rows in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any, Final

from geartrain.broker.job import HIGH, LOW, Job
from geartrain.errors import UsageError
from geartrain.store.mapper import GENERATION_BITS, PAGE, SqlMapper
from geartrain.store.queue_store import Damaged

__all__ = [
    "COLUMNS",
    "Imported",
    "check_table",
    "columns",
    "free_name",
    "import_table",
    "is_gearmands",
    "job_of",
    "offer_view",
    "reason",
]

COLUMNS: Final = ("unique_key", "function_name", "priority", "data", "when_to_run")
OURS: Final = "geartrain_"


class Imported:
    """
    What became of a table of gearmand's.

    Attributes:
        table: What the table is called now; it is kept for a person to drop.
        jobs: How many rows became jobs.
        damaged: The rows that can't be jobs; they stay in the table.

    """

    def __init__(self, table: str) -> None:
        self.table = table
        self.jobs = 0
        self.damaged: list[Damaged] = []


def check_table(name: str) -> None:
    """Raise UsageError unless the name can be a table's that is not ours or SQLite's."""
    if not re.fullmatch("[A-Za-z0-9_]+", name):
        raise UsageError(f"{name!r} can't be a table's name: use letters, digits and _ only")
    if name.lower().startswith((OURS, "sqlite_")):
        raise UsageError(f"the table name {name} is taken: choose one like gearman_queue")


def import_table(
    connection: Connection,
    mapper: SqlMapper,
    name: str,
    *,
    generation: int,
    handle_prefix: bytes,
    now: float,
) -> Imported:
    """
    Turn the rows of gearmand's table into jobs, and rename the table.

    Args:
        connection: Within a transaction; text is read as ``bytearray``.
        mapper: Of this database.
        name: The table's name, checked.
        generation: One of the jobs' own, for their numbers.
        handle_prefix: Their handles are ``prefix:0number``. The broker counts from
            ``prefix:1``, so none of its handles has a zero there.
        now: When they count as submitted, in seconds since 1970; gearmand doesn't say.

    """
    when_name = "when_to_run" if "when_to_run" in columns(connection, name) else "NULL"
    found = connection.execute(
        f'SELECT rowid, unique_key, function_name, priority, data, {when_name} FROM "{name}" '
        "ORDER BY rowid"
    )
    imported = Imported(free_name(connection, name))
    while rows := found.fetchmany(PAGE):
        jobs: list[Job] = []
        for rowid, *values in rows:
            damage = reason(values)
            if damage:
                imported.damaged.append(Damaged(f"rowid {rowid} of {imported.table}", damage))
                continue
            imported.jobs += 1
            number = generation << GENERATION_BITS | imported.jobs
            handle = b"%b:0%d" % (handle_prefix, number)
            jobs.append(job_of(values, number, handle, now))
        mapper.run(connection.cursor(), mapper.add_steps(jobs))
    connection.execute(f'ALTER TABLE "{name}" RENAME TO "{imported.table}"')
    return imported


def job_of(values: Sequence[Any], number: int, handle: bytes, now: float) -> Job:
    """Return the job of a row that has nothing wrong with it."""
    unique, function, priority, data, epoch = values
    # gearmand stores an empty workload as NULL, and then can't read it.
    return Job(
        number,
        handle,
        bytes(function),
        bytes(unique or b""),
        bytes(data or b""),
        priority,
        epoch or 0,
        b"",
        now,
        0,
    )


def reason(values: Sequence[object]) -> str:
    """Return what keeps a row from being a job, empty for nothing."""
    unique, function, priority, data, epoch = values
    if not isinstance(function, (bytes, bytearray)) or not function:
        return "function_name is no name"
    if unique is not None and not isinstance(unique, (bytes, bytearray)):
        return "unique_key is no text"
    if data is not None and not isinstance(data, (bytes, bytearray)):
        return "data is neither binary nor text"
    if not isinstance(priority, int) or not HIGH <= priority <= LOW:
        return "priority is not 0, 1 or 2"
    if epoch is not None and (not isinstance(epoch, int) or epoch < 0):
        return "when_to_run is no time"
    return ""


def is_gearmands(connection: Connection, name: str) -> bool:
    """Whether there is a table with gearmand's columns; before 1.0 it had no ``when_to_run``."""
    kind, _ = entry(connection, name)
    return kind == "table" and {*columns(connection, name), "when_to_run"} == set(COLUMNS)


def entry(connection: Connection, name: str) -> tuple[str, str]:
    """Return what in the database has this name, and how it was created; empty for nothing."""
    found = connection.execute(
        "SELECT type, sql FROM sqlite_master WHERE name = ? COLLATE NOCASE", (name,)
    ).fetchone()
    if found is None:
        return "", ""
    kind, sql = (bytes(value or b"").decode("utf-8", "replace") for value in found)
    return kind, sql


def columns(connection: Connection, name: str) -> list[str]:
    """Return the columns of a table, none when there is no such table."""
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (name,))
    return [column.decode() for (column,) in found]


def free_name(connection: Connection, name: str) -> str:
    """Return what to rename a table to: ``name_imported``, or that with a number."""
    wanted = f"{name}_imported"
    number = 1
    while entry(connection, wanted)[0]:
        number += 1
        wanted = f"{name}_imported_{number}"
    return wanted


def offer_view(connection: Connection, name: str) -> None:
    """
    Offer a view of the jobs with gearmand's columns, within a transaction.

    Raises UsageError when something else has the name.
    """
    # Text, so that a script's WHERE function_name = 'resize' finds what gearmand's table would.
    view = (
        f'CREATE VIEW "{name}" AS SELECT CAST(unique_key AS TEXT) AS unique_key, '
        "CAST(function_name AS TEXT) AS function_name, priority, workload AS data, "
        "epoch AS when_to_run FROM geartrain_jobs"
    )
    kind, sql = entry(connection, name)
    if sql == view:
        return
    if kind:
        if kind != "view" or "geartrain_jobs" not in sql:
            raise UsageError(
                f"the database has a {kind} called {name} which is not gearmand's: "
                "choose another table name"
            )
        connection.execute(f'DROP VIEW "{name}"')
    connection.execute(view)
