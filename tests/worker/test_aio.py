"""What only the worker on the event loop does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from geartrain.wire.packet import JOB_ASSIGN_UNIQ, NOOP
from geartrain.wire.writer import pack_response
from geartrain.worker.aio import AsyncWorker
from geartrain.worker.job import AsyncJob
from tests.acceptance.connection import SUBMIT_JOB, WORK_COMPLETE, Connection
from tests.acceptance.job_server import DEADLINE, JobServer
from tests.worker.fake_server import FakeServer

RUNS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
Run = Callable[[Coroutine[Any, Any, None]], None]


@RUNS
def test_plain_and_async_handlers_work_on_either_loop(job_server: JobServer, run: Run) -> None:
    async def slow(job: AsyncJob) -> bytes:
        await asyncio.sleep(0.01)
        return b"slow " + job.workload

    async def main() -> None:
        worker = AsyncWorker(("127.0.0.1", job_server.port), concurrency=4)
        worker.register("aio-plain", lambda job: b"plain " + job.workload)
        worker.register("aio-slow", slow)
        async with worker:
            assert await worker.wait_until_ready(DEADLINE)
            results = await asyncio.to_thread(ask, job_server.port)
        assert results == [b"plain 0", b"slow 1", b"plain 2", b"slow 3"]

    def ask(port: int) -> list[bytes]:
        results = []
        with Connection(port) as client:
            for number in range(4):
                name = b"aio-slow" if number % 2 else b"aio-plain"
                handle = client.submit(SUBMIT_JOB, name, b"", b"%d" % number)
                kind, body = client.receive()
                assert (kind, body[: len(handle) + 1]) == (WORK_COMPLETE, handle + b"\0")
                results.append(body[len(handle) + 1 :])
        return results

    run(main())


def test_jobs_that_wait_together_end_together(job_server: JobServer) -> None:
    """Fifty jobs of 0.2 s take no fifty times 0.2 s."""

    async def nap(job: AsyncJob) -> None:
        await asyncio.sleep(0.2)

    async def main() -> None:
        worker = AsyncWorker(("127.0.0.1", job_server.port), concurrency=50)
        worker.register("nap", nap)
        async with worker:
            assert await worker.wait_until_ready(DEADLINE)
            await asyncio.to_thread(ask)

    def ask() -> None:
        with Connection(job_server.port) as client:
            started = time.monotonic()
            for _ in range(50):
                client.send(SUBMIT_JOB, b"nap", b"", b"")
            ended = 0
            while ended < 50:
                ended += client.receive()[0] == WORK_COMPLETE
            assert time.monotonic() - started < 5

    asyncio.run(main())


def test_a_handler_that_is_cancelled_ends_its_job(fake_server: FakeServer) -> None:
    """Its own time-outs, for instance, are an exception like any other."""

    async def give_in(job: AsyncJob) -> bytes:
        raise asyncio.CancelledError("enough")

    async def main() -> None:
        worker = AsyncWorker(("127.0.0.1", fake_server.port), grace=0.1)
        worker.register("f", give_in)
        async with worker:
            await asyncio.to_thread(ask)

    def ask() -> None:
        connection = fake_server.accept_asleep()
        connection.assign(b"H:1", b"f")
        assert connection.receive() == ("WORK_EXCEPTION", [b"H:1", b"CancelledError: enough"])

    asyncio.run(main())


def test_cancelling_run_gives_held_jobs_back_and_closes_the_connections(
    fake_server: FakeServer,
) -> None:
    cancelled = []
    started = asyncio.Event()

    async def wait(job: AsyncJob) -> bytes:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(job.handle)
            raise
        return b""

    async def main() -> None:
        worker = AsyncWorker(("127.0.0.1", fake_server.port))
        worker.register("f", wait)
        running = asyncio.ensure_future(worker.run())
        connection = await asyncio.to_thread(fake_server.accept_asleep)
        await asyncio.to_thread(connection.assign, b"H:1", b"f")
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await asyncio.to_thread(connection.receive) == ("RESET_ABILITIES", [])
        assert await asyncio.to_thread(connection.receive) == ("END", [])
        assert not await worker.wait_until_ready()

    asyncio.run(main())
    assert cancelled == [b"H:1"]


def test_drain_waits_until_the_server_has_read(fake_server: FakeServer) -> None:
    drained = []

    async def pour(job: AsyncJob) -> bytes:
        for _ in range(64):
            job.data(b"x" * 1024 * 1024)
            await job.drain()
            drained.append(job.handle)
        return b""

    async def main() -> None:
        worker = AsyncWorker(("127.0.0.1", fake_server.port), grace=0.1)
        worker.register("f", pour)
        async with worker:
            connection = await asyncio.to_thread(fake_server.accept_asleep)
            await asyncio.to_thread(connection.assign, b"H:1", b"f")
            before = -1
            while len(drained) != before:
                before = len(drained)
                await asyncio.sleep(0.1)
            # Sockets take some of it, not all.
            assert 0 < len(drained) < 64
            while (await asyncio.to_thread(connection.receive))[0] != "WORK_COMPLETE":
                pass
            assert len(drained) == 64

    asyncio.run(main())


def test_plain_handlers_that_arrive_together_let_the_loop_go_on(fake_server: FakeServer) -> None:
    events: list[bytes] = []

    def work(job: AsyncJob) -> None:
        events.append(job.workload)
        # Longer than a stretch of handlers may be.
        time.sleep(0.01)
        asyncio.get_running_loop().call_soon(events.append, b"loop")

    async def main() -> None:
        worker = AsyncWorker(("127.0.0.1", fake_server.port), concurrency=4, grace=0.1)
        worker.register("f", work)
        async with worker:
            await asyncio.to_thread(serve)

    def serve() -> None:
        connection = fake_server.accept_asleep()
        connection.send(NOOP)
        asked = 0
        while asked < 4:
            asked += connection.receive()[0] == "GRAB_JOB_ALL"
            if 0 < asked < 4 and not connection.packets:
                # The more jobs come, the more are asked for.
                connection.send(JOB_ASSIGN_UNIQ, b"H:0", b"f", b"", b"job")
                asked -= 1
        jobs = [pack_response(JOB_ASSIGN_UNIQ, [b"H:1", b"f", b"", b"job"]) for _ in range(4)]
        connection.socket.sendall(b"".join(jobs))
        for _ in range(4):
            connection.receive_names("WORK_COMPLETE")

    asyncio.run(main())
    assert events[-8:] == [b"job", b"loop"] * 4
