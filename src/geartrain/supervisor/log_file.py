"""
A file that takes output, and makes room for a new one by size or by day.

It is opened without following a link and is never anything but a plain file
with one name, since a directory that others may write to is no place to be led
elsewhere from. Nothing here raises: output that can't be kept is counted, and
the file says so once it can be written again.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import stat
from datetime import UTC, datetime
from typing import Final

from geartrain.supervisor.program import BY_DAY, LogFile

__all__ = ["MODE", "RotatingFile"]

logger = logging.getLogger("geartrain.supervisor")

MODE: Final = 0o640
_FLAGS: Final = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | os.O_NOFOLLOW
    | os.O_CLOEXEC
    | os.O_NOCTTY
    # A pipe put in its place must not hold us up.
    | os.O_NONBLOCK
)


class RotatingFile:
    """
    A log file.

    Args:
        path: Where it is.
        settings: How large it gets and how many older ones are kept.
        rotate: ``size`` or ``day``.

    Attributes:
        lost: Bytes that could not be written since they last could.

    """

    def __init__(self, path: str, settings: LogFile, rotate: str) -> None:
        self.path = path
        self.configure(settings, rotate)
        self.descriptor = -1
        self.identity = (0, 0)
        self.size = 0
        self.day = ""
        self.lost = 0

    def configure(self, settings: LogFile, rotate: str) -> None:
        """Take other settings; the path stays."""
        self.maxbytes = settings.maxbytes
        self.backups = settings.backups
        self.by_day = rotate == BY_DAY

    def write(self, data: bytes) -> None:
        """Append to the file, in a new one if it is time for that."""
        try:
            self.open()
            self.make_room(len(data))
            if self.lost:
                remark = f"geartrain: {self.lost} bytes of output were lost here\n".encode()
                self.append(remark)
                logger.info("writing to %s again", self.path)
                self.lost = 0
            self.append(data)
        except OSError as error:
            if not self.lost:
                logger.error("can't write output to %s: %s", self.path, error.strerror)
            self.lost += len(data)
            self.close()

    def append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            count = os.write(self.descriptor, rest)
            self.size += count
            rest = rest[count:]

    def open(self) -> None:
        """Open the file unless it is open, and still the one that has its name."""
        if self.descriptor >= 0:
            with contextlib.suppress(OSError):
                found = os.lstat(self.path)
                if (found.st_dev, found.st_ino) == self.identity:
                    return
            # It was moved or removed.
            self.close()
        self.descriptor = os.open(self.path, _FLAGS, MODE)
        found = os.fstat(self.descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            self.close()
            raise OSError(0, "it is not a plain file with one name")
        self.identity = (found.st_dev, found.st_ino)
        self.size = found.st_size
        self.day = _day_of(found.st_mtime) if self.size else today()

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    # Making room.

    def make_room(self, count: int) -> None:
        """Put the file aside if it is full, or of another day."""
        if not self.size:
            return
        if self.by_day:
            if self.day != today():
                self.put_aside(self.free_name(f"{self.path}.{self.day}"))
                self.forget_oldest()
        elif self.maxbytes and self.size + count > self.maxbytes:
            self.shift()

    def shift(self) -> None:
        """Give each older file the next number; the last is forgotten."""
        if not self.backups:
            os.ftruncate(self.descriptor, 0)
            self.size = 0
            return
        for number in range(self.backups - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")
        self.put_aside(f"{self.path}.1")

    def put_aside(self, name: str) -> None:
        os.rename(self.path, name)
        self.close()
        self.open()

    def free_name(self, name: str) -> str:
        """Return a name that nothing has, for a day that has more than one file."""
        number = 1
        free = name
        while os.path.lexists(free):
            free = f"{name}.{number}"
            number += 1
        return free

    def forget_oldest(self) -> None:
        older = sorted(glob.glob(f"{glob.escape(self.path)}.[0-9][0-9][0-9][0-9]-*"))
        for path in older[: len(older) - self.backups]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    # Reading.

    def tail(self, count: int) -> bytes:
        """Return the last ``count`` bytes, fewer if there are not as many; raises OSError."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            size = os.fstat(descriptor).st_size
            file.seek(max(0, size - count))
            return file.read(count)


def today() -> str:
    """Return the day it is, in UTC, as the timestamps of the lines are."""
    return datetime.now(UTC).date().isoformat()


def _day_of(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
