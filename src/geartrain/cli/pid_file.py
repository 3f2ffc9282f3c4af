"""
The file that says which process is the server.

It appears whole or not at all, replaces what it finds without following a
link, and goes with the process, unless another one has taken its place.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from typing import Final

from geartrain.errors import UsageError

__all__ = ["PidFile"]

logger = logging.getLogger(__name__)

_MODE: Final = 0o640


class PidFile:
    """
    The pid file of this process.

    Args:
        path: Where it is, once ``write`` has been called.

    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.written = False

    def write(self, owner: tuple[int, int]) -> None:
        """
        Write this process's id and a newline.

        Args:
            owner: User and group it is to belong to, -1 to leave them.

        Raises:
            UsageError: It can't be written, or something else has its name.

        """
        directory, name = os.path.split(self.path)
        beside = os.path.join(directory, f".{name}.{os.getpid()}")
        try:
            if os.path.lexists(self.path):
                check_replaceable(self.path)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(beside, flags, _MODE)
            try:
                os.fchown(descriptor, *owner)
                os.write(descriptor, self.content())
                os.rename(beside, self.path)
            except OSError:
                os.unlink(beside)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UsageError(f"can't write the pid file {self.path}: {error.strerror}") from None
        self.written = True

    def content(self) -> bytes:
        """Return what it says."""
        return b"%d\n" % os.getpid()

    def remove(self) -> None:
        """Remove it if it is this process's; never raises."""
        if not self.written:
            return
        self.written = False
        try:
            with open(self.path, "rb") as file:
                if file.read() != self.content():
                    return
            os.unlink(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            # After a change of user the directory may be another's. The file is not.
            with contextlib.suppress(OSError):
                os.truncate(self.path, 0)
            logger.warning("can't remove the pid file %s: %s", self.path, error.strerror)


def check_replaceable(path: str) -> None:
    """Raise UsageError for what is no pid file that a server may have left."""
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise UsageError(f"can't write the pid file {path}: it is not a regular file")
