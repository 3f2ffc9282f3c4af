"""Both clients against servers that follow a script: one job, many jobs, questions."""

from __future__ import annotations

import itertools
import pickle
import threading

import pytest

from geartrain.client.reports import JobHandle, Progress, Status
from geartrain.client.submission import Submission
from geartrain.errors import (
    ConnectionLost,
    JobException,
    JobFailed,
    JobTimeout,
    PartlySubmitted,
    ServerError,
    UsageError,
)
from geartrain.wire.packet import (
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    GET_STATUS,
    GET_STATUS_UNIQUE,
    JOB_CREATED,
    OPTION_REQ,
    STATUS_RES,
    STATUS_RES_UNIQUE,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_EPOCH,
    SUBMIT_JOB_HIGH,
    SUBMIT_JOB_LOW_BG,
    SUBMIT_REDUCE_JOB,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
)
from geartrain.wire.writer import pack_request
from tests.client.scripted_server import DEADLINE, work_at_once


@pytest.fixture
def worker(scripted):
    """A server that works at once."""
    return scripted(work_at_once)


# One job.


def test_call_returns_the_result(shell, worker):
    client = shell.open(str(worker))
    assert client.call("reverse", "test") == b"tset"
    assert client.call(b"reverse", b"\0\xff", timeout=DEADLINE) == b"\xff\0"


def test_submission_comes_right_behind_the_wish_for_exceptions(shell, scripted):
    def script(peer):
        wanted = pack_request(OPTION_REQ, [b"exceptions"])
        wanted += pack_request(SUBMIT_JOB_HIGH, [b"f", b"u", b"w"])
        assert peer.read_bytes(len(wanted)) == wanted
        peer.send(ERROR, b"UNKNOWN_OPTION", b"Server does not recognize given option")
        peer.send(JOB_CREATED, b"H:1")
        peer.wait_for_end()

    client = shell.open(str(scripted(script)))
    job = client.submit("f", "w", unique="u", priority="high")
    assert (job.handle, job.function, job.unique) == (b"H:1", b"f", b"u")


def test_exceptions_need_not_be_wished_for(shell, scripted):
    def script(peer):
        packet = pack_request(SUBMIT_JOB_LOW_BG, [b"f", b"", b""])
        assert peer.read_bytes(len(packet)) == packet
        peer.send(JOB_CREATED, b"H:1")
        peer.wait_for_end()

    client = shell.open(str(scripted(script)), exceptions=False)
    client.submit("f", background=True, priority="low")


def test_background_job_gives_a_handle_that_can_be_pickled(shell, worker):
    client = shell.open(str(worker))
    handle = client.submit("f", b"w", background=True)
    assert handle == JobHandle(str(worker), b"H:scripted:0.1")
    assert pickle.loads(pickle.dumps(handle)) == handle


def test_delayed_and_reduce_jobs_take_their_packets(shell, scripted):
    def script(peer):
        timed, reduced = peer.expect(SUBMIT_JOB_EPOCH, SUBMIT_REDUCE_JOB)
        assert timed.args == [b"f", b"u", b"1700000000", b"w"]
        assert reduced.args == [b"split", b"", b"count", b"", b"w"]
        peer.send(JOB_CREATED, b"H:1")
        peer.send(JOB_CREATED, b"H:2")
        peer.send(WORK_COMPLETE, b"H:2", b"42")
        peer.wait_for_end()

    client = shell.open(str(scripted(script)))
    timed, reduced = client.submit_many(
        [
            Submission("f", "w", unique="u", at=1_700_000_000),
            Submission("split", "w", reducer="count"),
        ]
    )
    assert timed.handle == b"H:1"
    assert reduced.result(DEADLINE) == b"42"


@pytest.mark.parametrize("options", [{"background": True}, {"at": 1}, {"delay": 1}])
def test_a_job_that_is_waited_for_is_no_background_job(shell, worker, options):
    client = shell.open(str(worker))
    for use in (client.call, client.task_set().add):
        with pytest.raises(UsageError, match="this job is waited for"):
            use("f", b"w", **options)
    with pytest.raises(UsageError, match="this job is waited for"):
        list(client.map("f", [b"w"], **options))
    assert client.submit("f", b"w", **options) == JobHandle(str(worker), b"H:scripted:0.1")


