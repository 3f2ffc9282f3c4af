"""The administration clients: replies as they stand on the wire, and both clients against them."""

from __future__ import annotations

import pytest

from geartrain.client import admin_replies as replies
from geartrain.client.admin_replies import (
    ClusterMember,
    ConnectedPeer,
    Conversation,
    FunctionStatus,
    ListedJob,
    PriorityStatus,
)
from geartrain.client.reports import JobHandle
from geartrain.errors import (
    ConnectionFailed,
    ConnectionLost,
    LineTooLong,
    ProtocolError,
    ServerError,
    UsageError,
)
from tests.client.real_servers import free_port


def read(command, reply):
    conversation = Conversation()
    conversation.start()
    assert conversation.receive_data(reply, command)
    return conversation.result(command)


@pytest.mark.parametrize(
    ("command", "line", "reply", "value"),
    [
        (
            replies.STATUS,
            b"status\r\n",
            b"resize\t5\t2\t3\na b\t0\t0\t0\n.\n",
            [FunctionStatus("resize", 5, 2, 3), FunctionStatus("a b", 0, 0, 0)],
        ),
        (replies.STATUS, b"status\r\n", b".\n", []),
        (
            replies.PRIORITY_STATUS,
            b"prioritystatus\r\n",
            b"resize\t1\t2\t3\t4\n.\n",
            [PriorityStatus("resize", 1, 2, 3, 4)],
        ),
        (
            replies.WORKERS,
            b"workers\r\n",
            b"38 127.0.0.1 - :\n39 ::1 my worker : f2 f1\n40 10.0.0.1 a:b : f\n.\n",
            [
                ConnectedPeer(38, "127.0.0.1", "-", []),
                ConnectedPeer(39, "::1", "my worker", ["f2", "f1"]),
                ConnectedPeer(40, "10.0.0.1", "a:b", ["f"]),
            ],
        ),
        (
            replies.SHOW_JOBS,
            b"show jobs\r\n",
            b"H:x:1\t2\t0\t1\nH:x:2\t0\t1\t0\n.\n",
            [ListedJob("H:x:1", 2, False, True), ListedJob("H:x:2", 0, True, False)],
        ),
        (
            replies.CLUSTER,
            b"cluster\r\n",
            b"a\ta:4730\t3\there\t2.9\t7\nb\t-\t4\tthere\t-0.5\t0\n.\n",
            [
                ClusterMember("a", "a:4730", 3, True, 2.9, 7),
                ClusterMember("b", "-", 4, False, -0.5, 0),
            ],
        ),
        (replies.SHOW_UNIQUE_JOBS, b"show unique jobs\r\n", b"photo\n\n.\n", ["photo", ""]),
        (replies.VERSION, b"version\r\n", b"OK 1.1.20+ds\n", "1.1.20+ds"),
        (replies.VERSION, b"version\r\n", b"0.14\n", "0.14"),
        (replies.GETPID, b"getpid\r\n", b"OK 4711\n", 4711),
        (replies.VERBOSE, b"verbose\r\n", b"OK INFO\n", "INFO"),
        (replies.cancel_job("H:x:1"), b"cancel job H:x:1\r\n", b"OK\r\n", None),
        (replies.cancel_job(JobHandle("s", b"H:1")), b"cancel job H:1\r\n", b"OK\r\n", None),
        (replies.create_function(b"f"), b"create function f\r\n", b"OK\r\n", None),
        (replies.drop_function("f"), b"drop function f\r\n", b"OK\r\n", None),
        (replies.maxqueue("f"), b"maxqueue f\r\n", b"OK\r\n", None),
        (replies.maxqueue("f", 5), b"maxqueue f 5\r\n", b"OK\r\n", None),
        (replies.maxqueue("f", (1, 2, 3)), b"maxqueue f 1 2 3\r\n", b"OK\r\n", None),
        (replies.shutdown(False), b"shutdown\r\n", b"OK\r\n", None),
        (replies.shutdown(True), b"shutdown graceful\r\n", b"OK\r\n", None),
    ],
)
def test_commands_and_replies_as_they_stand_on_the_wire(command, line, reply, value):
    assert command.request() == line
    assert read(command, reply) == value


def test_waiting_jobs_are_those_not_running():
    assert FunctionStatus("f", 5, 2, 3).waiting == 3


def test_a_reply_may_come_in_any_pieces():
    reply = b"resize\t5\t2\t3\nreverse\t0\t0\t1\n.\n"
    conversation = Conversation()
    for length in range(1, len(reply)):
        assert not conversation.receive_data(reply[length - 1 : length], replies.STATUS)
    assert conversation.receive_data(reply[-1:], replies.STATUS)
    assert len(conversation.result(replies.STATUS)) == 2


def test_names_that_are_no_text_come_back_as_they_went():
    (row,) = read(replies.STATUS, b"caf\xe9\t0\t0\t0\n.\n")
    assert replies.drop_function(row.function).request() == b"drop function caf\xe9\r\n"


@pytest.mark.parametrize(
    ("reply", "code", "text"),
    [
        (b"ERR UNKNOWN_JOB\r\n", "UNKNOWN_JOB", ""),
        (
            b"ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments\r\n",
            "INVALID_ARGUMENTS",
            "An incomplete set of arguments",
        ),
        (b"ERR function not found\r\n", "ERR", "function not found"),
    ],
)
def test_an_error_is_raised_with_its_code(reply, code, text):
    for command in (replies.cancel_job("H:1"), replies.STATUS):
        with pytest.raises(ServerError) as caught:
            read(command, reply)
        assert (caught.value.code, caught.value.text) == (code, text)


