"""Every packet of the protocol, and the bytes that answer it."""

from __future__ import annotations

import pytest

from tests.server.peer import (
    ALL_YOURS,
    CAN_DO,
    CAN_DO_TIMEOUT,
    CANT_DO,
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    GET_STATUS,
    GET_STATUS_UNIQUE,
    GRAB_JOB,
    GRAB_JOB_ALL,
    GRAB_JOB_UNIQ,
    JOB_ASSIGN,
    JOB_ASSIGN_ALL,
    JOB_ASSIGN_UNIQ,
    JOB_CREATED,
    NO_JOB,
    NOOP,
    OPTION_REQ,
    OPTION_RES,
    PRE_SLEEP,
    RESET_ABILITIES,
    SET_CLIENT_ID,
    STATUS_RES,
    STATUS_RES_UNIQUE,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_EPOCH,
    SUBMIT_JOB_HIGH,
    SUBMIT_JOB_HIGH_BG,
    SUBMIT_JOB_LOW,
    SUBMIT_JOB_LOW_BG,
    SUBMIT_JOB_SCHED,
    SUBMIT_REDUCE_JOB,
    SUBMIT_REDUCE_JOB_BACKGROUND,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
    request,
    response,
)
from tests.server.stage import MAX_PACKET, Stage

CLIENT = 1
WORKER = 2
OTHER = 3

NOT_FOUND = b"Job given in work result not found"
NO_SUCH_JOB = b"Job does not exist on server"


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def running() -> Stage:
    """A stage on which the worker has the client's job, ``H:lap:1`` for ``f``."""
    stage = Stage()
    stage.say(WORKER, request(CAN_DO, b"f"))
    stage.say(CLIENT, request(SUBMIT_JOB, b"f", b"key", b"work"))
    answer = stage.say(WORKER, request(GRAB_JOB))
    assert answer == response(JOB_ASSIGN, b"H:lap:1", b"f", b"work")
    return stage


def test_the_exchange_printed_in_protocol(stage: Stage) -> None:
    """Byte by byte as in PROTOCOL, "Binary Protocol Example"."""
    steps = [
        (WORKER, "00524551 00000001 00000007 72657665727365", WORKER, ""),
        (WORKER, "00524551 00000009 00000000", WORKER, "00524553 0000000a 00000000"),
        (WORKER, "00524551 00000004 00000000", WORKER, ""),
        (
            CLIENT,
            "00524551 00000007 0000000d 72657665727365 00 00 74657374",
            CLIENT,
            "00524553 00000008 00000007 483a6c61703a31",
        ),
        (WORKER, "", WORKER, "00524553 00000006 00000000"),
        (
            WORKER,
            "00524551 00000009 00000000",
            WORKER,
            "00524553 0000000b 00000014 483a6c61703a31 00 72657665727365 00 74657374",
        ),
        (
            WORKER,
            "00524551 0000000d 0000000c 483a6c61703a31 00 74736574",
            CLIENT,
            "00524553 0000000d 0000000c 483a6c61703a31 00 74736574",
        ),
    ]
    for sender, sent, hearer, heard in steps:
        stage.exchange.receive(stage.now, stage.peer(sender), bytes.fromhex(sent))
        assert stage.hear(hearer) == bytes.fromhex(heard), sent


# Submissions.


@pytest.mark.parametrize(
    "kind",
    [
        SUBMIT_JOB,
        SUBMIT_JOB_BG,
        SUBMIT_JOB_HIGH,
        SUBMIT_JOB_HIGH_BG,
        SUBMIT_JOB_LOW,
        SUBMIT_JOB_LOW_BG,
    ],
)
def test_a_submission_is_answered_with_the_handle_alone(stage: Stage, kind: int) -> None:
    assert stage.say(CLIENT, request(kind, b"f", b"", b"a\0b")) == response(JOB_CREATED, b"H:lap:1")
    stage.say(WORKER, request(CAN_DO, b"f"))
    assigned = response(JOB_ASSIGN, b"H:lap:1", b"f", b"a\0b")
    assert stage.say(WORKER, request(GRAB_JOB)) == assigned