def report_all(peer):
    peer.expect(SUBMIT_JOB)
    peer.send(JOB_CREATED, b"H:1")
    peer.send(WORK_DATA, b"H:1", b"one")
    peer.send(WORK_STATUS, b"H:1", b"1", b"4")
    peer.send(WORK_STATUS, b"H:1", b"2", b"4")
    peer.send(WORK_WARNING, b"H:1", b"careful")
    peer.send(WORK_DATA, b"H:1", b"two")
    peer.send(WORK_COMPLETE, b"H:1", b"done")
    peer.wait_for_end()


def test_reports_gather_while_the_job_is_waited_for(shell, scripted):
    job = shell.open(str(scripted(report_all))).submit("f")
    assert job.result(DEADLINE) == b"done"
    assert job.data == [b"one", b"two"]
    assert job.warnings == [b"careful"]
    assert job.progress == Progress(2, 4)
    assert job.progress.fraction == 0.5


def test_events_come_in_order_and_once(shell, scripted):
    job = shell.open(str(scripted(report_all))).submit("f")
    events = list(job.events(DEADLINE))
    # The client may have seen one progress report or both before it was asked.
    kinds = [event.kind for event in events if event.kind != "progress"]
    assert kinds == ["data", "warning", "data", "completed"]
    assert [event.workload for event in events if event.workload] == [
        b"one",
        b"careful",
        b"two",
        b"done",
    ]
    assert events[-1].progress == Progress(2, 4)
    assert (job.data, job.warnings) == ([], [])
    assert job.result() == b"done"


@pytest.mark.parametrize(
    ("packet", "error", "kind"),
    [
        ((WORK_FAIL, b"H:1"), JobFailed, "failed"),
        ((WORK_EXCEPTION, b"H:1", b"ValueError: ouch"), JobException, "raised"),
    ],
)
def test_a_job_that_ends_badly_says_how(shell, scripted, packet, error, kind):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send(JOB_CREATED, b"H:1")
        peer.send(*packet)
        peer.send(WORK_FAIL, b"H:1")
        peer.wait_for_end()

    job = shell.open(str(scripted(script))).submit("f")
    with pytest.raises(error) as caught:
        job.result(DEADLINE)
    assert caught.value.handle == b"H:1"
    assert job.exception() is caught.value
    assert job.done()
    (last,) = job.events()
    assert last.kind == kind
    assert last.workload == getattr(caught.value, "workload", b"")


def test_progress_that_is_no_number_counts_as_none(shell, scripted):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send(JOB_CREATED, b"H:1")
        peer.send(WORK_STATUS, b"H:1", b"0.5", b"nan")
        peer.send(WORK_COMPLETE, b"H:1", b"")
        peer.wait_for_end()

    job = shell.open(str(scripted(script))).submit("f")
    job.result(DEADLINE)
    assert job.progress == Progress(0.5, 0)
    assert job.progress.fraction == 0


def test_refused_submission_raises_with_the_code(shell, scripted):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send(ERROR, b"QUEUE_ERROR", b"Job queue is full")
        work_at_once(peer)

    client = shell.open(str(scripted(script)))
    with pytest.raises(ServerError) as caught:
        client.submit("f")
    assert (caught.value.code, caught.value.text) == ("QUEUE_ERROR", "Job queue is full")
    # The connection is as good as before.
    assert client.call("f", "ab") == b"ba"


def test_packet_above_the_limit_is_refused_here(shell, worker):
    client = shell.open(str(worker), max_packet=1000)
    with pytest.raises(UsageError, match="larger than max_packet"):
        client.submit("f", bytes(1000))
    assert client.call("f", "ab") == b"ba"