def test_a_function_may_be_called_like_an_error():
    assert read(replies.STATUS, b"ERR f\t0\t0\t0\n.\n") == [FunctionStatus("ERR f", 0, 0, 0)]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (replies.STATUS, b"resize\t5\n.\n"),
        (replies.STATUS, b"resize\ta\tb\tc\n.\n"),
        (replies.WORKERS, b"38 127.0.0.1 -\n.\n"),
        (replies.GETPID, b"OK soon\n"),
        (replies.cancel_job("H:1"), b"<html>\n"),
        (replies.VERSION, b"\0RES\0\0\0\x11\0\0\0\0"),
    ],
)
def test_a_reply_that_makes_no_sense_is_a_protocol_error(command, reply):
    with pytest.raises(ProtocolError):
        read(command, reply)


@pytest.mark.parametrize("name", ["", "two words", "line\n", "tab\t", b"nul\0", "del\x7f"])
def test_what_is_not_one_word_can_not_be_named(name):
    for make in (replies.cancel_job, replies.create_function, replies.drop_function):
        with pytest.raises(UsageError, match="not one word"):
            make(name)


@pytest.mark.parametrize("limit", [-1, True, 1.5, (1, 2), (1, 2, -3), (1, 2, 3, 4), "5"])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(UsageError):
        replies.maxqueue("f", limit)


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(replies, "_LONGEST_LINE", 1000)
    conversation = Conversation()
    assert conversation.receive_data(b"x" * 1000, replies.STATUS)
    with pytest.raises(LineTooLong):
        conversation.result(replies.STATUS)


# Both clients.


def say(*answers):
    """Return a script that answers commands one by one, and closes."""

    def script(peer):
        for answer in answers:
            line = b""
            while not line.endswith(b"\n"):
                line += peer.read_bytes(1)
            peer.send_bytes(answer)

    return script


def test_one_connection_serves_all_commands(shell, scripted):
    server = scripted(say(b"OK 1.0\n", b"f\t1\t0\t0\n.\n", b"ERR UNKNOWN_JOB\r\n", b"OK 7\n"))
    admin = shell.open_admin(str(server))
    assert admin.version() == "1.0"
    assert admin.status() == [FunctionStatus("f", 1, 0, 0)]
    with pytest.raises(ServerError, match="UNKNOWN_JOB"):
        admin.cancel_job("H:1")
    assert admin.getpid() == 7
    assert len(server.peers) == 1


def test_a_server_that_was_restarted_is_connected_anew(shell, scripted):
    server = scripted(say(b"OK 1.0\n"))
    admin = shell.open_admin(str(server))
    for number in range(3):
        assert admin.version() == "1.0"
        # It closes after each reply; the next command notices before it is sent.
        server.threads[number + 1].join()


def test_a_reply_cut_off_is_a_lost_connection(shell, scripted):
    admin = shell.open_admin(str(scripted(say(b"f\t1\t0\t0\n"))))
    with pytest.raises(ConnectionLost):
        admin.status()


def test_a_reply_that_does_not_come_is_not_taken_for_the_next(shell, scripted):
    def script(peer):
        if peer.number == 0:
            peer.wait_for_end()
        say(b"OK 1.0\n")(peer)

    admin = shell.open_admin(str(scripted(script)), timeout=0.1)
    with pytest.raises(ConnectionLost, match="gave no reply to b'getpid': timed out"):
        admin.getpid()
    assert admin.version() == "1.0"


def test_a_server_that_can_not_be_reached_is_an_error(shell):
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionFailed) as caught:
        shell.open_admin(address).status()
    assert caught.value.failures == {address: "connection refused"}


def test_a_server_that_ends_instead_of_answering_has_been_shut_down(shell, scripted):
    def script(peer):
        peer.read_bytes(len(b"shutdown\r\n"))

    shell.open_admin(str(scripted(script))).shutdown()


# Real servers.


def test_a_real_server_is_administered(shell, job_server):
    admin = shell.open_admin(str(job_server))
    client = shell.open(str(job_server))
    assert admin.getpid() == job_server.process.pid
    assert admin.version()
    assert admin.verbose().isupper()
    name = f"administered-{type(shell).__name__}"
    handle = client.submit(name, b"w", unique=b"key-" + name.encode(), background=True)
    client.submit(name, b"w", background=True, priority="high")
    assert FunctionStatus(name, 2, 0, 0) in admin.status()
    assert PriorityStatus(name, 1, 1, 0, 0) in admin.priority_status()
    assert handle.handle.decode() in [job.handle for job in admin.show_jobs()]
    assert f"key-{name}" in admin.show_unique_jobs()
    assert "127.0.0.1" in {peer.address for peer in admin.workers()}
    admin.cancel_job(handle)
    with pytest.raises(ServerError, match="UNKNOWN_JOB"):
        admin.cancel_job("H:no-such-job:1")


def test_functions_are_made_limited_and_dropped(shell, job_server):
    admin = shell.open_admin(str(job_server))
    client = shell.open(str(job_server))
    name = f"made-{type(shell).__name__}"
    admin.create_function(name)
    assert name in [row.function for row in admin.status()]
    admin.maxqueue(name, 1)
    client.submit(name, background=True)
    with pytest.raises(ServerError) as caught:
        client.submit(name, background=True)
    assert caught.value.code == "QUEUE_ERROR"
    admin.maxqueue(name)
    client.submit(name, background=True)
    with pytest.raises(ServerError, match="function not found"):
        admin.drop_function("never-made")
    admin.create_function(f"{name}-empty")
    admin.drop_function(f"{name}-empty")
    assert f"{name}-empty" not in [row.function for row in admin.status()]
