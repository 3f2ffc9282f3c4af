"""
The same no-op task in every Python task queue.

One module per queue: its task, and how tasks are enqueued. They run in the benchmark's own
virtual environment, except geartrain's own, which run where geartrain is installed. What
they are told is in the environment: ``BENCH_BROKER`` is where the queue is, ``BENCH_TALLY`` the
file that the worker writes in the end, ``BENCH_TASKS`` how many tasks there are.
"""

from __future__ import annotations
