"""
Somebody who only wants an answer, while others misbehave.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

from tests.server.peer import Address, Peer

# Seconds between two questions.
INTERVAL = 0.002
# Seconds that all but the slowest answers take at most. The promise is 0.1 on a machine of one's
# own; here the tests themselves take their share of it.
UNDISTURBED = 0.25
# A machine that is busy with something else keeps everybody waiting: the bystander when it only
# sleeps, and for an answer it, the server, and it again.
TURNS = 3


class Bystander:
    """
    Asks a server for echoes all the time, in a thread, and notes how long each took.

    Args:
        address: Where the server listens.
        peer: A connection to use instead of one of its own.

    """

    def __init__(self, address: Address, peer: Peer | None = None) -> None:
        self.peer = peer or Peer(address, deadline=60.0)
        self.is_guest = peer is not None
        self.times: list[float] = []
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
                self.times.append(self.peer.echo())
                asleep = time.perf_counter()
        except BaseException as error:
            self.failure = error

    def slowest(self, share: float = 0.99) -> float:
        """
        Return what this share of the answers took at most, in seconds; p99 by default.

        What the machine made it wait without the server's doing is not counted.
        """
        assert len(self.times) >= 10, f"only {len(self.times)} answers"
        return max(0.0, at(self.times, share) - TURNS * at(self.lateness, share))


def at(times: list[float], share: float) -> float:
    """Return the least time that is not exceeded by this share of them."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]
