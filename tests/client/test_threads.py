"""The blocking client: threads that share it, callbacks, forks, and what it costs when idle."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from geartrain.client.sync import Client
from geartrain.errors import ConnectionFailed, ConnectionLost, JobTimeout, SubmissionUncertain
from geartrain.wire.packet import (
    ECHO_REQ,
    ECHO_RES,
    JOB_CREATED,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
)
from tests.client.scripted_server import DEADLINE, work_at_once


def run_threads(count, work):
    """Run ``work(number)`` in threads; return what each returned, or raise."""
    results = [None] * count

    def run(number):
        try:
            results[number] = work(number)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def test_threads_share_one_client_and_one_connection(scripted):
    server = scripted(work_at_once)

    with Client(str(server)) as client:

        def work(number):
            wanted = [b"%d-%d" % (number, turn) for turn in range(100)]
            return [client.call("f", one) for one in wanted] == [one[::-1] for one in wanted]

        assert run_threads(8, work) == [True] * 8
    assert len(server.peers) == 1


def test_no_thread_gets_the_result_of_another_while_connections_end(scripted):
    """What arrives as a connection ends belongs to whoever asked first, whoever reads it."""

    def serve_some(peer):
        # Ended kindly or not, in the middle of what others wait for.
        for count in range(10 + 7 * (peer.number % 5)):
            packet = peer.read()
            handle = b"H:%d.%d" % (peer.number, count)
            peer.send(JOB_CREATED, handle)
            peer.send(WORK_COMPLETE, handle, packet.args[-1])
        if peer.number % 2:
            peer.reset()

    outcomes = []
    with Client(str(scripted(serve_some)), exceptions=False) as client:

        def work(number):
            for turn in range(150):
                wanted = b"%d-%d" % (number, turn)
                try:
                    outcomes.append(client.call("f", wanted, timeout=DEADLINE) == wanted)
                except (ConnectionFailed, ConnectionLost, SubmissionUncertain):
                    outcomes.append(None)

        run_threads(6, work)
    assert outcomes.count(False) == 0
    assert outcomes.count(True) > 300


def hold(jobs):
    """Return a script that answers each job as the test says, by its workload."""

    def script(peer):
        number = 0
        while True:
            packet = peer.read()
            if packet.type == ECHO_REQ:
                peer.send(ECHO_RES, packet.args[0])
                continue
            number += 1
            peer.send(JOB_CREATED, b"H:%d" % number)
            jobs[packet.args[-1]] = (peer, b"H:%d" % number)

    return script


def finish(jobs, workload):
    peer, handle = jobs[workload]
    peer.send(WORK_COMPLETE, handle, workload)


def test_the_lead_is_handed_on_when_the_leader_has_its_answer(scripted):
    jobs = {}
    with Client(str(scripted(hold(jobs)))) as client:
        waiting = [client.submit("f", b"%d" % number) for number in range(5)]
        results = []
        threads = [
            threading.Thread(target=lambda job=job: results.append(job.result(DEADLINE)))
            for job in waiting
        ]
        for thread in threads:
            thread.start()
        for number, thread in enumerate(threads):
            # Whoever leads now, it is told or tells; the rest go on waiting.
            finish(jobs, b"%d" % number)
            thread.join(DEADLINE)
            assert not thread.is_alive()
        assert results == [b"%d" % number for number in range(5)]


def test_the_lead_is_handed_on_when_the_leader_runs_out_of_time(scripted):
    jobs = {}
    with Client(str(scripted(hold(jobs)))) as client:
        first, second = client.submit("f", "1"), client.submit("f", "2")
        started = threading.Event()

        def wait_for_first(_):
            started.set()
            with pytest.raises(JobTimeout):
                first.result(0.2)
            finish(jobs, b"2")

        def wait_for_second(_):
            assert started.wait(DEADLINE)
            return second.result(DEADLINE)

        def work(number):
            return (wait_for_first, wait_for_second)[number](number)

        assert run_threads(2, work) == [None, b"2"]


def test_a_thread_may_connect_elsewhere_while_another_leads(scripted):
    held = {}
    servers = [scripted(hold(held)), scripted(work_at_once)]
    with Client([str(server) for server in servers]) as client:
        job = client.submit("f", "slow")
        leader = threading.Thread(target=job.result, args=[DEADLINE])
        leader.start()
        while not client._pump.turns.leading:
            time.sleep(0.001)
        # The second server's socket is new to the leader, who has to be woken for it.
        assert client.submit("f", background=True, timeout=DEADLINE) is not None
        assert client._ask(servers[1].address, ECHO_REQ, b"ping", DEADLINE) == [b"ping"]
        finish(held, b"slow")
        leader.join(DEADLINE)
        assert not leader.is_alive()


def test_silence_is_noticed_though_the_one_who_leads_expects_no_answer(scripted):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send(JOB_CREATED, b"H:1")
        peer.expect(SUBMIT_JOB_BG)
        peer.wait_for_end()

    with Client(str(scripted(script)), answer_timeout=0.2) as client:
        job = client.submit("f", "slow")
        leader = threading.Thread(target=job.exception, args=[DEADLINE])
        leader.start()
        while not client._pump.turns.leading:
            time.sleep(0.001)
        with pytest.raises(SubmissionUncertain):
            client.submit("f", background=True, timeout=DEADLINE)
        leader.join(DEADLINE)
        assert not leader.is_alive()


def test_closing_wakes_those_who_wait(scripted):
    client = Client(str(scripted(hold({}))))
    jobs = [client.submit("f", b"%d" % number) for number in range(3)]

    def work(number):
        if number == 3:
            while not client._pump.turns.followers:
                time.sleep(0.001)
            client.close()
            return ConnectionLost
        with pytest.raises(ConnectionLost):
            jobs[number].result(DEADLINE)
        return ConnectionLost

    assert run_threads(4, work) == [ConnectionLost] * 4
    assert client._pump.turns.selector is None


def test_callbacks_come_though_nobody_waits(scripted):
    jobs = {}
    with Client(str(scripted(hold(jobs)))) as client:
        called = threading.Event()
        threads = []

        def callback(job):
            threads.append(threading.current_thread().name)
            # A callback may use the client.
            assert client.echo(b"x", timeout=DEADLINE) == b"x"
            called.set()

        client.submit("f", "1").add_done_callback(callback)
        assert not called.wait(0.05)
        finish(jobs, b"1")
        assert called.wait(DEADLINE)
        assert threads == ["geartrain-client"]
        # The thread leaves once nothing is due.
        helper = client._pump.turns.helper
        if helper is not None:
            helper.join(DEADLINE)
            assert not helper.is_alive()


def test_callback_that_raises_is_logged(scripted, caplog):
    with Client(str(scripted(work_at_once))) as client:
        job = client.submit("f")
        job.result(DEADLINE)
        job.add_done_callback(lambda job: 1 / 0)
        assert client.call("f", "ab") == b"ba"
    assert "ZeroDivisionError" in caplog.text


def test_callbacks_are_called_when_the_client_is_closed(scripted):
    called = []
    client = Client(str(scripted(hold({}))))
    client.submit("f", "1").add_done_callback(lambda job: called.append(type(job.failure())))
    client.close()
    deadline = time.monotonic() + DEADLINE
    while not called:
        assert time.monotonic() < deadline
    assert called == [ConnectionLost]


def test_a_child_process_connects_anew(scripted):
    jobs = {}

    def script(peer):
        (work_at_once if peer.number else hold(jobs))(peer)

    server = scripted(script)
    with Client(str(server)) as client:
        under_way = client.submit("f", "slow")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                good = client.call("f", "child") == b"dlihc"
                lost = isinstance(under_way.exception(0), ConnectionLost)
                code = 0 if good and lost else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        # The parent's connection is as it was.
        finish(jobs, b"slow")
        assert under_way.result(DEADLINE) == b"slow"
    assert len(server.peers) == 2


def test_a_child_forked_while_a_thread_waits_is_not_stuck(scripted):
    jobs = {}
    with Client(str(scripted(hold(jobs)))) as client:
        job = client.submit("f", "1")
        thread = threading.Thread(target=job.result, args=[DEADLINE])
        thread.start()
        while not client._pump.turns.leading:
            time.sleep(0.001)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if client.echo(b"x", timeout=DEADLINE) == b"x" else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        finish(jobs, b"1")
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_waiting_costs_no_processor_time_and_no_thread(scripted):
    with Client(str(scripted(hold({})))) as client:
        job = client.submit("f", "1")
        threads = threading.active_count()
        before = time.process_time()
        assert not job.wait(0.5)
        assert time.process_time() - before < 0.05
        assert threading.active_count() == threads


def test_an_interrupted_wait_can_be_taken_up_again(scripted):
    script = """
