"""memcached that is frozen, ended, full, written to by others or used by two; and its words."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymemcache.client.base import Client

from geartrain.errors import LeaseLost, StoreDamaged, StoreUnavailable, UsageError
from geartrain.store.batch import Batch, Result
from geartrain.store.memcached import MemcachedStore
from geartrain.store.memcached_url import read_place
from geartrain.store.number_set import NumberSet
from geartrain.store.queue_store import Damaged
from geartrain.store.url import open_store
from tests.services.availability import require
from tests.services.key_value import MemcachedServer, shared_memcached
from tests.store.samples import FIRST, damaged, make_job, make_jobs, numbers


@pytest.fixture
def memcached(tmp_path: Path) -> Iterator[MemcachedServer]:
    """A memcached of the test's own, to be harmed."""
    require("memcached")
    server = MemcachedServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return tmp_path.name


@pytest.fixture
def shared() -> Iterator[Client]:
    """A client of the memcached that all tests share."""
    with closing(client_of(shared_memcached())) as client:
        yield client


def client_of(server: MemcachedServer) -> Any:
    return Client(("127.0.0.1", server.port), default_noreply=False)


def store_of(server: MemcachedServer, prefix: str = "geartrain") -> MemcachedStore:
    return MemcachedStore(read_place(server.url(prefix)), lease=1.0)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


# Trouble, and its end.


def test_frozen_memcached_refuses_within_a_second_and_nothing_refused_is_kept(
    memcached: MemcachedServer,
) -> None:
    with closing(store_of(memcached)) as store:
        store.open()
        store.commit(Batch(make_jobs(3)))
        memcached.freeze()
        for n in range(3):
            jobs = make_jobs(20, FIRST + 100 * (n + 1))
            with within(1), pytest.raises(StoreUnavailable, match="does not answer in time"):
                store.commit(Batch(jobs, dones=[FIRST + 1]))
        memcached.thaw()
        store.commit(Batch([make_job(FIRST + 900), make_job(FIRST + 101)]))
        kept = [FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 101, FIRST + 900]
        assert numbers(store) == kept
    with closing(store_of(memcached)) as again:
        again.open()
        assert numbers(again) == kept


