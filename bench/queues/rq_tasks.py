"""RQ. It is told not to keep results, which spares it a round trip a task."""

from __future__ import annotations

import os

from redis import Redis
from rq import Queue

from .tally import note

queue = Queue(connection=Redis.from_url(os.environ["BENCH_BROKER"]))


def noop(number: int) -> None:
    note(number)


NOOP = "bench.queues.rq_tasks.noop"


def one_by_one(numbers: range) -> None:
    for number in numbers:
        queue.enqueue(NOOP, number, result_ttl=0)


def many(numbers: range) -> None:
    queue.enqueue_many([Queue.prepare_data(NOOP, (number,), result_ttl=0) for number in numbers])
