"""
Why a goal is not reached, and what was tried: written by people, printed beside the figures.

A remark shows only while its goal is missed.
"""

from __future__ import annotations

__all__ = ["REMARKS"]

FOREGROUND = (
    "Four fifths of the server's time are the kernel's: a job takes four reads, five writes and "
    "three waits, as many as the protocol asks for. Where cores fall asleep in between, half of "
    "that is waking them, and the machine decides more than the server does. "
    "Tried: writing the worker's NOOP before the client's JOB_CREATED, which made no difference. "
    "Polling instead of waiting would be faster, and use up a core for it."
)
DURABLE_BOTH = (
    "One thread commits while the event loop serves, and both need the interpreter. A commit of 70 "
    "jobs, their end included, took 1.6 ms beside the busy loop, and 0.5 ms where the same "
    "statements ran alone, of which the disk has 0.2 ms. Tried without a difference beyond the "
    "noise: switching threads after 0.2, 0.1, 0.05 and 0.01 ms instead of 0.5 ms, and statements "
    "of ten sizes instead of four, so that a commit needs fewer of them."
)
EXECUTED = (
    "In memory a job costs the worker's process 6.5 us, a write of its result included: no result "
    "waits for the handler of the next job. That leaves little to save in Python. Durable, the "
    "server writes the end of each job to disk, which the other queues never do, and is the limit. "
    "Tried: holding 8, 16, 32 and 100 jobs at a time; beyond 32 it makes no difference."
)
ONE_BY_ONE = (
    "The client waits for the server's answer, so this is the time of one round trip: about 30 us, "
    "of which 17 are the client's own CPU time, half of it in the kernel. The fastest peer "
    "makes one round trip to Redis as well. Together, by submit_many, nobody waits."
)

# By class and metric.
REMARKS: dict[tuple[str, str], str] = {
    ("foreground-1x1", "rate"): FOREGROUND,
    ("foreground-1x1", "server_cpu_us"): FOREGROUND,
    ("durable-both", "rate"): DURABLE_BOTH,
    ("python-queues", "executed"): EXECUTED,
    ("python-queues", "one_by_one"): ONE_BY_ONE,
}
