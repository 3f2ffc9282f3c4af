"""Workers for the shop's tasks: in this process, or programs of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Self

from geartrain.tasks.worker import TaskWorker
from geartrain.worker.aio import AsyncWorker
from tests.acceptance.job_server import DEADLINE, eventually
from tests.tasks.shop import app
from tests.worker.processes import Child, children_of

ROOT = Path(__file__).resolve().parents[2]


class RunningPool:
    """A worker of any pool in this process, ready to take jobs."""

    def __init__(self, pool: Any, **options: Any) -> None:
        options.setdefault("concurrency", 2)
        self.worker = TaskWorker(app, pool=pool, **options)
        self.thread = threading.Thread(target=self.run)
        self.loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        if self.worker.pool == "async":
            asyncio.run(self.run_async())
        else:
            self.worker.run()

    async def run_async(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self.worker.run_async()

    def __enter__(self) -> Self:
        self.thread.start()
        inner = self.worker._worker
        if isinstance(inner, AsyncWorker):
            eventually(lambda: self.loop is not None, "the loop runs")
            assert self.loop is not None
            wait = inner.wait_until_ready(DEADLINE)
            assert asyncio.run_coroutine_threadsafe(wait, self.loop).result(DEADLINE + 1)
        else:
            assert inner.wait_until_ready(DEADLINE)
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.stop(1.0)
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()


class Program:
    """A ``geartrain`` command as a process of its own, with its log."""

    def __init__(self, *arguments: str, cwd: Path = ROOT, **environment: str) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from geartrain.cli.main import main; main()", *arguments],
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def read_log(self) -> str:
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait_for(self, text: str, times: int = 1) -> None:
        eventually(
            lambda: self.read_log().count(text) >= times or self.process.poll() is not None,
            f"the log says {text!r}",
        )
        assert self.read_log().count(text) >= times, self.read_log()

    def children(self) -> list[Child]:
        return children_of(self.process.pid)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        children = self.children() if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        for child in children:
            child.send_signal(signal.SIGKILL)
        self.log.close()
