"""The asyncio client: tasks that share it, cancellation, and what it costs when idle."""

from __future__ import annotations

import asyncio
import time

import pytest

from geartrain.client.aio import AsyncClient
from geartrain.errors import UsageError
from geartrain.wire.packet import JOB_CREATED, SUBMIT_JOB, SUBMIT_JOB_BG, WORK_COMPLETE
from tests.client.scripted_server import DEADLINE, work_at_once


def accept_and_hold(peer):
    """Accept every job, and end none."""
    number = 0
    while True:
        peer.read()
        number += 1
        peer.send(JOB_CREATED, b"H:%d" % number)


@pytest.mark.asyncio
async def test_tasks_share_one_client_and_one_connection(scripted):
    server = scripted(work_at_once)
    async with AsyncClient(str(server)) as client:
        workloads = [b"%d" % number for number in range(500)]
        results = await asyncio.gather(*(client.call("f", one) for one in workloads))
        assert results == [one[::-1] for one in workloads]
    assert len(server.peers) == 1


@pytest.mark.asyncio
async def test_submissions_of_one_pass_leave_in_one_piece(scripted):
    pieces = []

    def script(peer):
        peer.read()
        peer.send(JOB_CREATED, b"H:0")
        data = b""
        while len(data) < 10 * len(b"\0REQ....size") + 10 * 3:
            data += peer.socket.recv(65536)
            pieces.append(len(data))
        for number in range(10):
            peer.send(JOB_CREATED, b"H:%d" % number)
        peer.wait_for_end()

    async with AsyncClient(str(scripted(script)), exceptions=False) as client:
        await client.submit("f", background=True)
        await asyncio.gather(*(client.submit("f", background=True) for _ in range(10)))
    assert len(pieces) == 1


@pytest.mark.asyncio
async def test_a_job_can_be_awaited(scripted):
    async with AsyncClient(str(scripted(work_at_once))) as client:
        job = await client.submit("f", "ab")
        assert await job == b"ba"
        assert repr(job) == "<AsyncJob b'H:scripted:0.1' b'f' ended>"


@pytest.mark.asyncio
async def test_several_tasks_may_wait_for_one_job_and_one_may_be_cancelled(scripted):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send(JOB_CREATED, b"H:1")
        peer.expect(SUBMIT_JOB_BG)
        peer.send(JOB_CREATED, b"H:2")
        peer.send(WORK_COMPLETE, b"H:1", b"done")
        peer.wait_for_end()

    async with AsyncClient(str(scripted(script))) as client:
        job = await client.submit("f")
        waiting = [asyncio.create_task(job.result()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await client.submit("f", background=True)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [b"done", b"done"]


@pytest.mark.asyncio
async def test_a_cancelled_call_is_forgotten(scripted):
    async with AsyncClient(str(scripted(accept_and_hold))) as client:
        task = asyncio.create_task(client.call("f"))
        await asyncio.sleep(0)
        await client.submit("f", background=True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (connection,) = client._pump.connections.values()
        assert [request.owner for request in connection.session.running[b"H:1"]] == [None]


@pytest.mark.asyncio
async def test_a_call_cancelled_before_a_server_was_found_leaves_nothing(unreachable):
    client = AsyncClient(unreachable)
    task = asyncio.create_task(client.call("f"))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(record.forgotten for record in client._pump.unplaced.records)
    await client.close()


@pytest.fixture
def unreachable(full_listener):
    return str(full_listener)


@pytest.mark.asyncio
async def test_closing_ends_the_search_for_a_server(unreachable):
    client = AsyncClient(unreachable)
    task = asyncio.create_task(client.call("f"))
    await asyncio.sleep(0.01)
    started = time.monotonic()
    await client.close()
    with pytest.raises(Exception, match="the client was closed"):
        await task
    # An attempt to connect has five seconds.
    assert time.monotonic() - started < 4


def test_a_client_belongs_to_one_event_loop(scripted):
    client = AsyncClient(str(scripted(work_at_once)))

    async def use():
        return await client.call("f", "ab")

    async def use_and_close():
        try:
            return await use()
        finally:
            await client.close()

    with asyncio.Runner() as runner:
        assert runner.run(use()) == b"ba"
        with asyncio.Runner() as other, pytest.raises(UsageError, match="another event loop"):
            other.run(use())
        assert runner.run(use_and_close()) == b"ba"


@pytest.mark.asyncio
async def test_an_idle_client_costs_nothing(scripted):
    async with AsyncClient(str(scripted(accept_and_hold))) as client:
        job = await client.submit("f")
        before = time.process_time()
        assert not await job.wait(0.5)
        assert time.process_time() - before < 0.05
        assert len(asyncio.all_tasks()) == 1
        (connection,) = client._pump.connections.values()
        assert connection.timer is None or not connection.session.waiting


@pytest.mark.asyncio
async def test_workloads_may_come_from_async_for(scripted):
    async def workloads():
        for number in range(20):
            await asyncio.sleep(0)
            yield b"%d" % number

    async def pairs():
        async for workload in workloads():
            yield "f", workload

    async with AsyncClient(str(scripted(work_at_once))) as client:
        results = [one async for one in client.map("f", workloads(), max_in_flight=3)]
        assert results == [bytes(reversed(b"%d" % number)) for number in range(20)]
        jobs = await client.submit_many(pairs())
        assert [await job for job in jobs] == results


@pytest.mark.asyncio
async def test_callbacks_that_raise_are_logged(scripted, caplog):
    async with AsyncClient(str(scripted(work_at_once))) as client:
        job = await client.submit("f")
        job.add_done_callback(lambda job: 1 / 0)
        await job
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.asyncio
async def test_a_task_set_waits_at_the_end_of_its_block(scripted):
    async with AsyncClient(str(scripted(work_at_once))) as client:
        async with client.task_set() as tasks:
            jobs = [tasks.add("f", b"%d" % number) for number in range(20)]
        assert all(job.done() for job in tasks)
        assert [job.outcome() for job in jobs] == await tasks.results(DEADLINE)


def test_uvloop_serves_as_well(scripted):
    uvloop = pytest.importorskip("uvloop")
    server = scripted(work_at_once)

    async def main():
        async with AsyncClient(str(server)) as client:
            workloads = [b"%d" % number for number in range(300)]
            jobs = await client.submit_many([("f", one) for one in workloads])
            assert [await job for job in jobs] == [one[::-1] for one in workloads]
            large = bytes(10_000_000)
            assert await client.call("f", large, timeout=DEADLINE) == large

    uvloop.run(main())
