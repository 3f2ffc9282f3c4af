"""Both clients with real job servers and a real, if tiny, worker."""

from __future__ import annotations

import itertools
import json
import threading
import time

import pytest

from geartrain.client.reports import Progress
from geartrain.errors import JobException, JobFailed, JobTimeout
from geartrain.wire.packet import (
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
)
from tests.client.real_servers import DEADLINE, RealServer, TinyWorker, free_port


@pytest.fixture
def function(request):
    """A function name of the test's own: the servers are shared."""
    return request.node.name.encode()


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_job_is_done(shell, job_server, function):
    with TinyWorker(job_server, {function: lambda job: job.workload[::-1]}):
        client = shell.open(str(job_server))
        assert client.call(function, b"a\0b\xff", timeout=DEADLINE) == b"\xffb\0a"
        assert client.call(function, b"", timeout=DEADLINE) == b""
        large = bytes(range(256)) * 20_000
        assert client.call(function, large, timeout=DEADLINE) == large[::-1]


def test_a_job_reports_all_there_is(shell, job_server, function):
    def handler(job):
        job.send(WORK_DATA, b"one")
        job.send(WORK_STATUS, b"1", b"2")
        job.send(WORK_WARNING, b"careful")
        job.send(WORK_DATA, b"two")
        return b"done"

    with TinyWorker(job_server, {function: handler}):
        job = shell.open(str(job_server)).submit(function)
        assert job.result(DEADLINE) == b"done"
        assert (job.data, job.warnings) == ([b"one", b"two"], [b"careful"])
        assert job.progress == Progress(1, 2)


def test_failures_and_exceptions_are_told_apart(shell, job_server, function):
    def handler(job):
        kinds = {b"fail": [WORK_FAIL], b"raise": [WORK_EXCEPTION, b"ValueError: ouch"]}
        job.send(*kinds[job.workload])

    with TinyWorker(job_server, {function: handler}):
        client = shell.open(str(job_server))
        with pytest.raises(JobFailed):
            client.call(function, b"fail", timeout=DEADLINE)
        with pytest.raises(JobException) as caught:
            client.call(function, b"raise", timeout=DEADLINE)
        assert caught.value.workload == b"ValueError: ouch"


def test_exceptions_are_plain_failures_for_those_who_do_not_want_them(shell, job_server, function):
    with TinyWorker(job_server, {function: lambda job: job.send(WORK_EXCEPTION, b"ouch")}):
        client = shell.open(str(job_server), exceptions=False)
        with pytest.raises(JobFailed):
            client.call(function, timeout=1)


def test_priorities_decide_the_order(shell, job_server, function):
    order = []
    client = shell.open(str(job_server))
    for priority in ("low", "normal", "high"):
        client.submit(function, priority, priority=priority, background=True)
    with TinyWorker(job_server, {function: lambda job: order.append(job.workload) or b""}):
        wait_until(lambda: len(order) == 3)
    assert order == [b"high", b"normal", b"low"]


def test_submissions_with_one_key_are_one_job(shell, job_server, function):
    runs = []
    go = threading.Event()

    def handler(job):
        runs.append(job.unique)
        assert go.wait(DEADLINE)
        job.send(WORK_DATA, b"piece")
        return b"result"

    with TinyWorker(job_server, {function: handler}):
        client = shell.open(str(job_server))
        tasks = client.task_set()
        for _ in range(3):
            tasks.add(function, unique=function)
        handles = {client.submit(function, unique=function).handle for _ in range(2)}
        go.set()
        assert tasks.results(DEADLINE) == [b"result"] * 3
        assert {job.handle for job in tasks.wait()} == handles
        assert [job.data for job in tasks.wait()] == [[b"piece"]] * 3
    assert runs == [function]


def test_a_key_that_is_the_workload_reaches_the_worker_as_it_is(shell, job_server, function):
    with TinyWorker(job_server, {function: lambda job: job.unique}):
        client = shell.open(str(job_server))
        assert client.call(function, b"w", unique="-", timeout=DEADLINE) == b"-"


def test_status_follows_a_background_job(shell, job_server, function):
    go = threading.Event()
    reported = threading.Event()

    def handler(job):
        job.send(WORK_STATUS, b"3", b"10")
        reported.set()
        assert go.wait(DEADLINE)
        return b""

    client = shell.open(str(job_server))
    handle = client.submit(function, unique=function, background=True)
    waiting = client.status(handle)
    assert (waiting.known, waiting.running) == (True, False)
    with TinyWorker(job_server, {function: handler}):
        assert reported.wait(DEADLINE)
        wait_until(lambda: client.status(handle).progress == Progress(3, 10))
        assert client.status(handle).running
        by_key = client.status(unique=function)
        assert (by_key.known, by_key.running, by_key.waiting) == (True, True, 0)
        go.set()
        wait_until(lambda: not client.status(handle).known)
    assert not client.status(unique=function).known