def test_result_can_be_waited_for_again_after_a_timeout(shell, scripted):
    go = threading.Event()

    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send(JOB_CREATED, b"H:1")
        assert go.wait(DEADLINE)
        peer.send(WORK_COMPLETE, b"H:1", b"late")
        peer.wait_for_end()

    job = shell.open(str(scripted(script))).submit("f")
    with pytest.raises(JobTimeout, match="gave no result within") as caught:
        job.result(timeout=0.01)
    assert (caught.value.handle, caught.value.seconds) == (b"H:1", 0.01)
    with pytest.raises(JobTimeout):
        next(job.events(timeout=0.01))
    assert not job.wait(0)
    assert not job.done()
    go.set()
    assert job.result(DEADLINE) == b"late"


def test_call_that_took_too_long_is_forgotten(shell, scripted):
    go = threading.Event()

    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send(JOB_CREATED, b"H:1")
        assert go.wait(DEADLINE)
        peer.send(WORK_DATA, b"H:1", b"late")
        peer.send(WORK_COMPLETE, b"H:1", b"late")
        work_at_once(peer)

    client = shell.open(str(scripted(script)))
    with pytest.raises(JobTimeout):
        client.call("f", timeout=0.05)
    go.set()
    assert client.call("f", "ab", timeout=DEADLINE) == b"ba"


def test_submission_without_an_answer_in_time_is_a_timeout(shell, scripted):
    server = scripted(lambda peer: peer.wait_for_end())
    client = shell.open(str(server))
    with pytest.raises(JobTimeout, match="not yet accepted"):
        client.submit("f", timeout=0.05)


def test_callbacks_are_called_once_the_job_has_ended(shell, worker):
    client = shell.open(str(worker))
    called = []
    job = client.submit("f", "ab")
    job.add_done_callback(lambda job: called.append(job.outcome()))
    job.result(DEADLINE)
    job.add_done_callback(lambda job: called.append(job.handle))
    client.echo()
    assert called == [b"ba", b"H:scripted:0.1"]


# Many jobs.


def test_many_submissions_are_sent_before_the_first_is_answered(shell, scripted):
    def script(peer):
        packets = [peer.read() for _ in range(10)]
        for number, packet in enumerate(packets):
            assert packet.args[-1] == b"%d" % number
            peer.send(JOB_CREATED, b"H:%d" % number)
        peer.wait_for_end()

    client = shell.open(str(scripted(script)))
    handles = client.submit_many((("f", str(n)) for n in range(10)), background=True)
    assert [handle.handle for handle in handles] == [b"H:%d" % number for number in range(10)]


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_no_more_than_allowed_wait_for_their_answer(shell, scripted, limit):
    def script(peer):
        waiting = peer.expect(*[SUBMIT_JOB_BG] * 0)
        done = 0
        while done < 20:
            waiting.append(peer.read())
            while peer.packets:
                waiting.append(peer.read())
            assert len(waiting) <= limit
            for _ in waiting:
                done += 1
                peer.send(JOB_CREATED, b"H:%d" % done)
            waiting.clear()
        peer.wait_for_end()

    client = shell.open(str(scripted(script)))
    submissions = [("f", b"", b"u%d" % number) for number in range(20)]
    assert len(client.submit_many(submissions, background=True, max_in_flight=limit)) == 20


def test_many_foreground_jobs_each_get_their_result(shell, worker):
    client = shell.open(str(worker))
    jobs = client.submit_many([("f", f"ab{number}") for number in range(300)], max_in_flight=50)
    assert [job.result(DEADLINE) for job in jobs] == [
        b"%dba" % n if n < 10 else None or bytes(reversed(b"ab%d" % n)) for n in range(300)
    ]


