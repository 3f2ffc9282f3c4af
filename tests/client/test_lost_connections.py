"""Both clients when servers are gone, go away, hang, or talk nonsense."""

from __future__ import annotations

import threading
import time

import pytest

from geartrain.client.placement import hash_of_key
from geartrain.errors import (
    BadMagic,
    ConnectionFailed,
    ConnectionLost,
    JobTimeout,
    PartlySubmitted,
    SubmissionUncertain,
)
from geartrain.wire.packet import (
    ECHO_REQ,
    JOB_CREATED,
    OPTION_RES,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    WORK_COMPLETE,
    WORK_DATA,
)
from geartrain.wire.writer import pack_request, pack_response
from tests.client.real_servers import free_port
from tests.client.scripted_server import DEADLINE, work_at_once

# More than two sockets' buffers hold.
HUGE = bytes(32 * 1024 * 1024)


def dead():
    """Return the address of a port where nobody listens."""
    return f"127.0.0.1:{free_port()}"


class Counting:
    """A script that works at once, and keeps what was submitted."""

    def __init__(self):
        self.submitted = []

    def __call__(self, peer):
        while True:
            packet = peer.read()
            self.submitted.append(packet.args[-1])
            handle = b"H:counting:%d" % len(self.submitted)
            peer.send(JOB_CREATED, handle)
            if packet.type == SUBMIT_JOB:
                peer.send(WORK_COMPLETE, handle, packet.args[-1])


@pytest.fixture
def second(scripted):
    """A good server, to be the second in line; its script counts."""
    counting = Counting()
    server = scripted(counting)
    server.counting = counting
    return server


# Servers that can't be reached.


def test_the_next_server_is_used_where_the_first_can_not_be_reached(shell, second):
    client = shell.open([dead(), dead(), str(second)])
    assert client.call("f", "w") == b"w"
    assert client.submit("f", "w", background=True).server == str(second)


def test_the_second_server_is_kept_until_it_fails(shell, scripted):
    first = scripted(work_at_once)
    port = first.address.port
    first.stop()
    second = scripted(work_at_once)
    client = shell.open([str(first), str(second)])
    assert client.submit("f", background=True).server == str(second)
    first = scripted(work_at_once, port)
    assert client.submit("f", background=True).server == str(second)
    second.stop()
    assert client.submit("f", background=True).server == str(first)


def test_no_server_at_all_is_an_error_with_the_reason_of_each(shell):
    servers = [dead(), dead()]
    client = shell.open(servers, patience=0)
    for use in (client.submit, client.call, client.echo):
        with pytest.raises(ConnectionFailed) as caught:
            use("f")
        assert caught.value.failures == dict.fromkeys(servers, "connection refused")
    with pytest.raises(PartlySubmitted) as partly:
        client.submit_many([("f", b"")] * 3)
    assert {type(result) for result in partly.value.results} == {ConnectionFailed}


def test_a_name_nobody_knows_is_an_error(shell):
    client = shell.open("no-such-host.invalid", patience=0)
    with pytest.raises(ConnectionFailed, match=r"no-such-host\.invalid:4730"):
        client.submit("f")


def test_patience_bridges_a_restart(shell, scripted):
    address = dead()
    client = shell.open(address, patience=DEADLINE)
    timer = threading.Timer(0.3, lambda: scripted(work_at_once, int(address.rpartition(":")[2])))
    timer.start()
    try:
        assert client.call("f", "ab") == b"ba"
    finally:
        timer.join()


def test_patience_ends(shell):
    client = shell.open(dead(), patience=0.3)
    for use in (client.submit, client.echo):
        started = time.monotonic()
        with pytest.raises(ConnectionFailed):
            use("f")
        assert 0.1 < time.monotonic() - started < 3


def test_a_timeout_ends_the_wait_for_a_server(shell):
    client = shell.open(dead(), patience=DEADLINE)
    started = time.monotonic()
    for use in (client.call, client.submit, client.echo):
        with pytest.raises(JobTimeout):
            use("f", timeout=0.1)
    assert time.monotonic() - started < 3