def test_a_delayed_job_waits_for_its_time(shell, job_server, function):
    ran = []
    with TinyWorker(job_server, {function: lambda job: ran.append(time.time()) or b""}):
        client = shell.open(str(job_server))
        earliest = time.time() + 1
        client.submit(function, delay=1)
        if job_server.kind == "geartrain":
            wait_until(lambda: ran)
            assert earliest <= ran[0] < earliest + 2.5
        else:
            # gearmand wakes nobody when the time has come, so another job has to.
            assert client.status(client.submit(function, at=earliest + 60)).known
            assert ran == []


def test_a_reduce_job_tells_the_worker_its_reducer(shell, job_server, function):
    with TinyWorker(job_server, {function: lambda job: job.reducer}, reducing=True):
        client = shell.open(str(job_server))
        assert client.call(function, b"w", reducer="count", timeout=DEADLINE) == b"count"


def test_thousands_of_jobs_in_every_way(shell, job_server, function):
    with TinyWorker(job_server, {function: lambda job: job.workload[::-1]}):
        client = shell.open(str(job_server))
        workloads = [b"%d" % number for number in range(2000)]
        wanted = [workload[::-1] for workload in workloads]
        assert list(client.map(function, workloads, timeout=DEADLINE)) == wanted
        jobs = client.submit_many((function, one) for one in workloads)
        assert [job.result(DEADLINE) for job in jobs] == wanted
        tasks = client.task_set()
        for workload in workloads[:500]:
            tasks.add(function, workload)
        assert sorted(job.outcome() for job in tasks.as_completed(DEADLINE)) == sorted(wanted[:500])


def test_a_server_that_is_killed_costs_no_job_that_has_a_key(shell, function):
    first, second = RealServer("geartrain"), RealServer("geartrain")
    done = []

    def handler(job):
        done.append(job.workload)
        if len(done) == 20:
            first.stop()
        return job.workload

    try:
        client = shell.open([str(first), str(second)])
        with TinyWorker(first, {function: handler}), TinyWorker(second, {function: handler}):
            submissions = [(function, b"%d" % number, b"%d" % number) for number in range(100)]
            jobs = client.submit_many(submissions)
            results = [job.result(DEADLINE) for job in jobs]
        assert results == [b"%d" % number for number in range(100)]
        assert {job.address for job in jobs[-10:]} == {str(second)}
    finally:
        first.stop()
        second.stop()


def test_a_server_that_is_restarted_is_found_again(shell, function):
    port = free_port()
    server = RealServer("geartrain", port)
    try:
        client = shell.open(str(server), patience=DEADLINE)
        client.submit(function, background=True)
        server.stop()
        timer = threading.Timer(0.2, lambda: servers.append(RealServer("geartrain", port)))
        servers: list[RealServer] = []
        timer.start()
        client.submit(function, background=True, timeout=DEADLINE)
        timer.join()
        (server,) = servers
    finally:
        server.stop()


def test_a_stopped_server_is_left_for_the_next(shell, function, tmp_path):
    """A server that hangs accepts connections, since the kernel does, and answers nothing."""
    import signal

    first, second = RealServer("geartrain"), RealServer("geartrain")
    try:
        client = shell.open([str(first), str(second)], answer_timeout=0.3)
        client.submit(function, background=True)
        first.process.send_signal(signal.SIGSTOP)
        handle = client.submit(function, unique="u", background=True, timeout=DEADLINE)
        assert handle.server == str(second)
    finally:
        first.stop()
        second.stop()


def test_words_are_counted_over_many_jobs(shell, job_server, function):
    """Map and reduce, by hand."""

    def count(job):
        words = job.workload.split()
        counts = {word.decode(): words.count(word) for word in set(words)}
        return json.dumps(counts).encode()

    texts = ["a b a", "b c", "", "a"] * 25
    total: dict[str, int] = {}
    with TinyWorker(job_server, {function: count}):
        for counts in shell.open(str(job_server)).map(function, texts, timeout=DEADLINE):
            for word, number in json.loads(counts).items():
                total[word] = total.get(word, 0) + number
    assert total == {"a": 75, "b": 50, "c": 25}


def test_nobody_to_do_it_is_a_timeout(shell, job_server, function):
    with pytest.raises(JobTimeout):
        shell.open(str(job_server)).call(function, timeout=0.05)


def test_map_without_end_needs_no_memory_without_end(shell, job_server, function):
    with TinyWorker(job_server, {function: lambda job: job.workload}):
        results = shell.open(str(job_server)).map(function, map(str, itertools.count()))
        for number in range(1000):
            assert next(results) == b"%d" % number
        results.close()