@pytest.mark.parametrize("epoch", [b"0", b"999", b"1000", b"abc", b"", b"+7", b" 12 o'clock"])
def test_an_epoch_that_is_past_or_no_number_means_now(stage: Stage, epoch: bytes) -> None:
    answer = stage.say(CLIENT, request(SUBMIT_JOB_EPOCH, b"f", b"", epoch, b"work"))
    assert answer == response(JOB_CREATED, b"H:lap:1")
    stage.say(WORKER, request(CAN_DO, b"f"))
    assert stage.say(WORKER, request(GRAB_JOB)) == response(JOB_ASSIGN, b"H:lap:1", b"f", b"work")


@pytest.mark.parametrize("epoch", [b"1060", b" 1060", b"1060 or so"])
def test_a_job_waits_for_its_epoch_and_then_wakes_a_worker(stage: Stage, epoch: bytes) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB_EPOCH, b"f", b"", epoch, b"work"))
    stage.say(WORKER, request(CAN_DO, b"f"))
    assert stage.say(WORKER, request(GRAB_JOB)) == response(NO_JOB)
    assert stage.say(WORKER, request(PRE_SLEEP)) == b""
    stage.pass_time(59.5)
    assert stage.hear(WORKER) == b""
    stage.pass_time(0.5)
    assert stage.hear(WORKER) == response(NOOP)
    assert stage.say(WORKER, request(GRAB_JOB)) == response(JOB_ASSIGN, b"H:lap:1", b"f", b"work")


@pytest.mark.parametrize("digits", [b"9" * 19, b"9" * 20, b"9" * 4000, b"-9" * 100])
def test_an_epoch_of_any_length_is_taken(stage: Stage, digits: bytes) -> None:
    answer = stage.say(CLIENT, request(SUBMIT_JOB_EPOCH, b"f", b"", digits, b""))
    assert answer == response(JOB_CREATED, b"H:lap:1")


def test_a_scheduled_job_runs_at_the_next_minute_that_fits(stage: Stage) -> None:
    """The clock of the stage stands at 00:16:40."""
    fields = [b"18", b"0", b"", b"", b""]
    answer = stage.say(CLIENT, request(SUBMIT_JOB_SCHED, b"f", b"", *fields, b"work"))
    assert answer == response(JOB_CREATED, b"H:lap:1")
    stage.say(WORKER, request(CAN_DO, b"f"), request(PRE_SLEEP))
    stage.pass_time(79.0)
    assert stage.hear(WORKER) == b""
    stage.pass_time(1.0)
    assert stage.hear(WORKER) == response(NOOP)


def test_a_schedule_that_never_comes_is_refused(stage: Stage) -> None:
    fields = [b"0", b"0", b"30", b"2", b""]
    answer = stage.say(CLIENT, request(SUBMIT_JOB_SCHED, b"f", b"", *fields, b"work"))
    text = b"SUBMIT_JOB_SCHED takes minute, hour, day of month, month and day of week as numbers"
    assert answer == response(ERROR, b"INVALID_PACKET", text)
    assert not stage.is_closing(CLIENT)


@pytest.mark.parametrize("kind", [SUBMIT_JOB, SUBMIT_JOB_BG])
def test_a_unique_key_has_at_most_64_bytes(stage: Stage, kind: int) -> None:
    answer = stage.say(CLIENT, request(kind, b"f", b"u" * 65, b""))
    assert answer == response(ERROR, b"ARGUMENT_TOO_LARGE", b"Unique value too large")
    assert stage.say(CLIENT, request(kind, b"f", b"u" * 64, b"")) == response(
        JOB_CREATED, b"H:lap:1"
    )
    # All 64 count: gearmand keeps 63 of them and lets the next one be a job of its own.
    assert stage.say(CLIENT, request(kind, b"f", b"u" * 64, b"")) == response(
        JOB_CREATED, b"H:lap:1"
    )


