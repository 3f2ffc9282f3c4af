"""The client of python-gearman's kind when servers are gone, go away, or hang."""

from __future__ import annotations

import time

import pytest

from geartrain.client.settings import PATIENCE
from geartrain.compat import gearman
from geartrain.compat.gearman import errors
from geartrain.compat.gearman.job import GearmanJob, GearmanJobRequest
from geartrain.errors import UsageError
from geartrain.wire.packet import (
    ERROR,
    GET_STATUS,
    JOB_CREATED,
    STATUS_RES,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_FAIL,
    WORK_STATUS,
)
from tests.client.real_servers import free_port
from tests.client.scripted_server import work_at_once


def client_of(*servers):
    return gearman.GearmanClient([str(server.address) for server in servers])


def test_a_server_that_is_not_there_is_unavailable_at_once():
    client = gearman.GearmanClient([("127.0.0.1", free_port())])
    began = time.monotonic()
    with pytest.raises(errors.ServerUnavailable, match="Found no valid connections: "):
        client.submit_job("f", "")
    # Not even as long as the client's own patience with servers.
    assert time.monotonic() - began < PATIENCE
    client.shutdown()


def test_of_two_servers_the_one_that_is_there_is_taken(scripted):
    server = scripted(work_at_once)
    dead = ("127.0.0.1", free_port())
    for hosts in ([dead, str(server.address)], [str(server.address), dead]):
        client = gearman.GearmanClient(hosts)
        request = client.submit_job("f", "x")
        assert request.state == gearman.JOB_COMPLETE
        assert request.job.connection.connected
        assert request.job.connection.get_address() == ("127.0.0.1", server.address.port)
        client.shutdown()
        assert not request.job.connection.connected


def cut_off_at_first(peer):
    """End the first connection before the job is accepted, and work on the others."""
    if peer.number == 0:
        peer.expect(SUBMIT_JOB)
        return
    work_at_once(peer)


def test_a_submission_that_was_cut_off_is_not_sent_again_by_itself(scripted):
    client = client_of(scripted(cut_off_at_first))
    with pytest.raises(errors.ExceededConnectionAttempts, match=r"Exceeded 1 connection attempt"):
        client.submit_job("f", "x")
    client.shutdown()


def test_a_submission_that_was_cut_off_is_sent_again_as_often_as_allowed(scripted):
    client = client_of(scripted(cut_off_at_first))
    request = client.submit_job("f", "x", max_retries=1)
    assert (request.state, request.connection_attempts) == (gearman.JOB_COMPLETE, 2)
    assert request.max_connection_attempts == 2
    client.shutdown()


def lose_running_job_at_first(peer):
    if peer.number == 0:
        peer.expect(SUBMIT_JOB)
        peer.send(JOB_CREATED, b"H:1")
        return
    work_at_once(peer)


def test_a_job_whose_connection_was_lost_is_unknown_and_can_be_submitted_again(scripted):
    client = client_of(scripted(lose_running_job_at_first))
    request = client.submit_job("f", "x", max_retries=3)
    assert (request.state, request.complete, request.timed_out) == ("UNKNOWN", False, False)
    assert request.connection_attempts == 1
    requests = {request}
    assert client.submit_multiple_requests(requests, poll_timeout=5.0) is requests
    assert request.state == gearman.JOB_COMPLETE
    client.shutdown()


def never_answer(peer):
    peer.wait_for_end()


def test_a_server_that_does_not_answer_leaves_the_job_pending(scripted):
    client = client_of(scripted(never_answer))
    request = client.submit_job("f", "x", poll_timeout=0.1)
    assert (request.state, request.timed_out) == (gearman.JOB_PENDING, True)
    client.shutdown()


def refuse(peer):
    peer.expect(SUBMIT_JOB)
    peer.send(ERROR, b"QUEUE_ERROR", b"Job queue is full")
    work_at_once(peer)


def test_a_job_that_the_server_refuses_fails_with_the_reason(scripted):
    client = client_of(scripted(refuse))
    request = client.submit_job("f", "x")
    assert (request.state, request.complete) == (gearman.JOB_FAILED, True)
    assert request.exception == "QUEUE_ERROR: Job queue is full"
    assert client.submit_job("f", "x").state == gearman.JOB_COMPLETE
    client.shutdown()


def test_submitting_after_the_shutdown_is_an_error(scripted):
    client = client_of(scripted(work_at_once))
    client.submit_job("f", "x")
    client.shutdown()
    with pytest.raises(errors.ServerUnavailable, match="was shut down"):
        client.submit_job("f", "x")


def test_servers_are_added_before_the_first_job(scripted):
    client = client_of(scripted(work_at_once))
    client.submit_job("f", "x")
    with pytest.raises(errors.InvalidClientState, match="before the first job"):
        client.add_connection("b:2")
    client.shutdown()


