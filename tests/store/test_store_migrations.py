"""The tables: what a new store creates, what the migrations make, what is compiled."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from geartrain.broker.job import Job
from geartrain.errors import StoreDamaged, UsageError
from geartrain.store import (
    compiling,
    migrations,
    mysql_statements,
    postgresql_statements,
    sqlite_statements,
)
from geartrain.store import sqlite as module
from geartrain.store.batch import Batch, DeadLetter
from geartrain.store.compiling import DIALECTS, compile_statements
from geartrain.store.migrations import config, upgrade
from geartrain.store.rows import COLUMNS, LETTER_COLUMNS, RESULT_COLUMNS, row_of
from geartrain.store.shared_tables import shared_metadata
from geartrain.store.sqlite import SqliteStore
from geartrain.store.sqlite_statements import HEAD
from geartrain.store.tables import dead_letters, jobs, metadata, results, version
from geartrain.store.url import open_store
from tests.services.mariadb import shared_mariadb
from tests.services.postgresql import shared_postgresql
from tests.store.samples import FIRST, make_job, numbers, rows

MakeStore = Callable[..., SqliteStore]


@contextmanager
def connected(path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def schema(path: Path) -> dict[str, str]:
    """Return the statements that would create the tables again, by name."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type != 'view'")
        return {name: " ".join((sql or "").split()) for name, sql in found}


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("SQLite", sqlite_statements),
        ("PostgreSQL", postgresql_statements),
        ("MySQL", mysql_statements),
    ],
)
def test_written_statements_are_the_compiled_ones(name: str, written: ModuleType) -> None:
    compiled = compile_statements(DIALECTS[name])
    assert vars(written.STATEMENTS) == vars(compiled), "run python -m geartrain.store.compiling"
    assert written.HEAD == compiling.HEAD


def test_newest_revision_is_the_one_new_stores_get(tmp_path: Path) -> None:
    with connected(tmp_path / "any.db") as connection:
        assert ScriptDirectory.from_config(config(connection)).get_current_head() == HEAD


def test_columns_of_the_table_are_those_of_a_row() -> None:
    assert tuple(column.name for column in jobs.columns) == COLUMNS


def test_migrated_store_equals_a_new_one(sqlite: MakeStore, path: Path, tmp_path: Path) -> None:
    store = sqlite()
    store.open()
    store.close()
    migrated = tmp_path / "migrated.db"
    with connected(migrated) as connection:
        upgrade(connection)
        context = MigrationContext.configure(connection, opts={"version_table": version.name})
        assert compare_metadata(context, metadata) == []
    assert schema(migrated) == schema(path)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_tables_of_a_new_shared_store_are_the_described_ones(kind: str) -> None:
    server: Any = {"postgresql": shared_postgresql, "mariadb": shared_mariadb}[kind]()
    url = server.url(server.new_database())
    with closing(open_store(url, handle_prefix=b"H:x")) as store:
        store.open()
    scheme = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}[kind]
    engine = create_engine(f"{scheme}:{url.partition(':')[2]}")
    with engine.connect() as connection:
        # MariaDB calls a BLOB by the name of its length.
        opts = {"version_table": version.name, "compare_type": kind == "postgresql"}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, shared_metadata) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_shared_store_of_a_newer_release_is_refused(kind: str) -> None:
    server: Any = {"postgresql": shared_postgresql, "mariadb": shared_mariadb}[kind]()
    database = server.new_database()
    store = open_store(server.url(database), handle_prefix=b"H:x")
    store.open()
    store.close()
    with server.connect(database) as connection:
        connection.cursor().execute("UPDATE geartrain_version SET version_num = '9999'")
    with pytest.raises(UsageError, match="was written by a newer release"):
        store.open()


NEXT_REVISION = """
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "{head}"


def upgrade():
    with op.batch_alter_table("geartrain_jobs", recreate="always") as table:
        table.add_column(sa.Column("owner", sa.Integer(), nullable=True))
    {rest}
"""