def test_a_full_function_is_a_queue_error(stage: Stage) -> None:
    stage.say(CLIENT, b"maxqueue f 1\n", request(SUBMIT_JOB_BG, b"f", b"", b""))
    answer = stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b""))
    assert answer == response(ERROR, b"QUEUE_ERROR", b"Job queue is full")


@pytest.mark.parametrize("kind", [SUBMIT_REDUCE_JOB, SUBMIT_REDUCE_JOB_BACKGROUND])
@pytest.mark.parametrize(
    ("grab", "assigned"),
    [
        (GRAB_JOB, response(JOB_ASSIGN, b"H:lap:1", b"f", b"work")),
        (GRAB_JOB_UNIQ, response(JOB_ASSIGN_UNIQ, b"H:lap:1", b"f", b"key", b"work")),
        (GRAB_JOB_ALL, response(JOB_ASSIGN_ALL, b"H:lap:1", b"f", b"key", b"sum", b"work")),
    ],
)
def test_a_reduce_job_has_four_arguments_and_shows_its_reducer_to_those_who_ask_for_all(
    stage: Stage, kind: int, grab: int, assigned: bytes
) -> None:
    answer = stage.say(CLIENT, request(kind, b"f", b"key", b"sum", b"ignored", b"work"))
    assert answer == response(JOB_CREATED, b"H:lap:1")
    stage.say(WORKER, request(CAN_DO, b"f"))
    assert stage.say(WORKER, request(grab)) == assigned


def test_a_job_without_reducer_is_assigned_with_its_unique_key_to_those_who_ask_for_all(
    stage: Stage,
) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB, b"f", b"key", b"work"))
    stage.say(WORKER, request(CAN_DO, b"f"))
    assigned = response(JOB_ASSIGN_UNIQ, b"H:lap:1", b"f", b"key", b"work")
    assert stage.say(WORKER, request(GRAB_JOB_ALL)) == assigned


# Workers.


@pytest.mark.parametrize("grab", [GRAB_JOB, GRAB_JOB_UNIQ, GRAB_JOB_ALL])
def test_there_is_no_job(stage: Stage, grab: int) -> None:
    assert stage.say(WORKER, request(CAN_DO, b"f"), request(grab)) == response(NO_JOB)


def test_a_worker_that_goes_to_sleep_beside_work_is_woken_at_once(stage: Stage) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b""))
    assert stage.say(WORKER, request(CAN_DO, b"f"), request(PRE_SLEEP)) == response(NOOP)


@pytest.mark.parametrize("kind", [CANT_DO, RESET_ABILITIES])
def test_a_worker_that_gives_its_ability_up_gives_its_job_back(running: Stage, kind: int) -> None:
    args = [b"f"] if kind == CANT_DO else []
    assert running.say(WORKER, request(kind, *args)) == b""
    assert running.say(WORKER, request(WORK_COMPLETE, b"H:lap:1", b"late")) == response(
        ERROR, b"JOB_NOT_FOUND", NOT_FOUND
    )
    running.say(OTHER, request(CAN_DO, b"f"))
    assigned = response(JOB_ASSIGN, b"H:lap:1", b"f", b"work")
    assert running.say(OTHER, request(GRAB_JOB)) == assigned