def test_calls_with_little_time_get_past_a_server_that_does_not_answer(
    shell, full_listener, second
):
    client = shell.open([str(full_listener), str(second)], connect_timeout=0.5)
    outcomes = []
    for _ in range(4):
        try:
            outcomes.append(client.call("f", "w", timeout=0.3))
        except JobTimeout:
            outcomes.append(None)
    assert outcomes[2:] == [b"w", b"w"]


# Servers that go away.


def test_an_idle_connection_that_was_closed_costs_no_submission(shell, scripted):
    counting = Counting()
    closed = threading.Event()

    def script(peer):
        if peer.number == 0:
            peer.expect(SUBMIT_JOB)
            peer.send(JOB_CREATED, b"H:1")
            peer.send(WORK_COMPLETE, b"H:1", b"first")
            peer.close()
            closed.set()
        else:
            counting(peer)

    client = shell.open(str(scripted(script)))
    assert client.call("f", "a") == b"first"
    assert closed.wait(DEADLINE)
    # No key, and yet no doubt: the client saw that the server had gone before it sent.
    assert client.call("f", "b") == b"b"
    assert counting.submitted == [b"b"]


def cut_after(data, end):
    """Return a script that sends some bytes of an exchange once it has a submission, and ends."""

    def script(peer):
        peer.read_bytes(len(pack_request(26, [b"exceptions"])))
        peer.expect(SUBMIT_JOB)
        peer.send_bytes(data)
        getattr(peer, end)()

    return script


EXCHANGE = [
    pack_response(OPTION_RES, [b"exceptions"]),
    pack_response(JOB_CREATED, [b"H:1"]),
    pack_response(WORK_DATA, [b"H:1", b"half"]),
    pack_response(WORK_COMPLETE, [b"H:1", b"whole"]),
]
STREAM = b"".join(EXCHANGE)
CREATED = len(EXCHANGE[0] + EXCHANGE[1])


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("length", range(len(STREAM) + 1))
def test_a_cut_at_any_byte_of_an_exchange_is_told_as_what_it_is(shell, scripted, length, end):
    client = shell.open([str(scripted(cut_after(STREAM[:length], end))), dead()])
    if length == len(STREAM):
        assert client.call("f", "w", timeout=DEADLINE) == b"whole"
        return
    with pytest.raises(ConnectionLost) as caught:
        client.call("f", "w", timeout=DEADLINE)
    # A reset may overtake the bytes before it.
    uncertain = length < CREATED or (end == "reset" and type(caught.value) is not ConnectionLost)
    assert type(caught.value) is (SubmissionUncertain if uncertain else ConnectionLost)


@pytest.mark.parametrize("length", range(len(STREAM)))
def test_a_cut_at_any_byte_is_mended_by_the_next_server_where_there_is_a_key(
    shell, scripted, second, length
):
    first = scripted(cut_after(STREAM[:length], "close"))
    client = shell.open([str(first), str(second)])
    job = client.submit("f", "w", unique="u", timeout=DEADLINE)
    assert job.result(DEADLINE) == b"w"
    assert second.counting.submitted == [b"w"]
    assert job.address == str(second)


def test_a_submission_cut_off_before_its_answer_is_uncertain(shell, scripted, second):
    def script(peer):
        peer.expect(SUBMIT_JOB_BG)

    first = scripted(script)
    client = shell.open([str(first), str(second)])
    with pytest.raises(SubmissionUncertain, match="give it a unique key") as caught:
        client.submit("f", background=True)
    assert (caught.value.address, caught.value.function) == (str(first), b"f")
    assert second.counting.submitted == []


@pytest.mark.parametrize(
    ("resend", "unique", "workload"),
    [("never", "u", b"w"), ("if_unique", None, b"w"), ("if_unique", "-", b"")],
)
def test_nothing_is_sent_twice_without_leave_and_key(
    shell, scripted, second, resend, unique, workload
):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        if workload:
            peer.send(JOB_CREATED, b"H:1")

    client = shell.open([str(scripted(script)), str(second)], resend=resend)
    with pytest.raises(ConnectionLost):
        client.call("f", workload, unique=unique)
    assert second.counting.submitted == []


def test_a_workload_that_is_the_key_makes_sending_again_safe(shell, scripted, second):
    client = shell.open([str(scripted(lambda peer: peer.expect(SUBMIT_JOB))), str(second)])
    assert client.call("f", "w", unique="-") == b"w"


