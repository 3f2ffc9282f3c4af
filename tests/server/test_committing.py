"""The store is slow, hangs, fails and comes back; acknowledgements keep their meaning."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.broker.job import Job
from geartrain.errors import JobsRefused, StoreUnavailable
from geartrain.server import commits
from geartrain.server.commits import Commits
from geartrain.store.batch import Batch, Coalesced, Result
from geartrain.store.queue_store import QueueStore
from tests.server.peer import (
    CAN_DO,
    DEADLINE,
    ERROR,
    GRAB_JOB,
    JOB_CREATED,
    NO_JOB,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_EPOCH,
    WORK_COMPLETE,
    Peer,
    request,
)
from tests.server.servers import ThreadServer, eventually
from tests.server.stores import ToldStore
from tests.store.samples import make_jobs

FULL = StoreUnavailable("the disk is full")
REFUSAL = b"QUEUE_ERROR\0the job could not be stored: "


@pytest.fixture
def store() -> ToldStore:
    return ToldStore()


@pytest.fixture
def server(store: ToldStore, start_server: Callable[..., ThreadServer]) -> Iterator[ThreadServer]:
    """A server that waits for its store for longer than any of these tests takes."""
    yield start_server(store, store_timeout=60.0)
    store.work()


@pytest.fixture
def impatient(
    store: ToldStore, start_server: Callable[..., ThreadServer]
) -> Iterator[ThreadServer]:
    """A server that waits for its store for a tenth of a second."""
    yield start_server(store, store_timeout=0.1)
    store.work()


def handles_of(store: ToldStore) -> set[bytes]:
    """Return the handles of the jobs that a server would find after a crash."""
    return {store.jobs[number].handle for number in store.rows}


def refused(peer: Peer) -> bytes:
    """Take an ERROR and return its reason."""
    kind, body = peer.receive()
    assert kind == ERROR, (kind, body)
    assert body.startswith(REFUSAL)
    return body.removeprefix(REFUSAL)


# Slow.


def test_a_commit_in_progress_holds_nobody_else_up(server: ThreadServer, store: ToldStore) -> None:
    store.open_gate.clear()
    producer, other = server.peer(), server.peer()
    producer.send(SUBMIT_JOB_BG, b"f", b"", b"")
    store.wait_for_commit()
    slowest = max(other.echo() for _ in range(100))
    assert slowest < 0.1
    other.send(CAN_DO, b"g")
    handle = other.submit(SUBMIT_JOB, b"g")
    assert other.grab() == handle
    store.work()
    assert producer.receive()[0] == JOB_CREATED


def test_an_acknowledgement_comes_after_the_commit(server: ThreadServer, store: ToldStore) -> None:
    store.open_gate.clear()
    producer, other = server.peer(), server.peer()
    producer.send(SUBMIT_JOB_BG, b"f", b"", b"")
    store.wait_for_commit()
    other.send_bytes(request(CAN_DO, b"f") + request(GRAB_JOB))
    other.expect(NO_JOB)
    producer.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        producer.socket.recv(1)
    producer.socket.settimeout(producer.deadline)
    assert not store.rows
    store.work()
    kind, handle = producer.receive()
    assert kind == JOB_CREATED
    assert handles_of(store) == {handle}


def test_what_comes_in_during_a_commit_goes_together(
    server: ThreadServer, store: ToldStore
) -> None:
    """Thirty-two producers, twenty jobs each: two commits, not six hundred and forty."""
    store.open_gate.clear()
    first = server.peer()
    first.send(SUBMIT_JOB_BG, b"f", b"", b"")
    store.wait_for_commit()
    producers = [server.peer() for _ in range(32)]
    for producer in producers:
        producer.send_bytes(request(SUBMIT_JOB_BG, b"f", b"", b"") * 20)
    exchange = server.server.exchange
    eventually(lambda: server.call(lambda: len(exchange.broker.jobs)) == 641, "all have arrived")
    store.work()
    for producer in producers:
        for _ in range(20):
            assert producer.receive()[0] == JOB_CREATED
    assert [len(adds) for adds, _, _ in store.commits] == [1, 640]


def test_producers_who_wait_for_each_acknowledgement_share_commits(
    server: ThreadServer, store: ToldStore
) -> None:
    """With a store that takes a millisecond, 32 producers need far fewer commits than jobs."""
    slow_down(store, 0.001)
    producers = [server.peer() for _ in range(32)]

    def produce(producer: Peer) -> None:
        for _ in range(20):
            producer.submit(SUBMIT_JOB_BG, b"f")

    threads = [threading.Thread(target=produce, args=(producer,)) for producer in producers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.rows) == 640
    assert len(store.commits) < 640 / 4


def test_done_jobs_go_with_the_next_commit(server: ThreadServer, store: ToldStore) -> None:
    peer = server.peer()
    peer.send(CAN_DO, b"f")
    handle = peer.submit(SUBMIT_JOB_BG, b"f")
    assert peer.grab() == handle
    peer.send(WORK_COMPLETE, handle, b"")
    eventually(lambda: not store.rows, "it is forgotten")
    assert len(store.commits) == 2


def test_a_job_done_during_its_own_commit_is_forgotten(
    server: ThreadServer, store: ToldStore
) -> None:
    """A foreground job that a background submission joined runs without waiting for the disk."""
    store.open_gate.clear()
    client, producer = server.peer(), server.peer()
    client.send(CAN_DO, b"f")
    handle = client.submit(SUBMIT_JOB, b"f", b"key")
    assert client.grab() == handle
    producer.send(SUBMIT_JOB_BG, b"f", b"key", b"")
    store.wait_for_commit()
    client.send(WORK_COMPLETE, handle, b"done")
    client.expect(WORK_COMPLETE, handle, b"done")
    store.work()
    producer.expect(JOB_CREATED, handle)
    eventually(lambda: len(store.commits) == 2, "the second commit")
    assert not store.rows


# Much.


def slow_down(store: ToldStore, seconds: float) -> None:
    """Let each commit take so long."""
    commit = store.commit

    def slow_commit(batch: Batch) -> Sequence[Coalesced]:
        threading.Event().wait(seconds)
        return commit(batch)

    store.commit = slow_commit  # type: ignore[method-assign]


def test_a_store_that_has_much_to_do_is_not_one_that_hangs(
    impatient: ThreadServer, store: ToldStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty commits take four times as long as one may, and none of them takes too long."""
    monkeypatch.setattr(commits, "_BATCH_JOBS", 10)
    slow_down(store, 0.02)
    peer = impatient.peer()
    peer.send_bytes(request(SUBMIT_JOB_BG, b"f", b"", b"") * 200)
    assert [peer.receive()[0] for _ in range(200)] == [JOB_CREATED] * 200
    assert max(len(adds) for adds, _, _ in store.commits) == 10


