"""Redis that is frozen, killed, full, emptied, taken back in time or used by two; and its words."""

from __future__ import annotations

import logging
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis as library

from geartrain.errors import LeaseLost, StoreDamaged, StoreUnavailable, UsageError
from geartrain.store.batch import Batch
from geartrain.store.redis import RedisStore
from geartrain.store.redis_promise import promise_of
from geartrain.store.redis_url import read_place
from tests.services.availability import require
from tests.services.instance import free_port
from tests.services.key_value import RedisServer, shared_redis
from tests.store.samples import FIRST, damaged, make_job, make_jobs, numbers


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be harmed."""
    require("redis")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return tmp_path.name


@pytest.fixture
def shared(prefix: str) -> Iterator[library.Redis]:
    """A client of the Redis that all tests share."""
    with library.Redis(port=shared_redis().port) as client:
        yield client


def store_of(server: RedisServer, prefix: str = "geartrain") -> RedisStore:
    return RedisStore(read_place(server.url(prefix)), lease=0.6)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Trouble, and its end.


def test_frozen_redis_refuses_within_a_second_and_nothing_refused_is_kept(
    redis: RedisServer,
) -> None:
    with closing(store_of(redis)) as store:
        store.open()
        store.commit(Batch(make_jobs(3)))
        redis.freeze()
        for n in range(3):
            jobs = make_jobs(20, FIRST + 100 * (n + 1))
            with within(1), pytest.raises(StoreUnavailable, match="does not answer in time"):
                store.commit(Batch(jobs, dones=[FIRST + 1]))
        # Redis reads what was sent to it while it slept, the refused jobs included.
        redis.thaw()
        store.commit(Batch([make_job(FIRST + 900), make_job(FIRST + 101)]))
        assert [n for n in numbers(store) if n != FIRST + 1] == [
            FIRST + 2,
            FIRST + 3,
            FIRST + 101,
            FIRST + 900,
        ]


def test_refused_jobs_are_taken_out_when_the_store_closes(redis: RedisServer) -> None:
    with closing(store_of(redis)) as store:
        store.open()
        redis.freeze()
        with pytest.raises(StoreUnavailable):
            store.commit(Batch(make_jobs(3)))
        redis.thaw()
    with closing(store_of(redis)) as again:
        assert again.open() == 2
        assert numbers(again) == []


def test_killed_redis_refuses_at_once_and_has_everything_when_it_is_back(
    redis: RedisServer,
) -> None:
    with closing(store_of(redis)) as store:
        store.open()
        for n in range(3):
            store.commit(Batch(make_jobs(20, FIRST + 100 * n + 1)))
            redis.kill()
            with within(1), pytest.raises(StoreUnavailable, match="can't be reached"):
                store.commit(Batch([make_job(FIRST + 99)]))
            with within(1), pytest.raises(StoreUnavailable, match="can't be reached"):
                store.replay().__iter__().__next__()
            redis.start()
        store.commit(Batch([make_job(FIRST + 999)]))
        assert len(numbers(store)) == 61


def test_full_redis_refuses_and_heals(redis: RedisServer) -> None:
    with closing(store_of(redis)) as store, library.Redis(port=redis.port) as client:
        store.open()
        store.commit(Batch(make_jobs(2)))
        client.config_set("maxmemory", 1)
        with (
            within(1),
            pytest.raises(StoreUnavailable, match="can't take jobs now"),
        ):
            store.commit(Batch(make_jobs(3, FIRST + 10), dones=[FIRST + 1]))
        client.config_set("maxmemory", 0)
        store.commit(Batch([make_job(FIRST + 20)]))
        assert numbers(store) == [FIRST + 1, FIRST + 2, FIRST + 20]


def test_replica_takes_no_jobs_until_it_is_promoted(redis: RedisServer) -> None:
    with closing(store_of(redis)) as store, library.Redis(port=redis.port) as client:
        store.open()
        client.replicaof("127.0.0.1", 1)
        with within(1), pytest.raises(StoreUnavailable, match="read only replica"):
            store.commit(Batch(make_jobs(3)))
        client.replicaof("no", "one")
        store.commit(Batch([make_job(FIRST + 20)]))
        assert numbers(store) == [FIRST + 20]


def test_redis_that_is_not_there_is_no_store() -> None:
    with within(1), pytest.raises(StoreUnavailable, match="can't be reached"):
        RedisStore(read_place("redis://127.0.0.1:1/0")).open()


def test_emptied_redis_takes_no_jobs(redis: RedisServer) -> None:
    with closing(store_of(redis)) as store, library.Redis(port=redis.port) as client:
        store.open()
        client.flushall()
        with pytest.raises(StoreDamaged, match="holds nothing of this queue any more"):
            store.commit(Batch(make_jobs(3)))
        assert client.hlen("geartrain:jobs") == 0


def test_redis_that_keeps_nothing_is_used_again_after_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    require("redis")
    server = RedisServer(tmp_path, "--appendonly", "no")
    server.start()
    try:
        with closing(store_of(server)) as store:
            store.open()
            assert "jobs survive a restart of this server only" in store.promise
            for n in range(4):
                store.commit(Batch([make_job(FIRST + 1 + n)]))
            server.kill()
            server.start()
            store.commit(Batch([make_job(FIRST + 9)]))
            assert "came back without the last 4 of its commits" in caplog.text
            assert numbers(store) == [FIRST + 9]
        with closing(store_of(server)) as again:
            assert again.open() == 2
    finally:
        server.kill()


def test_redis_that_went_back_in_time_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    require("redis")
    server = RedisServer(tmp_path, "--appendonly", "no", "--save", "3600 1")
    server.start()
    try:
        with closing(store_of(server)) as store, library.Redis(port=server.port) as client:
            store.open()
            store.commit(Batch([make_job(FIRST + 1)]))
            client.save()
            for n in range(3):
                store.commit(Batch([make_job(FIRST + 2 + n)]))
            server.kill()
            server.start()
            store.commit(Batch([make_job(FIRST + 9)]))
            assert "came back without the last 3 of its commits" in caplog.text
            store.commit(Batch([make_job(FIRST + 10)]))
            assert caplog.text.count("came back without") == 1
            assert numbers(store) == [FIRST + 1, FIRST + 9, FIRST + 10]
    finally:
        server.kill()


def test_log_that_was_cut_off_holds_whole_commits(redis: RedisServer) -> None:
    choose = random.Random(5)
    with closing(store_of(redis)) as store:
        store.open()
        for n in range(30):
            gone = range(FIRST + 10 * n - 9, FIRST + 10 * n - 6) if n % 3 == 2 else ()
            store.commit(Batch(make_jobs(5, FIRST + 10 * n + 1), dones=gone))
    states = [set(found) for found in states_after_commits()]
    redis.kill()
    (log,) = redis.directory.glob("appendonlydir/*.incr.aof")
    whole = log.read_bytes()
    found: set[int] = set()
    for cut in sorted(choose.sample(range(len(whole) // 10, len(whole)), 8), reverse=True):
        log.write_bytes(whole[:cut])
        redis.start()
        with closing(store_of(redis)) as store:
            store.open()
            found = set(numbers(store))
        redis.kill()
        assert found in states
    assert found != states[-1]


def states_after_commits() -> Iterator[set[int]]:
    """Yield what there is before the first commit of the test above, and after each."""
    there: set[int] = set()
    yield set(there)
    for n in range(30):
        there |= set(range(FIRST + 10 * n + 1, FIRST + 10 * n + 6))
        if n % 3 == 2:
            there -= set(range(FIRST + 10 * n - 9, FIRST + 10 * n - 6))
        yield set(there)


# One server at a time.


def test_second_server_is_refused_while_the_first_lives(prefix: str) -> None:
    with closing(store_of(shared_redis(), prefix)) as first:
        first.open()
        second = store_of(shared_redis(), prefix)
        with pytest.raises(UsageError, match=r"is in use by another server \(process \d+ on"):
            second.open()
        second.close()
        first.commit(Batch([make_job(FIRST + 1)]))
    with closing(store_of(shared_redis(), prefix)) as third, within(1):
        assert third.open() == 2


KILLED = """
import sys
from geartrain.store.redis import RedisStore
from geartrain.store.redis_url import read_place
RedisStore(read_place(sys.argv[1])).open()
print("open", flush=True)
sys.stdin.read()
"""


def test_server_that_was_killed_on_this_machine_is_not_waited_for(prefix: str) -> None:
    argv = [sys.executable, "-c", KILLED, shared_redis().url(prefix)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        process.send_signal(signal.SIGKILL)
    with closing(store_of(shared_redis(), prefix)) as store, within(1):
        assert store.open() == 2


def test_lease_of_a_machine_that_is_gone_runs_out(prefix: str, shared: library.Redis) -> None:
    shared.set(f"{prefix}:lease", "elsewhere machine 1 2 token", px=500)
    with closing(store_of(shared_redis(), prefix)) as store:
        assert store.open() == 1


def test_lease_is_renewed_and_comes_back(prefix: str, shared: library.Redis) -> None:
    with closing(store_of(shared_redis(), prefix)) as store:
        store.open()
        shared.delete(f"{prefix}:lease")
        wait_for(lambda: shared.exists(f"{prefix}:lease"))
    assert not shared.exists(f"{prefix}:lease")


def test_server_that_slept_through_its_lease_can_not_write(
    prefix: str, shared: library.Redis
) -> None:
    with closing(store_of(shared_redis(), prefix)) as first:
        first.open()
        first.commit(Batch(make_jobs(3)))
        shared.delete(f"{prefix}:lease")
        with closing(store_of(shared_redis(), prefix)) as second:
            second.open()
            for batch in (Batch([make_job(FIRST + 9)]), Batch(dones=[FIRST + 1])):
                with pytest.raises(LeaseLost, match="was taken over by another server"):
                    first.commit(batch)
            first.close()
            assert shared.exists(f"{prefix}:lease")
            assert numbers(second) == [FIRST + 1, FIRST + 2, FIRST + 3]


# What is there already.


def test_keys_of_another_type_are_left_alone(prefix: str, shared: library.Redis) -> None:
    shared.set(f"{prefix}:jobs", "mine")
    with pytest.raises(StoreDamaged, match=r"can't be used as a store .* try another prefix"):
        store_of(shared_redis(), prefix).open()
    assert shared.get(f"{prefix}:jobs") == b"mine"


def test_queue_of_another_version_is_refused(prefix: str, shared: library.Redis) -> None:
    shared.hset(f"{prefix}:state", mapping={"format": "2", "generation": "5"})
    with pytest.raises(StoreDamaged, match="written by another version"):
        store_of(shared_redis(), prefix).open()
    assert shared.hget(f"{prefix}:state", "generation") == b"5"


def test_number_that_is_taken_refuses_the_whole_commit(prefix: str) -> None:
    with closing(store_of(shared_redis(), prefix)) as store:
        store.open()
        store.commit(Batch([make_job(FIRST + 1)]))
        with pytest.raises(StoreDamaged, match="is taken in redis:"):
            store.commit(Batch([make_job(FIRST + 2), make_job(FIRST + 1, handle=b"H:other")]))
        assert numbers(store) == [FIRST + 1]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"many", b"\x90", "the key is no number"),
        (b"007", b"\x90", "the key is no number"),
        (b"5", b"", "the value is no MessagePack"),
        (b"5", b"\xc1", "the value is no MessagePack"),
        (b"5", b"\x90\x90", "the value is no MessagePack"),
        (b"5", b"\xa4\xff\xff\xff\xff", "the value is no MessagePack"),
        (b"5", b"\x90", "the value has not 9 columns"),
        (b"5", b"\x80", "the value has not 9 columns"),
    ],
)
def test_value_that_is_no_job_is_set_aside(
    prefix: str, shared: library.Redis, key: bytes, value: bytes, reason: str
) -> None:
    with closing(store_of(shared_redis(), prefix)) as store:
        store.open()
        store.commit(Batch([make_job(FIRST + 1)]))
        shared.hset(f"{prefix}:jobs", key, value)
        assert numbers(store) == [FIRST + 1]
        assert [reason in one for one in damaged(store)] == [True]
        assert shared.hget(f"{prefix}:jobs", key) == value


def test_change_that_can_not_be_read_sets_its_job_aside(prefix: str, shared: library.Redis) -> None:
    with closing(store_of(shared_redis(), prefix)) as store:
        store.open()
        store.commit(Batch(make_jobs(2), updates=[(FIRST + 1, 1, 0)]))
        shared.hset(f"{prefix}:changes", str(FIRST + 1), "often")
        assert numbers(store) == [FIRST + 2]
        assert damaged(store) == ["attempts and epoch are b'often'"]


# Words.


@pytest.mark.parametrize(
    ("settings", "says", "keeps"),
    [
        (("yes", "always", "", "no"), "an acknowledged job is on disk", True),
        (("yes", "always", "", "yes"), "except while Redis rewrites its log", None),
        (("yes", "everysec", "", "no"), "the last two seconds of jobs may be lost", None),
        (("yes", "no", "", "no"), "that the system had not written yet", None),
        (("no", "always", "60 1", "no"), "since its last snapshot are lost", None),
        (("no", "always", "", "no"), "survive a restart of this server only", False),
    ],
)
def test_promise_is_what_the_settings_make_it(
    settings: tuple[str, ...], says: str, keeps: bool | None
) -> None:
    names = ("appendonly", "appendfsync", "save", "no-appendfsync-on-rewrite")
    promise, found = promise_of(dict(zip(names, settings, strict=True)))
    assert says in promise
    assert found is keeps


def test_promise_is_told_at_the_start_and_louder_where_jobs_can_be_lost(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with library.Redis(port=redis.port) as client:
        for setting, level in (("always", "INFO"), ("everysec", "WARNING")):
            caplog.clear()
            client.config_set("appendfsync", setting)
            with closing(store_of(redis)) as store:
                store.open()
                assert [one.levelname for one in caplog.records] == [level]
                assert store.promise in caplog.text
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        with closing(store_of(redis)) as store:
            store.open()
            assert "set maxmemory-policy noeviction" in store.promise


def test_settings_that_can_not_be_read_are_said_to_be_unknown(redis: RedisServer) -> None:
    with library.Redis(port=redis.port) as client:
        client.execute_command("ACL", "SETUSER", "some", "on", ">word", "~*", "+@all", "-config")
    url = f"redis://some:word@127.0.0.1:{redis.port}/0"
    with closing(RedisStore(read_place(url))) as store:
        store.open()
        assert "is not known" in store.promise


def test_wrong_password_is_said_without_repeating_it(redis: RedisServer) -> None:
    with library.Redis(port=redis.port) as client:
        client.config_set("requirepass", "right")
    for user in (":wrong@", "nobody:wrong@", ""):
        store = RedisStore(read_place(f"redis://{user}127.0.0.1:{redis.port}/0"))
        with pytest.raises(UsageError, match="does not let this server in") as caught:
            store.open()
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "")


# Encryption.


def test_encrypted_redis_is_used_when_its_certificate_can_be_verified(tmp_path: Path) -> None:
    require("redis")
    require("openssl")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    request += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    request += ["-addext", "subjectAltName=IP:127.0.0.1"]
    request += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(request, check=True, capture_output=True)
    tls_port = free_port()
    options = ["--tls-port", str(tls_port), "--tls-auth-clients", "no"]
    options += ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    server = RedisServer(tmp_path, *options)
    server.start()
    try:
        url = f"rediss://127.0.0.1:{tls_port}/0"
        with closing(RedisStore(read_place(f"{url}?ssl_ca_certs={certificate}"))) as store:
            store.open()
            store.commit(Batch([make_job(FIRST + 1)]))
            assert numbers(store) == [FIRST + 1]
        with pytest.raises(StoreUnavailable, match=r"can't be reached: .*CERTIFICATE_VERIFY"):
            RedisStore(read_place(url)).open()
    finally:
        server.kill()