def test_refusal_stops_the_rest_and_tells_what_was_accepted(shell, scripted):
    def script(peer):
        for number in itertools.count():
            peer.expect(SUBMIT_JOB_BG)
            if number == 3:
                peer.send(ERROR, b"QUEUE_ERROR", b"Job queue is full")
            else:
                peer.send(JOB_CREATED, b"H:%d" % number)

    server = scripted(script)
    client = shell.open(str(server))
    taken = []

    def submissions():
        for number in range(1000):
            taken.append(number)
            yield ("f", b"")

    with pytest.raises(PartlySubmitted, match="QUEUE_ERROR: Job queue is full") as caught:
        client.submit_many(submissions(), background=True, max_in_flight=4)
    results = caught.value.results
    assert results[:3] == [JobHandle(str(server), b"H:%d" % number) for number in range(3)]
    assert isinstance(results[3], ServerError)
    assert 4 <= len(results) == len(taken) <= 8


def test_many_submissions_take_no_longer_than_allowed(shell, scripted):
    def script(peer):
        peer.expect(SUBMIT_JOB_BG)
        peer.send(JOB_CREATED, b"H:1")
        peer.wait_for_end()

    client = shell.open(str(scripted(script)))
    with pytest.raises(PartlySubmitted) as caught:
        client.submit_many([("f", b"")] * 3, background=True, timeout=0.1)
    first, *others = caught.value.results
    assert first.handle == b"H:1"
    assert [type(other) for other in others] == [JobTimeout, JobTimeout]


@pytest.mark.parametrize(
    ("items", "options", "advice"),
    [
        (["f"], {}, "is neither a Submission nor"),
        ([("f",)], {}, "is neither a Submission nor"),
        ([Submission("f")], {"priority": "low"}, "priority can't be said of Submission objects"),
        ([("f", 3)], {}, "not int"),
        ([("f", b"")], {"max_in_flight": 0}, "max_in_flight"),
    ],
)
def test_what_can_not_be_submitted_is_refused(shell, worker, items, options, advice):
    with pytest.raises(UsageError, match=advice):
        shell.open(str(worker)).submit_many(items, **options)


def test_map_gives_results_in_the_order_of_workloads(shell, scripted):
    def script(peer):
        # Every pair is answered in the other order.
        for number in itertools.count(step=2):
            first, second = peer.expect(SUBMIT_JOB, SUBMIT_JOB)
            peer.send(JOB_CREATED, b"H:%d" % number)
            peer.send(JOB_CREATED, b"H:%d" % (number + 1))
            peer.send(WORK_COMPLETE, b"H:%d" % (number + 1), second.args[-1] * 2)
            peer.send(WORK_COMPLETE, b"H:%d" % number, first.args[-1] * 2)

    client = shell.open(str(scripted(script)))
    workloads = [b"%d" % number for number in range(10)]
    assert list(client.map("double", workloads, max_in_flight=2)) == [one * 2 for one in workloads]


def test_map_takes_workloads_as_room_allows(shell, worker):
    client = shell.open(str(worker))
    taken = []

    def workloads():
        for number in itertools.count():
            taken.append(number)
            yield str(number)

    results = client.map("reverse", workloads(), max_in_flight=10)
    for number in range(100):
        assert next(results) == bytes(reversed(b"%d" % number))
        assert len(taken) <= number + 11
    results.close()
    assert client.call("reverse", "ab") == b"ba"


def test_map_raises_in_the_place_of_the_missing_result(shell, scripted):
    def script(peer):
        for number in itertools.count():
            peer.expect(SUBMIT_JOB)
            peer.send(JOB_CREATED, b"H:%d" % number)
            peer.send(
                *([WORK_FAIL, b"H:2"] if number == 2 else [WORK_COMPLETE, b"H:%d" % number, b"ok"])
            )

    client = shell.open(str(scripted(script)))
    results = client.map("f", [b""] * 5)
    assert [next(results), next(results)] == [b"ok", b"ok"]
    with pytest.raises(JobFailed):
        next(results)


def test_map_of_nothing_is_nothing(shell, worker):
    client = shell.open(str(worker))
    assert list(client.map("f", [])) == []
    with pytest.raises(UsageError, match="max_in_flight"):
        list(client.map("f", [b""], max_in_flight=0))


