"""Celery. Without a result backend, which is its default."""

from __future__ import annotations

import os

from celery import Celery

from .tally import note

app = Celery("bench", broker=os.environ["BENCH_BROKER"])


@app.task(name="noop")
def noop(number: int) -> None:
    note(number)


def one_by_one(numbers: range) -> None:
    for number in numbers:
        noop.delay(number)
