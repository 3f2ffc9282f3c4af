"""
Enqueues in one way, and prints how many seconds it took: ``python -m bench.queues.enqueueing
MODULE WAY``, where ``WAY`` is a function of the module: ``one_by_one``, or ``many``.

The first tasks are sent before the clock starts, so that no connection is made while it runs.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module

# Tasks enqueued before the clock starts; they are part of the total.
WARM_UP = 20


def main(module: str, way: str) -> None:
    enqueue = getattr(import_module(f"bench.queues.{module}"), way)
    tasks = int(os.environ["BENCH_TASKS"])
    enqueue(range(WARM_UP))
    begun = time.perf_counter()
    enqueue(range(WARM_UP, tasks))
    print(time.perf_counter() - begun)


if __name__ == "__main__":
    main(*sys.argv[1:])