def answer_backwards(count):
    """Return a script that ends jobs last in, first out."""

    def script(peer):
        packets = [peer.read() for _ in range(count)]
        for number in range(count):
            peer.send(JOB_CREATED, b"H:%d" % number)
        for number in reversed(range(count)):
            peer.send(WORK_COMPLETE, b"H:%d" % number, packets[number].args[-1])
        peer.wait_for_end()

    return script


def test_task_set_ends_in_any_order(shell, scripted):
    client = shell.open(str(scripted(answer_backwards(3))))
    tasks = client.task_set()
    for workload in (b"a", b"b", b"c"):
        tasks.add("f", workload)
    assert len(tasks) == 3
    assert [job.outcome() for job in tasks.as_completed(DEADLINE)] == [b"c", b"b", b"a"]
    assert tasks.results() == [b"a", b"b", b"c"]
    assert [job.handle for job in tasks.wait()] == [b"H:0", b"H:1", b"H:2"]


def test_jobs_of_ones_own_can_be_waited_for_together(shell, worker):
    client = shell.open(str(worker))
    jobs = [client.submit("f", workload) for workload in (b"a", b"b")]
    jobs[1].result(DEADLINE)
    assert {job.outcome() for job in client.as_completed(jobs, DEADLINE)} == {b"a", b"b"}


def test_task_set_that_does_not_end_in_time_raises(shell, scripted):
    client = shell.open(str(scripted(lambda peer: peer.wait_for_end())))
    tasks = client.task_set()
    tasks.add("f")
    with pytest.raises(JobTimeout):
        tasks.wait(0.05)


def test_task_set_keeps_errors_with_their_jobs(shell, scripted):
    def script(peer):
        peer.expect(SUBMIT_JOB, SUBMIT_JOB)
        peer.send(ERROR, b"QUEUE_ERROR", b"Job queue is full")
        peer.send(JOB_CREATED, b"H:1")
        peer.send(WORK_COMPLETE, b"H:1", b"ok")
        peer.wait_for_end()

    tasks = shell.open(str(scripted(script))).task_set()
    refused, job = tasks.add("f"), tasks.add("f")
    tasks.wait(DEADLINE)
    assert isinstance(refused.exception(), ServerError)
    assert job.result() == b"ok"
    with pytest.raises(ServerError):
        tasks.results()


def test_jobs_with_one_key_on_one_connection_each_get_the_result(shell, scripted):
    def script(peer):
        peer.expect(*[SUBMIT_JOB] * 3)
        for packet in [
            (JOB_CREATED, b"H:1"),
            (WORK_DATA, b"H:1", b"a"),
            (WORK_COMPLETE, b"H:1", b"z"),
        ]:
            for _ in range(3):
                peer.send(*packet)
        peer.wait_for_end()

    tasks = shell.open(str(scripted(script))).task_set()
    for _ in range(3):
        tasks.add("f", unique="u")
    assert tasks.results(DEADLINE) == [b"z"] * 3
    assert [job.data for job in tasks.wait()] == [[b"a"]] * 3


# Questions.


def test_echo_returns_what_it_was_given(shell, scripted):
    def script(peer):
        for _ in range(2):
            (packet,) = peer.expect(ECHO_REQ)
            peer.send(ECHO_RES, packet.args[0])
        peer.wait_for_end()

    client = shell.open(str(scripted(script)))
    assert client.echo(b"a\0b") == b"a\0b"
    assert client.echo() == b""
    with pytest.raises(JobTimeout):
        client.echo(timeout=0.05)


def know(handle, unique):
    """Return a script that knows one job."""

    def script(peer):
        while True:
            packet = peer.read()
            name = packet.args[0]
            if packet.type == SUBMIT_JOB_BG:
                peer.send(JOB_CREATED, handle)
            elif packet.type == GET_STATUS:
                found = [b"1", b"1", b"3", b"10"] if name == handle else [b"0"] * 4
                peer.send(STATUS_RES, name, *found)
            else:
                assert packet.type == GET_STATUS_UNIQUE
                found = [b"1", b"0", b"0", b"0", b"2"] if name == unique else [b"0"] * 5
                peer.send(STATUS_RES_UNIQUE, name, *found)

    return script