def test_large_jobs_go_in_small_batches(
    server: ThreadServer, store: ToldStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "_BATCH_BYTES", 1000)
    store.open_gate.clear()
    peer = server.peer()
    peer.send(SUBMIT_JOB_BG, b"f", b"", b"")
    store.wait_for_commit()
    sizes = [400, 400, 400, 5000, 10, 10]
    peer.send_bytes(b"".join(request(SUBMIT_JOB_BG, b"f", b"", b"x" * size) for size in sizes))
    exchange = server.server.exchange
    eventually(lambda: server.call(lambda: len(exchange.broker.jobs)) == 7, "all have arrived")
    store.work()
    assert [peer.receive()[0] for _ in range(7)] == [JOB_CREATED] * 7
    assert [len(adds) for adds, _, _ in store.commits] == [1, 2, 1, 1, 2]


def test_a_large_job_has_more_time(
    impatient: ThreadServer, store: ToldStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "_BATCH_BYTES", 1000)
    monkeypatch.setattr(commits, "_SLOWEST", 1000)
    slow_down(store, 0.3)
    peer = impatient.peer()
    peer.submit(SUBMIT_JOB_BG, b"f", b"", b"x" * 11_000)
    peer.send(SUBMIT_JOB_BG, b"f", b"", b"x")
    refused(peer)