def test_time_is_up_in_milliseconds(stage: Stage) -> None:
    stage.say(WORKER, request(CAN_DO_TIMEOUT, b"f", b"250"))
    stage.say(CLIENT, request(SUBMIT_JOB, b"f", b"", b"work"))
    stage.say(WORKER, request(GRAB_JOB))
    stage.pass_time(0.249)
    assert stage.say(CLIENT, request(GET_STATUS, b"H:lap:1")) == response(
        STATUS_RES, b"H:lap:1", b"1", b"1", b"0", b"0"
    )
    stage.pass_time(0.001)
    assert stage.say(CLIENT, request(GET_STATUS, b"H:lap:1")) == response(
        STATUS_RES, b"H:lap:1", b"1", b"0", b"0", b"0"
    )
    assert stage.hear(WORKER) == b""
    late = stage.say(WORKER, request(WORK_COMPLETE, b"H:lap:1", b"late"))
    assert late == response(ERROR, b"JOB_NOT_FOUND", NOT_FOUND)
    assert stage.hear(CLIENT) == b""


@pytest.mark.parametrize(
    "text", [b"", b"soon", b"-1", b"1.5", b"9e9", b"9" * 25, b"1000 ", b"\xb2"]
)
def test_a_timeout_that_is_no_number_is_refused(stage: Stage, text: bytes) -> None:
    answer = stage.say(WORKER, request(CAN_DO_TIMEOUT, b"f", text))
    error = b"CAN_DO_TIMEOUT takes a number of milliseconds"
    assert answer == response(ERROR, b"INVALID_FUNCTION_TIMEOUT", error)
    assert stage.say(CLIENT, b"status\n") == b".\n"
    assert not stage.is_closing(WORKER)


def test_a_timeout_may_end_with_a_nul(stage: Stage) -> None:
    assert stage.say(WORKER, request(CAN_DO_TIMEOUT, b"f", b"250\0")) == b""
    assert stage.say(CLIENT, b"status\n") == b"f\t0\t0\t1\n.\n"


def test_a_client_id_is_cut_at_127_bytes(stage: Stage) -> None:
    stage.say(WORKER, request(SET_CLIENT_ID, b"i" * 128))
    assert stage.say(WORKER, b"workers\n") == b"32 127.0.0.1 " + b"i" * 127 + b" :\n.\n"


# Results.


@pytest.mark.parametrize("kind", [WORK_DATA, WORK_WARNING])
def test_data_and_warnings_are_passed_on_as_they_are(running: Stage, kind: int) -> None:
    running.say(WORKER, request(kind, b"H:lap:1", b"a\0b"))
    assert running.hear(CLIENT) == response(kind, b"H:lap:1", b"a\0b")
    assert running.say(WORKER) == b""


def test_progress_is_passed_on_as_it_is_and_kept(running: Stage) -> None:
    running.say(WORKER, request(WORK_STATUS, b"H:lap:1", b"007", b"0010"))
    assert running.hear(CLIENT) == response(WORK_STATUS, b"H:lap:1", b"007", b"0010")
    assert running.say(OTHER, request(GET_STATUS, b"H:lap:1")) == response(
        STATUS_RES, b"H:lap:1", b"1", b"1", b"7", b"10"
    )


@pytest.mark.parametrize(
    "progress",
    [(b"9e40", b"1"), (b"-1", b"1"), (b"1", b""), (b"", b"1"), (b"one", b"2"), (b"1", b"9" * 40)],
)
def test_progress_that_is_no_number_is_refused(
    running: Stage, progress: tuple[bytes, bytes]
) -> None:
    answer = running.say(WORKER, request(WORK_STATUS, b"H:lap:1", *progress))
    assert answer == response(ERROR, b"INVALID_PACKET", b"WORK_STATUS takes two numbers")
    assert running.hear(CLIENT) == b""
    assert running.say(OTHER, request(GET_STATUS, b"H:lap:1")) == response(
        STATUS_RES, b"H:lap:1", b"1", b"1", b"0", b"0"
    )


@pytest.mark.parametrize("progress", [(b"0.5", b"1.0"), (b"3", b"4\0")])
def test_progress_as_scripting_languages_send_it_is_taken(
    running: Stage, progress: tuple[bytes, bytes]
) -> None:
    assert running.say(WORKER, request(WORK_STATUS, b"H:lap:1", *progress)) == b""
    passed_on = [number.rstrip(b"\0") for number in progress]
    assert running.hear(CLIENT) == response(WORK_STATUS, b"H:lap:1", *passed_on)


