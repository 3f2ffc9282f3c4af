"""Every command of the text protocol, and its reply to the byte."""

from __future__ import annotations

import pytest

from geartrain.server.exchange import KEEP_RUNNING, STOP_GRACEFULLY, STOP_NOW
from tests.server.peer import (
    CAN_DO,
    ECHO_REQ,
    ECHO_RES,
    GET_STATUS,
    GRAB_JOB,
    JOB_CREATED,
    PRE_SLEEP,
    SET_CLIENT_ID,
    STATUS_RES,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_EPOCH,
    SUBMIT_JOB_HIGH_BG,
    SUBMIT_JOB_LOW_BG,
    WORK_COMPLETE,
    WORK_FAIL,
    request,
    response,
)
from tests.server.stage import Stage

ADMIN = 1
CLIENT = 2
WORKER = 3

INCOMPLETE = b"ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+"
UNKNOWN = b"ERR UNKNOWN_COMMAND Unknown+server+command"
IN_USE = b"ERR there are still connected workers or executing clients\r\n"


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"version", b"OK 1.2.3\n"),
        (b"getpid", b"OK 4711\n"),
        (b"verbose", b"OK INFO\n"),
        (b"status", b".\n"),
        (b"prioritystatus", b".\n"),
        (b"workers", b"31 127.0.0.1 - :\n.\n"),
        (b"show jobs", b".\n"),
        (b"show unique jobs", b".\n"),
        (b"show", UNKNOWN + b"show\r\n"),
        (b"show foo", b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"),
        (b"show unique", b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"),
        (b"cancel", UNKNOWN + b"cancel\r\n"),
        (b"cancel job", UNKNOWN + b"cancel\r\n"),
        (b"cancel foo bar", b"ERR UNKNOWN_ERROR\r\n"),
        (b"cancel job a b", b"ERR UNKNOWN_ERROR\r\n"),
        (b"cancel job H:lap:1", b"ERR UNKNOWN_JOB\r\n"),
        (b"create", INCOMPLETE + b"create\r\n"),
        (b"create function", INCOMPLETE + b"create\r\n"),
        (b"create function ", INCOMPLETE + b"create\r\n"),
        (b"create function" + b" " * 60000, INCOMPLETE + b"create\r\n"),
        (b"create function f", b"OK\r\n"),
        (b"drop", INCOMPLETE + b"drop\r\n"),
        (b"drop function", INCOMPLETE + b"drop\r\n"),
        (b"drop function f", b"ERR function not found\r\n"),
        (b"maxqueue", INCOMPLETE + b"maxqueue\r\n"),
        (b"maxqueue f", b"OK\r\n"),
        (b"maxqueue f 5", b"OK\r\n"),
        (b"maxqueue f 5 6", b"OK\r\n"),
        (b"maxqueue f 5 6 7", b"OK\r\n"),
        (b"maxqueue f 5 6 7 8", b"ERR UNKNOWN_ERROR\r\n"),
        (b"", UNKNOWN + b"\r\n"),
        (b"   ", UNKNOWN + b"\r\n"),
        (b"nonsense", UNKNOWN + b"nonsense\r\n"),
        (b"nonsense with more", UNKNOWN + b"nonsense\r\n"),
        (b"%n%s%x", UNKNOWN + b"%n%s%x\r\n"),
        (b"shutdown now", UNKNOWN + b"shutdown\r\n"),
        (b"shutdownfoo", UNKNOWN + b"shutdownfoo\r\n"),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_and_its_reply(stage: Stage, line: bytes, reply: bytes, end: bytes) -> None:
    assert stage.say(ADMIN, line + end) == reply
    assert not stage.is_closing(ADMIN)


@pytest.mark.parametrize("line", [b"VERSION\n", b"Version\r\n", b"  version  \n", b"version x\n"])
def test_case_blanks_and_more_words_do_not_matter(stage: Stage, line: bytes) -> None:
    assert stage.say(ADMIN, line) == b"OK 1.2.3\n"


def test_words_may_be_in_capitals(stage: Stage) -> None:
    assert stage.say(ADMIN, b"CREATE FUNCTION f\n") == b"OK\r\n"
    assert stage.say(ADMIN, b"Show Unique JOBS\n") == b".\n"
    assert stage.say(ADMIN, b"Cancel Job x\n") == b"ERR UNKNOWN_JOB\r\n"
    assert stage.say(ADMIN, b"STATUS\n") == b"f\t0\t0\t0\n.\n"


def test_twenty_words_are_too_many(stage: Stage) -> None:
    assert stage.say(ADMIN, b"status" + b" word" * 20 + b"\n") == b"ERR UNKNOWN_ERROR\r\n"
    assert not stage.is_closing(ADMIN)


# Lists.


@pytest.fixture
def busy() -> Stage:
    """Two functions: ``f`` with a running and a waiting job, ``g`` with one of each priority."""
    stage = Stage()
    stage.say(WORKER, request(CAN_DO, b"f"), request(CAN_DO, b"g"))
    stage.say(WORKER, request(SET_CLIENT_ID, b"worker-7"))
    stage.say(CLIENT, request(SUBMIT_JOB, b"f", b"key", b""))
    stage.say(WORKER, request(GRAB_JOB))
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b""))
    stage.say(CLIENT, request(SUBMIT_JOB_HIGH_BG, b"g", b"high", b""))
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"g", b"", b""))
    stage.say(CLIENT, request(SUBMIT_JOB_LOW_BG, b"g", b"", b""))
    stage.say(CLIENT, request(SUBMIT_JOB_EPOCH, b"g", b"", b"2000", b""))
    return stage


