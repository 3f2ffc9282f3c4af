"""
Handlers of the tests, at the top level of a module, so that child processes can import them.

A handler and its test meet in files: the workload says where.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from geartrain.errors import Fail
from geartrain.worker.job import Job, Result


def reverse(job: Job) -> bytes:
    return job.workload[::-1]


def shout(job: Job) -> str:
    return job.workload.decode().upper() + " é"


def nothing(job: Job) -> None:
    return None


def number(job: Job) -> Any:
    return 42


def explode(job: Job) -> bytes:
    raise ValueError(f"no {job.workload.decode()} here")


def give_up(job: Job) -> bytes:
    raise Fail("not today")


def leave(job: Job) -> bytes:
    sys.exit(3)


def tell(job: Job) -> bytes:
    """Report everything a handler can report."""
    job.progress(1, 2)
    job.data(b"part")
    job.warn("careful")
    return b"rest"


def show(job: Job) -> bytes:
    return b"|".join([job.handle, job.function, job.unique, job.reducer, job.workload])


def enlarge(job: Job) -> bytes:
    return b"x" * int(job.workload)


def flood(job: Job) -> bytes:
    """Send many times what a socket takes, in parts."""
    for _ in range(64):
        job.data(b"y" * 256 * 1024)
    return b"done"


def hold(job: Job) -> bytes:
    """Start reading at a `Gate`, and return what comes through."""
    return Path(job.workload.decode()).read_bytes()


def die(job: Job) -> bytes:
    """Die as by kill -9 the first time, and live the second time."""
    marker = Path(job.workload.decode())
    if not marker.exists():
        marker.write_bytes(str(os.getpid()).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    return b"lived"


def process_id(job: Job) -> bytes:
    return b"%d" % os.getpid()


FUNCTIONS: dict[str, Callable[[Job], Result]] = {
    function.__name__: function
    for function in (
        reverse,
        shout,
        nothing,
        number,
        explode,
        give_up,
        leave,
        tell,
        show,
        enlarge,
        flood,
        hold,
        die,
        process_id,
    )
}


async def hold_on_loop(job: Job) -> bytes:
    """Wait at a `Gate` without keeping the loop waiting."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    # Open for both, so that it does not wait for the test to open its end.
    gate = os.open(job.workload, os.O_RDWR | os.O_NONBLOCK)
    loop.add_reader(gate, readable.set)
    try:
        await readable.wait()
        return os.read(gate, 65536)
    finally:
        loop.remove_reader(gate)
        os.close(gate)


def as_coroutine(handler: Callable[[Job], Result]) -> Callable[[Job], Awaitable[Result]]:
    """Return an ``async def`` handler that does the same."""

    async def coroutine(job: Job) -> Result:
        await asyncio.sleep(0)
        return handler(job)

    return hold_on_loop if handler is hold else coroutine
