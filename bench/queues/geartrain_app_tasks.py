"""geartrain's tasks: a typed function, called through its app, and a worker of that app."""

from __future__ import annotations

import os

from geartrain.tasks.app import App
from geartrain.tasks.worker import TaskWorker

from .tally import note

app = App(os.environ["BENCH_BROKER"])


@app.task(name="noop")
async def noop(number: int) -> None:
    note(number)


def one_by_one(numbers: range) -> None:
    for number in numbers:
        noop.delay(number)


def many(numbers: range) -> None:
    with app.batch() as batch:
        for number in numbers:
            batch.add(noop, number)


if __name__ == "__main__":
    TaskWorker(app, pool="async", concurrency=32).run()
