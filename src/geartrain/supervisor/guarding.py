"""
Keeps the guard: a process that ends ours should this one be killed.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Final

from geartrain.supervisor.guard import Charge

__all__ = ["Guarding"]

logger = logging.getLogger("geartrain.supervisor")

# `-P` leaves the current directory, which may be anybody's, out of what is imported from.
_COMMAND: Final = (sys.executable, "-P", "-m", "geartrain.supervisor.guard")


class Guarding:
    """
    The guard, and what it has to know.

    Attributes:
        pid: Its process id.

    """

    def __init__(self) -> None:
        self.charges: dict[int, Charge] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def start(self) -> None:
        """Start the guard, or another one after it was killed."""
        reader, writer = os.pipe()
        try:
            self.process = subprocess.Popen(
                _COMMAND, stdin=reader, stdout=subprocess.DEVNULL, start_new_session=True, cwd="/"
            )
        finally:
            os.close(reader)
        self.pid = self.process.pid
        self.writer = writer
        # Others may be added meanwhile, where threads start processes.
        for charge in list(self.charges.values()):
            self.tell(charge.line())

    def ended(self, status: int) -> None:
        """The guard itself ended: note it, and start another."""
        assert self.process is not None
        self.process.returncode = status
        os.close(self.writer)
        self.start()
        logger.error("the guard was ended; another one is started")

    def add(self, charge: Charge) -> None:
        """Guard a process that was started."""
        self.charges[charge.pid] = charge
        self.tell(charge.line())

    def remove(self, pid: int) -> None:
        """Guard a process no more; to be called before it is reaped."""
        if self.charges.pop(pid, None) is not None:
            self.tell(b"-%d\n" % pid)

    def tell(self, line: bytes) -> None:
        try:
            os.write(self.writer, line)
        except BrokenPipeError:
            # It was killed; the next one will be told.
            return

    def stop(self) -> None:
        """Let the guard go."""
        if self.process is not None:
            os.close(self.writer)
            self.process.wait()
            self.process = None
            self.pid = 0
