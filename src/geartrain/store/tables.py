"""
The tables of the relational stores, for SQLAlchemy.

Names that clients send are bytes, not text: a function or a unique key may
hold any byte, and no database may fold its case, trim it or re-encode it.

Importing this file imports SQLAlchemy, which takes longer than everything else
a server does to start. Only ``compiling`` and the migrations do it.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
)
from sqlalchemy.dialects.mysql import VARBINARY

from geartrain.store.rows import MAX_HANDLE

__all__ = ["INNODB", "dead_letters", "generation", "jobs", "metadata", "results", "version"]

metadata = MetaData()

# MySQL's tables may be kept by an engine without transactions unless one says otherwise.
INNODB: Final[dict[str, Any]] = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}

# Lengths choose MySQL's types: a function's name may be 64 KiB, which is one byte too many
# for its BLOB. Others ignore them.
jobs = Table(
    "geartrain_jobs",
    metadata,
    # SQLite keeps a table in the order of an INTEGER key and of no other.
    Column(
        "number",
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    # Without an index: nothing asks a store for a handle, and one would cost a third of the
    # time of a removal.
    Column("handle", LargeBinary(MAX_HANDLE), nullable=False),
    Column("function_name", LargeBinary(2**24 - 1), nullable=False),
    Column("unique_key", LargeBinary(2**24 - 1), nullable=False),
    Column("workload", LargeBinary(2**32 - 1), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("reducer", LargeBinary(2**24 - 1), nullable=False),
    Column("submitted", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
)

# MySQL has no index on a BLOB without a length.
indexed_handle = LargeBinary(MAX_HANDLE).with_variant(VARBINARY(MAX_HANDLE), "mysql", "mariadb")

# Jobs that were given up, as they were, and why.
dead_letters = Table(
    "geartrain_dead_letters",
    metadata,
    Column(
        "number",
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("handle", indexed_handle, nullable=False),
    *(Column(column.name, column.type, nullable=False) for column in list(jobs.columns)[2:]),
    Column("reason", LargeBinary(2**24 - 1), nullable=False),
    Column("died", Double, nullable=False),
    Index("geartrain_dead_letters_handle", "handle"),
)

# What jobs ended with, for as long as their function's policy says.
results = Table(
    "geartrain_results",
    metadata,
    Column("handle", indexed_handle, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("function_name", LargeBinary(2**24 - 1), nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("data", LargeBinary(2**32 - 1), nullable=False),
    Column("ended", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Index("geartrain_results_expires", "expires"),
)

# One row: how many generations were started.
generation = Table(
    "geartrain_generation",
    metadata,
    Column("started", BigInteger, nullable=False),
)

# Alembic's own, here so that a new database can be created without Alembic.
version = Table(
    "geartrain_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="geartrain_version_pkc"),
)