def test_what_had_not_left_goes_to_the_next_server_without_a_key(shell, scripted, second):
    def script(peer):
        # Some of it, so that the connection is known to work.
        peer.read_bytes(1000)
        peer.reset()

    client = shell.open([str(scripted(script)), str(second)])
    assert client.call("f", HUGE, timeout=DEADLINE) == HUGE
    assert second.counting.submitted == [HUGE]


def test_many_submissions_with_keys_survive_the_loss_of_their_server(shell, scripted, second):
    def script(peer):
        for number in range(5):
            peer.expect(SUBMIT_JOB_BG)
            peer.send(JOB_CREATED, b"H:%d" % number)

    first = scripted(script)
    client = shell.open([str(first), str(second)])
    submissions = [("f", b"%d" % number, b"key-%d" % number) for number in range(50)]
    handles = client.submit_many(submissions, background=True, max_in_flight=20)
    assert [handle.server for handle in handles] == [str(first)] * 5 + [str(second)] * 45
    assert sorted(second.counting.submitted, key=int) == [b"%d" % n for n in range(5, 50)]


def test_many_submissions_without_keys_tell_which_are_uncertain(shell, scripted):
    def script(peer):
        for number in range(5):
            peer.expect(SUBMIT_JOB_BG)
            peer.send(JOB_CREATED, b"H:%d" % number)
        while len(peer.packets) < 3:
            peer.packets.append(peer.read())

    client = shell.open(str(scripted(script)), patience=0)
    with pytest.raises(PartlySubmitted) as caught:
        client.submit_many([("f", b"")] * 50, background=True, max_in_flight=20)
    results = caught.value.results
    assert [result.handle for result in results[:5]] == [b"H:%d" % number for number in range(5)]
    assert {type(result) for result in results[5:]} == {SubmissionUncertain}


def test_a_job_that_is_run_anew_says_so(shell, scripted, second):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send(JOB_CREATED, b"H:1")
        peer.send(WORK_DATA, b"H:1", b"half")

    client = shell.open([str(scripted(script)), str(second)])
    events = list(client.submit("f", "w", unique="u").events(DEADLINE))
    assert [event.kind for event in events] == ["data", "restarted", "completed"]


def test_a_job_that_ends_its_server_each_time_is_given_up(shell, scripted):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send(JOB_CREATED, b"H:1")

    server = scripted(script)
    client = shell.open(str(server))
    with pytest.raises(ConnectionLost):
        client.call("f", unique="u", timeout=DEADLINE)
    assert len(server.peers) == 6


def test_a_server_that_never_accepts_is_given_up(shell, scripted):
    server = scripted(lambda peer: peer.expect(SUBMIT_JOB_BG))
    client = shell.open(str(server), patience=0.3)
    with pytest.raises(SubmissionUncertain):
        client.submit("f", unique="u", background=True, timeout=DEADLINE)
    assert 2 <= len(server.peers) <= 6


def test_a_server_that_closes_at_once_is_an_error(shell, scripted):
    client = shell.open(str(scripted(lambda peer: None)), patience=0.2)
    with pytest.raises((ConnectionFailed, ConnectionLost)):
        client.call("f", unique="u", timeout=DEADLINE)


def test_a_question_that_is_cut_off_is_lost(shell, scripted):
    client = shell.open(str(scripted(lambda peer: peer.expect(ECHO_REQ))))
    with pytest.raises(ConnectionLost):
        client.echo()


# Servers that hang, or talk nonsense.


def test_a_server_that_hangs_is_left_for_the_next(shell, scripted, second):
    first = scripted(lambda peer: peer.wait_for_end())
    client = shell.open([str(first), str(second)], answer_timeout=0.2)
    assert client.call("f", "w", unique="u", timeout=DEADLINE) == b"w"
    client = shell.open(str(first), answer_timeout=0.2)
    with pytest.raises(SubmissionUncertain) as caught:
        client.submit("f", timeout=DEADLINE)
    assert str(caught.value.__cause__) == "no answer for 0.2 s"
    with pytest.raises(ConnectionLost):
        client.echo()


