"""MariaDB for the tests: a private instance."""

from __future__ import annotations

import atexit
import functools
import itertools
from pathlib import Path
from typing import Any

import pymysql

from tests.services.availability import find_program, require
from tests.services.instance import Instance, run_as

PASSWORD = "my-s3cret"


def program(name: str) -> str:
    path = find_program(name)
    assert path, f"{name} is not installed"
    return path


class Mariadb(Instance):
    """
    A MariaDB server.

    Args:
        settings: Settings beside those that make it small; a dash is written as _.

    """

    def __init__(self, **settings: object) -> None:
        super().__init__("mysql")
        self.settings = settings
        self.numbers = itertools.count(1)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def first(self) -> Path:
        """What the server does first at every start."""
        return self.folder / "first.sql"

    def create(self) -> None:
        """Make its files, and the user that the tests are."""
        self.first.write_text(
            f"CREATE USER IF NOT EXISTS gear@'%' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO gear@'%' WITH GRANT OPTION;\n"
        )
        self.first.chmod(0o644)
        run_as(
            self.user,
            *(program("mariadb-install-db"), "--no-defaults", f"--datadir={self.data}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"),
            "--innodb-log-file-size=64M",
        )

    def options(self) -> dict[str, object]:
        """Return what its command line says."""
        return {
            "datadir": self.data,
            "port": self.port,
            "bind_address": "127.0.0.1",
            "socket": self.folder / "socket",
            "pid_file": self.folder / "pid",
            "innodb_buffer_pool_size": "64M",
            "innodb_log_file_size": "64M",
            "init_file": self.first,
            # A job takes twice its size in a statement.
            "max_allowed_packet": "64M",
            "performance_schema": "OFF",
            "skip_name_resolve": "ON",
            **self.settings,
        }

    def command(self) -> list[object]:
        options = [f"--{name}={value}" for name, value in self.options().items()]
        return [program("mariadbd"), "--no-defaults", *options]

    def url(self, database: str = "mysql") -> str:
        return f"mysql://gear:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "mysql") -> pymysql.Connection[Any]:
        """Return a connection that commits each statement."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="gear",
            password=PASSWORD,
            database=database,
            autocommit=True,
            connect_timeout=2,
            ssl_disabled=True,
        )

    def answers(self) -> bool:
        try:
            self.connect().close()
        except pymysql.Error:
            return False
        return True

    def new_database(self) -> str:
        """Create an empty database, and return its name."""
        name = f"test{next(self.numbers)}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return name


@functools.cache
def shared_mariadb() -> Mariadb:
    """Return one server for all tests that do not harm it; each uses a database of its own."""
    require("mariadb")
    server = Mariadb()
    atexit.register(server.remove)
    server.create()
    server.start()
    return server
