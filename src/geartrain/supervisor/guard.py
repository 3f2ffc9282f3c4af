"""
The process that ends worker processes whose supervisor is gone, even by SIGKILL.

It reads from a pipe which process groups there are, and otherwise sleeps. The
end of the pipe means that the supervisor is gone. The kernel has by then sent
the processes themselves their stop signal; the guard sends it to the others of
their groups where that is wanted, gives them the time that they are to have,
and kills what is left.

A program of its own that imports next to nothing::

    python -m geartrain.supervisor.guard

Lines are ``+PID SIGNAL SECONDS ALL KILL ARMED`` for a process that was started, the last three 0
or 1: signal the whole group, kill the whole group, the kernel signals the process; and ``-PID``
for one that ended.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Final

__all__ = ["Charge", "main"]

_PIECE: Final = 4096
# Seconds between two looks at processes whose supervisor is gone.
_PAUSE: Final = 0.05


class Charge:
    """A process to be ended when the supervisor is gone; arguments as in a line."""

    def __init__(
        self, pid: int, number: int, seconds: float, in_all: bool, kill_all: bool, armed: bool
    ) -> None:
        self.pid = pid
        self.number = number
        self.seconds = seconds
        self.in_all = in_all
        self.kill_all = kill_all
        self.armed = armed

    @classmethod
    def parse(cls, line: str) -> Charge:
        """Return what a line without its sign says."""
        pid, number, seconds, in_all, kill_all, armed = line.split()
        return cls(
            int(pid), int(number), float(seconds), in_all == "1", kill_all == "1", armed == "1"
        )

    def line(self) -> bytes:
        """Return the line that says it."""
        flags = f"{self.in_all:d} {self.kill_all:d} {self.armed:d}"
        return f"+{self.pid} {self.number} {self.seconds} {flags}\n".encode()

    def is_there(self) -> bool:
        """Whether the process runs, or others of its group that have time to end as well."""
        return _runs(self.pid) or (self.in_all and any(map(_runs, _members(self.pid))))

    def stop(self) -> None:
        """Send the stop signal to those who have not got it."""
        if not self.armed:
            _send(self.pid, self.number)
        if self.in_all:
            for pid in _members(self.pid):
                _send(pid, self.number)

    def kill(self) -> None:
        """Kill what is left."""
        if self.kill_all or self.in_all:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except OSError:
                return
        else:
            _send(self.pid, signal.SIGKILL)


def main() -> None:
    """Read lines until the supervisor is gone, then end its processes."""
    # What stops the supervisor is not for the guard, which ends when there is no supervisor.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    charges: dict[int, Charge] = {}
    rest = b""
    while piece := os.read(0, _PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            _take(charges, line.decode())
    end_all(list(charges.values()))


def end_all(charges: list[Charge]) -> None:
    """End processes, each within its time."""
    begun = time.monotonic()
    for charge in charges:
        charge.stop()
    while charges:
        left = []
        for charge in charges:
            if charge.is_there() and time.monotonic() < begun + charge.seconds:
                left.append(charge)
            else:
                charge.kill()
        charges = left
        if charges:
            time.sleep(_PAUSE)


def _take(charges: dict[int, Charge], line: str) -> None:
    if line.startswith("+"):
        charge = Charge.parse(line[1:])
        charges[charge.pid] = charge
    else:
        charges.pop(int(line[1:]), None)


def _runs(pid: int) -> bool:
    """Whether a process runs; one that ended may be seen for long, if nobody reaps it."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return not file.read().rpartition(b") ")[2].startswith(b"Z")
    except OSError:
        return not os.path.isdir("/proc/self") and _answers(pid)


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It took another user, and is there.
        return True
    return True


def _members(group: int) -> list[int]:
    """Return the processes of a group but its leader."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if name.isdigit() and int(name) != group:
            try:
                if os.getpgid(int(name)) == group:
                    found.append(int(name))
            except OSError:
                continue
    return found


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return


if __name__ == "__main__":
    main()
