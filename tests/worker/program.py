"""
A worker as users run one: a program of its own. Its arguments are the kind, the port, the grace
time in seconds and a JSON object of the worker's other options.

It prints ``ready`` when the server knows its functions, and ends with status 0 when it saw all
its jobs to their end, 3 when it left some behind.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from typing import Any

from geartrain.worker.aio import AsyncWorker
from geartrain.worker.sync import Worker
from tests.worker.handlers import FUNCTIONS, as_coroutine


def say_ready(worker: Worker) -> None:
    if worker.wait_until_ready():
        print("ready", flush=True)  # noqa: T201


def run_blocking(kind: str, port: int, grace: float, options: dict[str, Any]) -> bool:
    worker = Worker(("127.0.0.1", port), execution=kind, grace=grace, **options)  # type: ignore[arg-type]
    for name, handler in FUNCTIONS.items():
        worker.register(name, handler)
    threading.Thread(target=say_ready, args=(worker,), daemon=True).start()
    return worker.run()


async def run_async(port: int, grace: float, options: dict[str, Any]) -> bool:
    worker = AsyncWorker(("127.0.0.1", port), grace=grace, **options)
    for name, handler in FUNCTIONS.items():
        worker.register(name, as_coroutine(handler))
    running = asyncio.ensure_future(worker.run())
    if await worker.wait_until_ready():
        print("ready", flush=True)  # noqa: T201
    return await running


def main() -> int:
    kind, port, grace, options = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    if kind == "async":
        finished = asyncio.run(run_async(int(port), float(grace), json.loads(options)))
    else:
        finished = run_blocking(kind, int(port), float(grace), json.loads(options))
    return 0 if finished else 3


if __name__ == "__main__":
    sys.exit(main())
