"""taskiq, with the broker on Redis lists, its fastest. Without results, which is its default."""

from __future__ import annotations

import asyncio
import os

import uvloop
from taskiq_redis import ListQueueBroker

from .tally import note

broker = ListQueueBroker(os.environ["BENCH_BROKER"])
# One event loop for all that is enqueued, as a program has.
runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)


@broker.task(task_name="noop")
async def noop(number: int) -> None:
    note(number)


def one_by_one(numbers: range) -> None:
    async def enqueue() -> None:
        for number in numbers:
            await noop.kiq(number)

    runner.run(enqueue())
