"""
The same scripts on Debian's gearmand and on our own server, answers compared byte by byte.

What existing clients and workers rely on is in ``ALIKE``. Where we differ on purpose is in
``DIFFERENT``, with both answers, so that a change on either side shows.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.job_server import free_port
from tests.server.peer import (
    ALL_YOURS,
    CAN_DO,
    CAN_DO_TIMEOUT,
    CANT_DO,
    DEADLINE,
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    GET_STATUS,
    GET_STATUS_UNIQUE,
    GRAB_JOB,
    GRAB_JOB_ALL,
    GRAB_JOB_UNIQ,
    JOB_ASSIGN,
    JOB_CREATED,
    NO_JOB,
    NOOP,
    OPTION_REQ,
    PRE_SLEEP,
    RESET_ABILITIES,
    SET_CLIENT_ID,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_EPOCH,
    SUBMIT_JOB_HIGH,
    SUBMIT_JOB_HIGH_BG,
    SUBMIT_JOB_LOW,
    SUBMIT_JOB_LOW_BG,
    SUBMIT_JOB_SCHED,
    SUBMIT_REDUCE_JOB,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
    Address,
    Peer,
)
from tests.server.servers import ThreadServer
from tests.server.transcript import CLOSED, Step, Transcript, in_any_order
from tests.services.availability import find_program, require

# A worker of f with the first job, which a client waits for.
RUNNING: list[Step] = [
    ("worker", CAN_DO, b"f"),
    ("client", SUBMIT_JOB, b"f", b"key", b"work"),
    ("worker", GRAB_JOB),
]

ALIKE: dict[str, list[Step]] = {
    "a job from its submission to its result": [
        *RUNNING,
        ("worker", WORK_STATUS, b"<1>", b"1", b"3"),
        ("client", GET_STATUS, b"<1>"),
        ("client", GET_STATUS_UNIQUE, b"key"),
        ("worker", WORK_DATA, b"<1>", b"part\0one"),
        ("worker", WORK_WARNING, b"<1>", b"careful"),
        ("worker", WORK_COMPLETE, b"<1>", b"result"),
        ("client", GET_STATUS, b"<1>"),
        ("worker", GRAB_JOB),
    ],
    "submissions of all priorities": [
        ("client", SUBMIT_JOB_LOW, b"f", b"", b"low"),
        ("client", SUBMIT_JOB_LOW_BG, b"f", b"", b"low bg"),
        ("client", SUBMIT_JOB, b"f", b"", b"normal"),
        ("client", SUBMIT_JOB_BG, b"f", b"", b"normal bg"),
        ("client", SUBMIT_JOB_HIGH, b"f", b"", b"high"),
        ("client", SUBMIT_JOB_HIGH_BG, b"f", b"", b"high bg"),
        ("client", b"status\n"),
        ("client", b"prioritystatus\n"),
        ("client", b"show jobs\n"),
        ("worker", CAN_DO, b"f"),
        *[("worker", GRAB_JOB_UNIQ)] * 7,
    ],
    "a worker that sleeps is woken once": [
        ("worker", CAN_DO, b"f"),
        ("worker", GRAB_JOB),
        ("worker", PRE_SLEEP),
        ("client", SUBMIT_JOB_BG, b"f", b"", b"1"),
        ("client", SUBMIT_JOB_BG, b"f", b"", b"2"),
        ("worker", GRAB_JOB),
        ("worker", GRAB_JOB),
        ("worker", GRAB_JOB),
    ],
    "a worker that goes to sleep beside work is woken at once": [
        ("client", SUBMIT_JOB_BG, b"f", b"", b"1"),
        ("worker", CAN_DO, b"f"),
        ("worker", PRE_SLEEP),
        ("worker", PRE_SLEEP),
        ("worker", GRAB_JOB),
    ],
    "clients that share a unique key": [
        ("one", SUBMIT_JOB, b"f", b"key", b"work"),
        ("two", SUBMIT_JOB, b"f", b"key", b"other"),
        ("two", SUBMIT_JOB_BG, b"f", b"key", b"other"),
        ("two", b"show unique jobs\n"),
        ("worker", CAN_DO, b"f"),
        ("worker", GRAB_JOB_UNIQ),
        ("one", GET_STATUS_UNIQUE, b"key"),
        ("worker", WORK_COMPLETE, b"<1>", b"result"),
    ],
    "the same unique key for two functions": [
        ("client", SUBMIT_JOB, b"f", b"key", b"work"),
        ("client", SUBMIT_JOB, b"g", b"key", b"work"),
        ("client", b"show unique jobs\n"),
    ],
    "jobs whose workload is their key": [
        ("client", SUBMIT_JOB_BG, b"f", b"-", b"same"),
        ("client", SUBMIT_JOB_BG, b"f", b"-", b"same"),
        ("client", SUBMIT_JOB_BG, b"f", b"-", b"other"),
        ("client", SUBMIT_JOB_BG, b"f", b"-", b""),
        ("client", SUBMIT_JOB_BG, b"f", b"-", b""),
        ("client", GET_STATUS_UNIQUE, b"-"),
        ("worker", CAN_DO, b"f"),
        ("worker", GRAB_JOB_UNIQ),
    ],
    "the three ways to grab": [
        ("client", SUBMIT_JOB_BG, b"f", b"1", b"a"),
        ("client", SUBMIT_JOB_BG, b"f", b"2", b"b"),
        ("client", SUBMIT_JOB_BG, b"f", b"3", b"c"),
        ("client", SUBMIT_REDUCE_JOB, b"f", b"4", b"sum", b"", b"d"),
        ("client", SUBMIT_REDUCE_JOB, b"f", b"5", b"sum", b"", b"e"),
        ("client", SUBMIT_REDUCE_JOB, b"f", b"6", b"sum", b"", b"f"),
        ("worker", CAN_DO, b"f"),
        ("worker", GRAB_JOB),
        ("worker", GRAB_JOB_UNIQ),
        ("worker", GRAB_JOB_ALL),
        ("worker", GRAB_JOB_ALL),
        ("worker", GRAB_JOB),
        ("worker", GRAB_JOB_UNIQ),
        ("worker", GRAB_JOB_ALL),
    ],
    "a failure": [*RUNNING, ("worker", WORK_FAIL, b"<1>"), ("client", GET_STATUS, b"<1>")],
    "an exception for a client that asked for exceptions": [
        ("client", OPTION_REQ, b"exceptions"),
        *RUNNING,
        ("worker", WORK_EXCEPTION, b"<1>", b"why"),
        ("client", GET_STATUS, b"<1>"),
    ],
    "results for jobs that the worker does not have": [
        *RUNNING,
        ("other", WORK_COMPLETE, b"<1>", b"x"),
        ("other", WORK_FAIL, b"<1>"),
        ("other", WORK_DATA, b"<1>", b"x"),
        ("other", WORK_WARNING, b"<1>", b"x"),
        ("other", WORK_STATUS, b"<1>", b"1", b"2"),
        ("other", WORK_EXCEPTION, b"<1>", b"x"),
        ("other", WORK_COMPLETE, b"H:nobody:1", b"x"),
        ("client", GET_STATUS, b"<1>"),
    ],
    "a worker that gives its ability up": [
        *RUNNING,
        ("worker", CANT_DO, b"f"),
        ("client", GET_STATUS, b"<1>"),
        ("client", b"show jobs\n"),
        ("worker", WORK_COMPLETE, b"<1>", b"late"),
        ("other", CAN_DO, b"f"),
        ("other", GRAB_JOB),
        ("other", RESET_ABILITIES),
        ("other", GRAB_JOB),
        ("client", GET_STATUS, b"<1>"),
    ],
    "a worker that leaves": [
        *RUNNING,
        ("worker", "leaves"),
        ("other", CAN_DO, b"f"),
        ("other", GRAB_JOB),
        ("other", WORK_COMPLETE, b"<1>", b"result"),
    ],
    "a client that leaves while its job runs": [
        *RUNNING,
        ("client", "leaves"),
        ("worker", WORK_STATUS, b"<1>", b"1", b"2"),
        ("other", SUBMIT_JOB, b"f", b"key", b"again"),
        ("worker", WORK_COMPLETE, b"<1>", b"result"),
    ],
    "packets that only servers send": [
        ("client", 5),
        ("client", NOOP),
        ("client", JOB_CREATED, b"x"),
        ("client", NO_JOB),
        ("client", JOB_ASSIGN, b"x", b"y", b"z"),
        ("client", ECHO_RES, b"x"),
        ("client", ERROR, b"x", b"y"),
        ("client", ALL_YOURS),
    ],
    "a response instead of a request": [("client", b"\0RES\0\0\0\x10\0\0\0\x03abc")],
    "a type that nobody defined": [("client", b"\0REQ\0\0\0\x2b\0\0\0\0")],
    "no magic": [("client", b"\0REX\0\0\0\x10\0\0\0\0")],
    "echoes": [("client", ECHO_REQ, b""), ("client", ECHO_REQ, b"a\0b\0")],
    "options": [
        ("client", OPTION_REQ, b"exceptions"),
        ("client", OPTION_REQ, b"EXCEPTIONS"),
        ("client", OPTION_REQ, b"something"),
    ],
    "statuses of jobs that nobody knows": [
        ("client", GET_STATUS, b"H:x:1"),
        ("client", GET_STATUS_UNIQUE, b"nokey"),
    ],
    "an epoch in the past": [
        ("client", SUBMIT_JOB_EPOCH, b"f", b"", b"1", b"x"),
        ("client", SUBMIT_JOB_EPOCH, b"f", b"", b"abc", b"y"),
        ("client", SUBMIT_JOB_EPOCH, b"f", b"", b"4000000000", b"later"),
        ("client", b"status\n"),
        ("client", b"prioritystatus\n"),
        ("worker", CAN_DO, b"f"),
        *[("worker", GRAB_JOB)] * 3,
    ],
    "unique keys that are too long": [("client", SUBMIT_JOB, b"f", b"u" * 65, b"")],
    "a function that is full": [
        ("admin", b"create function f\r\n"),
        ("admin", b"maxqueue f 1\n"),
        ("client", SUBMIT_JOB_BG, b"f", b"key", b""),
        ("client", SUBMIT_JOB_BG, b"f", b"", b""),
        ("client", SUBMIT_JOB_BG, b"f", b"key", b""),
        ("admin", b"maxqueue f\n"),
        ("client", SUBMIT_JOB_BG, b"f", b"", b""),
    ],
    "limits of each priority": [
        ("admin", b"create function f\r\n"),
        ("admin", b"maxqueue f 3 2 1\n"),
        *[("client", SUBMIT_JOB_LOW_BG, b"f", b"", b"")] * 2,
        *[("client", SUBMIT_JOB_BG, b"f", b"", b"")] * 2,
        *[("client", SUBMIT_JOB_HIGH_BG, b"f", b"", b"")] * 2,
    ],
    "functions served one after the other, the newest first": [
        ("client", SUBMIT_JOB_BG, b"f", b"", b"f0"),
        ("client", SUBMIT_JOB_BG, b"g", b"", b"g0"),
        ("client", SUBMIT_JOB_BG, b"f", b"", b"f1"),
        ("client", SUBMIT_JOB_BG, b"g", b"", b"g1"),
        ("client", SUBMIT_JOB_HIGH_BG, b"f", b"", b"f2"),
        ("worker", CAN_DO, b"f"),
        ("worker", CAN_DO, b"g"),
        *[("worker", GRAB_JOB)] * 6,
    ],
    "lists": [
        ("worker", CAN_DO, b"f"),
        ("worker", CAN_DO, b"g"),
        ("worker", SET_CLIENT_ID, b"worker-7"),
        ("client", SUBMIT_JOB, b"f", b"key", b""),
        ("worker", GRAB_JOB),
        ("client", SUBMIT_JOB_BG, b"g", b"", b""),
        ("client", b"status\n"),
        ("client", b"prioritystatus\n"),
        ("client", b"workers\n"),
        ("client", b"show jobs\n"),
        ("client", b"show unique jobs\n"),
    ],
    "lists of nothing": [
        ("admin", b"status\r\n"),
        ("admin", b"prioritystatus\r\n"),
        ("admin", b"workers\r\n"),
        ("admin", b"show jobs\r\n"),
        ("admin", b"show unique jobs\r\n"),
    ],
    "commands that lack something": [
        ("admin", b"show\n"),
        ("admin", b"show foo\n"),
        ("admin", b"cancel\n"),
        ("admin", b"cancel job\n"),
        ("admin", b"cancel foo bar\n"),
        ("admin", b"cancel job a b\n"),
        ("admin", b"cancel job H:nobody:1\n"),
        ("admin", b"create\n"),
        ("admin", b"create function\n"),
        ("admin", b"drop\n"),
        ("admin", b"drop function\n"),
        ("admin", b"maxqueue\n"),
        ("admin", b"\n"),
        ("admin", b"nonsense\n"),
        ("admin", b"nonsense and more\r\n"),
        ("admin", b"verbose\n"),
        ("admin", b"VERBOSE\r\n"),
    ],
    "functions that come and go": [
        ("admin", b"drop function f\r\n"),
        ("admin", b"create function f\r\n"),
        ("admin", b"status\n"),
        ("admin", b"drop function f\r\n"),
        ("admin", b"status\n"),
        ("worker", CAN_DO, b"f"),
        ("admin", b"drop function f\r\n"),
        ("worker", CANT_DO, b"f"),
        ("admin", b"drop function f\r\n"),
    ],
    "lines and packets in turn": [
        ("admin", b"verbose\n"),
        ("admin", ECHO_REQ, b"x"),
        ("admin", b"status\n"),
        ("admin", SUBMIT_JOB_BG, b"f", b"", b""),
        ("admin", b"status\n"),
    ],
    "a cancelled job": [
        ("client", SUBMIT_JOB, b"f", b"key", b""),
        ("admin", b"cancel job <1>\r\n"),
    ],
}

# What was said last, and how it was answered: by gearmand, and by us.
DIFFERENT: dict[str, tuple[list[Step], object, object]] = {
    "the first CAN_DO again": (
        [("worker", CAN_DO, b"f"), ("worker", CAN_DO, b"f"), ("worker", b"status\n")],
        {"worker": [b"f\t0\t0\t2\n", b".\n"]},
        {"worker": [b"f\t0\t0\t1\n", b".\n"]},
    ),
    "a job for three workers that sleep": (
        [
            *[(name, CAN_DO, b"f") for name in ("one", "two", "three")],
            *[(name, PRE_SLEEP) for name in ("one", "two", "three")],
            ("client", SUBMIT_JOB_BG, b"f", b"", b""),
        ],
        {
            "client": [(JOB_CREATED, b"<1>")],
            **{name: [(NOOP, b"")] for name in ("one", "two", "three")},
        },
        {"client": [(JOB_CREATED, b"<1>")], "one": [(NOOP, b"")]},
    ),
    "work for a worker that learned of it asleep": (
        [
            ("client", SUBMIT_JOB_BG, b"f", b"", b""),
            ("worker", PRE_SLEEP),
            ("worker", CAN_DO, b"f"),
        ],
        {},
        {"worker": [(NOOP, b"")]},
    ),
    "an exception for a client that did not ask for exceptions": (
        [*RUNNING, ("worker", WORK_EXCEPTION, b"<1>", b"why")],
        {"client": [(WORK_FAIL, b"<1>\0")]},
        {"client": [(WORK_FAIL, b"<1>")]},
    ),
    "a failure after an exception": (
        [
            *RUNNING,
            ("worker", WORK_EXCEPTION, b"<1>", b"why"),
            ("worker", WORK_FAIL, b"<1>"),
        ],
        {"worker": [(ERROR, b"JOB_NOT_FOUND\0Job given in work result not found")]},
        {},
    ),
    "jobs that come back": (
        [
            ("client", SUBMIT_JOB_BG, b"f", b"", b"first"),
            ("client", SUBMIT_JOB_BG, b"f", b"", b"second"),
            ("worker", CAN_DO, b"f"),
            ("worker", GRAB_JOB),
            ("worker", CANT_DO, b"f"),
            ("worker", CAN_DO, b"f"),
            ("worker", GRAB_JOB),
        ],
        {"worker": [(JOB_ASSIGN, b"<2>\0f\0second")]},
        {"worker": [(JOB_ASSIGN, b"<1>\0f\0first")]},
    ),
    "a background job that a foreground client joined and left": (
        [
            ("client", SUBMIT_JOB_BG, b"f", b"key", b"work"),
            ("other", SUBMIT_JOB, b"f", b"key", b"work"),
            ("other", "leaves"),
            ("worker", CAN_DO, b"f"),
            ("worker", GRAB_JOB),
        ],
        {"worker": [(NO_JOB, b"")]},
        {"worker": [(JOB_ASSIGN, b"<1>\0f\0work")]},
    ),
    "a job submitted again after its only client left": (
        [
            ("client", SUBMIT_JOB, b"f", b"key", b"work"),
            ("client", "leaves"),
            ("other", SUBMIT_JOB_BG, b"f", b"key", b"again"),
            ("worker", CAN_DO, b"f"),
            ("worker", GRAB_JOB),
        ],
        {"worker": [(NO_JOB, b"")]},
        {"worker": [(JOB_ASSIGN, b"<2>\0f\0again")]},
    ),
    "the status of a function whose only client left": (
        [
            ("client", SUBMIT_JOB, b"f", b"key", b"work"),
            ("client", "leaves"),
            ("other", b"status\n"),
        ],
        {"other": [b"f\t1\t0\t0\n", b".\n"]},
        {"other": [b"f\t0\t0\t0\n", b".\n"]},
    ),
    "a cancelled job in the lists": (
        [
            ("client", SUBMIT_JOB, b"f", b"key", b"work"),
            ("admin", b"cancel job <1>\r\n"),
            ("admin", b"show jobs\n"),
        ],
        {"admin": [b"<1>\t0\t1\t0\n", b".\n"]},
        {"admin": [b".\n"]},
    ),
    "a job cancelled twice": (
        [
            ("client", SUBMIT_JOB, b"f", b"key", b"work"),
            ("admin", b"cancel job <1>\r\n"),
            ("admin", b"cancel job <1>\r\n"),
        ],
        {"admin": [b"OK\r\n"], "client": [(WORK_FAIL, b"<1>")]},
        {"admin": [b"ERR UNKNOWN_JOB\r\n"]},
    ),
    "a key of 64 bytes": (
        [
            ("client", SUBMIT_JOB_BG, b"f", b"u" * 64, b""),
            ("client", SUBMIT_JOB_BG, b"f", b"u" * 64, b""),
        ],
        {"client": [(JOB_CREATED, b"<2>")]},
        {"client": [(JOB_CREATED, b"<1>")]},
    ),
    "a function created by a line that ends with a bare line feed": (
        [("admin", b"create function newf\n"), ("admin", b"status\n")],
        {"admin": [b"new\t0\t0\t0\n", b".\n"]},
        {"admin": [b"newf\t0\t0\t0\n", b".\n"]},
    ),
    "a function dropped although it has a job": (
        [("client", SUBMIT_JOB_BG, b"f", b"", b""), ("admin", b"drop function f\r\n")],
        {"admin": [b"OK\r\n"]},
        {"admin": [b"ERR there are still connected workers or executing clients\r\n"]},
    ),
    "the limit of a function that nobody has used yet": (
        [
            ("admin", b"maxqueue f 1\n"),
            ("client", SUBMIT_JOB_BG, b"f", b"", b""),
            ("client", SUBMIT_JOB_BG, b"f", b"", b""),
        ],
        {"client": [(JOB_CREATED, b"<2>")]},
        {"client": [(ERROR, b"QUEUE_ERROR\0Job queue is full")]},
    ),
    "names with control characters": (
        [("worker", CAN_DO, b"f\ng\t9"), ("admin", b"status\n")],
        {"admin": [b"f\n", b"g\t9\t0\t0\t1\n", b".\n"]},
        {"admin": [b"f\\x0ag\\x099\t0\t0\t1\n", b".\n"]},
    ),
    "a client id with a blank": (
        [("worker", SET_CLIENT_ID, b"my worker"), ("worker", b"workers\n")],
        {"worker": [b"FD 127.0.0.1 my worker :\n", b".\n"]},
        {"worker": [b"FD 127.0.0.1 my_worker :\n", b".\n"]},
    ),
    "a line of six words": (
        [("admin", b"status a b c d e\n")],
        {"admin": [CLOSED]},
        {"admin": [b"ERR UNKNOWN_ERROR\r\n"]},
    ),
    "a function name of 9000 bytes": (
        [("client", SUBMIT_JOB_BG, b"f" * 9000, b"", b"")],
        {"client": [CLOSED]},
        {"client": [(ERROR, b"ARGUMENT_TOO_LARGE\0Function name is longer than 8192 bytes")]},
    ),
    "a schedule": (
        [("client", SUBMIT_JOB_SCHED, b"f", b"", b"0", b"0", b"1", b"1", b"", b"x")],
        {"client": [(ERROR, b"INVALID_COMMAND\0Command not expected")]},
        {"client": [(JOB_CREATED, b"<1>")]},
    ),
    "progress that is no number": (
        [*RUNNING, ("worker", WORK_STATUS, b"<1>", b"half", b"whole")],
        {"client": [(WORK_STATUS, b"<1>\0half\0whole")]},
        {"worker": [(ERROR, b"INVALID_PACKET\0WORK_STATUS takes two numbers")]},
    ),
    "a timeout that is no number": (
        [("worker", CAN_DO_TIMEOUT, b"f", b"soon")],
        {},
        {
            "worker": [
                (
                    ERROR,
                    b"INVALID_FUNCTION_TIMEOUT\0CAN_DO_TIMEOUT takes a number of milliseconds",
                )
            ]
        },
    ),
}


@pytest.fixture
def gearmand(tmp_path: Path) -> Iterator[Address]:
    """Debian's gearmand, started for this test alone."""
    require("gearmand")
    port = free_port()
    listen = ["--listen", "127.0.0.1", "--port", str(port), "--verbose", "INFO"]
    files = ["--pid-file", f"{tmp_path}/pid", "--log-file", f"{tmp_path}/log"]
    process = subprocess.Popen([find_program("gearmand") or "gearmand", *listen, *files])
    give_up = time.monotonic() + DEADLINE
    while True:
        try:
            Peer(("127.0.0.1", port)).close()
            break
        except OSError:
            assert time.monotonic() < give_up
            assert process.poll() is None
            time.sleep(0.005)
    yield ("127.0.0.1", port)
    process.kill()
    process.wait()


@pytest.fixture
def geartrain(start_server: Callable[..., ThreadServer]) -> Address:
    """Our own server, serving functions in the order in which gearmand 1.1 does."""
    address: Address = start_server(compat="1.1").address
    return address


@pytest.mark.parametrize("name", ALIKE)
def test_both_answer_alike(gearmand: Address, geartrain: Address, name: str) -> None:
    theirs = Transcript(gearmand).play(ALIKE[name])
    ours = Transcript(geartrain).play(ALIKE[name])
    for step, their, our in zip(ALIKE[name], theirs, ours, strict=True):
        assert {peer: in_any_order(heard) for peer, heard in our.items()} == {
            peer: in_any_order(heard) for peer, heard in their.items()
        }, step


@pytest.mark.parametrize("name", DIFFERENT)
def test_they_differ_on_purpose(gearmand: Address, geartrain: Address, name: str) -> None:
    script, theirs, ours = DIFFERENT[name]
    for address, wanted in ((gearmand, theirs), (geartrain, ours)):
        last = Transcript(address).play(script)[-1]
        assert {peer: in_any_order(heard) for peer, heard in last.items()} == wanted