import signal, sys, threading
from geartrain.client.sync import Client

with Client(sys.argv[1]) as client:
    job = client.submit("f", "1")
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        job.result()
    except KeyboardInterrupt:
        print("interrupted", client.echo(b"still here").decode())
"""
    server = scripted(hold({}))
    done = subprocess.run(
        [sys.executable, "-c", script, str(server)], capture_output=True, text=True, timeout=10
    )
    assert done.stdout == "interrupted still here\n", done.stderr


def test_the_blocking_client_loads_no_event_loop():
    heavy = "asyncio, ssl, logging, concurrent.futures, dataclasses"
    script = (
        "import sys, geartrain.client.sync, geartrain.client.admin\n"
        f"sys.exit(', '.join(one for one in {heavy!r}.split(', ') if one in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


def test_backpressure_holds_a_task_set_that_is_filled_too_fast(scripted):
    go = threading.Event()

    def script(peer):
        assert go.wait(DEADLINE)
        for number in range(100):
            (packet,) = peer.expect(SUBMIT_JOB)
            peer.send(JOB_CREATED, b"H:%d" % number)
            peer.send(WORK_COMPLETE, b"H:%d" % number, b"%d" % len(packet.args[-1]))
        peer.wait_for_end()

    with Client(str(scripted(script))) as client:
        tasks = client.task_set()
        megabyte = bytes(1024 * 1024)
        threading.Timer(0.2, go.set).start()
        for _ in range(100):
            tasks.add("f", megabyte)
            assert client._pump.unsent_size() <= 3 * len(megabyte)
        assert tasks.results(DEADLINE) == [b"%d" % len(megabyte)] * 100


def test_a_task_set_gets_going_before_anybody_waits(scripted):
    jobs = {}
    with Client(str(scripted(hold(jobs)))) as client:
        client.task_set().add("f", "1")
        deadline = time.monotonic() + DEADLINE
        while b"1" not in jobs:
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_results_may_be_dropped_where_the_lock_is_held(scripted):
    """The collector may close a generator at any moment, also inside the client."""
    with Client(str(scripted(work_at_once))) as client:
        results = client.map("f", [b"a", b"b"] * 100)
        next(results)
        with client._pump.turns.lock:
            results.close()
        assert client.call("f", "ab", timeout=DEADLINE) == b"ba"


def test_nobodys_submission_is_not_sent_after_all(scripted, full_listener):
    """A call that ran out of time before a server was found must not run later."""
    counted = []

    def script(peer):
        while True:
            packet = peer.read()
            counted.append(packet.args[-1])
            peer.send(JOB_CREATED, b"H:1")

    server = scripted(script)
    with Client([str(full_listener), str(server)], connect_timeout=0.5) as client:
        with pytest.raises(JobTimeout):
            client.call("f", "given up", timeout=0.1)
        client.submit("f", "wanted", background=True, timeout=DEADLINE)
    assert counted == [b"wanted"]
