"""
Answers leave in the order of the requests.

Clients match JOB_CREATED with their submissions, and OPTION_RES with their
options, by order alone. So whatever a session asks for after a submission that
still waits for the disk is answered after it.
"""

from __future__ import annotations

FULL = "1 <- ERROR QUEUE_ERROR disk full"


def test_later_answers_wait_behind_a_submission_that_waits(durable):
    assert durable("1 submit_job_bg f", "1 echo_req a", "1 option_req exceptions") == [
        "disk <- add 1"
    ]
    assert durable("1 submit_job g", "1 get_status H:t:2", "1 answer 'OK'") == []
    assert durable("stored") == [
        "1 <- JOB_CREATED H:t:1",
        "1 <- ECHO_RES a",
        "1 <- OPTION_RES exceptions",
        "1 <- JOB_CREATED H:t:2",
        "1 <- STATUS_RES H:t:2 known idle 0/0 clients=1",
        "1 <- reply OK",
    ]
    assert durable("1 echo_req b") == ["1 <- ECHO_RES b"]


def test_other_sessions_do_not_wait(durable):
    durable("1 submit_job_bg f")
    assert durable("2 echo_req a") == ["2 <- ECHO_RES a"]


def test_submission_that_is_stored_first_waits_for_the_one_before(durable):
    durable("1 submit_job_bg f", "1 echo_req a", "1 submit_job_bg f", "1 echo_req b")
    assert durable("stored 2") == []
    assert durable("stored 1") == [
        "1 <- JOB_CREATED H:t:1",
        "1 <- ECHO_RES a",
        "1 <- JOB_CREATED H:t:2",
        "1 <- ECHO_RES b",
    ]


def test_answers_leave_as_far_as_the_store_has_answered(durable):
    durable("1 submit_job_bg f", "1 echo_req a", "1 submit_job_bg f", "1 echo_req b")
    assert durable("refused 1") == [FULL, "1 <- ECHO_RES a"]
    assert durable("1 echo_req c") == []
    assert durable("stored 2") == ["1 <- JOB_CREATED H:t:2", "1 <- ECHO_RES b", "1 <- ECHO_RES c"]


def test_refusal_keeps_its_place_too(durable):
    durable("1 submit_job_bg f", "1 submit_job_bg f", "1 echo_req a")
    assert durable("refused 2") == []
    assert durable("stored") == ["1 <- JOB_CREATED H:t:1", FULL, "1 <- ECHO_RES a"]


def test_two_submissions_of_one_session_that_join_are_answered_twice(durable):
    durable("1 submit_job_bg f unique=u", "1 submit_job_bg f unique=u", "1 submit_job f unique=u")
    assert durable("stored") == ["1 <- JOB_CREATED H:t:1"] * 3


def test_result_waits_for_the_handle(durable):
    durable("3 can_do f", "3 can_do g", "1 submit_job_bg f", "1 submit_job g")
    assert durable("3 grab_job", "3 work_complete H:t:2 r") == ["3 <- JOB_ASSIGN H:t:2 g"]
    assert durable("stored") == [
        "1 <- JOB_CREATED H:t:1",
        "1 <- JOB_CREATED H:t:2",
        "1 <- WORK_COMPLETE H:t:2 r",
    ]


def test_worker_that_submits_is_woken_and_assigned_in_turn(durable):
    durable("3 can_do f", "3 submit_job_bg g", "3 pre_sleep")
    assert durable("1 submit_job f", "3 grab_job") == ["1 <- JOB_CREATED H:t:2"]
    assert durable("stored") == [
        "3 <- JOB_CREATED H:t:1",
        "3 <- NOOP",
        "3 <- JOB_ASSIGN H:t:2 f",
    ]


def test_assignment_that_waited_too_long_is_not_sent(durable):
    # Meanwhile the job timed out: whoever got it now would run it a second time.
    durable("3 can_do f timeout=5", "1 submit_job f workload=w", "3 submit_job_bg g", "3 grab_job")
    assert durable("4 can_do f", "wait 5", "4 grab_job") == ["4 <- JOB_ASSIGN H:t:1 f w"]
    assert durable("stored") == ["3 <- JOB_CREATED H:t:2", "3 <- NO_JOB"]
    assert durable("4 work_complete H:t:1 r") == ["1 <- WORK_COMPLETE H:t:1 r"]


def test_assignment_whose_job_ended_meanwhile_is_not_sent(durable):
    durable("3 can_do f timeout=5", "1 submit_job f", "3 submit_job_bg g", "3 grab_job")
    durable("1 disconnect", "wait 5")
    assert durable("stored") == ["3 <- JOB_CREATED H:t:2", "3 <- NO_JOB"]


def test_job_assigned_twice_to_one_worker_before_it_heard_is_sent_once(durable):
    durable("3 can_do f timeout=5", "1 submit_job f", "3 submit_job_bg g", "3 grab_job")
    durable("wait 5", "3 grab_job")
    assert durable("stored") == [
        "3 <- JOB_CREATED H:t:2",
        "3 <- NO_JOB",
        "3 <- JOB_ASSIGN H:t:1 f",
    ]


def test_answers_of_a_session_that_left_are_dropped(durable):
    durable("1 submit_job_bg f", "1 echo_req a", "1 submit_job_bg f", "1 disconnect")
    assert durable("stored") == []
    assert durable.broker.sessions == {}