def test_status_counts_jobs_running_jobs_and_workers(busy: Stage) -> None:
    assert busy.say(ADMIN, b"status\n") == b"f\t2\t1\t1\ng\t4\t0\t1\n.\n"


def test_prioritystatus_counts_waiting_jobs(busy: Stage) -> None:
    assert busy.say(ADMIN, b"prioritystatus\n") == b"f\t0\t1\t0\t1\ng\t1\t2\t1\t1\n.\n"


def test_workers_lists_every_connection(busy: Stage) -> None:
    wanted = b"33 127.0.0.1 worker-7 : g f\n32 127.0.0.1 - :\n31 127.0.0.1 - :\n.\n"
    assert busy.say(ADMIN, b"workers\n") == wanted


def test_a_connection_that_left_is_not_listed(busy: Stage) -> None:
    busy.leave(WORKER)
    assert busy.say(ADMIN, b"workers\n") == b"32 127.0.0.1 - :\n31 127.0.0.1 - :\n.\n"


def test_show_jobs_lists_attempts_and_whether_a_job_is_in_the_background(busy: Stage) -> None:
    busy.leave(WORKER)
    wanted = b"".join(b"H:lap:%d\t%d\t0\t%d\n" % (n, n == 1, n > 1) for n in range(1, 7))
    assert busy.say(ADMIN, b"show jobs\n") == wanted + b".\n"


def test_show_unique_jobs_lists_keys(busy: Stage) -> None:
    assert busy.say(ADMIN, b"show unique jobs\n") == b"key\n\nhigh\n\n\n\n.\n"


# What administrators change.


def test_a_function_is_created_by_its_whole_name(stage: Stage) -> None:
    """gearmand drops the last character of a line that ends with a bare line feed."""
    stage.say(ADMIN, b"create function newf\n")
    assert stage.say(ADMIN, b"status\n") == b"newf\t0\t0\t0\n.\n"


def test_an_idle_function_can_be_dropped(stage: Stage) -> None:
    stage.say(ADMIN, b"create function f\n")
    assert stage.say(ADMIN, b"drop function f\n") == b"OK\r\n"
    assert stage.say(ADMIN, b"status\n") == b".\n"


def test_a_function_with_a_worker_is_in_use(stage: Stage) -> None:
    stage.say(WORKER, request(CAN_DO, b"f"))
    assert stage.say(ADMIN, b"drop function f\n") == IN_USE
    assert stage.say(ADMIN, b"drop function f force\n") == IN_USE


def test_a_function_with_waiting_jobs_is_dropped_by_force_only(stage: Stage) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB, b"f", b"", b""))
    assert stage.say(ADMIN, b"drop function f\n") == IN_USE
    assert stage.say(ADMIN, b"drop function f force\n") == b"OK\r\n"
    assert stage.hear(CLIENT) == response(WORK_FAIL, b"H:lap:1")
    assert stage.say(ADMIN, b"show jobs\n") == b".\n"


def test_a_waiting_job_is_cancelled_and_its_client_told(stage: Stage) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB, b"f", b"", b""))
    assert stage.say(ADMIN, b"cancel job H:lap:1\n") == b"OK\r\n"
    assert stage.hear(CLIENT) == response(WORK_FAIL, b"H:lap:1")
    assert stage.say(ADMIN, b"status\nshow jobs\n") == b"f\t0\t0\t0\n.\n.\n"
    assert stage.say(ADMIN, b"cancel job H:lap:1\n") == b"ERR UNKNOWN_JOB\r\n"


def test_a_running_job_that_is_cancelled_is_not_stopped(busy: Stage) -> None:
    assert busy.say(ADMIN, b"cancel job H:lap:1\n") == b"OK\r\n"
    assert busy.hear(CLIENT) == response(WORK_FAIL, b"H:lap:1")
    assert busy.say(WORKER, request(WORK_COMPLETE, b"H:lap:1", b"done")) == b""
    assert busy.hear(CLIENT) == b""


@pytest.mark.parametrize(
    ("limits", "taken"),
    [
        (b"", 3),
        (b"0", 3),
        (b"2", 2),
        (b"-1", 3),
        (b"two", 3),
        (b"9 2", 2),
        (b"9 2 9", 2),
        (b"1 0 0", 3),
        (b"9" * 30, 3),
    ],
)
def test_maxqueue_limits_one_priority_each(stage: Stage, limits: bytes, taken: int) -> None:
    assert stage.say(ADMIN, b"maxqueue f " + limits + b"\n") == b"OK\r\n"
    for _ in range(3):
        stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b""))
    assert stage.say(ADMIN, b"status\n") == b"f\t%d\t0\t0\n.\n" % taken


