"""
Waits for a turn to write to SQLite's file.

One connection writes at a time. SQLite's own waiting becomes longer with each attempt, up to a
tenth of a second, and finds no gap beside a thread that writes all the time; a job server would
refuse what is submitted meanwhile. So it is switched off, and a turn is asked for each
millisecond.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

__all__ = ["LOCKED", "is_locked", "patiently", "take_turn"]

LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# Seconds between two attempts.
PAUSE: Final = 0.001


def take_turn(connection: sqlite3.Connection, end: float) -> None:
    """Begin a transaction that writes, as soon as nobody else does; see ``patiently``."""
    patiently(lambda: connection.execute("BEGIN IMMEDIATE"), end)


def patiently(act: Callable[[], object], end: float) -> None:
    """
    Do something as soon as nobody stands in its way.

    Args:
        act: A single statement, which has changed nothing where it finds the file locked.
        end: A time of ``time.monotonic``, from which on the error is raised.

    """
    while True:
        try:
            act()
            return
        except sqlite3.OperationalError as error:
            if not is_locked(error) or monotonic() > end:
                raise
        sleep(PAUSE)


def is_locked(error: BaseException) -> bool:
    """Whether another program was writing, so that nothing was written."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in LOCKED
