"""
The scheduler's side of greetings: a worker that answers them, beside each instance of it.

It is here because the room of schedules knows no workers.
"""

from __future__ import annotations

from geartrain.client.address import ServersLike
from geartrain.schedule.agents import LEASE, Greetings
from geartrain.schedule.greeting import GREETING
from geartrain.store.schedule_store import ScheduleStore
from geartrain.worker.job import Job
from geartrain.worker.sync import Worker

__all__ = ["Desk"]


class Desk:
    """
    Answers the greetings of agents, in a thread of its own that otherwise sleeps.

    Args:
        servers: The job servers that agents greet at.
        store: Open; it is left so.
        key: What agents and schedulers sign with; empty for none.
        lease: Seconds for which an agent that greets counts as alive.

    """

    def __init__(
        self, servers: ServersLike, store: ScheduleStore, key: bytes = b"", lease: float = LEASE
    ) -> None:
        self._greetings = Greetings(store, key, lease)
        self._worker = Worker(servers, execution="inline", client_id=GREETING)
        self._worker.register(GREETING, self._answer)

    def start(self) -> None:
        """Begin to answer, once a job server can be reached."""
        self._worker.start()

    def stop(self) -> None:
        """Answer nobody any more."""
        self._worker.stop(0.0)
        self._worker.join()

    def _answer(self, job: Job) -> bytes:
        return self._greetings.answer(job.workload)
