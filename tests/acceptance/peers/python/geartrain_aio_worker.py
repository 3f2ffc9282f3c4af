"""Does jobs with our own asyncio worker. ../README.md explains the words."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

from geartrain.errors import Fail
from geartrain.worker.aio import AsyncWorker
from geartrain.worker.job import AsyncJob

Behaviour = Callable[[AsyncJob], Awaitable[bytes | None]]


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


async def reverse(job: AsyncJob) -> bytes:
    return job.workload[::-1]


async def echo(job: AsyncJob) -> bytes:
    return job.workload


async def story(job: AsyncJob) -> bytes:
    job.data(b"one")
    job.data(b"two")
    job.warn(b"careful")
    job.progress(1, 2)
    return b"end"


async def fail(job: AsyncJob) -> bytes:
    raise Fail


async def throw(job: AsyncJob) -> bytes:
    raise RuntimeError("it broke")


async def empty(job: AsyncJob) -> None:
    return None


async def slow(job: AsyncJob) -> bytes:
    await asyncio.sleep(0.03)
    say("done")
    return job.workload


async def hang(job: AsyncJob) -> bytes:
    job.progress(1, 2)
    await asyncio.Event().wait()
    return b""


def reporting(behaviour: Behaviour) -> Behaviour:
    async def run(job: AsyncJob) -> bytes | None:
        say(
            "job",
            function=job.function.decode(),
            handle=job.handle.decode(),
            unique=job.unique.decode(),
            workload=job.workload.hex(),
        )
        return await behaviour(job)

    return run


async def main() -> None:
    port, *words = sys.argv[1:]
    functions = dict(word.split("=") for word in words)
    timeout = float(functions.pop("timeout", 0)) / 1000 or None
    worker = AsyncWorker(f"127.0.0.1:{port}", client_id=functions.pop("id", ""))
    for behaviour, function in functions.items():
        worker.register(function, reporting(globals()[behaviour]), timeout)
    await worker.run()


asyncio.run(main())
