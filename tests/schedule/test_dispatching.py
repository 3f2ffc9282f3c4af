"""Fires at real job servers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest

from geartrain.client.admin import AdminClient
from geartrain.client.sync import Client
from geartrain.schedule.dispatching import (
    ACKNOWLEDGED,
    ENDED,
    REFUSED,
    SEVERED,
    STARTED,
    TAKEN_BACK,
    UNKNOWN,
    WAITS,
    Dispatcher,
    News,
    Order,
)
from geartrain.testing.server import TestServer
from geartrain.worker.job import Job
from geartrain.worker.sync import Worker
from tests.acceptance.job_server import JobServer

KEY = "cron:1:1:1767268800"
ORDER = Order(7, 1, "nightly", KEY, b"payload")


class Desk:
    """A dispatcher, and what it tells."""

    def __init__(self, servers: Sequence[str]) -> None:
        self.told: SimpleQueue[News] = SimpleQueue()
        self.dispatcher = Dispatcher(servers, lambda news: [self.told.put(one) for one in news])
        self.dispatcher.start()

    def next(self) -> News:
        return self.told.get(timeout=10)

    def until(self, kind: str) -> News:
        while (news := self.next()).kind != kind:
            assert news.kind in (STARTED, ACKNOWLEDGED, WAITS), news
        return news

    def close(self) -> None:
        self.dispatcher.stop()


@pytest.fixture
def server() -> Iterator[TestServer]:
    with TestServer() as found:
        yield found


@pytest.fixture
def desk(server: TestServer) -> Iterator[Desk]:
    with closing(Desk([server.address])) as found:
        yield found


@pytest.fixture
def work(server: TestServer) -> Iterator[Callable[[Callable[[Job], bytes]], Worker]]:
    workers: list[Worker] = []

    def begin(run: Callable[[Job], bytes]) -> Worker:
        worker = Worker(server.address)
        worker.register("nightly", run)
        worker.start()
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.stop(0.0)
        worker.join()


def test_a_fire_is_one_background_job_whose_end_is_heard(
    desk: Desk, server: TestServer, work: Callable[[Callable[[Job], bytes]], Worker]
) -> None:
    runs: list[bytes] = []

    def run(job: Job) -> bytes:
        runs.append(job.workload)
        job.data(b"part ")
        return b"result"

    desk.dispatcher.submit([ORDER])
    accepted = desk.next()
    assert (accepted.kind, accepted.server) == (ACKNOWLEDGED, server.address)
    assert accepted.handle.startswith("H:")
    with AdminClient(server.address) as admin:
        assert admin.show_unique_jobs() == [KEY]
    work(run)
    assert desk.next().kind == STARTED
    ended = desk.next()
    assert (ended.kind, ended.ok, ended.data) == (ENDED, True, b"part result")
    assert ended.order is ORDER
    assert runs == [b"payload"]


def test_a_failure_is_told_as_one(
    desk: Desk, work: Callable[[Callable[[Job], bytes]], Worker]
) -> None:
    def run(job: Job) -> bytes:
        raise ValueError("no such table")

    work(run)
    desk.dispatcher.submit([ORDER])
    ended = desk.until(ENDED)
    assert not ended.ok
    assert b"no such table" in ended.data


def test_a_result_is_cut_to_what_is_wanted(
    desk: Desk, work: Callable[[Callable[[Job], bytes]], Worker]
) -> None:
    work(lambda job: b"x" * 100_000)
    desk.dispatcher.submit([replace(ORDER, limit=10)])
    assert desk.until(ENDED).data == b"x" * 10


def test_a_thousand_fires_are_all_heard_of(
    desk: Desk, work: Callable[[Callable[[Job], bytes]], Worker]
) -> None:
    work(lambda job: job.workload)
    orders = [Order(n, 1, "nightly", f"cron:1:1:{n}", b"%d" % n) for n in range(1_000)]
    desk.dispatcher.submit(orders)
    ended = {}
    while len(ended) < 1_000:
        news = desk.until(ENDED)
        ended[news.order.fire] = news.data
    assert ended == {n: b"%d" % n for n in range(1_000)}


def test_a_full_function_refuses_and_nothing_runs(desk: Desk, server: TestServer) -> None:
    with AdminClient(server.address) as admin, Client(server.address) as client:
        admin.maxqueue("nightly", 1)
        client.submit("nightly", b"in the way", background=True)
        desk.dispatcher.submit([ORDER])
        refused = desk.next()
        assert (refused.kind, refused.uncertain) == (REFUSED, False)
        assert "QUEUE" in refused.reason.upper()
        assert len(admin.show_jobs()) == 1


def test_no_server_at_all_is_a_refusal_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with closing(Desk([address])) as desk:
        desk.dispatcher.submit([ORDER])
        refused = desk.next()
    assert refused.kind == REFUSED
    assert address in refused.reason


def test_the_next_server_is_taken_where_the_first_is_gone(server: TestServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with closing(Desk([address, server.address])) as desk:
        desk.dispatcher.submit([ORDER])
        accepted = desk.next()
    assert (accepted.kind, accepted.server) == (ACKNOWLEDGED, server.address)


def test_a_server_that_goes_severs_what_was_listened_to() -> None:
    with TestServer() as server, closing(Desk([server.address])) as desk:
        desk.dispatcher.submit([ORDER])
        assert desk.next().kind == ACKNOWLEDGED
        server.__exit__(None, None, None)
        assert desk.next().kind == SEVERED


def test_a_fire_that_was_inherited_is_listened_to_again(
    desk: Desk, server: TestServer, work: Callable[[Callable[[Job], bytes]], Worker]
) -> None:
    with closing(Desk([server.address])) as first:
        first.dispatcher.submit([ORDER])
        accepted = first.next()
    inherited = replace(ORDER, server=accepted.server, handle=accepted.handle)
    desk.dispatcher.ask([inherited])
    waits = desk.next()
    assert (waits.kind, waits.listening) == (WAITS, True)
    work(lambda job: b"late, but done")
    ended = desk.next()
    assert (ended.kind, ended.ok, ended.data) == (ENDED, True, b"late, but done")


def test_what_ended_while_nobody_listened_is_remembered(
    desk: Desk, server: TestServer, work: Callable[[Callable[[Job], bytes]], Worker]
) -> None:
    with closing(Desk([server.address])) as first:
        first.dispatcher.submit([ORDER])
        accepted = first.next()
    done = Event()
    work(lambda job: (done.set(), b"done")[1])
    with Client(server.address) as client:
        assert done.wait(10)
        # Behind it, so that its end has arrived.
        client.call("nightly", b"", timeout=10)
    desk.dispatcher.ask([replace(ORDER, server=accepted.server, handle=accepted.handle)])
    ended = desk.next()
    assert (ended.kind, ended.ok, ended.data) == (ENDED, True, b"done")


def test_what_no_server_knows_is_unknown(desk: Desk, server: TestServer) -> None:
    desk.dispatcher.ask([replace(ORDER, server=server.address, handle="H:elsewhere:1")])
    assert desk.next().kind == UNKNOWN
    desk.dispatcher.ask([replace(ORDER, server=server.address)])
    assert desk.next().kind == UNKNOWN


def test_an_order_is_taken_out_of_the_line(desk: Desk, server: TestServer) -> None:
    desk.dispatcher.submit([ORDER])
    accepted = desk.next()
    desk.dispatcher.cancel([replace(ORDER, server=accepted.server, handle=accepted.handle)])
    ended = desk.next()
    assert (ended.kind, ended.ok) == (ENDED, False)


def test_an_order_is_taken_back_unless_a_worker_has_it(
    desk: Desk, work: Callable[[Callable[[Job], bytes]], Worker]
) -> None:
    going, begun = Event(), Event()
    work(lambda job: (begun.set(), going.wait(10), b"done")[2])
    desk.dispatcher.submit([ORDER])
    accepted = desk.next()
    assert begun.wait(10)
    handed = replace(ORDER, server=accepted.server, handle=accepted.handle)
    desk.dispatcher.take_back([handed])
    assert desk.next().kind == STARTED
    other = replace(ORDER, fire=8, key="cron:8:1:1")
    desk.dispatcher.submit([other])
    accepted = desk.next()
    desk.dispatcher.take_back([replace(other, server=accepted.server, handle=accepted.handle)])
    assert desk.next().kind == TAKEN_BACK
    going.set()
    ended = desk.next()
    assert (ended.order.fire, ended.ok) == (ORDER.fire, True)


def test_what_is_taken_back_twice_is_no_failure(desk: Desk) -> None:
    desk.dispatcher.submit([ORDER])
    accepted = desk.next()
    handed = replace(ORDER, server=accepted.server, handle=accepted.handle)
    desk.dispatcher.take_back([handed, handed])
    assert desk.next().kind == TAKEN_BACK


def test_a_word_to_an_agent_goes_before_other_jobs(desk: Desk, server: TestServer) -> None:
    heard = Event()
    worker = Worker(server.address)
    worker.register("agent:web:control", lambda job: (heard.set(), b"")[1])
    worker.start()
    desk.dispatcher.send("agent:web:control", b"{}")
    assert heard.wait(10)
    worker.stop(0.0)
    worker.join()


# With the C server, which remembers nothing.


@pytest.fixture
def gearmand(tmp_path: Path) -> Iterator[str]:
    server = JobServer("gearmand", tmp_path)
    yield f"127.0.0.1:{server.port}"
    server.stop()


def test_the_c_server_joins_both_halves_and_is_asked_by_key_only(gearmand: str) -> None:
    with closing(Desk([gearmand])) as desk:
        desk.dispatcher.submit([ORDER])
        accepted = desk.next()
        inherited = replace(ORDER, server=gearmand, handle=accepted.handle)
        desk.dispatcher.ask([inherited])
        waits = desk.next()
        assert (waits.kind, waits.listening) == (WAITS, False)
        worker = Worker(gearmand)
        worker.register("nightly", lambda job: b"done")
        worker.start()
        ended = desk.next()
        assert (ended.kind, ended.ok, ended.data) == (ENDED, True, b"done")
        desk.dispatcher.ask([inherited])
        assert desk.next().kind == UNKNOWN
        worker.stop(0.0)
        worker.join()
