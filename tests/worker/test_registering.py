"""What workers take, and what they refuse before anything runs."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from geartrain.errors import UsageError
from geartrain.worker.aio import AsyncWorker
from geartrain.worker.job import AsyncJob, Job
from geartrain.worker.sync import Worker
from tests.worker.handlers import reverse

EITHER = pytest.mark.parametrize("make", [Worker, AsyncWorker], ids=["Worker", "AsyncWorker"])
Make = Callable[..., Any]


def generator(job: Job) -> Iterator[bytes]:
    yield b""


async def coroutine(job: AsyncJob) -> bytes:
    return b""


async def async_generator(job: AsyncJob) -> AsyncIterator[bytes]:
    yield b""


class Callable_:
    async def __call__(self, job: AsyncJob) -> bytes:
        return b""


@EITHER
@pytest.mark.parametrize("name", ["", b"", "a\0b"])
def test_a_name_that_cannot_be_sent_is_refused(make: Make, name: str | bytes) -> None:
    with pytest.raises(UsageError, match="name can't be"):
        make().register(name, reverse)


@EITHER
def test_a_name_is_registered_once(make: Make) -> None:
    worker = make()
    worker.register("résumé", reverse)
    with pytest.raises(UsageError, match="registered already"):
        worker.register("résumé".encode(), reverse)


@EITHER
@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, 1e9])
def test_a_timeout_that_no_server_understands_is_refused(make: Make, timeout: float) -> None:
    with pytest.raises(UsageError, match="timeout of 'f'"):
        make().register("f", reverse, timeout)


@EITHER
@pytest.mark.parametrize("handler", [generator, async_generator, "reverse", None])
def test_a_handler_that_cannot_be_run_is_refused(make: Make, handler: object) -> None:
    with pytest.raises(UsageError, match="the handler of 'f'"):
        make().register("f", handler)


@pytest.mark.parametrize("handler", [coroutine, Callable_()])
def test_a_coroutine_needs_the_worker_with_a_loop(handler: Any) -> None:
    with pytest.raises(UsageError, match="runs in an AsyncWorker"):
        Worker().register("f", handler)
    AsyncWorker().register("f", handler)


@EITHER
@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"prefetch": -1}, "prefetch"),
        ({"grace": -1}, "grace"),
        ({"grace": math.nan}, "grace"),
        ({"client_id": "two words"}, "client_id"),
        ({"client_id": "line\n"}, "client_id"),
        ({"servers": "host:0"}, "port"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(
    make: Make, options: dict[str, Any], what: str
) -> None:
    with pytest.raises(UsageError, match=what):
        make(**options)


def test_executions_have_names() -> None:
    with pytest.raises(UsageError, match="'thread', 'process', 'inline'"):
        Worker(execution="fork")  # type: ignore[arg-type]


def test_a_child_process_holds_no_job_but_the_one_it_runs() -> None:
    with pytest.raises(UsageError, match="prefetch"):
        Worker(execution="process", prefetch=1)


def test_a_handler_no_child_could_import_is_refused_at_the_start() -> None:
    worker = Worker(execution="process")
    worker.register("f", lambda job: b"")
    with pytest.raises(UsageError, match="top level of a module"):
        worker.run()


def test_child_processes_learn_no_new_functions() -> None:
    worker = Worker(("127.0.0.1", 1), execution="process")
    worker.register("f", reverse)
    with worker, pytest.raises(UsageError, match="too late"):
        worker.register("g", reverse)


def test_a_worker_without_functions_does_not_run() -> None:
    with pytest.raises(UsageError, match="no function"):
        Worker().run()


@pytest.mark.asyncio
async def test_an_async_worker_without_functions_does_not_run() -> None:
    with pytest.raises(UsageError, match="no function"):
        await AsyncWorker().run()


def test_a_worker_runs_once() -> None:
    worker = Worker(("127.0.0.1", 1))
    worker.register("f", reverse)
    with worker:
        pass
    with pytest.raises(UsageError, match="runs once"):
        worker.run()
    assert worker.join()


@pytest.mark.asyncio
async def test_an_async_worker_runs_once() -> None:
    worker = AsyncWorker(("127.0.0.1", 1))
    worker.register("f", reverse)
    async with worker:
        pass
    with pytest.raises(UsageError, match="runs once"):
        await worker.run()


def test_the_decorator_returns_the_handler_itself() -> None:
    """So that it can be called, tested, and sent to child processes by its name."""
    worker = Worker()
    assert worker.function("reverse", timeout=5)(reverse) is reverse
    assert pickle.loads(pickle.dumps(reverse)) is reverse


def test_progress_is_counted_in_whole_numbers() -> None:
    job = Job(Mock(), None, b"H:1", b"f")
    with pytest.raises(TypeError, match="two integers"):
        job.progress(0.5, 1)  # type: ignore[arg-type]


def test_data_is_bytes_or_text() -> None:
    job = Job(Mock(), None, b"H:1", b"f")
    with pytest.raises(TypeError, match="bytes or str, not int"):
        job.data(3)  # type: ignore[arg-type]


def test_the_blocking_worker_loads_no_event_loop() -> None:
    script = "import sys, geartrain.worker.sync\nsys.exit('asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_worker_that_never_runs_holds_nothing_open() -> None:
    script = (
        "import os\n"
        "from geartrain import Worker\n"
        "before = os.listdir('/proc/self/fd')\n"
        "workers = [Worker(concurrency=3, execution=name) for name in ('thread', 'process')]\n"
        "assert os.listdir('/proc/self/fd') == before\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
