"""A background job is acknowledged, and may run, once it is on disk."""

from __future__ import annotations

import pytest

from geartrain.broker.commands import PersistFailed

FULL = "ERROR QUEUE_ERROR disk full"


def test_background_job_is_acknowledged_once_it_is_on_disk(durable):
    assert durable("1 submit_job_bg f") == ["disk <- add 1"]
    assert durable("stored") == ["1 <- JOB_CREATED H:t:1"]


def test_background_job_can_not_be_grabbed_before_it_is_on_disk(durable):
    durable("3 can_do f", "1 submit_job_bg f")
    assert durable("3 grab_job", "3 pre_sleep") == ["3 <- NO_JOB"]
    assert durable("stored") == ["3 <- NOOP", "1 <- JOB_CREATED H:t:1"]
    assert durable("3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


def test_background_job_that_could_not_be_stored_is_refused_and_never_runs(durable):
    durable("3 can_do f", "1 submit_job_bg f unique=u")
    assert durable("refused") == [f"1 <- {FULL}"]
    assert durable("3 grab_job") == ["3 <- NO_JOB"]
    assert durable.broker.jobs == {}
    assert durable("1 submit_job_bg f unique=u", "stored") == [
        "disk <- add 2",
        "1 <- JOB_CREATED H:t:2",
    ]


def test_store_that_does_not_say_why_it_failed_has_failed_all_the_same(durable):
    durable("1 submit_job_bg f")
    assert durable.step(PersistFailed(durable.take([]), b"")) == [
        "1 <- ERROR QUEUE_ERROR The queue store failed"
    ]


def test_foreground_job_does_not_wait_for_the_disk(durable):
    durable("3 can_do f")
    assert durable("1 submit_job f") == ["1 <- JOB_CREATED H:t:1"]
    assert durable("3 grab_job", "3 work_complete H:t:1 r") == [
        "3 <- JOB_ASSIGN H:t:1 f",
        "1 <- WORK_COMPLETE H:t:1 r",
    ]


@pytest.mark.parametrize("ending", ["work_complete H:t:1 r", "work_fail H:t:1"])
def test_stored_job_that_ended_is_forgotten_by_the_store(durable, ending):
    durable("3 can_do f", "1 submit_job_bg f", "stored", "3 grab_job")
    assert durable(f"3 {ending}") == ["disk <- forget 1"]


def test_stored_job_that_raised_is_forgotten_by_the_store(durable):
    durable("3 can_do f", "1 submit_job_bg f", "stored", "3 grab_job")
    assert durable("3 work_exception H:t:1 e") == ["disk <- forget 1"]


def test_job_survives_the_client_that_left_before_the_answer(durable):
    durable("1 submit_job_bg f", "1 disconnect", "3 can_do f")
    assert durable("stored") == []
    assert durable("3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


def test_refusal_of_a_client_that_left_is_told_to_nobody(durable):
    durable("1 submit_job_bg f", "1 disconnect")
    assert durable("refused") == []
    assert durable.broker.jobs == {}


def test_several_jobs_are_stored_at_once_and_wait_in_the_order_they_were_stored(durable):
    durable("3 can_do f", "1 submit_job_bg f", "2 submit_job_bg f", "1 submit_job_bg f")
    assert durable("stored") == [
        "1 <- JOB_CREATED H:t:1",
        "2 <- JOB_CREATED H:t:2",
        "1 <- JOB_CREATED H:t:3",
    ]
    assert durable("3 grab_job", "3 grab_job", "3 grab_job") == [
        "3 <- JOB_ASSIGN H:t:1 f",
        "3 <- JOB_ASSIGN H:t:2 f",
        "3 <- JOB_ASSIGN H:t:3 f",
    ]


def test_job_that_waits_for_the_disk_is_known_and_counted(durable):
    durable("1 submit_job_bg f unique=u", "9 maxqueue f 1 1 1")
    assert durable("9 status", "9 prioritystatus", "9 show_jobs", "9 get_status H:t:1") == [
        "9 <- status: f 1 0 0",
        "9 <- prioritystatus: f 0 1 0 0",
        "9 <- jobs: H:t:1 0",
        "9 <- STATUS_RES H:t:1 known idle 0/0 clients=0",
    ]
    assert durable("2 submit_job f") == ["2 <- ERROR QUEUE_ERROR Job queue is full"]


# Joining a job that waits for the disk.


def test_everybody_who_joined_hears_the_handle_when_the_job_is_on_disk(durable):
    durable("3 can_do f", "1 submit_job_bg f unique=u")
    assert durable("2 submit_job_bg f unique=u", "4 submit_job f unique=u") == []
    assert durable("stored") == [
        "1 <- JOB_CREATED H:t:1",
        "2 <- JOB_CREATED H:t:1",
        "4 <- JOB_CREATED H:t:1",
    ]
    assert durable("3 grab_job", "3 work_complete H:t:1 r") == [
        "3 <- JOB_ASSIGN H:t:1 f",
        "4 <- WORK_COMPLETE H:t:1 r",
        "disk <- forget 1",
    ]


def test_everybody_who_joined_is_refused_with_it(durable):
    durable("1 submit_job_bg f unique=u", "2 submit_job_bg f unique=u", "4 submit_job f unique=u")
    assert durable("refused") == [f"1 <- {FULL}", f"2 <- {FULL}", f"4 <- {FULL}"]
    assert durable.broker.sessions[4].listening == {}


def test_job_on_disk_is_joined_without_asking_the_disk_again(durable):
    durable("1 submit_job_bg f unique=u", "stored")
    assert durable("2 submit_job_bg f unique=u") == ["2 <- JOB_CREATED H:t:1"]
    assert durable("2 submit_job f unique=u") == ["2 <- JOB_CREATED H:t:1"]
    durable("3 can_do f", "3 grab_job")
    assert durable("4 submit_job_bg f unique=u") == ["4 <- JOB_CREATED H:t:1"]


# A foreground job that a background submission joins: from then on it has to be on disk.


def test_background_client_that_joins_a_waiting_job_is_told_once_it_is_on_disk(durable):
    durable("1 submit_job f unique=u")
    assert durable("2 submit_job_bg f unique=u") == ["disk <- add 1"]
    assert durable("4 submit_job_bg f unique=u") == []
    # A third one in the foreground has nothing to wait for.
    assert durable("5 submit_job f unique=u") == ["5 <- JOB_CREATED H:t:1"]
    assert durable("stored") == ["2 <- JOB_CREATED H:t:1", "4 <- JOB_CREATED H:t:1"]


def test_joined_job_stays_when_its_foreground_client_leaves(durable):
    durable("3 can_do f", "1 submit_job f unique=u", "2 submit_job_bg f unique=u", "stored")
    durable("1 disconnect", "2 disconnect")
    assert durable("3 grab_job", "3 work_complete H:t:1 r") == [
        "3 <- JOB_ASSIGN H:t:1 f",
        "disk <- forget 1",
    ]


def test_foreground_client_that_leaves_before_the_disk_answers_takes_nothing_along(durable):
    durable("1 submit_job f unique=u", "2 submit_job_bg f unique=u", "1 disconnect")
    assert durable("stored") == ["2 <- JOB_CREATED H:t:1"]
    durable("3 can_do f")
    assert durable("3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


def test_job_joined_in_vain_is_the_foreground_client_s_again(durable):
    durable("3 can_do f", "1 submit_job f unique=u", "2 submit_job_bg f unique=u")
    assert durable("refused") == [f"2 <- {FULL}"]
    assert durable("3 grab_job", "3 work_complete H:t:1 r") == [
        "3 <- JOB_ASSIGN H:t:1 f",
        "1 <- WORK_COMPLETE H:t:1 r",
    ]


def test_job_joined_in_vain_ends_when_its_foreground_client_has_left(durable):
    durable("3 can_do f", "1 submit_job f unique=u", "2 submit_job_bg f unique=u", "1 disconnect")
    assert durable("refused") == [f"2 <- {FULL}"]
    assert durable("3 grab_job") == ["3 <- NO_JOB"]
    assert durable.broker.jobs == {}


def test_job_joined_in_vain_ends_with_its_foreground_client(durable):
    durable("1 submit_job f unique=u", "2 submit_job_bg f unique=u", "refused", "1 disconnect")
    assert durable.broker.jobs == {}


def test_job_joined_in_vain_can_be_joined_again(durable):
    durable("1 submit_job f unique=u", "2 submit_job_bg f unique=u", "refused")
    assert durable("2 submit_job_bg f unique=u") == ["disk <- add 1"]
    assert durable("stored") == ["2 <- JOB_CREATED H:t:1"]
    durable("1 disconnect", "3 can_do f")
    assert durable("3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


def test_running_job_is_stored_for_the_background_client_that_joins(durable):
    durable("3 can_do f", "1 submit_job f unique=u", "3 grab_job")
    assert durable("2 submit_job_bg f unique=u") == ["disk <- add 1"]
    assert durable("stored") == ["2 <- JOB_CREATED H:t:1"]
    # Nobody listens, and the worker dies: the job is still owed.
    durable("1 disconnect", "4 can_do f")
    assert durable("3 disconnect") == ["disk <- attempts 1 1"]
    assert durable("4 grab_job") == ["4 <- JOB_ASSIGN H:t:1 f"]


def test_running_job_joined_in_vain_runs_on_for_its_foreground_client(durable):
    durable("3 can_do f", "1 submit_job f unique=u", "3 grab_job", "2 submit_job_bg f unique=u")
    assert durable("refused") == [f"2 <- {FULL}"]
    assert durable("3 work_complete H:t:1 r") == ["1 <- WORK_COMPLETE H:t:1 r"]


def test_running_job_joined_in_vain_ends_with_its_worker_when_nobody_listens(durable):
    durable("3 can_do f", "1 submit_job f unique=u", "3 grab_job", "2 submit_job_bg f unique=u")
    durable("1 disconnect")
    assert durable("refused", "3 disconnect") == [f"2 <- {FULL}"]
    assert durable.broker.jobs == {}


@pytest.mark.parametrize("answer", ["stored", "refused"])
def test_job_that_ended_before_the_disk_answered_is_acknowledged_all_the_same(durable, answer):
    # It has run: a refusal would have the client submit it again.
    durable("3 can_do f", "1 submit_job f unique=u", "3 grab_job", "2 submit_job_bg f unique=u")
    assert durable("3 work_complete H:t:1 r") == [
        "1 <- WORK_COMPLETE H:t:1 r",
        "disk <- forget 1",
    ]
    assert durable(answer) == ["2 <- JOB_CREATED H:t:1"]
    assert durable.broker.jobs == {}


@pytest.mark.parametrize("answer", ["stored", "refused"])
def test_job_that_was_cancelled_before_the_disk_answered_does_not_run(durable, answer):
    durable("3 can_do f", "1 submit_job_bg f workload=w")
    job = durable.broker.jobs[b"H:t:1"]
    assert durable("9 cancel_job H:t:1") == ["disk <- forget 1", "9 <- OK"]
    # The store may be reading it.
    assert job.workload == b"w"
    assert durable(answer) == ["1 <- JOB_CREATED H:t:1"]
    assert job.workload == b""
    assert durable("3 grab_job") == ["3 <- NO_JOB"]


def test_epoch_job_waits_for_the_disk_and_then_for_its_time(durable):
    durable("3 can_do f", "3 pre_sleep", "1 submit_job_epoch f at=1010")
    assert durable("stored", "wait 9") == ["1 <- JOB_CREATED H:t:1"]
    assert durable("wait 1") == ["3 <- NOOP"]


def test_epoch_job_that_was_stored_after_its_time_runs_at_once(durable):
    durable("1 submit_job_epoch f at=1010", "wait 20", "3 can_do f")
    assert durable("stored", "3 grab_job") == [
        "1 <- JOB_CREATED H:t:1",
        "3 <- JOB_ASSIGN H:t:1 f",
    ]


def test_epoch_job_joined_and_left_by_a_foreground_client_stays(durable):
    durable("1 submit_job_epoch f at=1010 unique=u", "stored", "2 submit_job f unique=u")
    durable("2 disconnect", "wait 10", "3 can_do f")
    assert durable("3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


# In memory.


def test_memory_broker_has_nothing_for_the_store(play):
    play("3 can_do f", "4 can_do f", "1 submit_job f unique=u", "2 submit_job_bg f unique=u")
    assert play("3 grab_job", "3 disconnect", "4 grab_job", "4 work_complete H:t:1 r") == [
        "3 <- JOB_ASSIGN H:t:1 f",
        "4 <- JOB_ASSIGN H:t:1 f",
        "1 <- WORK_COMPLETE H:t:1 r",
    ]


@pytest.mark.parametrize("again", ["stored", "refused"])
def test_store_that_answers_twice_is_heard_once(durable, again):
    durable("3 can_do f", "1 submit_job_bg f")
    jobs = durable.take([])
    durable.storing = list(jobs)
    assert durable("stored") == ["1 <- JOB_CREATED H:t:1"]
    durable.storing = list(jobs)
    assert durable(again) == []
    assert durable("3 grab_job", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f", "3 <- NO_JOB"]
    assert durable("3 work_complete H:t:1 r") == ["disk <- forget 1"]