@pytest.mark.parametrize("result", [b"", b"done", b"a\0b\0"])
def test_a_result_ends_the_job(running: Stage, result: bytes) -> None:
    assert running.say(WORKER, request(WORK_COMPLETE, b"H:lap:1", result)) == b""
    assert running.hear(CLIENT) == response(WORK_COMPLETE, b"H:lap:1", result)
    assert running.say(CLIENT, b"show jobs\n") == b".\n"


@pytest.mark.parametrize("kind", [WORK_COMPLETE, WORK_DATA, WORK_WARNING])
def test_a_result_without_its_separator_is_empty(running: Stage, kind: int) -> None:
    """So Perl's worker sends it."""
    running.say(WORKER, request(kind, b"H:lap:1"))
    assert running.hear(CLIENT) == response(kind, b"H:lap:1", b"")


def test_a_failure_is_the_handle_alone(running: Stage) -> None:
    assert running.say(WORKER, request(WORK_FAIL, b"H:lap:1")) == b""
    assert running.hear(CLIENT) == response(WORK_FAIL, b"H:lap:1")


@pytest.mark.parametrize(
    ("kind", "args"), [(WORK_COMPLETE, [b"x"]), (WORK_FAIL, []), (WORK_DATA, [b"x"])]
)
def test_a_handle_that_ends_with_a_nul_is_known(
    running: Stage, kind: int, args: list[bytes]
) -> None:
    """A failure may carry one as its last byte; before data it would be an empty argument."""
    handle = b"H:lap:1\0" if kind == WORK_FAIL else b"H:lap:1"
    running.say(WORKER, request(kind, handle, *args))
    assert running.hear(CLIENT) == response(kind, b"H:lap:1", *args)


def test_an_exception_is_a_failure_to_those_who_did_not_ask_for_exceptions(running: Stage) -> None:
    assert running.say(WORKER, request(WORK_EXCEPTION, b"H:lap:1", b"why")) == b""
    assert running.hear(CLIENT) == response(WORK_FAIL, b"H:lap:1")


def test_an_exception_reaches_those_who_asked_for_it_and_ends_the_job(stage: Stage) -> None:
    stage.say(WORKER, request(CAN_DO, b"f"))
    stage.say(CLIENT, request(OPTION_REQ, b"exceptions"), request(SUBMIT_JOB, b"f", b"", b""))
    stage.say(WORKER, request(GRAB_JOB))
    assert stage.say(WORKER, request(WORK_EXCEPTION, b"H:lap:1", b"why")) == b""
    assert stage.hear(CLIENT) == response(WORK_EXCEPTION, b"H:lap:1", b"why")
    assert stage.say(CLIENT, b"show jobs\n") == b".\n"


@pytest.mark.parametrize("late", [(WORK_FAIL, b"H:lap:1"), (WORK_COMPLETE, b"H:lap:1", b"x")])
def test_what_follows_an_exception_is_swallowed_once(
    running: Stage, late: tuple[int, *tuple[bytes, ...]]
) -> None:
    """Perl's and Python's workers send both; Perl's dies of an ERROR."""
    running.say(WORKER, request(WORK_EXCEPTION, b"H:lap:1", b"why"))
    running.hear(CLIENT)
    kind, *args = late
    assert running.say(WORKER, request(kind, *args)) == b""
    assert running.hear(CLIENT) == b""
    assert running.say(WORKER, request(kind, *args)) == response(ERROR, b"JOB_NOT_FOUND", NOT_FOUND)


