"""
A job server in the place of another one, whose store is being moved: it refuses what is to be kept.

Clients hear why, and when to come back, instead of finding nobody. Everything that needs no store
goes on: foreground jobs, workers, questions.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from geartrain.errors import StoreUnavailable
from geartrain.server.running import new_event_loop
from geartrain.server.server import JobServer
from geartrain.server.settings import Settings
from geartrain.store.batch import Batch, Coalesced
from geartrain.store.memory import MemoryStore

__all__ = ["RefusingStore", "refusing"]


class RefusingStore(MemoryStore):
    """
    A queue store that takes no job.

    Args:
        reason: Why, for those who submit.

    """

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    @property
    def durable(self) -> bool:
        """True: so that background jobs are offered to it."""
        return True

    @property
    def name(self) -> str:
        """What it is."""
        return "that takes no jobs"

    def commit(self, batch: Batch) -> Sequence[Coalesced]:
        """Refuse jobs."""
        if batch.adds:
            raise StoreUnavailable(self.reason)
        return super().commit(batch)


@contextmanager
def refusing(listen: str, reason: str) -> Iterator[JobServer]:
    """
    Serve meanwhile, and refuse background jobs.

    Args:
        listen: ``HOST:PORT``.
        reason: Why, for those who submit.

    Raises UsageError where the address is taken.
    """
    server = JobServer(Settings(listen=[listen], grace=0.0), RefusingStore(reason))
    server.bind()
    server.open()
    loop, _ = new_event_loop()
    ready = threading.Event()

    async def life() -> None:
        await server.start()
        ready.set()
        await server.run_until_stopped()

    def run() -> None:
        try:
            loop.run_until_complete(life())
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, name="geartrain-refusing", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(server.stop)
        thread.join()