def test_a_job_done_before_its_batch_began_is_forgotten(
    server: ThreadServer, store: ToldStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A foreground client had it run; a background client joined, and was far behind in line."""
    monkeypatch.setattr(commits, "_BATCH_JOBS", 1)
    client, producer = server.peer(), server.peer()
    client.send(CAN_DO, b"f")
    handle = client.submit(SUBMIT_JOB, b"f", b"key")
    assert client.grab() == handle
    store.open_gate.clear()
    producer.send_bytes(request(SUBMIT_JOB_BG, b"g", b"", b"") * 3)
    producer.send(SUBMIT_JOB_BG, b"f", b"key", b"")
    store.wait_for_commit()
    adds = server.server.committer.commits.coming.adds
    eventually(lambda: len(adds) == 3, "the others wait")
    client.send(WORK_COMPLETE, handle, b"done")
    client.expect(WORK_COMPLETE, handle, b"done")
    store.work()
    handles = [producer.receive()[1] for _ in range(4)]
    assert handles[3] == handle
    eventually(lambda: handles_of(store) == set(handles[:3]), "it is forgotten")


# Failing.


@pytest.mark.parametrize("error", [FULL, ValueError("not foreseen")])
def test_what_can_not_be_stored_is_refused_within_a_second(
    server: ThreadServer, store: ToldStore, error: Exception
) -> None:
    store.fail(error)
    peer = server.peer()
    asked = time.monotonic()
    peer.send(SUBMIT_JOB_BG, b"f", b"", b"")
    assert str(error).encode() in refused(peer)
    assert time.monotonic() - asked < 1.0
    assert peer.ask(b"show jobs") == b""


def test_what_was_refused_never_runs(server: ThreadServer, store: ToldStore) -> None:
    store.fail(FULL)
    peer = server.peer()
    peer.send(CAN_DO, b"f")
    for _ in range(5):
        peer.send(SUBMIT_JOB_BG, b"f", b"", b"")
        refused(peer)
    store.work()
    kept = peer.submit(SUBMIT_JOB_BG, b"f")
    assert peer.grab() == kept
    assert peer.grab() == b""
    assert handles_of(store) == {kept}


def test_a_background_client_that_joined_is_refused_and_the_foreground_client_is_not(
    server: ThreadServer, store: ToldStore
) -> None:
    client, producer = server.peer(), server.peer()
    handle = client.submit(SUBMIT_JOB, b"f", b"key")
    store.fail(FULL)
    producer.send(SUBMIT_JOB_BG, b"f", b"key", b"")
    refused(producer)
    client.send(CAN_DO, b"f")
    assert client.grab() == handle
    client.send(WORK_COMPLETE, handle, b"done")
    client.expect(WORK_COMPLETE, handle, b"done")


def test_service_heals_by_itself(server: ThreadServer, store: ToldStore) -> None:
    peer = server.peer()
    store.fail(FULL)
    peer.send(SUBMIT_JOB_BG, b"f", b"", b"")
    refused(peer)
    store.work()
    # Not a second is lost: the next submission is the next attempt.
    peer.submit(SUBMIT_JOB_BG, b"f")


def test_what_was_done_meanwhile_is_forgotten_when_the_store_works_again(
    server: ThreadServer, store: ToldStore
) -> None:
    peer = server.peer()
    peer.send(CAN_DO, b"f")
    handles = [peer.submit(SUBMIT_JOB_BG, b"f") for _ in range(3)]
    store.fail(FULL)
    for handle in handles:
        assert peer.grab() == handle
        peer.send(WORK_COMPLETE, handle, b"")
        peer.echo()
    assert len(store.rows) == 3
    store.work()
    eventually(lambda: not store.rows, "all are forgotten", 5.0)


def test_attempts_made_meanwhile_are_kept_when_the_store_works_again(
    server: ThreadServer, store: ToldStore
) -> None:
    peer, worker = server.peer(), server.peer()
    worker.send(CAN_DO, b"f")
    handle = peer.submit(SUBMIT_JOB_BG, b"f")
    store.fail(FULL)
    assert worker.grab() == handle
    worker.close()
    eventually(lambda: b"\t1\t" in peer.ask(b"show jobs"), "it came back")
    store.work()
    eventually(lambda: list(store.rows.values()) == [1], "the attempt is kept", 5.0)


def test_the_log_says_once_that_the_store_fails_and_once_that_it_works(
    server: ThreadServer, store: ToldStore, caplog: pytest.LogCaptureFixture
) -> None:
    peer = server.peer()
    store.fail(FULL)
    for _ in range(20):
        peer.send(SUBMIT_JOB_BG, b"f", b"", b"")
        refused(peer)
    store.work()
    peer.submit(SUBMIT_JOB_BG, b"f")
    assert caplog.text.count("does not work") == 1
    assert caplog.text.count("works again") == 1


# Hanging.


def test_a_store_that_hangs_has_submissions_refused_within_a_second(
    impatient: ThreadServer, store: ToldStore
) -> None:
    store.open_gate.clear()
    first, second = impatient.peer(), impatient.peer()
    asked = time.monotonic()
    first.send(SUBMIT_JOB_BG, b"f", b"", b"")
    refused(first)
    second.send(SUBMIT_JOB_BG, b"f", b"", b"")
    refused(second)
    assert time.monotonic() - asked < 1.0
    assert second.ask(b"show jobs") == b""


def test_a_store_that_hangs_does_not_hold_the_end_up(
    impatient: ThreadServer, store: ToldStore
) -> None:
    store.open_gate.clear()
    peer = impatient.peer()
    peer.send(SUBMIT_JOB_BG, b"f", b"", b"")
    refused(peer)
    asked = time.monotonic()
    impatient.stop()
    assert time.monotonic() - asked < 2.0


def test_what_waits_for_the_store_is_stored_before_the_end(
    server: ThreadServer, store: ToldStore
) -> None:
    slow_down(store, 0.1)
    peer = server.peer()
    peer.send_bytes(request(SUBMIT_JOB_BG, b"f", b"", b"") * 20)
    store.wait_for_commit()
    server.call(server.server.stop, 0.0)
    heard = peer.expect_closed()
    server.stop()
    assert len(store.rows) == heard.count(b"H:")


def test_a_store_that_hangs_with_what_is_done_has_submissions_refused(
    impatient: ThreadServer, store: ToldStore
) -> None:
    peer, other = impatient.peer(), impatient.peer()
    peer.send(CAN_DO, b"f")
    handle = peer.submit(SUBMIT_JOB_BG, b"f")
    assert peer.grab() == handle
    store.wait_for_commit()
    store.open_gate.clear()
    peer.send(WORK_COMPLETE, handle, b"")
    store.wait_for_commit()
    asked = time.monotonic()
    other.send(SUBMIT_JOB_BG, b"f", b"", b"")
    refused(other)
    # From now on it is known to hang.
    other.send(SUBMIT_JOB_BG, b"f", b"", b"")
    refused(other)
    assert time.monotonic() - asked < 1.0
    store.work()
    eventually(lambda: not store.rows, "what is done is forgotten")
    kept = other.submit(SUBMIT_JOB_BG, b"f")
    assert handles_of(store) == {kept}


def test_a_commit_that_gets_through_after_its_refusal_is_undone(
    impatient: ThreadServer, store: ToldStore
) -> None:
    store.open_gate.clear()
    peer = impatient.peer()
    peer.send(CAN_DO, b"f")
    peer.send(SUBMIT_JOB_BG, b"f", b"", b"")
    refused(peer)
    store.work()
    eventually(lambda: len(store.commits) >= 2, "it is undone")
    assert not store.rows
    kept = peer.submit(SUBMIT_JOB_BG, b"f")
    assert handles_of(store) == {kept}
    assert peer.grab() == kept
    assert peer.grab() == b""


def test_a_job_joined_again_after_a_refusal_is_kept(
    impatient: ThreadServer, store: ToldStore
) -> None:
    """
    What undoes the refused submission must not undo the accepted one: it is the same job.

    The undoing itself fails here, so it is still owed when the job is stored again.
    """
    store.open_gate.clear()
    store.plan = [None, FULL]
    client, producer = impatient.peer(), impatient.peer()
    handle = client.submit(SUBMIT_JOB, b"f", b"key")
    producer.send(SUBMIT_JOB_BG, b"f", b"key", b"")
    refused(producer)
    store.open_gate.set()
    eventually(lambda: not store.plan, "it got through, and was not undone")
    assert producer.submit(SUBMIT_JOB_BG, b"f", b"key") == handle
    eventually(lambda: not impatient.server.committer.commits.owes(), "nothing is owed any more")
    assert handles_of(store) == {handle}


def test_results_do_not_pile_up_before_a_store_that_does_not_work() -> None:
    waiting = Commits()
    for n in range(10):
        data = b"x" * (16 * 1024 * 1024)
        waiting.put(Batch(results=[Result(b"H:%d" % n, n, b"f", 0, data, 0.0, 9.0)]), 0.0)
        assert waiting.start(0.0) is not None
        waiting.failed()
    batch = waiting.start(0.0)
    assert batch is not None
    assert [result.number for result in batch.results] == [7, 8, 9]


def test_a_store_of_one_server_at_a_time_is_told_what_got_through_after_its_time_only() -> None:
    """It takes out by itself what a commit that failed has left; that list would never end."""
    waiting = Commits(shared=True, sole=True)
    for _ in range(3):
        waiting.put(Batch(kept_jobs(5)), 0.0)
        assert waiting.start(0.0) is not None
        assert len(waiting.failed()) == 5
    waiting.put(Batch(kept_jobs(2)), 0.0)
    batch = waiting.start(0.0)
    assert batch is not None
    assert batch.refused == []
    assert len(waiting.give_up()) == 2
    assert waiting.succeeded() == []
    batch = waiting.start(1.0)
    assert batch is not None
    assert batch.refused == [1, 2]


# How long submissions wait.


def test_a_submission_that_waited_for_another_commit_has_waited_for_the_store() -> None:
    waiting = Commits()
    waiting.put(Batch(kept_jobs(1)), 0.0)
    waiting.start(0.0)
    waiting.put(Batch(kept_jobs(1)), 0.1)
    assert waiting.time_left(0.5, 0.9) == pytest.approx(0.4)
    waiting.succeeded()
    waiting.put(Batch(kept_jobs(1)), 0.6)
    waiting.start(0.6)
    assert waiting.time_left(0.6, 0.9) == pytest.approx(0.4)


def test_a_submission_that_waits_for_what_else_the_store_does_waits_no_longer() -> None:
    waiting = Commits()
    assert waiting.time_left(0.0, 0.9) is None
    waiting.put(Batch(kept_jobs(1)), 1.0)
    assert waiting.time_left(1.5, 0.9) == pytest.approx(0.4)
    waiting.put(Batch(dones=[1]), 1.8)
    waiting.start(1.8)
    assert waiting.time_left(1.8, 0.9) == pytest.approx(0.1)


@pytest.mark.parametrize("count", [1_000, 12_000])
def test_a_store_that_is_busy_with_many_jobs_is_given_time_for_each_commit(count: int) -> None:
    waiting = Commits()
    waiting.put(Batch(kept_jobs(1)), 0.0)
    waiting.start(0.0)
    waiting.put(Batch(kept_jobs(count)), 0.0)
    waiting.succeeded()
    waiting.start(0.6)
    assert waiting.time_left(0.6, 0.9) == pytest.approx(0.9)
    waiting.succeeded()
    if waiting.has_news():
        # What had no room in the commit before, and is too much to be blamed on the store.
        waiting.start(1.2)
        assert waiting.time_left(1.2, 0.9) == pytest.approx(0.9)


# Jobs that the store does not take.


def commit_all(waiting: Commits, poison: set[int], named: bool) -> tuple[list[int], list[int], int]:
    """Commit to a store that takes no poison; return what is stored and refused, and the tries."""
    stored: list[int] = []
    refused: list[int] = []
    tries = 0
    while waiting.has_news():
        batch = waiting.start(0.0)
        assert batch is not None
        tries += 1
        found = [job.number for job in batch.adds if job.number in poison]
        if found:
            refused += [job.number for job in waiting.narrow(found if named else ())]
        else:
            stored += [job.number for job in waiting.succeeded()]
    return stored, refused, tries


def kept_jobs(count: int) -> list[Job]:
    jobs = make_jobs(count, 1)
    for job in jobs:
        job.obligation = True
    return jobs


@given(st.integers(1, 300), st.sets(st.integers(1, 300), max_size=16), st.booleans())
def test_a_job_that_the_store_does_not_take_is_refused_alone(
    count: int, poison: set[int], named: bool
) -> None:
    """Whichever jobs those are, the others are stored, in their order, and soon."""
    waiting = Commits()
    waiting.put(Batch(kept_jobs(count)), 0.0)
    stored, refused, tries = commit_all(waiting, poison, named)
    assert stored == [number for number in range(1, count + 1) if number not in poison]
    assert refused == [number for number in range(1, count + 1) if number in poison]
    assert tries <= 2 if named else tries <= 24 * (len(poison) + 1)
    assert not waiting.failing


def test_a_store_that_takes_no_job_at_all_is_one_that_does_not_work() -> None:
    waiting = Commits()
    waiting.put(Batch(kept_jobs(10_000)), 0.0)
    stored, refused, tries = commit_all(waiting, set(range(1, 10_001)), False)
    assert stored == []
    assert sorted(refused) == list(range(1, 10_001))
    assert tries < 40
    assert waiting.failing
    waiting.put(Batch(kept_jobs(100)), 0.0)
    assert commit_all(waiting, set(range(1, 10_001)), False)[2] == 1
    waiting.put(Batch(kept_jobs(100)), 0.0)
    assert len(commit_all(waiting, set(), False)[0]) == 100
    assert not waiting.failing


def test_what_else_a_commit_was_for_goes_with_the_next(
    server: ThreadServer, store: ToldStore
) -> None:
    """The end of one job does not wait for another that the store does not take."""
    peer = server.peer()
    peer.send(CAN_DO, b"f")
    peer.submit(SUBMIT_JOB_BG, b"f", b"", b"")
    handle = peer.grab()
    store.open_gate.clear()
    peer.send(SUBMIT_JOB_BG, b"g", b"", b"")
    store.wait_for_commit()
    store.wait_for_commit()
    peer.send_bytes(request(WORK_COMPLETE, handle, b"") + request(SUBMIT_JOB_BG, b"g", b"", b""))
    adds = server.server.committer.commits.coming.adds
    eventually(lambda: len(adds) == 1, "the second waits")
    store.plan = [None, JobsRefused("too large", [adds[0].number])]
    store.work()
    assert peer.receive()[0] == JOB_CREATED
    assert refused(peer) == b"too large"
    eventually(lambda: len(store.rows) == 1, "the job that has ended is forgotten")


# Questions.


def test_the_store_is_asked_on_its_own_thread_after_what_waits(
    server: ThreadServer, store: ToldStore
) -> None:
    peer = server.peer()
    store.open_gate.clear()
    peer.send(SUBMIT_JOB_BG, b"f", b"", b"")
    store.wait_for_commit()

    def question(asked: QueueStore) -> tuple[str, int]:
        assert asked is store
        return threading.current_thread().name, len(store.rows)

    answer = server.server.committer.ask(question)
    assert not answer.done()
    store.open_gate.set()
    assert answer.result(DEADLINE) == ("geartrain-store", 1)


@pytest.mark.parametrize("error", [FULL, ValueError("not foreseen")])
def test_a_question_that_fails_disturbs_nobody(
    server: ThreadServer, store: ToldStore, error: Exception
) -> None:
    def question(asked: QueueStore) -> None:
        raise error

    with pytest.raises(type(error), match=str(error)):
        server.server.committer.ask(question).result(DEADLINE)
    assert server.peer().submit(SUBMIT_JOB_BG, b"f")


def test_a_question_nobody_waits_for_is_not_put(server: ThreadServer, store: ToldStore) -> None:
    store.open_gate.clear()
    peer = server.peer()
    peer.send(SUBMIT_JOB_BG, b"f", b"", b"")
    store.wait_for_commit()
    asked: list[QueueStore] = []
    assert server.server.committer.ask(asked.append).cancel()
    store.open_gate.set()
    assert server.server.committer.ask(len_of_jobs).result(DEADLINE) == 1
    assert not asked


def len_of_jobs(store: QueueStore) -> int:
    return len(list(store.replay()))


def test_a_server_that_has_ended_answers_no_question(
    server: ThreadServer, store: ToldStore
) -> None:
    asked = server.server.committer
    server.stop()
    with pytest.raises(StoreUnavailable, match="the server stops"):
        asked.ask(len_of_jobs).result(DEADLINE)


# After a crash.


def test_a_server_takes_over_what_an_earlier_one_has_acknowledged(
    store: ToldStore, start_server: Callable[..., ThreadServer]
) -> None:
    first = start_server(store)
    peer = first.peer()
    handles = [peer.submit(SUBMIT_JOB_BG, b"f", b"key-%d" % n, b"%d" % n) for n in range(3)]
    peer.send(SUBMIT_JOB_EPOCH, b"f", b"later", b"9999999999", b"3")
    _, later = peer.receive()
    first.stop()
    second = start_server(store).peer()
    second.send(CAN_DO, b"f")
    assert second.submit(SUBMIT_JOB_BG, b"f", b"later") == later
    assert second.submit(SUBMIT_JOB_BG, b"f", b"key-1") == handles[1]
    assert [second.grab() for _ in range(4)] == [*handles, b""]
    new = second.submit(SUBMIT_JOB_BG, b"f")
    assert new not in {*handles, later}
