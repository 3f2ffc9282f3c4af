from __future__ import annotations

import pytest

from geartrain.broker.commands import GetStatus, GetStatusUnique

# status, prioritystatus, workers, show jobs.


def test_status_counts_jobs_running_ones_and_workers(play):
    assert play("9 status", "9 prioritystatus") == [
        "9 <- status: nothing",
        "9 <- prioritystatus: nothing",
    ]
    play("3 can_do f", "4 can_do f", "4 can_do g", *["1 submit_job f"] * 3)
    play("1 submit_job_high f", "1 submit_job_low f", "3 grab_job", "3 grab_job")
    assert play("9 status") == ["9 <- status: f 5 2 2 | g 0 0 1"]
    assert play("9 prioritystatus") == ["9 <- prioritystatus: f 0 2 1 2 | g 0 0 0 1"]


def test_workers_shows_every_connection(play):
    play("9 connect", "3 can_do f", "3 can_do g", "3 set_client_id web", "1 submit_job f")
    assert play("9 workers") == ["9 <- workers: 9 - : | 3 web : g f | 1 - :"]


def test_show_jobs_names_all_that_have_not_ended(play):
    play("3 can_do f", "1 submit_job f unique=u", "1 submit_job_epoch f at=2000", "3 grab_job")
    assert play("9 show_jobs", "9 show_unique_jobs") == [
        "9 <- jobs: H:t:1 0 | H:t:2 0",
        "9 <- unique: u | ",
    ]
    play("3 work_complete H:t:1 r", "9 cancel_job H:t:2")
    assert play("9 show_jobs", "9 show_unique_jobs") == [
        "9 <- jobs: nothing",
        "9 <- unique: nothing",
    ]


# GET_STATUS.


def test_anybody_may_ask_for_the_status_of_a_job(play):
    play("3 can_do f", "1 submit_job_bg f")
    assert play("2 get_status H:t:1") == ["2 <- STATUS_RES H:t:1 known idle 0/0 clients=0"]
    play("3 grab_job")
    assert play("2 get_status H:t:1") == ["2 <- STATUS_RES H:t:1 known running 0/0 clients=0"]
    assert play("2 get_status H:t:7") == ["2 <- STATUS_RES H:t:7 unknown idle 0/0 clients=0"]


@pytest.mark.parametrize("end", [b"\0", b"\0\0", b"\0garbage"])
def test_status_of_a_handle_with_a_nul_behind_it_is_answered_without_it(play, end):
    # A NUL in the answer would shift all its fields.
    play("1 submit_job f unique=u")
    assert play.step(GetStatus(1, b"H:t:1" + end)) == [
        "1 <- STATUS_RES H:t:1 known idle 0/0 clients=1"
    ]
    assert play.step(GetStatus(1, b"H:t:7" + end)) == [
        "1 <- STATUS_RES H:t:7 unknown idle 0/0 clients=0"
    ]
    assert play.step(GetStatusUnique(1, b"u" + end)) == [
        "1 <- STATUS_RES_UNIQUE u known idle 0/0 clients=1"
    ]


# cancel job.


def test_cancelled_job_fails_for_those_who_wait_and_never_runs(play):
    play("3 can_do f", "1 submit_job f unique=u", "2 submit_job f unique=u")
    assert play("9 cancel_job H:t:1") == [
        "1 <- WORK_FAIL H:t:1",
        "2 <- WORK_FAIL H:t:1",
        "9 <- OK",
    ]
    assert play("3 grab_job", "9 cancel_job H:t:1") == ["3 <- NO_JOB", "9 <- UNKNOWN_JOB"]


def test_cancelled_background_job_is_forgotten_by_the_store(durable):
    durable("1 submit_job_bg f", "stored")
    assert durable("9 cancel_job H:t:1") == ["disk <- forget 1", "9 <- OK"]


def test_running_job_that_is_cancelled_is_not_stopped_but_nobody_waits_for_it(durable):
    durable("3 can_do f", "1 submit_job_bg f unique=u", "stored", "2 submit_job f unique=u")
    durable("3 grab_job")
    assert durable("9 cancel_job H:t:1") == [
        "2 <- WORK_FAIL H:t:1",
        "disk <- forget 1",
        "9 <- OK",
    ]
    # Twice is once.
    assert durable("9 cancel_job H:t:1") == ["9 <- OK"]
    assert durable("9 status", "3 work_complete H:t:1 r", "9 status") == [
        "9 <- status: f 1 1 1",
        "9 <- status: f 0 0 1",
    ]


