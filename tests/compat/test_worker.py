"""The worker of python-gearman's kind: hooks, several servers, and the ways to leave."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time

import pytest

from geartrain import Client
from geartrain.compat import gearman
from geartrain.compat.gearman import errors
from geartrain.wire.packet import (
    CAN_DO,
    CANT_DO,
    ECHO_REQ,
    GRAB_JOB_ALL,
    JOB_ASSIGN_ALL,
    NO_JOB,
    NOOP,
    PRE_SLEEP,
    SET_CLIENT_ID,
    WORK_COMPLETE,
    WORK_EXCEPTION,
    WORK_FAIL,
)
from tests.acceptance.job_server import eventually
from tests.client.real_servers import free_port
from tests.client.scripted_server import DEADLINE
from tests.compat.script import Script


class CountingWorker(gearman.GearmanWorker):
    """Leaves after a number of jobs."""

    jobs_left = 1

    def after_job(self):
        self.jobs_left -= 1
        return self.jobs_left > 0


class Working:
    """A worker in a thread; what ``work`` raised is in ``error``."""

    def __init__(self, worker, poll_timeout=60.0):
        self.worker = worker
        self.poll_timeout = poll_timeout
        self.error = None
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        try:
            self.worker.work(poll_timeout=self.poll_timeout)
        except BaseException as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *reason):
        self.worker.shutdown()
        self.join()

    def join(self):
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()


def address(job_server):
    return f"127.0.0.1:{job_server.port}"


def reverse(worker, job):
    return job.data[::-1]


def announce(peer, *functions):
    """Take a worker's announcement, up to its first grab."""
    packets = peer.expect(*[CAN_DO] * len(functions), ECHO_REQ, GRAB_JOB_ALL)
    assert [packet.args[0] for packet in packets[: len(functions)]] == list(functions)


def assign(peer, handle, function, data=b""):
    peer.send(JOB_ASSIGN_ALL, handle, function, b"u", b"", data)


def test_a_worker_that_leaves_after_its_job_asks_for_no_other(scripted):
    def script(peer):
        announce(peer, b"f")
        assign(peer, b"H:1", b"f", b"abc")
        (complete,) = peer.expect(WORK_COMPLETE)
        assert complete.args == [b"H:1", b"cba"]
        peer.read()
        pytest.fail("it went on")

    server = scripted(script)
    worker = CountingWorker([str(server)])
    worker.register_task("f", reverse)
    worker.work()
    # And it can be put to work again.
    worker.jobs_left = 1
    worker.work()
    assert len(server.peers) == 2


def test_a_worker_that_leaves_after_a_poll_asks_for_no_other_job(scripted):
    def script(peer):
        announce(peer, b"f")
        assign(peer, b"H:1", b"f")
        peer.expect(WORK_COMPLETE)
        peer.read()
        pytest.fail("it went on")

    class Once(gearman.GearmanWorker):
        seen = ()

        def after_poll(self, any_activity):
            self.seen += (any_activity,)
            return False

    worker = Once([str(scripted(script))])
    worker.register_task("f", reverse)
    worker.work()
    assert worker.seen == (True,)


def test_a_quiet_worker_is_told_of_each_poll_that_brought_nothing(scripted):
    def script(peer):
        announce(peer, b"f")
        peer.send(NO_JOB)
        peer.expect(PRE_SLEEP)
        peer.wait_for_end()

    class Impatient(gearman.GearmanWorker):
        quiet = 0

        def after_poll(self, any_activity):
            self.quiet += not any_activity
            return self.quiet < 3

    worker = Impatient([str(scripted(script))])
    worker.register_task("f", reverse)
    began = time.monotonic()
    worker.work(poll_timeout=0.05)
    assert 0.15 <= time.monotonic() - began < 5


def test_functions_and_the_name_may_change_while_it_works(scripted):
    def change(worker, job):
        worker.unregister_task("first")
        worker.register_task("second", reverse)
        worker.set_client_id("renamed")
        return "changed"

    def script(peer):
        announce(peer, b"first")
        assign(peer, b"H:1", b"first")
        packets = peer.expect(CAN_DO, ECHO_REQ, SET_CLIENT_ID, WORK_COMPLETE, CANT_DO, GRAB_JOB_ALL)
        assert [packets[0].args, packets[2].args, packets[4].args] == [
            [b"second"],
            [b"renamed"],
            [b"first"],
        ]
        # One that was on its way when the function was taken back is the server's again.
        assign(peer, b"H:2", b"first")
        peer.expect(GRAB_JOB_ALL)
        assign(peer, b"H:3", b"second", b"abc")
        (complete,) = peer.expect(WORK_COMPLETE)
        assert complete.args == [b"H:3", b"cba"]

    worker = CountingWorker([str(scripted(script))])
    worker.jobs_left = 2
    worker.register_task("first", change)
    worker.work()