REPORTS = [
    (WORK_STATUS, [b"1", b"2"], NOT_FOUND),
    (WORK_COMPLETE, [b"x"], NOT_FOUND),
    (WORK_FAIL, [], NOT_FOUND),
    (WORK_EXCEPTION, [b"x"], b"An exception was received for a job that does not exist"),
    (WORK_DATA, [b"x"], NO_SUCH_JOB),
    (WORK_WARNING, [b"x"], NO_SUCH_JOB),
]


@pytest.mark.parametrize(("kind", "args", "text"), REPORTS)
@pytest.mark.parametrize("handle", [b"H:lap:1", b"H:lap:2", b"", b"H:lap:1 ", b"x" * 70000])
def test_a_worker_can_speak_of_its_own_jobs_only(
    running: Stage, kind: int, args: list[bytes], text: bytes, handle: bytes
) -> None:
    answer = running.say(OTHER, request(kind, handle, *args))
    assert answer == response(ERROR, b"JOB_NOT_FOUND", text)
    assert running.hear(CLIENT) == b""
    assert running.say(CLIENT, request(GET_STATUS, b"H:lap:1")) == response(
        STATUS_RES, b"H:lap:1", b"1", b"1", b"0", b"0"
    )
    assert not running.is_closing(OTHER)


# Questions.


@pytest.mark.parametrize("data", [b"", b"abc", b"a\0b\0", b"x" * 40000])
def test_an_echo_comes_back(stage: Stage, data: bytes) -> None:
    assert stage.say(CLIENT, request(ECHO_REQ, data)) == response(ECHO_RES, data)


@pytest.mark.parametrize("handle", [b"H:x:1", b"", b"h" * 100])
def test_the_status_of_an_unknown_job_is_four_zeros(stage: Stage, handle: bytes) -> None:
    answer = stage.say(CLIENT, request(GET_STATUS, handle))
    assert answer == response(STATUS_RES, handle, b"0", b"0", b"0", b"0")


def test_the_status_of_a_waiting_job(stage: Stage) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b""))
    answer = stage.say(OTHER, request(GET_STATUS, b"H:lap:1"))
    assert answer == response(STATUS_RES, b"H:lap:1", b"1", b"0", b"0", b"0")


def test_the_status_by_unique_key_says_how_many_clients_wait(running: Stage) -> None:
    running.say(OTHER, request(SUBMIT_JOB, b"f", b"key", b""))
    running.say(WORKER, request(WORK_STATUS, b"H:lap:1", b"1", b"2"))
    answer = running.say(WORKER, request(GET_STATUS_UNIQUE, b"key"))
    assert answer == response(STATUS_RES_UNIQUE, b"key", b"1", b"1", b"1", b"2", b"2")


@pytest.mark.parametrize("unique", [b"unknown", b"", b"-"])
def test_the_status_by_an_unknown_unique_key_is_five_zeros(stage: Stage, unique: bytes) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"-", b"work"))
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"work"))
    answer = stage.say(CLIENT, request(GET_STATUS_UNIQUE, unique))
    assert answer == response(STATUS_RES_UNIQUE, unique, b"0", b"0", b"0", b"0", b"0")


@pytest.mark.parametrize("name", [b"exceptions", b"EXCEPTIONS", b"exceptions\0", b"Exceptions\0x"])
def test_the_option_is_answered_as_it_was_asked_for(stage: Stage, name: bytes) -> None:
    assert stage.say(CLIENT, request(OPTION_REQ, name)) == response(OPTION_RES, name)


def test_a_worker_that_asks_for_attempts_hears_of_the_second_in_the_reducers_place(
    stage: Stage,
) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"key", b"work"))
    for worker, reducer in (
        (WORKER, None),
        (WORKER + 10, b"attempt:2"),
        (WORKER + 20, b"attempt:3"),
    ):
        asked = stage.say(worker, request(OPTION_REQ, b"attempts"), request(CAN_DO, b"f"))
        assert asked == response(OPTION_RES, b"attempts")
        if reducer is None:
            assigned = response(JOB_ASSIGN_UNIQ, b"H:lap:1", b"f", b"key", b"work")
        else:
            assigned = response(JOB_ASSIGN_ALL, b"H:lap:1", b"f", b"key", reducer, b"work")
        assert stage.say(worker, request(GRAB_JOB_ALL)) == assigned
        stage.say(worker, request(CANT_DO, b"f"))