def test_running_job_that_is_cancelled_is_not_tried_again(play):
    play("3 can_do f", "4 can_do f", "1 submit_job_bg f", "3 grab_job", "9 cancel_job H:t:1")
    assert play("3 disconnect", "4 grab_job") == ["4 <- NO_JOB"]
    assert play.broker.jobs == {}


@pytest.mark.parametrize("key", ["unique=u", "unique=- workload=w"])
def test_key_of_a_running_job_that_was_cancelled_is_free(play, key):
    play("3 can_do f", f"1 submit_job f {key}", "3 grab_job", "9 cancel_job H:t:1")
    assert play(f"2 submit_job f {key}") == ["2 <- JOB_CREATED H:t:2"]
    # The end of the first is not the end of the second.
    assert play("3 work_complete H:t:1 r", f"2 submit_job f {key}") == ["2 <- JOB_CREATED H:t:2"]


@pytest.mark.parametrize("answer", ["stored", "refused"])
def test_running_job_cancelled_while_the_store_writes_it_stays_cancelled(durable, answer):
    durable("3 can_do f", "1 submit_job f unique=u", "3 grab_job", "2 submit_job_bg f unique=u")
    assert durable("9 cancel_job H:t:1")[1:] == ["disk <- forget 1", "9 <- OK"]
    told = "JOB_CREATED H:t:1" if answer == "stored" else "ERROR QUEUE_ERROR disk full"
    assert durable(answer, "3 disconnect") == [f"2 <- {told}"]
    assert durable.broker.jobs == {}


# create function, drop function, maxqueue.


def test_created_function_is_shown(play):
    assert play("9 create_function f", "9 create_function f", "9 status") == [
        "9 <- OK",
        "9 <- OK",
        "9 <- status: f 0 0 0",
    ]


def test_unknown_function_can_not_be_dropped(play):
    assert play("9 drop_function f") == ["9 <- function not found"]


def test_idle_function_is_dropped(play):
    play("9 create_function f")
    assert play("9 drop_function f", "9 status") == ["9 <- OK", "9 <- status: nothing"]


def test_function_with_workers_is_not_dropped_even_by_force(play):
    play("3 can_do f")
    assert play("9 drop_function f force") == ["9 <- function in use"]
    play("3 cant_do f")
    assert play("9 drop_function f") == ["9 <- OK"]


def test_function_with_waiting_jobs_is_dropped_by_force_only(durable):
    durable("1 submit_job f", "1 submit_job_bg f", "stored", "2 submit_job_bg f")
    durable("4 submit_job_epoch f at=2000", "stored 4")
    assert durable("9 drop_function f") == ["9 <- function in use"]
    assert durable("1 submit_job g", "9 drop_function f force") == [
        "1 <- JOB_CREATED H:t:5",
        "1 <- WORK_FAIL H:t:1",
        "disk <- forget 2",
        "disk <- forget 3",
        "disk <- forget 4",
        "9 <- OK",
    ]
    assert durable("9 status", "9 show_jobs") == ["9 <- status: g 1 0 0", "9 <- jobs: H:t:5 0"]
    assert durable("stored") == ["2 <- JOB_CREATED H:t:3"]
    # The function may come back.
    assert durable("3 can_do f", "3 grab_job") == ["3 <- NO_JOB"]


def test_limits_hold_for_functions_that_come_later_and_can_be_lifted(play):
    assert play("9 maxqueue f 1 1 1", "1 submit_job f", "1 submit_job f") == [
        "9 <- OK",
        "1 <- JOB_CREATED H:t:1",
        "1 <- ERROR QUEUE_ERROR Job queue is full",
    ]
    assert play("9 maxqueue f 0 0 0", "1 submit_job f") == ["9 <- OK", "1 <- JOB_CREATED H:t:2"]


def test_dropped_function_has_no_limits(play):
    play("9 maxqueue f 1 1 1", "9 drop_function f", "1 submit_job f")
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:2"]