def test_a_job_ends_once(scripted):
    def twice(worker, job):
        worker.send_job_exception(job, "first word")
        worker.send_job_failure(job)
        return "last word"

    def script(peer):
        announce(peer, b"f")
        assign(peer, b"H:1", b"f")
        (end,) = peer.expect(WORK_EXCEPTION)
        assert end.args == [b"H:1", b"first word"]
        peer.expect(GRAB_JOB_ALL)
        assign(peer, b"H:2", b"f")
        peer.expect(WORK_EXCEPTION)

    worker = CountingWorker([str(scripted(script))])
    worker.jobs_left = 2
    worker.register_task("f", twice)
    worker.work()


def test_data_that_can_not_be_read_fails_its_job_and_not_the_worker(scripted, caplog):
    class Strict(gearman.DataEncoder):
        @classmethod
        def decode(cls, decodable_string):
            return int(decodable_string)

    class StrictWorker(CountingWorker):
        data_encoder = Strict
        jobs_left = 2

        def on_job_exception(self, current_job, exc_info):
            self.raised = exc_info[0], current_job.data
            return super().on_job_exception(current_job, exc_info)

    def script(peer):
        announce(peer, b"f")
        assign(peer, b"H:1", b"f", b"seven")
        peer.expect(WORK_FAIL, GRAB_JOB_ALL)
        assign(peer, b"H:2", b"f", b"7")
        (complete,) = peer.expect(WORK_COMPLETE)
        assert complete.args[1] == b"8"

    worker = StrictWorker([str(scripted(script))])
    worker.register_task("f", lambda worker, job: str(job.data + 1))
    with caplog.at_level(logging.WARNING, "gearman.worker"):
        worker.work()
    assert worker.raised == (ValueError, b"seven")
    assert "H:1: f raised" in caplog.text
    assert "invalid literal for int()" in caplog.text


def test_a_job_that_was_put_off_makes_room_for_others_until_it_ends(scripted):
    class Patient(CountingWorker):
        jobs_left = 4

        def on_job_execute(self, current_job):
            if current_job.task == "slow":
                self.slow = current_job
                return True
            if current_job.data == b"end it":
                self.send_job_complete(self.slow, "at last")
            return super().on_job_execute(current_job)

    def script(peer):
        announce(peer, b"slow", b"quick")
        assign(peer, b"H:1", b"slow")
        peer.expect(GRAB_JOB_ALL)
        assign(peer, b"H:2", b"quick")
        peer.expect(WORK_COMPLETE, GRAB_JOB_ALL)
        assign(peer, b"H:3", b"quick", b"end it")
        ends = peer.expect(WORK_COMPLETE, WORK_COMPLETE, GRAB_JOB_ALL)
        assert [end.args[0] for end in ends[:2]] == [b"H:1", b"H:3"]
        # One grab for one place.
        peer.send(NO_JOB)
        peer.expect(PRE_SLEEP)
        peer.send(NOOP)
        peer.expect(GRAB_JOB_ALL)
        assign(peer, b"H:4", b"quick")
        peer.expect(WORK_COMPLETE)

    worker = Patient([str(scripted(script))])
    worker.register_task("slow", reverse)
    worker.register_task("quick", reverse)
    worker.work()


def test_a_lost_connection_is_made_anew_and_what_it_held_is_dropped(scripted, caplog):
    cut = threading.Event()

    def script(peer):
        announce(peer, b"f")
        assign(peer, b"H:%d" % peer.number, b"f")
        if peer.number == 0:
            peer.reset()
            cut.set()
        else:
            peer.expect(WORK_COMPLETE)

    def wait(worker, job):
        assert cut.wait(DEADLINE)
        return "result"

    worker = CountingWorker([str(scripted(script))])
    worker.jobs_left = 2
    worker.register_task("f", wait)
    with caplog.at_level(logging.WARNING):
        worker.work()
    assert "it gives the jobs held here" in caplog.text


def test_work_is_over_when_no_server_can_be_reached(scripted):
    def script(peer):
        announce(peer, b"f")
        # Nobody listens any more when the connection ends.
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()

    server = scripted(script)
    worker = gearman.GearmanWorker([str(server), ("127.0.0.1", free_port())])
    worker.register_task("f", reverse)
    with pytest.raises(errors.ServerUnavailable, match="connection refused"):
        worker.work()


