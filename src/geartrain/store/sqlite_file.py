"""
Looks at SQLite's file before SQLite does, and refuses what SQLite would accept.

SQLite takes an emptied file for a new one, deletes the log of a file that is
missing, and reads the missing end of a page as zeros. Each of these would lose
or change jobs without a word.
"""

from __future__ import annotations

import os
from typing import Final

from geartrain.errors import StoreDamaged, UsageError

__all__ = [
    "WAY_OUT",
    "check_file",
    "check_place",
    "emptied",
    "identity",
    "no_database",
]

# What a person can do about a damaged file.
WAY_OUT: Final = (
    "It was left as it is: put a backup in its place, save what can be read with the sqlite3 "
    "command .dump, or move it away to start with an empty queue"
)


def check_place(path: str) -> None:
    """Raise UsageError where no store can be: before anything is written there."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise UsageError(
            f"the store's directory {directory} does not exist: create it, or choose another"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(
            f"the store's directory {directory} can't be written to by this user: "
            "change its owner, or choose another"
        )
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path} is not a file: choose another path for the store")


def check_file(path: str, generation: int, *, is_shared: bool = False) -> bool:
    """
    Make sure there is a file that SQLite may open, and that it was not emptied.

    Args:
        path: The store's file; created, for its owner and group, when missing.
        generation: How often the store was started before, as far as is known.
        is_shared: Whether this process may have it open in SQLite already. Then it is not read
            here: closing any descriptor of it would drop the locks that SQLite holds on it, and
            another program's SQLite would take away the log that is written to.

    Returns:
        Whether it was created.

    """
    missing = not os.path.exists(path)
    if not missing and not os.access(path, os.R_OK | os.W_OK):
        raise UsageError(f"{path} can't be written to by this user: change its owner or its mode")
    log = f"{path}-wal"
    logged = os.path.exists(log) and os.path.getsize(log) > 0
    if not missing and os.path.getsize(path):
        if not is_shared:
            check_header(path, logged)
        return False
    if logged:
        # SQLite would delete it.
        raise StoreDamaged(
            f"{path} is {'missing' if missing else 'empty'} while its log {log} is not: "
            "put the file back, or move the log away to start with an empty queue"
        )
    if missing:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o640))
    elif generation:
        raise StoreDamaged(emptied(path, generation))
    return missing


def check_header(path: str, logged: bool) -> None:
    """
    Raise StoreDamaged when a file is none of SQLite's, or was cut off within a page.

    SQLite reads the rest of such a page as zeros, so that a job would come back changed.
    A crash may leave one too, and then the log has the whole page.
    """
    with open(path, "rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise StoreDamaged(no_database(path))
    page = int.from_bytes(header[16:18], "big")
    # 65,536 does not fit, and is written as 1.
    if not logged and os.path.getsize(path) % (page if page > 1 else 65536):
        raise StoreDamaged(f"{path} is damaged (its end was cut off). {WAY_OUT}")


def emptied(path: str, generation: int) -> str:
    """Return what to say of a store that was started before and holds nothing at all."""
    return (
        f"{path} is empty although it was started {generation} times before: "
        "put a backup in its place, or remove it to start with an empty queue"
    )


def no_database(path: str) -> str:
    """Return what to say of a file that something else has written."""
    return f"{path} is not an SQLite database: choose another file, or move this one away"


def identity(path: str) -> tuple[int, int]:
    """Return the device and the inode of a file, zeros when it is missing."""
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)
