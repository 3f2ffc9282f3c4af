"""Workers of every kind, run in the test's own process, and the gates their handlers wait at."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from geartrain.worker.aio import AsyncWorker
from geartrain.worker.sync import Worker
from tests.acceptance.job_server import DEADLINE, eventually
from tests.worker.handlers import FUNCTIONS, as_coroutine

KINDS = ["thread", "inline", "process", "async"]


class RunningWorker:
    """
    A worker in a thread of its own, of any kind, used in the same way.

    Args:
        kind: An ``execution`` of `Worker`, or ``async`` for `AsyncWorker`.
        servers: Ports on this machine.
        functions: Names of handlers, or name on the wire -> name of the handler.
        timeouts: Function -> seconds.
        options: The worker's other arguments.

    """

    def __init__(
        self,
        kind: str,
        servers: list[int],
        functions: list[str] | dict[str, str],
        timeouts: dict[str, float] | None = None,
        **options: Any,
    ) -> None:
        if isinstance(functions, list):
            functions = {name: name for name in functions}
        addresses = [("127.0.0.1", port) for port in servers]
        self.kind = kind
        self.result: bool | None = None
        self.error: BaseException | None = None
        self.worker: Worker | AsyncWorker
        if kind == "async":
            self.worker = AsyncWorker(addresses, **options)
            for name, handler in functions.items():
                coroutine = as_coroutine(FUNCTIONS[handler])
                self.worker.register(name, coroutine, (timeouts or {}).get(name))
        else:
            self.worker = Worker(addresses, execution=kind, **options)  # type: ignore[arg-type]
            for name, handler in functions.items():
                self.worker.register(name, FUNCTIONS[handler], (timeouts or {}).get(name))
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        try:
            if isinstance(self.worker, AsyncWorker):
                self.result = asyncio.run(self.run_on_loop(self.worker))
            else:
                self.result = self.worker.run()
        except BaseException as error:
            self.error = error

    async def run_on_loop(self, worker: AsyncWorker) -> bool:
        self.loop = asyncio.get_running_loop()
        return await worker.run()

    def wait_until_ready(self, timeout: float = DEADLINE) -> bool:
        if isinstance(self.worker, Worker):
            return self.worker.wait_until_ready(timeout)
        eventually(lambda: self.loop is not None, "the loop runs")
        assert self.loop is not None
        wait = self.worker.wait_until_ready(timeout)
        return asyncio.run_coroutine_threadsafe(wait, self.loop).result(timeout + 1)

    def stop(self, grace: float | None = None) -> bool | None:
        """Stop and return what ``run`` returned."""
        self.worker.stop(grace)
        return self.join()

    def join(self) -> bool | None:
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive(), "the worker did not end"
        assert self.error is None, self.error
        return self.result


class Gate:
    """
    A FIFO that the handler ``hold`` reads from: the test sees it come, and lets it go.

    Args:
        path: Where to make it; the job's workload.

    """

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.workload = os.fsencode(path)
        self.descriptor: int | None = None

    def is_reached(self) -> bool:
        """Return whether a handler waits at the gate."""
        if self.descriptor is None:
            try:
                self.descriptor = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
        return self.descriptor is not None

    def wait(self) -> None:
        """Wait for a handler to come."""
        eventually(self.is_reached, "a handler holds the job")

    def open(self, result: bytes = b"through") -> None:
        """Let the handler go on, and return ``result``."""
        self.wait()
        assert self.descriptor is not None
        os.write(self.descriptor, result)
        self.close()

    def close(self) -> None:
        """Let go of the handler, if there is one."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


StartWorker = Callable[..., RunningWorker]
MakeGate = Callable[[], Gate]