# The end of the server.


@pytest.mark.parametrize(
    ("line", "requested"),
    [
        (b"shutdown\n", STOP_NOW),
        (b"SHUTDOWN\r\n", STOP_NOW),
        (b" shutdown\n", STOP_NOW),
        (b"shutdown graceful\n", STOP_GRACEFULLY),
        (b"Shutdown  Graceful\r\n", STOP_GRACEFULLY),
    ],
)
def test_shutdown_is_answered_and_obeyed(stage: Stage, line: bytes, requested: int) -> None:
    assert stage.say(ADMIN, line) == b"OK\r\n"
    assert stage.exchange.requested == requested


@pytest.mark.parametrize("line", [b"shutdown\n", b"shutdown graceful\n"])
def test_shutdown_from_another_machine_is_unknown(stage: Stage, line: bytes) -> None:
    stage.peer(ADMIN, local=False)
    assert stage.say(ADMIN, line) == UNKNOWN + b"shutdown\r\n"
    assert stage.exchange.requested == KEEP_RUNNING


def test_shutdown_may_be_switched_off() -> None:
    stage = Stage(allow_shutdown=False)
    assert stage.say(ADMIN, b"shutdown\n") == UNKNOWN + b"shutdown\r\n"
    assert stage.exchange.requested == KEEP_RUNNING


# Names that try to be more than names.

# Name, and what stands for it in a list.
NAMES = [
    (b"a\nb\t9\t9\t9", b"a\\x0ab\\x099\\x099\\x099"),
    (b"a\r\n.\r\nOK", b"a\\x0d\\x0a.\\x0d\\x0aOK"),
    (b"\x1b[2J", b"\\x1b[2J"),
    (b"\x7f\x01", b"\\x7f\\x01"),
    (b"%n%s", b"%n%s"),
    (b"' OR 'a'='a", b"' OR 'a'='a"),
    (b"../../etc/passwd", b"../../etc/passwd"),
    (b"\xff\xfe", b"\xff\xfe"),
    ("\u202egnp.exe".encode(), "\u202egnp.exe".encode()),
]


@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_a_name_forges_no_line_and_no_column(stage: Stage, name: bytes, shown: bytes) -> None:
    stage.say(WORKER, request(CAN_DO, name), request(SET_CLIENT_ID, name))
    stage.say(CLIENT, request(SUBMIT_JOB_BG, name, name, b""))
    client_id = shown.replace(b" ", b"_")
    assert stage.say(ADMIN, b"status\n") == shown + b"\t1\t0\t1\n.\n"
    assert stage.say(ADMIN, b"prioritystatus\n") == shown + b"\t0\t1\t0\t1\n.\n"
    assert stage.say(ADMIN, b"show unique jobs\n") == shown + b"\n.\n"
    workers = stage.say(ADMIN, b"workers\n").split(b"\n")
    assert workers[0] == b"33 127.0.0.1 " + client_id + b" : " + shown
    assert len(workers) == 5


@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_a_worker_gets_a_name_as_it_was_submitted(stage: Stage, name: bytes, shown: bytes) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB_BG, name, name, name))
    stage.say(WORKER, request(CAN_DO, name))
    assert name in stage.say(WORKER, request(GRAB_JOB)).split(b"\0")


def test_an_unknown_command_is_not_echoed_as_it_is(stage: Stage) -> None:
    assert stage.say(ADMIN, b"a\x1b\x00\x08b\n") == UNKNOWN + b"a\\x1b\\x00\\x08b\r\n"


@pytest.mark.parametrize("size", [65536, 70000, 10_000_000])
def test_a_line_without_an_end_ends_the_connection(stage: Stage, size: int) -> None:
    assert stage.say(ADMIN, b"x" * size) == b""
    assert stage.is_closing(ADMIN)
    assert not stage.peer(ADMIN).reader.pending


# Lines and packets on one connection.


def test_lines_and_packets_may_take_turns_on_one_connection(stage: Stage) -> None:
    said = [
        b"verbose\n",
        request(ECHO_REQ, b"x"),
        request(CAN_DO, b"f"),
        b"status\r\n",
        request(SUBMIT_JOB_BG, b"f", b"", b"y"),
        b"show jobs\n",
        request(GET_STATUS, b"H:lap:1"),
        b"version\n",
    ]
    heard = [
        b"OK INFO\n",
        response(ECHO_RES, b"x"),
        b"f\t0\t0\t1\n.\n",
        response(JOB_CREATED, b"H:lap:1"),
        b"H:lap:1\t0\t0\t1\n.\n",
        response(STATUS_RES, b"H:lap:1", b"1", b"0", b"0", b"0"),
        b"OK 1.2.3\n",
    ]
    assert stage.say(ADMIN, b"".join(said)) == b"".join(heard)


def test_a_worker_may_be_an_administrator(stage: Stage) -> None:
    stage.say(WORKER, request(CAN_DO, b"f"), request(PRE_SLEEP))
    assert stage.say(WORKER, b"workers\n") == b"33 127.0.0.1 - : f\n.\n"
