"""
Somebody who only wants an answer, while others misbehave.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType

from tests.server.peer import Address, Peer

# Seconds between two questions.
INTERVAL = 0.002
# Seconds that all but the slowest answers take at most. The promise is 0.1 on a machine of one's
# own; here the tests themselves take their share of it.
UNDISTURBED = 0.25
# A machine that is busy with something else keeps everybody waiting: the bystander when it only
# sleeps, and for an answer it, the server, and it again. The server's own wait the system tells.
TURNS = 3


class Bystander:
    """
    Asks a server for echoes all the time, in a thread, and notes how long each took.

    Args:
        address: Where the server listens.
        peer: A connection to use instead of one of its own.
        pid: The server's process, where that is not the test's own.

    """

    def __init__(self, address: Address, peer: Peer | None = None, pid: int = 0) -> None:
        self.peer = peer or Peer(address, deadline=60.0)
        self.is_guest = peer is not None
        self.pid = pid
        self.times: list[float] = []
        # For how much of that the server could have run and had no processor.
        self.waits: list[float] = []
        # By how much each of its sleeps was too long.
        self.lateness: list[float] = []
        self.over = threading.Event()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self.run, name="bystander")

    def __enter__(self) -> Bystander:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.over.set()
        self.thread.join()
        if not self.is_guest:
            self.peer.close()
        if self.failure is not None and error is None:
            raise self.failure

    def run(self) -> None:
        try:
            asleep = time.perf_counter()
            while not self.over.wait(INTERVAL):
                self.lateness.append(time.perf_counter() - asleep - INTERVAL)
                before = waited(self.pid)
                self.times.append(self.peer.echo())
                self.waits.append(waited(self.pid) - before)
                asleep = time.perf_counter()
        except BaseException as error:
            self.failure = error

    def slowest(self, share: float = 0.99) -> float:
        """
        Return what this share of the answers took at most, in seconds; p99 by default.

        What the machine made it wait without the server's doing is not counted.
        """
        assert len(self.times) >= 10, f"only {len(self.times)} answers"
        own = [answer - wait for answer, wait in zip(self.times, self.waits, strict=True)]
        turns = TURNS - bool(self.pid)
        return max(0.0, at(own, share) - turns * at(self.lateness, share))


def waited(pid: int) -> float:
    """Return for how many seconds a process was ready to run while others ran; 0 if unknown."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def at(times: list[float], share: float) -> float:
    """Return the least time that is not exceeded by this share of them."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]
