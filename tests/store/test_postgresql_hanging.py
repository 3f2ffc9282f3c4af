"""A server that hangs in the middle of a transaction is taken over all the same."""

from __future__ import annotations

import time

import psycopg
import pytest

from geartrain.store.postgresql import PostgresqlDatabase
from geartrain.store.shared_sql import SharedSqlStore
from tests.services.postgresql import Postgresql, shared_postgresql

LEASE = 1.0


@pytest.fixture(scope="module")
def instance() -> Postgresql:
    return shared_postgresql()


def store(url: str, name: str) -> SharedSqlStore:
    database = PostgresqlDatabase(url)
    return SharedSqlStore(database, handle_prefix=b"H:" + name.encode(), server=name, lease=LEASE)


def test_a_server_that_hangs_with_its_row_locked_is_taken_over(instance: Postgresql) -> None:
    """As one does that was stopped when half of its commit was sent."""
    name = instance.new_database()
    gone, other = store(instance.url(name), "gone"), store(instance.url(name), "other")
    generation = gone.open()
    other.open()
    hanging = psycopg.connect(instance.url(name))
    hanging.execute("UPDATE geartrain_servers SET renewals = 9 WHERE generation = %s", [generation])
    began = time.monotonic()
    while not other.adopt():
        other.renew()
        assert time.monotonic() < began + 2 * LEASE + 2
    assert [member.name for member in other.members()] == ["other"]
    with pytest.raises(psycopg.OperationalError):
        hanging.commit()
    hanging.close()
    for one in (gone, other):
        one.close()


def test_a_transaction_in_which_nothing_happens_is_ended(instance: Postgresql) -> None:
    """It would be open for ever if psycopg had the last word of a pipeline."""
    name = instance.new_database()
    other = store(instance.url(name), "other")
    other.open()

    def hang(transaction: object) -> None:
        transaction.run([("SELECT 1", ()), ("SELECT 2", ())])  # type: ignore[attr-defined]
        with instance.connect(name) as watcher:
            began = time.monotonic()
            query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
            while watcher.execute(query).fetchone() != (0,):
                assert time.monotonic() < began + 10
        raise KeyError

    with pytest.raises(KeyError):
        other._writer.run(hang)
    other.close()
