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
    "A job costs the worker's process about 4.3 us of CPU time, the server's event loop 3.1 us and "
    "its writer thread 1.2 us where the end of each job goes to disk, which the other queues never "
    "do: three threads on two cores. Half of that is the kernel's. What brought it there: results "
    "that end faster than the server answers leave together (Nagle's algorithm, inline workers "
    "only; 7.6, 5.2 and 1.5 us before), the session joins its output, and a run of jobs is removed "
    "by its first and last number. Tried: holding 8, 16, 32 and 100 jobs at a time (beyond 32 it "
    "makes no difference), and keeping eight results back in the kernel (MSG_MORE): faster still, "
    "but a result might wait 200 ms for a slow handler after it."
)
ONE_BY_ONE = (
    "The client waits for the server's answer, so this is the time of one round trip. A loop of "
    "send and receive in Python, to an echo in C, takes two thirds of it; the fastest peer makes "
    "one round trip to Redis as well. What brought it here: `selectors` was left, and rules and "
    "pump were compiled. Tried: receiving from a socket that blocks, without asking first whether "
    "the answer is there, spares a system call, and the lock that guards the order of answers "
    "can't be held meanwhile: threads got each other's results when connections ended; receives "
    "of 400 bytes instead of 64 KiB, no difference; `Submission` compiled, dearer, since compiled "
    "classes take keywords more slowly than those of the interpreter. Not asking before each "
    "submission whether the server has gone would spare a system call of 0.4 us, and leave more "
    "submissions uncertain. Together, by submit_many, nobody waits."
)

# By class and metric.
REMARKS: dict[tuple[str, str], str] = {
    ("foreground-1x1", "rate"): FOREGROUND,
    ("foreground-1x1", "server_cpu_us"): FOREGROUND,
    ("durable-both", "rate"): DURABLE_BOTH,
    ("python-queues", "executed"): EXECUTED,
    ("python-queues", "one_by_one"): ONE_BY_ONE,
}