def test_a_reducer_goes_before_the_attempt(stage: Stage) -> None:
    stage.say(CLIENT, request(SUBMIT_REDUCE_JOB_BACKGROUND, b"f", b"key", b"sum", b"", b"work"))
    for _ in range(2):
        stage.say(WORKER, request(OPTION_REQ, b"attempts"), request(CAN_DO, b"f"))
        assigned = response(JOB_ASSIGN_ALL, b"H:lap:1", b"f", b"key", b"sum", b"work")
        assert stage.say(WORKER, request(GRAB_JOB_ALL)) == assigned
        stage.say(WORKER, request(CANT_DO, b"f"))


@pytest.mark.parametrize("name", [b"", b"exception", b"exceptions "])
def test_any_other_option_is_unknown(stage: Stage, name: bytes) -> None:
    error = response(ERROR, b"UNKNOWN_OPTION", b"Server does not recognize given option")
    assert stage.say(CLIENT, request(OPTION_REQ, name)) == error


# What nobody may send.

# Type, and as many arguments as it has.
NOT_FOR_SERVERS = [
    *((kind, 0) for kind in (5, NOOP, NO_JOB, ALL_YOURS)),
    *((kind, 1) for kind in (JOB_CREATED, ECHO_RES, OPTION_RES)),
    *((ERROR, 2), (JOB_ASSIGN, 3), (JOB_ASSIGN_UNIQ, 4), (JOB_ASSIGN_ALL, 5)),
    *((STATUS_RES, 5), (STATUS_RES_UNIQUE, 6)),
]


@pytest.mark.parametrize(("kind", "count"), NOT_FOR_SERVERS)
def test_a_packet_that_only_servers_send_is_not_expected(
    stage: Stage, kind: int, count: int
) -> None:
    answer = stage.say(CLIENT, request(kind, *[b"x"] * count))
    assert answer == response(ERROR, b"INVALID_COMMAND", b"Command not expected")
    assert not stage.is_closing(CLIENT)


@pytest.mark.parametrize("kind", [0, 1, 7, 43, 2**31, 2**32 - 1])
@pytest.mark.parametrize("size", [0, 3])
def test_a_response_is_no_request(stage: Stage, kind: int, size: int) -> None:
    answer = stage.say(CLIENT, response(kind, b"x" * size))
    if 0 < kind < 43:
        assert answer == response(ERROR, b"INVALID_MAGIC", b"Request magic expected")
        assert not stage.is_closing(CLIENT)
    else:
        assert answer == b""
        assert stage.is_closing(CLIENT)


@pytest.mark.parametrize(
    "data",
    [
        request(0),
        request(43),
        request(2**31),
        request(2**32 - 1),
        b"\0REX" + request(ECHO_REQ)[4:],
        b"\0req" + request(ECHO_REQ)[4:],
        b"\0" * 12,
    ],
)
def test_what_is_no_packet_ends_the_connection_without_a_word(stage: Stage, data: bytes) -> None:
    assert stage.say(CLIENT, data + request(ECHO_REQ, b"behind it")) == b""
    assert stage.is_closing(CLIENT)
    assert stage.peer(CLIENT).fault
    assert stage.say(OTHER, request(ECHO_REQ, b"others")) == response(ECHO_RES, b"others")


