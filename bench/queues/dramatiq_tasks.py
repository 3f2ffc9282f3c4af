"""Dramatiq. Without a result backend, which is its default."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from .tally import note

broker = RedisBroker(url=os.environ["BENCH_BROKER"])
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(number: int) -> None:
    note(number)


def one_by_one(numbers: range) -> None:
    for number in numbers:
        noop.send(number)