def test_a_patient_worker_waits_for_its_server(scripted):
    class Patient(CountingWorker):
        patience = None

    def script(peer):
        announce(peer, b"f")
        assign(peer, b"H:1", b"f")
        peer.expect(WORK_COMPLETE)

    port = free_port()
    worker = Patient([("127.0.0.1", port)])
    worker.register_task("f", reverse)
    with Working(worker) as working:
        eventually(lambda: bool(worker.connection_list[0].failure), "it has tried")
        scripted(script, port=port)
        working.join()
    assert working.error is None


def test_a_reporter_that_has_no_job_of_this_worker_is_told_so():
    worker = gearman.GearmanWorker(["a:1"])
    job = gearman.GearmanJob(None, "H:1", "f", "u", "")
    with pytest.raises(errors.InvalidWorkerState, match="did not come to this worker"):
        worker.send_job_status(job, 1, 2)


def test_every_server_s_jobs_are_done(job_servers):
    servers = [job_servers.start("gearmand"), job_servers.start("geartrain")]
    worker = gearman.GearmanWorker([address(server) for server in servers])
    worker.register_task("f", reverse)
    try:
        with Working(worker):
            for server in [*servers, *reversed(servers)]:
                with Client(address(server)) as client:
                    assert client.call("f", b"abc", timeout=DEADLINE) == b"cba"
            # One goes and comes back; the other is served meanwhile.
            servers[0].stop()
            with Client(address(servers[1])) as client:
                assert client.call("f", b"abc", timeout=DEADLINE) == b"cba"
            servers[0].start()
            with Client(address(servers[0])) as client:
                assert client.call("f", b"abc", timeout=DEADLINE) == b"cba"
    finally:
        for server in servers:
            server.stop()


def test_a_job_goes_back_when_its_function_is_interrupted(job_server, function):
    def interrupt(worker, job):
        raise KeyboardInterrupt

    worker = gearman.GearmanWorker([address(job_server)])
    worker.register_task(function, interrupt)
    with Client(address(job_server)) as client:
        job = client.submit(function, b"abc")
        with pytest.raises(KeyboardInterrupt):
            worker.work()
        worker.register_task(function, reverse)
        with Working(worker):
            assert job.result(DEADLINE) == b"cba"


def test_an_idle_worker_uses_no_time(job_server, function):
    worker = gearman.GearmanWorker([address(job_server)])
    worker.register_task(function, reverse)
    with Working(worker):
        job_server.wait_for_workers(function)
        selects = []
        select = worker._connections.selector.select
        worker._connections.selector.select = lambda timeout: selects.append(1) or select(timeout)
        with Client(address(job_server)) as client:
            for _ in range(2):
                assert client.call(function, b"abc", timeout=DEADLINE) == b"cba"
                used = time.process_time()
                threading.Event().wait(0.5)
                assert time.process_time() - used < 0.1
    assert len(selects) < 20


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_a_worker_may_be_shut_down_from_a_signal_s_handler(run, job_server, function, number):
    worker = run("stopping_worker.py", function)
    job_server.wait_for_workers(function)
    worker.process.send_signal(number)
    assert worker.lines() == ["stopped"]


def test_a_worker_made_before_a_fork_works_in_each_process(run, job_server, function):
    worker: Script = run("forking_worker.py", function)
    job_server.wait_for_workers(function, 2)
    with Client(address(job_server)) as client:
        first = client.call(f"{function}-leave", timeout=DEADLINE)
        job_server.wait_for_workers(function, 1)
        assert client.call(function, timeout=DEADLINE) != first
        assert client.call(f"{function}-leave", timeout=DEADLINE) != first
    assert worker.lines() == ["both have left"]


def test_many_jobs_one_after_the_other(job_server, function):
    worker = CountingWorker([address(job_server)])
    worker.jobs_left = 300
    worker.register_task(function, reverse)
    with Client(address(job_server)) as client, Working(worker) as working:
        jobs = client.submit_many((function, b"%d" % number) for number in range(301))
        expected = [(b"%d" % number)[::-1] for number in range(300)]
        assert [job.result(DEADLINE) for job in jobs[:300]] == expected
        working.join()
        # The last one was left to others, and nobody was asked to give it back.
        eventually(lambda: job_server.status(function) == (1, 0, 0), "the worker has left")
