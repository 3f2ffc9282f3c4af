"""Runs tasks with our own asyncio client. ../README.md explains the words."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from geartrain.client.aio import AsyncClient
from geartrain.client.aio_job import AsyncJob

# What the other programs call the same things.
NAMES = {"progress": "status", "completed": "complete", "failed": "fail", "raised": "exception"}


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def workload_of(option: dict[str, str]) -> bytes:
    if "file" in option:
        return Path(option["file"]).read_bytes()
    return option.get("workload", "").encode()


async def hear(job: AsyncJob) -> None:
    async for event in job.events():
        if event.kind == "progress":
            numerator, denominator = event.progress
            say("status", numerator=numerator, denominator=denominator)
        elif event.kind == "failed":
            say("fail")
        else:
            say(NAMES.get(event.kind, event.kind), data=event.workload.hex())


async def ask(client: AsyncClient, handle: str) -> None:
    status = await client.status(handle)
    say(
        "answer",
        known=status.known,
        running=status.running,
        numerator=status.numerator,
        denominator=status.denominator,
    )


async def main(port: str, mode: str, function: str, option: dict[str, str]) -> None:
    workload = workload_of(option)
    async with AsyncClient(f"127.0.0.1:{port}", exceptions="exceptions" in option) as client:
        jobs = []
        for _ in range(int(option.get("times", 1))):
            job = await client.submit(
                function,
                workload,
                background=mode == "background",
                unique=option.get("unique", ""),
                priority=option.get("priority", "normal"),
            )
            say("created", handle=job.handle.decode())
            jobs.append(job)
        if mode == "run":
            for job in jobs:
                await hear(job)
            return
        while handle := await asyncio.to_thread(sys.stdin.readline):
            await ask(client, handle.strip())


port, mode, function, *words = sys.argv[1:]
asyncio.run(main(port, mode, function, dict(word.split("=", 1) for word in words)))