# Type, its name, and how many separators it must have at least.
SEPARATED = [
    (SUBMIT_JOB, "SUBMIT_JOB", 2),
    (SUBMIT_JOB_BG, "SUBMIT_JOB_BG", 2),
    (SUBMIT_JOB_HIGH, "SUBMIT_JOB_HIGH", 2),
    (SUBMIT_JOB_HIGH_BG, "SUBMIT_JOB_HIGH_BG", 2),
    (SUBMIT_JOB_LOW, "SUBMIT_JOB_LOW", 2),
    (SUBMIT_JOB_LOW_BG, "SUBMIT_JOB_LOW_BG", 2),
    (SUBMIT_JOB_SCHED, "SUBMIT_JOB_SCHED", 7),
    (SUBMIT_JOB_EPOCH, "SUBMIT_JOB_EPOCH", 3),
    (SUBMIT_REDUCE_JOB, "SUBMIT_REDUCE_JOB", 4),
    (SUBMIT_REDUCE_JOB_BACKGROUND, "SUBMIT_REDUCE_JOB_BACKGROUND", 4),
    (WORK_STATUS, "WORK_STATUS", 2),
    (CAN_DO_TIMEOUT, "CAN_DO_TIMEOUT", 1),
]


@pytest.mark.parametrize(("kind", "name", "separators"), SEPARATED)
def test_a_packet_that_lacks_arguments_is_refused_and_ends_the_connection(
    stage: Stage, kind: int, name: str, separators: int
) -> None:
    for count in range(separators):
        stage = Stage()
        short = request(kind, *[b"x"] * count)
        # The separators of the next packet are not its own.
        answer = stage.say(CLIENT, short + request(ECHO_REQ, b"\0" * 20))
        text = f"{name} does not carry the arguments of its type".encode()
        assert answer == response(ERROR, b"INVALID_PACKET", text)
        assert stage.is_closing(CLIENT)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (RESET_ABILITIES, "RESET_ABILITIES"),
        (PRE_SLEEP, "PRE_SLEEP"),
        (GRAB_JOB, "GRAB_JOB"),
        (GRAB_JOB_UNIQ, "GRAB_JOB_UNIQ"),
        (GRAB_JOB_ALL, "GRAB_JOB_ALL"),
        (ALL_YOURS, "ALL_YOURS"),
    ],
)
def test_a_packet_without_arguments_carries_none(stage: Stage, kind: int, name: str) -> None:
    answer = stage.say(WORKER, request(kind, b"x"))
    text = f"{name} does not carry the arguments of its type".encode()
    assert answer == response(ERROR, b"INVALID_PACKET", text)
    assert stage.is_closing(WORKER)


@pytest.mark.parametrize("size", [MAX_PACKET + 1, 2**31, 2**32 - 1])
def test_a_packet_that_is_too_large_is_refused_at_its_header(stage: Stage, size: int) -> None:
    header = request(ECHO_REQ)[:8] + size.to_bytes(4, "big")
    answer = stage.say(CLIENT, header)
    text = f"packet of {size} bytes is larger than max_packet ({MAX_PACKET} bytes)".encode()
    assert answer == response(ERROR, b"ARGUMENT_TOO_LARGE", text)
    assert stage.is_closing(CLIENT)
    assert not stage.peer(CLIENT).reader.pending


def test_a_packet_of_the_largest_size_is_taken(stage: Stage) -> None:
    data = b"x" * MAX_PACKET
    assert stage.say(CLIENT, request(ECHO_REQ, data)) == response(ECHO_RES, data)


def test_a_closing_connection_is_not_listened_to(stage: Stage) -> None:
    stage.say(CLIENT, request(43))
    assert stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"")) == b""
    assert stage.say(OTHER, b"show jobs\n") == b".\n"


def test_packets_may_arrive_byte_by_byte(stage: Stage) -> None:
    data = request(SUBMIT_JOB_BG, b"f", b"", b"x") + b"version\n" + request(ECHO_REQ, b"y")
    pieces = [data[index : index + 1] for index in range(len(data))]
    wanted = response(JOB_CREATED, b"H:lap:1") + b"OK 1.2.3\n" + response(ECHO_RES, b"y")
    assert stage.say(CLIENT, *pieces) == wanted
