"""Huey. It keeps results unless they are None, as they are here."""

from __future__ import annotations

import os

from huey import RedisHuey

from .tally import note

huey = RedisHuey("bench", url=os.environ["BENCH_BROKER"])


@huey.task()
def noop(number: int) -> None:
    note(number)


def one_by_one(numbers: range) -> None:
    for number in numbers:
        noop(number)