def test_a_server_that_answers_slowly_is_waited_for(shell, scripted):
    def script(peer):
        for byte in pack_response(JOB_CREATED, [b"H:1"]):
            if not peer.packets:
                peer.packets.append(peer.read())
            time.sleep(0.03)
            peer.send_bytes(bytes([byte]))
        # A running job may be silent for as long as it likes.
        time.sleep(0.5)
        peer.send(WORK_COMPLETE, b"H:1", b"done")
        peer.wait_for_end()

    client = shell.open(str(scripted(script)), answer_timeout=0.3)
    assert client.call("f", timeout=DEADLINE) == b"done"


NONSENSE = [
    b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n",
    b"\0REQ\0\0\0\x08\0\0\0\x01H",
    b"\0RES\0\0\0\x2b\0\0\0\0",
    b"\0RES\0\0\0\x08\xff\xff\xff\xff",
    b"\0RES\0\0\0\x0c\0\0\0\x01H",
    pack_response(WORK_COMPLETE, [b"H:1", b""]) + pack_response(17, [b"echo nobody asked for"]),
    bytes(1000),
    b"\xff" * 70_000,
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=range(len(NONSENSE)))
def test_a_server_that_talks_nonsense_is_left_for_the_next(shell, scripted, second, nonsense):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send_bytes(nonsense)
        peer.wait_for_end()

    first = scripted(script)
    client = shell.open([str(first), str(second)])
    assert client.call("f", "w", unique="u", timeout=DEADLINE) == b"w"
    client = shell.open(str(first))
    with pytest.raises(SubmissionUncertain) as caught:
        client.call("f", "w", timeout=DEADLINE)
    assert caught.value.__cause__ is not None


def test_a_web_server_is_recognised(shell, scripted):
    def script(peer):
        peer.expect(SUBMIT_JOB)
        peer.send_bytes(NONSENSE[0])

    client = shell.open(str(scripted(script)))
    with pytest.raises(SubmissionUncertain) as caught:
        client.call("f", "w", timeout=DEADLINE)
    assert isinstance(caught.value.__cause__, BadMagic)
    assert "b'HTTP'" in str(caught.value.__cause__)


# Placement.


def test_hash_sends_each_key_to_its_server_or_the_one_after(shell, scripted):
    countings = [Counting() for _ in range(3)]
    servers = [scripted(counting) for counting in countings]
    client = shell.open([str(server) for server in servers], placement="hash")
    keys = [b"key-%d" % number for number in range(20)]
    wanted = {key: hash_of_key(key, b"") % 3 for key in keys}
    client.submit_many([("f", key, key) for key in keys], background=True)
    for number, counting in enumerate(countings):
        assert sorted(counting.submitted) == sorted(k for k in keys if wanted[k] == number)
    servers[1].stop()
    handles = client.submit_many([("f", key, key) for key in keys], background=True)
    assert [handle.server for handle in handles] == [
        str(servers[2 if wanted[key] == 1 else wanted[key]]) for key in keys
    ]


def test_random_spreads_clients_and_keeps_each_where_it_is(shell, scripted):
    servers = [str(scripted(work_at_once)) for _ in range(2)]
    seen = set()
    for _ in range(30):
        client = shell.open(servers, placement="random")
        used = {client.submit("f", background=True).server for _ in range(3)}
        assert len(used) == 1
        seen |= used
    # Once in a thousand million times all go to one.
    assert seen == set(servers)


def test_jobs_on_several_servers_are_waited_for_together(shell, scripted):
    servers = [str(scripted(work_at_once)) for _ in range(3)]
    client = shell.open(servers, placement="hash")
    tasks = client.task_set()
    for number in range(30):
        tasks.add("f", b"%d" % number, unique=b"key-%d" % number)
    assert tasks.results(DEADLINE) == [bytes(reversed(b"%d" % number)) for number in range(30)]
    assert {job.address for job in tasks.wait()} == set(servers)


def test_servers_may_be_unix_sockets(shell, scripted, tmp_path):
    server = scripted(work_at_once, path=str(tmp_path / "gearman.sock"))
    client = shell.open(str(server))
    assert client.call("f", "ab") == b"ba"
    assert client.submit("f", background=True).server == f"unix:{tmp_path}/gearman.sock"