def note_keys(keys):
    def script(peer):
        while True:
            packet = peer.read()
            keys.append((packet.type, packet.args[1]))
            peer.send(JOB_CREATED, b"H:%d" % len(keys))

    return script


def test_jobs_without_a_key_get_one_by_chance_and_a_dash_is_left_to_the_server(scripted):
    keys = []
    client = client_of(scripted(note_keys(keys)))
    for unique in (None, "", "mine", b"mine", "-"):
        client.submit_job("f", "x", unique=unique, background=True)
    client.shutdown()
    assert {kind for kind, _ in keys} == {SUBMIT_JOB_BG}
    chance, another, *given = [key for _, key in keys]
    assert len(chance) == len(another) == 32
    assert chance != another
    assert given == [b"mine", b"mine", b"-"]


def test_an_unknown_priority_is_refused(scripted):
    client = client_of(scripted(work_at_once))
    with pytest.raises(UsageError, match=r"'urgent' is unknown; take gearman.PRIORITY_NONE"):
        client.submit_job("f", "x", priority="urgent")
    client.shutdown()


def work_in_steps(peer):
    peer.expect(SUBMIT_JOB)
    peer.send(JOB_CREATED, b"H:1")
    peer.send(WORK_DATA, b"H:1", b"part")
    peer.send(WORK_STATUS, b"H:1", b"1", b"2")
    peer.expect(GET_STATUS)
    peer.send(STATUS_RES, b"H:1", b"1", b"1", b"7", b"8")
    peer.send(WORK_COMPLETE, b"H:1", b"whole")
    peer.wait_for_end()


def test_polling_takes_in_what_comes_until_the_callback_says_no(scripted):
    client = client_of(scripted(work_in_steps))
    request = client.submit_job("f", "x", wait_until_complete=False)
    seen = []

    def callback(any_activity):
        seen.append(any_activity)
        return not request.status

    assert not client.poll_connections_until_stopped(client.connection_list, callback, 5.0)
    assert seen[0] is False
    assert all(seen[1:])
    assert list(request.data_updates) == [b"part"]
    assert request.status["numerator"] == 1
    client.get_job_status(request)
    assert (request.status["numerator"], request.status["running"]) == (7, True)
    client.wait_until_jobs_completed([request])
    assert (request.state, request.result) == (gearman.JOB_COMPLETE, b"whole")
    assert client.poll_connections_until_stopped([], lambda any_activity: True, 0.05)
    client.shutdown()


def answer_status_late(peer):
    peer.expect(GET_STATUS)
    peer.send(STATUS_RES, b"H:9", b"0", b"0", b"0", b"0")
    peer.wait_for_end()


def test_a_status_that_came_too_late_is_taken_in_by_waiting_on(scripted):
    server = scripted(answer_status_late)
    client = client_of(server)
    request = GearmanJobRequest(GearmanJob(client.connection_list[0], "H:9", None, None, None))
    client.get_job_status(request, poll_timeout=0.0)
    assert request.timed_out
    client.get_job_status(request, poll_timeout=5.0)
    assert not request.timed_out
    assert request.status["known"] is False
    client.shutdown()


def test_the_status_of_what_was_never_accepted_can_not_be_asked(scripted):
    client = client_of(scripted(never_answer))
    request = GearmanJobRequest(GearmanJob(None, None, "f", "u", ""))
    with pytest.raises(errors.InvalidClientState, match="no handle"):
        client.get_job_status(request)
    client.shutdown()


def fail_second(peer):
    for number, kind in enumerate((WORK_COMPLETE, WORK_FAIL)):
        peer.expect(SUBMIT_JOB)
        handle = b"H:%d" % number
        peer.send(JOB_CREATED, handle)
        peer.send(kind, *([handle, b"r"] if kind == WORK_COMPLETE else [handle]))
    peer.wait_for_end()


def test_an_old_client_calls_back_and_raises_what_failed(scripted):
    client = client_of(scripted(fail_second))
    said = []
    hooks = {"on_complete": said.append, "on_fail": lambda: said.append("failed")}
    assert client.do_task(gearman.Task("f", "x", **hooks)) == b"r"
    with pytest.raises(client.TaskFailed, match="Task f failed"):
        client.do_task(gearman.Task("f", "x", **hooks))
    assert said == [b"r", "failed"]
    client.shutdown()


def test_a_thousand_jobs_are_submitted_and_waited_for_together(scripted):
    client = client_of(scripted(work_at_once))
    jobs = [{"task": "f", "data": str(number)} for number in range(1000)]
    requests = client.submit_multiple_jobs(jobs, poll_timeout=10.0)
    assert {request.state for request in requests} == {gearman.JOB_COMPLETE}
    assert [request.job.data for request in requests] == [job["data"].encode() for job in jobs]
    client.shutdown()