def test_status_by_what_was_submitted_by_handle_and_by_key(shell, scripted):
    client = shell.open(str(scripted(know(b"H:1", b"u"))))
    running = Status(True, True, 3, 10, None)
    handle = client.submit("f", background=True)
    assert client.status(handle) == running
    assert client.status(b"H:1") == client.status("H:1") == running
    assert running.progress == Progress(3, 10)
    assert client.status(unique="u") == Status(True, False, 0, 0, 2)
    assert client.status(b"H:2") == Status(False, False, 0, 0, None)
    assert not client.status(unique="v").known


def test_status_of_a_bare_handle_is_asked_of_every_server(shell, scripted):
    servers = [scripted(know(b"H:1", b"u")), scripted(know(b"H:2", b"v"))]
    client = shell.open([str(server) for server in servers])
    assert client.status("H:2").running
    assert client.status(unique="v").waiting == 2
    assert not client.status("H:3").known


def test_status_goes_to_the_server_that_the_handle_names(shell, scripted):
    stranger = scripted(know(b"H:1", b"u"))
    client = shell.open(str(scripted(know(b"H:2", b"v"))))
    assert client.status(JobHandle(str(stranger), b"H:1")).known
    assert not client.status(JobHandle(str(stranger), b"H:2")).known


def test_status_wants_one_thing_to_ask_for(shell, worker):
    client = shell.open(str(worker))
    with pytest.raises(UsageError, match="status takes"):
        client.status()
    with pytest.raises(UsageError, match="status takes"):
        client.status("H:1", unique="u")


def test_option_is_asked_for_and_may_be_refused(shell, scripted):
    def script(peer):
        peer.expect(ECHO_REQ)
        peer.send(ECHO_RES, b"")
        wanted = pack_request(OPTION_REQ, [b"wings"])
        assert peer.read_bytes(len(wanted)) == wanted
        peer.send(ERROR, b"UNKNOWN_OPTION", b"Server does not recognize given option")
        peer.wait_for_end()

    client = shell.open(str(scripted(script)), exceptions=False)
    client.echo()
    with pytest.raises(ServerError, match="UNKNOWN_OPTION"):
        client.option("wings")


def test_option_is_asked_for_again_on_each_connection(shell, scripted):
    wishes = []

    def script(peer):
        wanted = pack_request(OPTION_REQ, [b"exceptions"])
        wishes.append(peer.read_bytes(len(wanted)))
        peer.send(27, b"exceptions")
        if peer.number == 0:
            peer.expect(ECHO_REQ)
            peer.reset()
        else:
            work_at_once(peer)

    client = shell.open(str(scripted(script)), exceptions=False)
    client.option("exceptions")
    with pytest.raises(ConnectionLost):
        client.echo()
    client.echo()
    assert wishes == [pack_request(OPTION_REQ, [b"exceptions"])] * 2


# The end.


def test_jobs_under_way_are_lost_when_the_client_is_closed(shell, scripted):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send(JOB_CREATED, b"H:1")
        peer.wait_for_end()

    client = shell.open(str(scripted(script)))
    job = client.submit("f", unique="u")
    client.close()
    client.close()
    with pytest.raises(ConnectionLost) as caught:
        job.result()
    assert str(caught.value.__cause__) == "the client was closed"
    for use in (client.submit, client.call):
        with pytest.raises(UsageError, match="the client is closed"):
            use("f")
    with pytest.raises(UsageError, match="the client is closed"):
        client.echo()


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"placement": "nearest"}, "placement"),
        ({"resend": "always"}, "resend"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"answer_timeout": 0}, "answer_timeout"),
        ({"patience": -1}, "patience"),
    ],
)
def test_setting_that_makes_no_sense_is_refused(shell, settings, advice):
    with pytest.raises(UsageError, match=advice):
        shell.open("127.0.0.1", **settings)
