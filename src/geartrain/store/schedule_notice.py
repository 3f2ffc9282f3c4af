"""
A notice in a file of SQLite's that schedules are used there, or are about to be.

A server beside which nobody has entries does without SQLAlchemy, whose import takes a part of a
second, or several on a machine that is busy. Who is about to add entries says so first: a server
that sees the notice gets ready meanwhile. It stays, so that the next start need not be told.

Neither side imports SQLAlchemy here, and neither has to succeed: without a notice the first entry
is seen all the same, only later.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from time import monotonic
from typing import Final
from urllib.parse import quote

from geartrain.store.sqlite_turn import take_turn
from geartrain.store.url import sqlite_path

__all__ = ["Lookout", "announce", "are_expected"]

# Seconds for which a turn to write the notice is waited for.
_PATIENCE: Final = 0.5
# The row that counts changes of entries: who makes the first one finds it there.
_NOTE: Final = "INSERT OR IGNORE INTO geartrain_schedule_revision (one, number) VALUES (1, 0)"
_NOTED: Final = "SELECT 1 FROM geartrain_schedule_revision LIMIT 1"


def announce(url: str) -> None:
    """Say that entries are about to come; databases that are no file of SQLite's are not told."""
    if _is_file(url) and not are_expected(url):
        with suppress(sqlite3.Error, OSError), closing(_connect(url, "rw")) as file:
            take_turn(file, monotonic() + _PATIENCE)
            file.execute(_NOTE)
            file.execute("COMMIT")


def are_expected(url: str) -> bool:
    """Whether there may be entries in a store; true for a database that is not SQLite's."""
    if not _is_file(url):
        return True
    with suppress(sqlite3.Error, OSError):
        return _read(url)
    return False


class Lookout:
    """
    Looks again and again whether entries are expected; a file that nobody has written is not read.

    Args:
        url: Where they would be.

    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._seen: list[tuple[int, int]] | None = None

    def sees_any(self) -> bool:
        """Whether entries are expected by now."""
        if not _is_file(self.url):
            return True
        seen = [_written(_path(self.url) + end) for end in ("", "-wal")]
        if seen == self._seen:
            return False
        with suppress(sqlite3.Error, OSError):
            found = _read(self.url)
            # One that could not be read is read again.
            self._seen = seen
            return found
        return False


def _read(url: str) -> bool:
    """Whether the notice is in a file. Raises sqlite3.Error and OSError."""
    with closing(_connect(url, "ro")) as file:
        return bool(file.execute(_NOTED).fetchall())


def _written(path: str) -> tuple[int, int]:
    """Return when a file was written, and its size; zeros where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _is_file(url: str) -> bool:
    return url.partition(":")[0].partition("+")[0].lower() == "sqlite"


def _path(url: str) -> str:
    return os.path.realpath(sqlite_path(url.partition(":")[2]))


def _connect(url: str, mode: str) -> sqlite3.Connection:
    path = quote(os.fsencode(_path(url)))
    return sqlite3.connect(f"file:{path}?mode={mode}", uri=True, timeout=0, isolation_level=None)