@pytest.fixture
def next_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this release one with a second revision, which rebuilds the table of jobs."""
    scripts = tmp_path / "migrations"
    shutil.copytree(Path(migrations.__file__).parent, scripts)

    def config_there(connection: Connection) -> Config:
        settings = config(connection)
        settings.set_main_option("script_location", str(scripts))
        return settings

    def write(rest: str) -> None:
        (scripts / "versions" / "9998_next.py").write_text(
            NEXT_REVISION.format(rest=rest, head=HEAD)
        )
        monkeypatch.setattr(migrations, "config", config_there)
        monkeypatch.setattr(module, "HEAD", "9998")

    return write


def test_store_of_an_earlier_release_is_migrated_at_start(
    sqlite: MakeStore, path: Path, next_revision: Callable[[str], None]
) -> None:
    store = sqlite()
    store.open()
    job = make_job(FIRST + 1, workload=b"\0\xff", unique=b"\xfe")
    store.commit(Batch([job]))
    store.close()
    next_revision("")
    assert store.open() == 2
    assert "owner INTEGER" in schema(path)["geartrain_jobs"]
    assert rows(store.replay()) == [row_of(job)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM gearman_queue").fetchone() == (1,)


def test_migration_that_fails_leaves_the_store_as_it_was(
    sqlite: MakeStore, path: Path, next_revision: Callable[[str], None]
) -> None:
    store = sqlite()
    store.open()
    store.commit(Batch([make_job(FIRST + 1)]))
    store.close()
    before = schema(path)
    next_revision('op.execute("INSERT INTO nowhere VALUES (1)")')
    with pytest.raises(StoreDamaged, match="no such table: nowhere"):
        store.open()
    assert schema(path) == before


def test_store_of_a_newer_release_is_refused(sqlite: MakeStore, path: Path) -> None:
    store = sqlite()
    store.open()
    store.commit(Batch([make_job(FIRST + 1)]))
    store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE geartrain_version SET version_num = '9999'")
    before = schema(path)
    with pytest.raises(UsageError, match="was written by a newer release"):
        sqlite().open()
    assert schema(path) == before


def test_columns_of_what_is_kept_are_those_of_its_rows() -> None:
    assert tuple(column.name for column in dead_letters.columns) == LETTER_COLUMNS
    assert tuple(column.name for column in results.columns) == RESULT_COLUMNS


# The first release's tables, as they were written then. This text is never changed.
RELEASE_1 = """
CREATE TABLE geartrain_generation (started BIGINT NOT NULL);
CREATE TABLE geartrain_jobs (
    number INTEGER NOT NULL, handle BLOB NOT NULL, function_name BLOB NOT NULL,
    unique_key BLOB NOT NULL, workload BLOB NOT NULL, priority SMALLINT NOT NULL,
    epoch BIGINT NOT NULL, reducer BLOB NOT NULL, submitted DOUBLE NOT NULL,
    attempts INTEGER NOT NULL, PRIMARY KEY (number)
);
CREATE TABLE geartrain_version (
    version_num VARCHAR(32) NOT NULL, CONSTRAINT geartrain_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO geartrain_version VALUES ('0001');
INSERT INTO geartrain_generation VALUES (3);
INSERT INTO geartrain_jobs VALUES (
    3298534883329, x'483a6f6c643a31', x'726573697a65', x'ff00', x'', 2, 1900000000, x'72',
    1700000000.5, 4
);
"""


def test_jobs_of_the_first_release_are_still_read(sqlite: MakeStore, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(RELEASE_1)
    store = sqlite()
    assert store.open() == 4
    job = Job(
        3298534883329, b"H:old:1", b"resize", b"\xff\0", b"", 2, 1900000000, b"r", 1700000000.5, 4
    )
    assert rows(store.replay()) == [row_of(job)]
    # What later releases added works as well.
    store.commit(Batch(dead=[DeadLetter(job, b"why", 5.0)]))
    revived = store.revive(job.handle)
    assert revived is not None
    assert rows(store.replay()) == [row_of(revived)]
    store.commit(Batch(dones=[job.number]))
    assert numbers(store) == []