def test_commit_whose_answer_never_came_is_taken_out(
    memcached: MemcachedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(store_of(memcached)) as store:
        store.open()
        store.commit(Batch([make_job(FIRST + 1)]))
        exchange = Client.cas

        def unheard(self: Client, key: str, *args: Any, **words: Any) -> bool:
            exchange(self, key, *args, **words)
            if key.endswith(":head"):
                raise TimeoutError
            return True

        monkeypatch.setattr(Client, "cas", unheard)
        with pytest.raises(StoreUnavailable):
            store.commit(Batch(make_jobs(3, FIRST + 10), dones=[FIRST + 1]))
        monkeypatch.setattr(Client, "cas", exchange)
        store.close()
        assert store.open() == 2
        assert numbers(store) == [FIRST + 1]


def test_memcached_that_ended_is_used_again_and_what_is_lost_is_said(
    memcached: MemcachedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(store_of(memcached)) as store:
        store.open()
        store.commit(Batch(make_jobs(5)))
        memcached.kill()
        with within(1), pytest.raises(StoreUnavailable, match="can't be reached"):
            store.commit(Batch([make_job(FIRST + 8)]))
        memcached.start()
        store.commit(Batch([make_job(FIRST + 9)], dones=[FIRST + 2]))
        assert "has ended and lost 5 jobs and 0 dead letters" in caplog.text
        assert numbers(store) == [FIRST + 9]
    with closing(store_of(memcached)) as again:
        assert again.open() == 2
        assert numbers(again) == [FIRST + 9]


def test_head_that_was_dropped_is_written_again(prefix: str, shared: Any) -> None:
    with closing(store_of(shared_memcached(), prefix)) as store:
        store.open()
        store.commit(Batch(make_jobs(2)))
        shared.delete(f"{prefix}:head")
        store.commit(Batch([make_job(FIRST + 5)]))
        assert numbers(store) == [FIRST + 1, FIRST + 2, FIRST + 5]


@pytest.mark.parametrize("piece", ["", ":1"])
def test_job_that_was_dropped_is_missed(prefix: str, shared: Any, piece: str) -> None:
    with closing(store_of(shared_memcached(), prefix)) as store:
        store.open()
        large = make_job(FIRST + 2, workload=b"x" * 3_000_000)
        store.commit(Batch([make_job(FIRST + 1), large, make_job(FIRST + 3)]))
        assert shared.delete(f"{prefix}:job:{FIRST + 2}{piece}")
        assert numbers(store) == [FIRST + 1, FIRST + 3]
        assert damaged(store) == ["memcached has dropped 1 jobs"]


def test_full_memcached_refuses_and_heals(tmp_path: Path) -> None:
    require("memcached")
    server = MemcachedServer(tmp_path, "-M", "-m", "16")
    server.start()
    try:
        with closing(store_of(server)) as store:
            store.open()
            kept: list[int] = []

            def fill() -> None:
                for n in range(1000):
                    jobs = make_jobs(8, FIRST + 10 * n, workload=b"x" * 50_000)
                    store.commit(Batch(jobs))
                    kept.extend(job.number for job in jobs)

            with pytest.raises(StoreUnavailable, match=r"can't take jobs now: .*out of memory"):
                fill()
            assert kept
            assert numbers(store) == kept
            store.commit(Batch(dones=kept[:-8]))
            store.commit(Batch(make_jobs(8, FIRST + 10**6, workload=b"x" * 50_000)))
            assert len(numbers(store)) == 16
    finally:
        server.kill()


def test_job_that_is_too_large_for_the_memory_is_refused(tmp_path: Path) -> None:
    require("memcached")
    server = MemcachedServer(tmp_path, "-m", "64")
    server.start()
    try:
        with closing(store_of(server)) as store:
            store.open()
            assert "start it with -M" in store.promise
            with pytest.raises(StoreUnavailable, match="give it more memory with -m"):
                store.commit(Batch([make_job(FIRST + 1, workload=b"x" * (9 << 20))]))
            store.commit(Batch([make_job(FIRST + 1, workload=b"x" * (7 << 20))]))
            assert numbers(store) == [FIRST + 1]
    finally:
        server.kill()


def test_memcached_that_is_not_there_is_no_store() -> None:
    with within(1), pytest.raises(StoreUnavailable, match="can't be reached"):
        MemcachedStore(read_place("memcached://127.0.0.1:1")).open()


# One server at a time.


def test_second_server_is_refused_while_the_first_lives(prefix: str) -> None:
    with closing(store_of(shared_memcached(), prefix)) as first:
        first.open()
        second = store_of(shared_memcached(), prefix)
        with pytest.raises(UsageError, match=r"is in use by another server \(process \d+ on"):
            second.open()
        first.commit(Batch([make_job(FIRST + 1)]))
    with closing(store_of(shared_memcached(), prefix)) as third, within(1):
        assert third.open() == 2


KILLED = """
import sys
from geartrain.store.url import open_store
open_store(sys.argv[1], handle_prefix=b"H:x").open()
print("open", flush=True)
sys.stdin.read()
"""


def test_server_that_was_killed_on_this_machine_is_not_waited_for(prefix: str) -> None:
    argv = [sys.executable, "-c", KILLED, shared_memcached().url(prefix)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        process.send_signal(signal.SIGKILL)
    with closing(store_of(shared_memcached(), prefix)) as store, within(1):
        assert store.open() == 2


def test_server_that_slept_through_its_lease_can_not_write(prefix: str, shared: Any) -> None:
    with closing(store_of(shared_memcached(), prefix)) as first:
        first.open()
        first.commit(Batch(make_jobs(3)))
        shared.delete(f"{prefix}:lease")
        with closing(store_of(shared_memcached(), prefix)) as second:
            second.open()
            for batch in (Batch([make_job(FIRST + 9)]), Batch(dones=[FIRST + 1])):
                with pytest.raises(LeaseLost, match="was taken over by another server"):
                    first.commit(batch)
            first.close()
            assert shared.get(f"{prefix}:lease")
            assert numbers(second) == [FIRST + 1, FIRST + 2, FIRST + 3]


# What is there already.


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"something else", "holds no queue that can be read"),
        (b"\x95\x01\x05\xc4\x00\xc4\x01x\xc4\x01x", "holds no queue that can be read"),
        (b"\x95\x02\x05\xc4\x00\xc4\x00\xc4\x00", "written by another version, in format 2"),
    ],
)
def test_head_of_somebody_else_is_left_alone(
    prefix: str, shared: Any, head: bytes, says: str
) -> None:
    shared.set(f"{prefix}:head", head)
    with pytest.raises(StoreDamaged, match=says):
        store_of(shared_memcached(), prefix).open()
    assert shared.get(f"{prefix}:head") == head


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\xc1\x93\x01\x01\x01", b"\x90"])
def test_value_that_is_no_job_is_set_aside(prefix: str, shared: Any, value: bytes) -> None:
    with closing(store_of(shared_memcached(), prefix)) as store:
        store.open()
        store.commit(Batch(make_jobs(3)))
        shared.set(f"{prefix}:job:{FIRST + 2}", value)
        assert numbers(store) == [FIRST + 1, FIRST + 3]
        assert len(damaged(store)) == 1


