"""Answers keep the order of the requests, whatever has to wait for the store."""

from __future__ import annotations

import pytest

from geartrain.server.replies import LARGE
from tests.server.peer import (
    CAN_DO,
    ECHO_REQ,
    ECHO_RES,
    ERROR,
    GET_STATUS,
    GRAB_JOB,
    JOB_ASSIGN,
    JOB_CREATED,
    NO_JOB,
    NOOP,
    OPTION_REQ,
    OPTION_RES,
    PRE_SLEEP,
    STATUS_RES,
    SUBMIT_JOB,
    SUBMIT_JOB_BG,
    SUBMIT_JOB_HIGH,
    WORK_COMPLETE,
    WORK_DATA,
    request,
    response,
)
from tests.server.stage import Stage

CLIENT = 1
WORKER = 2
OTHER = 3

CREATED = response(JOB_CREATED, b"H:lap:1")


@pytest.fixture
def stage() -> Stage:
    return Stage(durable=True)


def test_a_background_job_is_acknowledged_and_run_once_it_is_stored(stage: Stage) -> None:
    stage.say(WORKER, request(CAN_DO, b"f"), request(PRE_SLEEP))
    assert stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"x")) == b""
    assert stage.hear(WORKER) == b""
    stage.commit()
    assert stage.hear(CLIENT) == CREATED
    assert stage.hear(WORKER) == response(NOOP)


def test_nobody_gets_a_job_that_is_not_stored_yet(stage: Stage) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"x"))
    assert stage.say(WORKER, request(CAN_DO, b"f"), request(GRAB_JOB)) == response(NO_JOB)
    assert stage.say(WORKER, request(PRE_SLEEP)) == b""


LATER = [
    (request(ECHO_REQ, b"x"), response(ECHO_RES, b"x")),
    (b"version\n", b"OK 1.2.3\n"),
    (b"status\n", b"f\t1\t0\t0\n.\n"),
    (b"show jobs\n", b"H:lap:1\t0\t0\t1\n.\n"),
    (request(OPTION_REQ, b"exceptions"), response(OPTION_RES, b"exceptions")),
    (
        request(OPTION_REQ, b"x"),
        response(ERROR, b"UNKNOWN_OPTION", b"Server does not recognize given option"),
    ),
    (request(GET_STATUS, b"H:lap:1"), response(STATUS_RES, b"H:lap:1", b"1", b"0", b"0", b"0")),
    (request(SUBMIT_JOB, b"g", b"", b""), response(JOB_CREATED, b"H:lap:2")),
    (request(GRAB_JOB), response(NO_JOB)),
]


@pytest.mark.parametrize(("later", "answer"), LATER)
def test_an_answer_waits_behind_an_acknowledgement_that_waits(
    stage: Stage, later: bytes, answer: bytes
) -> None:
    assert stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"x"), later) == b""
    assert stage.say(OTHER, request(ECHO_REQ, b"others go on")) == response(
        ECHO_RES, b"others go on"
    )
    stage.commit()
    assert stage.hear(CLIENT) == CREATED + answer


def test_all_answers_come_in_the_order_of_the_requests(stage: Stage) -> None:
    said = b"".join(
        request(SUBMIT_JOB_BG, b"f", b"", b"x") + request(ECHO_REQ, b"%d" % n) for n in range(1, 4)
    )
    heard = b"".join(
        response(JOB_CREATED, b"H:lap:%d" % n) + response(ECHO_RES, b"%d" % n) for n in range(1, 4)
    )
    assert stage.say(CLIENT, said) == b""
    stage.commit()
    assert stage.hear(CLIENT) == heard


def test_two_commits_release_the_answers_one_after_the_other(stage: Stage) -> None:
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"x"), request(ECHO_REQ, b"1"))
    first = stage.exchange.take_batch().adds
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"y"), request(ECHO_REQ, b"2"))
    stage.exchange.persisted(stage.now, first)
    assert stage.hear(CLIENT) == CREATED + response(ECHO_RES, b"1")
    stage.commit()
    assert stage.hear(CLIENT) == response(JOB_CREATED, b"H:lap:2") + response(ECHO_RES, b"2")


def test_a_job_that_can_not_be_stored_is_refused_and_never_runs(stage: Stage) -> None:
    stage.say(WORKER, request(CAN_DO, b"f"))
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"x"), request(ECHO_REQ, b"next"))
    stage.refuse(b"the disk is full")
    refused = response(ERROR, b"QUEUE_ERROR", b"the disk is full")
    assert stage.hear(CLIENT) == refused + response(ECHO_RES, b"next")
    assert stage.say(WORKER, request(GRAB_JOB)) == response(NO_JOB)
    assert stage.say(CLIENT, b"show jobs\n") == b".\n"


def test_a_result_comes_behind_the_acknowledgement_of_a_later_submission(stage: Stage) -> None:
    """A result of one's earlier job may not overtake what one has asked for since."""
    stage.say(WORKER, request(CAN_DO, b"f"))
    assert stage.say(CLIENT, request(SUBMIT_JOB, b"f", b"", b"x")) == CREATED
    stage.say(WORKER, request(GRAB_JOB))
    assert stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"y")) == b""
    stage.say(WORKER, request(WORK_COMPLETE, b"H:lap:1", b"done"))
    assert stage.hear(CLIENT) == b""
    stage.commit()
    wanted = response(JOB_CREATED, b"H:lap:2") + response(WORK_COMPLETE, b"H:lap:1", b"done")
    assert stage.hear(CLIENT) == wanted


