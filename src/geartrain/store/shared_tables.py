"""
The tables of databases that several servers share, for SQLAlchemy.

The jobs' table is SQLite's with one column more; ``geartrain_servers`` takes the place of
``geartrain_generation``. Importing this file imports SQLAlchemy, see ``tables``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    LargeBinary,
    MetaData,
    Table,
    literal_column,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from geartrain.store import tables
from geartrain.store.rows import MAX_HANDLE
from geartrain.store.schedule_tables import SCHEDULE_TABLES
from geartrain.store.shared_rows import KEY_SIZE, MAX_NAME
from geartrain.store.tables import INNODB

__all__ = ["servers", "shared_jobs", "shared_metadata"]

shared_metadata = MetaData()


def short(length: int) -> TypeEngine[bytes]:
    """Return the type of a few bytes, which MySQL can have in a key."""
    kind: TypeEngine[bytes] = LargeBinary(length)
    return kind.with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


def shared(table: Table, *more: Column[Any]) -> Table:
    """Return a table of SQLite's for the other databases, with more columns at its end."""
    columns = []
    for column in table.columns:
        copied = column._copy()
        if isinstance(copied.type, LargeBinary) and (copied.type.length or 0) < 256:
            copied.type = short(copied.type.length or 0)
        columns.append(copied)
    indexes = [Index(index.name, *(c.name for c in index.columns)) for index in table.indexes]
    made: Table = Table(table.name, shared_metadata, *columns, *more, *indexes, **INNODB)
    return made


shared_jobs = shared(
    tables.jobs,
    # Which other jobs a job may not be beside of, in any server; NULL for one without a key.
    Column("coalesce_key", short(KEY_SIZE), nullable=True),
    # How many submissions at other servers have coalesced with it. They were acknowledged, so a
    # job that its own server refused is not taken out any more.
    Column("joined", BigInteger, nullable=False, server_default=literal_column("0")),
)
coalesce_index = Index(
    "geartrain_coalesce",
    shared_jobs.c.coalesce_key,
    unique=True,
    # Jobs without a key cost nothing there.
    postgresql_where=shared_jobs.c.coalesce_key.is_not(None),
)

# One row per generation, as long as there may be jobs whose numbers start with it.
servers = Table(
    "geartrain_servers",
    shared_metadata,
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("name", short(MAX_NAME), nullable=False),
    Column("address", short(MAX_NAME), nullable=False),
    # Start of the handles it gives out.
    Column("prefix", short(MAX_HANDLE), nullable=False),
    # When its lease ends, in seconds since 1970 by the database's clock.
    Column("expires", Double, nullable=False),
    # The generation that holds its jobs instead; 0 for itself, -1 when there are none.
    Column("taken_by", BigInteger, nullable=False),
    # How often it has written its row: tells whether a commit of unknown outcome got through.
    Column("renewals", BigInteger, nullable=False),
    **INNODB,
)

for table in (tables.dead_letters, tables.results):
    shared(table)
for table in (tables.version, *SCHEDULE_TABLES):
    table.to_metadata(shared_metadata)
