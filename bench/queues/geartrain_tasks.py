"""geartrain: its client's ways to enqueue, and a worker process."""

from __future__ import annotations

import os
import sys

from geartrain.client.sync import Client
from geartrain.worker.job import Job
from geartrain.worker.sync import Worker

from .tally import note

SERVER = os.environ["BENCH_BROKER"]

client = Client(SERVER)


def one_by_one(numbers: range) -> None:
    for number in numbers:
        client.submit("noop", str(number), background=True)


def many(numbers: range) -> None:
    client.submit_many((("noop", str(number)) for number in numbers), background=True)


def noop(job: Job) -> None:
    note(int(job.workload))


def work(how: str) -> None:
    """Run a worker as it is by default, or ``inline``, where 32 jobs are held at a time."""
    worker = (
        Worker(SERVER, concurrency=32, execution="inline") if how == "inline" else Worker(SERVER)
    )
    worker.register("noop", noop)
    worker.run()


if __name__ == "__main__":
    work(sys.argv[1])
