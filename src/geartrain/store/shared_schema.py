"""
Creates the tables of a shared database, or migrates those of an earlier release.

Several servers may start at once on an empty database. One creates the tables; the others find
them there, or wait a moment until they do.
"""

from __future__ import annotations

from time import monotonic, sleep
from typing import Final

from geartrain.errors import StoreDamaged, StoreUnavailable
from geartrain.store.link import Database
from geartrain.store.transactions import Transaction, Transactions

__all__ = ["bring_up_to_date"]

# Seconds for connecting, and for others to create the tables.
PATIENCE: Final = 10.0


def bring_up_to_date(database: Database, transactions: Transactions) -> None:
    """Create or migrate the tables; raises StoreUnavailable, StoreDamaged and UsageError."""
    deadline = monotonic() + PATIENCE
    while True:
        revision = transactions.run(
            lambda one: find_revision(database, one), fenced=False, patience=PATIENCE
        )
        if revision == database.head:
            return
        if revision:
            database.migrate()
            continue
        try:
            create(database, transactions)
        except (StoreUnavailable, StoreDamaged):
            # Somebody else may be creating them.
            if monotonic() > deadline:
                raise
            sleep(0.05)


def find_revision(database: Database, transaction: Transaction) -> str:
    """Return the revision of the tables, empty where there are none or not all of them."""
    tables = {row[0] for row in transaction.read(database.tables)}
    if "geartrain_version" in tables:
        versions = transaction.read("SELECT version_num FROM geartrain_version")
        if len(versions) == 1:
            return str(versions[0][0])
    if "geartrain_jobs" in tables and transaction.read("SELECT 1 FROM geartrain_jobs LIMIT 1"):
        raise StoreDamaged(
            f"{database.name} lacks the revision of its tables: put a backup in its place, or "
            "rename its tables geartrain_... to start with an empty queue"
        )
    return ""


def create(database: Database, transactions: Transactions) -> None:
    """Create the tables; those that are there are left as they are."""
    *tables, version = database.statements.create
    for statement in tables:
        try:
            transactions.run(
                lambda one: one.run([(statement, ())]),  # noqa: B023
                fenced=False,
                patience=PATIENCE,
            )
        except StoreDamaged as error:
            if not database.is_there(error.__cause__):
                raise
    transactions.run(lambda one: one.run([(version, ())]), fenced=False)
