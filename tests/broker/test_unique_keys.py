from __future__ import annotations

import pytest


def test_submission_with_the_same_key_joins_the_job_that_waits(play):
    play("3 can_do f", "1 submit_job f unique=u workload=first")
    assert play("2 submit_job f unique=u workload=second") == ["2 <- JOB_CREATED H:t:1"]
    assert play("3 grab_job", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f first", "3 <- NO_JOB"]
    assert play("3 work_complete H:t:1 r") == [
        "1 <- WORK_COMPLETE H:t:1 r",
        "2 <- WORK_COMPLETE H:t:1 r",
    ]


def test_submission_with_the_same_key_joins_the_job_that_runs(play):
    play("3 can_do f", "1 submit_job f unique=u", "3 grab_job", "3 work_data H:t:1 early")
    assert play("2 submit_job f unique=u") == ["2 <- JOB_CREATED H:t:1"]
    assert play("3 work_data H:t:1 late", "3 work_complete H:t:1 r")[1:] == [
        "2 <- WORK_DATA H:t:1 late",
        "1 <- WORK_COMPLETE H:t:1 r",
        "2 <- WORK_COMPLETE H:t:1 r",
    ]


def test_submission_with_the_same_key_joins_the_job_whose_time_has_not_come(play):
    play("1 submit_job_epoch f unique=u at=2000")
    assert play("2 submit_job f unique=u") == ["2 <- JOB_CREATED H:t:1"]
    play("3 can_do f")
    assert play("3 grab_job") == ["3 <- NO_JOB"]


def test_key_belongs_to_its_function(play):
    assert play("1 submit_job f unique=u", "1 submit_job g unique=u") == [
        "1 <- JOB_CREATED H:t:1",
        "1 <- JOB_CREATED H:t:2",
    ]


def test_key_holds_across_priorities_and_the_first_submission_s_counts(play):
    play("3 can_do f", "1 submit_job_low f unique=u", "1 submit_job f unique=v")
    assert play("2 submit_job_high f unique=u") == ["2 <- JOB_CREATED H:t:1"]
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 f"]


def test_key_is_free_once_the_job_ended(play):
    play("3 can_do f", "1 submit_job f unique=u", "3 grab_job", "3 work_complete H:t:1 r")
    assert play("1 submit_job f unique=u") == ["1 <- JOB_CREATED H:t:2"]


def test_without_a_key_nothing_joins(play):
    assert play("1 submit_job f workload=w", "2 submit_job f workload=w") == [
        "1 <- JOB_CREATED H:t:1",
        "2 <- JOB_CREATED H:t:2",
    ]


def test_key_dash_means_that_the_workload_is_the_key(play):
    assert play(
        "1 submit_job f unique=- workload=w",
        "2 submit_job f unique=- workload=w",
        "2 submit_job f unique=- workload=other",
        "2 submit_job g unique=- workload=w",
    ) == [
        "1 <- JOB_CREATED H:t:1",
        "2 <- JOB_CREATED H:t:1",
        "2 <- JOB_CREATED H:t:2",
        "2 <- JOB_CREATED H:t:3",
    ]


def test_key_dash_is_what_the_worker_sees_and_is_free_after_the_job(play):
    play("3 can_do f", "1 submit_job f unique=- workload=w")
    assert play("3 grab_job_uniq", "3 work_complete H:t:1 r") == [
        "3 <- JOB_ASSIGN_UNIQ H:t:1 f - w",
        "1 <- WORK_COMPLETE H:t:1 r",
    ]
    assert play("1 submit_job f unique=- workload=w") == ["1 <- JOB_CREATED H:t:2"]


def test_key_dash_without_a_workload_is_no_key(play):
    assert play("1 submit_job f unique=-", "2 submit_job f unique=-") == [
        "1 <- JOB_CREATED H:t:1",
        "2 <- JOB_CREATED H:t:2",
    ]
    play("1 disconnect", "2 disconnect")
    assert play.broker.jobs == {}


def test_key_is_no_workload_and_workload_no_key(play):
    play("1 submit_job f unique=- workload=w")
    assert play("2 submit_job f unique=w") == ["2 <- JOB_CREATED H:t:2"]


def test_job_that_nobody_listens_to_any_more_can_be_joined_while_it_runs(play):
    play("3 can_do f", "1 submit_job f unique=u", "3 grab_job", "1 disconnect")
    assert play("2 submit_job f unique=u") == ["2 <- JOB_CREATED H:t:1"]
    assert play("3 work_complete H:t:1 r") == ["2 <- WORK_COMPLETE H:t:1 r"]


def test_job_that_nobody_listened_to_any_more_does_not_hold_its_key(play):
    play("1 submit_job f unique=u", "1 disconnect")
    assert play("2 submit_job f unique=u") == ["2 <- JOB_CREATED H:t:2"]
    assert play("3 can_do f", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 f"]


@pytest.mark.parametrize("submission", ["submit_job f", "submit_job_bg f"])
def test_background_submission_makes_a_foreground_job_an_obligation(play, submission):
    play("1 submit_job f unique=u", f"2 {submission} unique=u", "1 disconnect", "2 disconnect")
    play("3 can_do f")
    expected = "JOB_ASSIGN H:t:1 f" if "bg" in submission else "NO_JOB"
    assert play("3 grab_job") == [f"3 <- {expected}"]


def test_status_can_be_asked_for_by_key(play):
    play("3 can_do f", "1 submit_job f unique=u", "2 submit_job f unique=u")
    assert play("9 get_status_unique u") == ["9 <- STATUS_RES_UNIQUE u known idle 0/0 clients=2"]
    play("3 grab_job", "3 work_status H:t:1 1 4", "2 disconnect")
    assert play("9 get_status_unique u") == ["9 <- STATUS_RES_UNIQUE u known running 1/4 clients=1"]
    play("3 work_complete H:t:1 r")
    assert play("9 get_status_unique u") == ["9 <- STATUS_RES_UNIQUE u unknown idle 0/0 clients=0"]


def test_key_dash_names_no_job(play):
    play("1 submit_job f unique=- workload=w")
    assert play("9 get_status_unique -") == ["9 <- STATUS_RES_UNIQUE - unknown idle 0/0 clients=0"]
