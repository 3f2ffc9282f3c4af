"""
One server for one file: a lock that the system gives back when its owner dies.

The lock is taken on a file beside the store, never on the store itself: closing
any descriptor of a database would drop the locks SQLite holds on it. The file
also remembers how often the store was started, which is how an emptied store
is told from a new one. It is left behind, because removing it would let
two servers lock two files of one name.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from time import monotonic, sleep
from typing import Final

from geartrain.errors import UsageError

__all__ = ["StoreLock"]

# A server that was just killed may need a moment to be gone, in seconds.
PATIENCE: Final = 0.2


class StoreLock:
    """
    The right to use a store.

    Args:
        path: Path of the store's file, without links.

    Attributes:
        path: Path of the file that is locked.
        generation: The last generation of the store that was started, 0 for none.

    """

    def __init__(self, path: str) -> None:
        self.store = path
        self.path = f"{path}.lock"
        self.generation = 0
        self._descriptor = -1

    def acquire(self) -> None:
        """Lock the store. Raises UsageError when another process has it, and says which."""
        try:
            # Not inherited by programs that this process starts.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise UsageError(
                f"{self.path} can't be written ({error.strerror}): the server needs the right "
                "to create files there"
            ) from error
        try:
            self._wait()
        except BaseException:
            self.release()
            raise
        _, self.generation = self._read()

    def remember(self, generation: int) -> None:
        """Write down who has the store, and its generation."""
        self.generation = generation
        text = b"%d %d\n" % (os.getpid(), generation)
        # A help for people, so it need not be synced, and a full disk may do without it.
        with suppress(OSError):
            os.pwrite(self._descriptor, text, 0)
            os.ftruncate(self._descriptor, len(text))

    def release(self) -> None:
        """Give the store back. Safe to call twice."""
        if self._descriptor != -1:
            os.close(self._descriptor)
            self._descriptor = -1

    def _wait(self) -> None:
        end = monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if monotonic() > end:
                    process, _ = self._read()
                    raise UsageError(
                        f"{self.store} is in use by another server (process {process}): "
                        "stop that one, or give this one another file"
                    ) from None
            except OSError as error:
                raise UsageError(
                    f"{self.path} can't be locked ({error.strerror}): "
                    "put the store on a local file system"
                ) from error
            sleep(0.01)

    def _read(self) -> tuple[int, int]:
        """Return the process and the generation that were written down last, or zeros."""
        try:
            process, generation = os.pread(self._descriptor, 100, 0).split()
            return int(process), int(generation)
        except ValueError:
            return 0, 0
