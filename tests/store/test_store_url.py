from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from geartrain.errors import UsageError
from geartrain.store.memory import MemoryStore
from geartrain.store.mysql_url import read_place
from geartrain.store.redis import RedisStore
from geartrain.store.secret import without_secrets
from geartrain.store.shared_sql import SharedSqlStore
from geartrain.store.sqlite import SqliteStore
from geartrain.store.url import open_store


@pytest.mark.parametrize("url", ["memory:", "memory://", "MEMORY:"])
def test_memory(url: str) -> None:
    assert isinstance(open_store(url, handle_prefix=b"H:x"), MemoryStore)


def test_sqlite_with_an_absolute_path(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/q.db", handle_prefix=b"H:x", table="jobs_of_old")
    assert isinstance(store, SqliteStore)
    assert store.path == f"{tmp_path}/q.db"
    assert store.name == f"sqlite:///{tmp_path}/q.db"
    assert store.handle_prefix == b"H:x"
    assert store.table == "jobs_of_old"
    assert not os.path.exists(store.path)


def test_sqlite_with_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///some/q.db", handle_prefix=b"H:x")
    assert isinstance(store, SqliteStore)
    assert store.path == f"{tmp_path}/some/q.db"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("memory", "did you mean memory:?"),
        ("memroy:", "did you mean memory:?"),
        ("sqlite", "did you mean sqlite:?"),
        ("sqllite:///q.db", "did you mean sqlite:?"),
        ("sqlite:q.db", "did you mean sqlite:///q.db?"),
        ("sqlite:/var/q.db", "did you mean sqlite:////var/q.db?"),
        ("sqlite://q.db", "did you mean sqlite:///q.db?"),
        ("sqlite:///q.db?mode=ro", "has no parameters"),
        ("sqlite://", "names no file: say sqlite:///geartrain.db, or memory:"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "or memory: to keep nothing"),
        ("geartrain.db", "did you mean sqlite:///geartrain.db?"),
        ("/var/lib/geartrain/q.db", "did you mean sqlite:////var/lib/geartrain/q.db?"),
        ("", "did you mean sqlite:///?"),
        ("postgresql://h/db?colour=red", "is no URL for PostgreSQL"),
        ("mysql+pymysql://h", "names no database: say mysql://USER@HOST/DATABASE"),
        ("mariadb://h/a/b", "names no database"),
        ("mysql://h:many/db", "has no valid port: 'many'"),
        ("mysql://h:0/db", "has no valid port: '0'"),
        ("mysql://h/db?ssl_ca=", "ssl_ca is not understood; there are ssl_ca, ssl_cert"),
        ("mysql://h/db?ssl_disabled=perhaps", "ssl_disabled is not understood"),
        ("redis:", "names no host: say redis://127.0.0.1:6379/0"),
        ("redis://h/queue", "the database of a redis URL is a number, such as /0, not /queue"),
        ("redis://h:many", "no valid port"),
        ("redis://h/0?prefix=", "the prefix in a redis URL is 1 to 100 printable"),
        ("redis://h/0?colour=red", "does not take these parameters of the URL: colour"),
        ("reddis://h", "did you mean redis"),
        ("postgre://h/db", "did you mean postgres:?"),
        ("oracle://h/db", "no store is called 'oracle': use memory:, sqlite:///"),
    ],
)
def test_url_of_no_store_says_what_to_write(url: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(url, handle_prefix=b"H:x")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@h/db?colour=red",
        "mysql://u:secret@h",
        "mysql://u@h/db?password=secret",
        "redis://u:secret@h/no",
        "redis://u:se/secret@h/0",
        "oracle://u:secret@h/db",
        "postgre://u:secret@h",
        "u:secret@h",
    ],
)
def test_passwords_are_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(url, handle_prefix=b"H:x")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://h", "redis://h:6379/0"),
        ("redis://user:secret@h:6380/3?prefix=jobs", "redis://h:6380/3?prefix=jobs"),
        ("valkey://:secret@[::1]/2", "valkey://[::1]:6379/2"),
        ("rediss://h?ssl_cert_reqs=required&prefix=geartrain", "rediss://h:6379/0"),
        ("valkeys://h", "valkeys://h:6379/0"),
    ],
)
def test_redis_is_named_without_its_password(url: str, name: str) -> None:
    store = open_store(url, handle_prefix=b"H:x")
    assert isinstance(store, RedisStore)
    assert store.name == name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (
            "postgresql://u:se%20cret@h1,h2:1/db?target_session_attrs=read-write",
            "postgresql://u:***@h1,h2:1/db?target_session_attrs=read-write",
        ),
        ("postgres+psycopg://u@h/db?password=secret&sslmode=require", ""),
        ("mysql://u:se:cret@h1,[::1]:1/db?ssl_disabled=true", ""),
        ("mariadb+pymysql://u:@h/db", ""),
    ],
)
def test_databases_are_named_without_their_passwords(url: str, name: str) -> None:
    store = open_store(url, handle_prefix=b"H:x")
    assert isinstance(store, SharedSqlStore)
    assert store.name.startswith(name)
    assert "***" in store.name
    assert "cret" not in store.name


def test_what_a_driver_says_is_told_without_the_password() -> None:
    url = "mysql://u:s%40cret@h/db"
    said = "no user u with s@cret or s%40cret"
    assert without_secrets(said, url) == "no user u with *** or ***"


def test_hosts_of_a_mysql_url() -> None:
    place = read_place(
        "mysql://u%40x:p%2F%40@one,[::1]:4000,three:3307/q?ssl_ca=/ca&ssl_verify_cert=1"
    )
    assert (place.user, place.password, place.database) == ("u@x", "p/@", "q")
    assert place.hosts == [("one", 3306), ("::1", 4000), ("three", 3307)]
    assert place.options == {"ssl_ca": "/ca", "ssl_verify_cert": True}


@pytest.mark.parametrize("table", ["", "a b", 'a"; DROP TABLE x; --', "größe", "a.b", "a\n"])
def test_table_name_with_other_signs_is_refused(table: str) -> None:
    with pytest.raises(UsageError, match="can't be a table's name: use letters, digits and _"):
        open_store("sqlite:///q.db", handle_prefix=b"H:x", table=table)


@pytest.mark.parametrize("table", ["geartrain_jobs", "Geartrain_x", "sqlite_master", "SQLITE_x"])
def test_table_name_that_is_taken_is_refused(table: str) -> None:
    with pytest.raises(UsageError, match="is taken: choose one like gearman_queue"):
        open_store("sqlite:///q.db", handle_prefix=b"H:x", table=table)


def test_starting_imports_neither_sqlalchemy_nor_alembic(tmp_path: Path) -> None:
    """They take longer to import than a server has to start."""
    code = (
        "import sys; from geartrain.store.url import open_store; "
        f"store = open_store('sqlite:///{tmp_path}/q.db', handle_prefix=b'H:x'); "
        "store.open(); store.close(); store.open(); "
        "assert not {'sqlalchemy', 'alembic'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