def test_number_that_is_taken_refuses_the_whole_commit(prefix: str) -> None:
    with closing(store_of(shared_memcached(), prefix)) as store:
        store.open()
        store.commit(Batch([make_job(FIRST + 1)]))
        with pytest.raises(StoreDamaged, match="is taken in memcached:"):
            store.commit(Batch([make_job(FIRST + 2), make_job(FIRST + 1, handle=b"H:other")]))
        assert numbers(store) == [FIRST + 1]


# Words.


def test_loss_is_promised_at_the_start(prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    with closing(store_of(shared_memcached(), prefix)) as store:
        store.open()
    assert "survive a restart of this server, and are lost when memcached ends" in caplog.text
    assert "start it with -M" not in caplog.text


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("memcached:", "names no host"),
        ("memcached://h:many", "no valid port"),
        ("memcached://h1,h2:11211", "is in one memcached"),
        ("memcached://u:secret@h", "has no user, password or database"),
        ("memcached://h/0", "has no user, password or database"),
        ("memcached://h?colour=red", "takes .prefix= and nothing else"),
        ("memcached://h?prefix=a%20b", "1 to 100 printable"),
    ],
)
def test_url_of_no_memcached_says_what_to_write(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        open_store(url, handle_prefix=b"H:x")
    assert "secret" not in str(caught.value)


def test_memcached_is_named_by_its_url() -> None:
    for url, name in (
        ("memcached://h", "memcached://h:11211"),
        ("memcached://[::1]:5?prefix=jobs", "memcached://[::1]:5?prefix=jobs"),
    ):
        assert open_store(url, handle_prefix=b"H:x").name == name


# Sets of numbers.


def test_numbers_come_back_in_order_whatever_their_pattern() -> None:
    for found in (
        [],
        [0],
        [-5, 7, 2**63 - 1],
        list(range(1000)),
        list(range(256)) + list(range(512, 1024)) + [5000],
        [n for n in range(4096) if n % 3],
    ):
        numbers = NumberSet().changed(found, ())
        again = NumberSet.unpacked(numbers.packed())
        assert list(again) == found
        assert len(again) == len(found)
        assert all(number in again for number in found)
        assert 100_000 not in again
    many = NumberSet().changed(range(FIRST, FIRST + 1_000_000), range(FIRST, FIRST + 300))
    assert len(many.packed()) < 200


@pytest.mark.parametrize("value", [b"", b"x", NumberSet().packed()[:-1]])
def test_value_that_is_no_set_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="no set of numbers"):
        NumberSet.unpacked(value)


def test_damaged_rows_are_named(prefix: str, shared: Any) -> None:
    with closing(store_of(shared_memcached(), prefix)) as store:
        store.open()
        store.commit(Batch(make_jobs(2)))
        shared.delete(f"{prefix}:job:{FIRST + 1}")
        (first,) = [one for one in store.replay() if isinstance(one, Damaged)]
        assert first.row == f"numbers {FIRST + 1} to {FIRST + 1}"


def test_large_results_are_listed_once(prefix: str) -> None:
    """Their pieces have keys like those of other results."""
    with closing(store_of(shared_memcached(), prefix)) as store:
        store.open()
        kept = [
            Result(b"H:a:%d" % n, FIRST + n, b"f", 0, b"x" * size, 0.0, 2e9)
            for n, size in ((1, 3_000_000), (2, 10))
        ]
        store.commit(Batch(results=kept))
        found = [*store.results(b"", 1), *store.results(b"H:a:1", 9)]
        assert [(one.handle, len(one.data)) for one in found] == [
            (b"H:a:1", 3_000_000),
            (b"H:a:2", 10),
        ]
        store.forget_results(3e9)
        assert store.results(b"", 9) == []