def test_what_is_done_goes_to_the_store_with_the_next_commit(stage: Stage) -> None:
    stage.say(WORKER, request(CAN_DO, b"f"))
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"x"))
    [job] = stage.exchange.batch.adds
    stage.commit()
    stage.say(WORKER, request(GRAB_JOB), request(WORK_COMPLETE, b"H:lap:1", b""))
    assert stage.exchange.batch.dones == [job.number]


def test_an_attempt_goes_to_the_store(stage: Stage) -> None:
    stage.say(WORKER, request(CAN_DO, b"f"))
    stage.say(CLIENT, request(SUBMIT_JOB_BG, b"f", b"", b"x"))
    [job] = stage.exchange.batch.adds
    stage.commit()
    stage.say(WORKER, request(GRAB_JOB))
    stage.leave(WORKER)
    assert stage.exchange.batch.updates == [(job.number, 1, 0)]


# The order of jobs.


def in_order(stage: Stage) -> list[bytes]:
    """Return the workloads of two jobs each of f, ga and gb, and of one that is urgent."""
    for name in (b"f", b"ga", b"gb"):
        stage.say(WORKER, request(CAN_DO, name))
    for number in (b"0", b"1"):
        for name in (b"f", b"ga", b"gb"):
            stage.say(CLIENT, request(SUBMIT_JOB, name, b"", name + number))
    stage.say(CLIENT, request(SUBMIT_JOB_HIGH, b"gb", b"", b"gb urgent"))
    answers = [stage.say(WORKER, request(GRAB_JOB)) for _ in range(7)]
    return [answer.rpartition(b"\0")[2] for answer in answers]


def test_priorities_count_across_all_functions_of_a_worker_and_functions_take_turns() -> None:
    order = [b"gb urgent", b"ga0", b"f0", b"gb0", b"ga1", b"f1", b"gb1"]
    assert in_order(Stage()) == order


def test_functions_are_served_one_after_the_other_as_in_gearmand_1_1() -> None:
    order = [b"gb urgent", b"gb0", b"gb1", b"ga0", b"ga1", b"f0", b"f1"]
    assert in_order(Stage(per_function=True, round_robin=False)) == order


# Large workloads.


def chunks_with(stage: Stage, session: int, size: int) -> list[bytes]:
    """Return those pieces a session is to be sent that are at least so large."""
    return [chunk for chunk in stage.peer(session).outbox.take() if len(chunk) >= size]


@pytest.mark.parametrize("size", [LARGE, 500_000])
def test_a_large_workload_is_handed_on_without_a_copy(stage: Stage, size: int) -> None:
    workload = b"w" * size
    stage.say(CLIENT, request(SUBMIT_JOB, b"f", b"", workload))
    stage.say(WORKER, request(CAN_DO, b"f"))
    stage.exchange.receive(stage.now, stage.peer(WORKER), request(GRAB_JOB))
    [chunk] = chunks_with(stage, WORKER, size)
    [job] = stage.exchange.broker.jobs.values()
    assert chunk is job.workload


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1, 500_000])
def test_large_and_small_pieces_keep_their_order(stage: Stage, size: int) -> None:
    workload = b"w" * size
    stage.say(WORKER, request(CAN_DO, b"f"))
    stage.say(CLIENT, request(SUBMIT_JOB, b"f", b"", b"x"))
    assert stage.say(WORKER, request(GRAB_JOB)) == response(JOB_ASSIGN, b"H:lap:1", b"f", b"x")
    stage.say(
        WORKER,
        request(WORK_DATA, b"H:lap:1", b"small"),
        request(WORK_DATA, b"H:lap:1", workload),
        request(WORK_DATA, b"H:lap:1", b"small"),
        request(WORK_COMPLETE, b"H:lap:1", workload),
    )
    stage.exchange.receive(stage.now, stage.peer(CLIENT), request(ECHO_REQ, b"last"))
    assert stage.hear(CLIENT) == b"".join(
        [
            response(WORK_DATA, b"H:lap:1", b"small"),
            response(WORK_DATA, b"H:lap:1", workload),
            response(WORK_DATA, b"H:lap:1", b"small"),
            response(WORK_COMPLETE, b"H:lap:1", workload),
            response(ECHO_RES, b"last"),
        ]
    )


def test_the_answer_to_a_pass_is_one_piece(stage: Stage) -> None:
    """Each socket is written once; Node's library breaks where a packet comes in two."""
    said = b"".join(request(ECHO_REQ, b"%d" % n) for n in range(1000))
    stage.exchange.receive(stage.now, stage.peer(CLIENT), said)
    assert stage.exchange.take_written() == [stage.peer(CLIENT)]
    assert len(stage.peer(CLIENT).outbox.take()) == 1
    assert stage.exchange.take_written() == []
