from __future__ import annotations

import pytest

from geartrain.broker.commands import WorkComplete, WorkData, WorkException, WorkFail
from tests.broker.story import Stage

NOT_FOUND = "3 <- ERROR JOB_NOT_FOUND Job given in work result not found"
NO_SUCH_JOB = "3 <- ERROR JOB_NOT_FOUND Job does not exist on server"
NOTHING_RAISED = "3 <- ERROR JOB_NOT_FOUND An exception was received for a job that does not exist"


@pytest.fixture
def running(play) -> Stage:
    """Session 3 works on H:t:1, for which 1 and 2 wait; 2 wants exceptions."""
    play("2 option_req exceptions", "3 can_do f")
    play("1 submit_job f unique=u", "2 submit_job f unique=u", "3 grab_job")
    return play


def test_result_goes_to_everybody_who_waits(running):
    assert running("3 work_complete H:t:1 result") == [
        "1 <- WORK_COMPLETE H:t:1 result",
        "2 <- WORK_COMPLETE H:t:1 result",
    ]
    assert running.broker.jobs == {}


def test_failure_goes_to_everybody_who_waits(running):
    assert running("3 work_fail H:t:1") == ["1 <- WORK_FAIL H:t:1", "2 <- WORK_FAIL H:t:1"]
    assert running.broker.jobs == {}


def test_failure_is_a_result_and_is_not_tried_again(running):
    running("4 can_do f", "3 work_fail H:t:1")
    assert running("4 grab_job") == ["4 <- NO_JOB"]


def test_data_and_warnings_are_passed_on_while_the_job_runs(running):
    assert running("3 work_data H:t:1 part", "3 work_warning H:t:1 careful") == [
        "1 <- WORK_DATA H:t:1 part",
        "2 <- WORK_DATA H:t:1 part",
        "1 <- WORK_WARNING H:t:1 careful",
        "2 <- WORK_WARNING H:t:1 careful",
    ]
    assert running("3 work_complete H:t:1")[0] == "1 <- WORK_COMPLETE H:t:1"


def test_progress_is_passed_on_as_sent_and_kept(running):
    assert running("3 work_status H:t:1 03 10") == [
        "1 <- WORK_STATUS H:t:1 03 10",
        "2 <- WORK_STATUS H:t:1 03 10",
    ]
    assert running("9 get_status H:t:1") == ["9 <- STATUS_RES H:t:1 known running 03/10 clients=2"]


def test_exception_goes_to_those_who_asked_for_it_and_is_a_failure_for_others(running):
    assert running("3 work_exception H:t:1 'it broke'") == [
        "1 <- WORK_FAIL H:t:1",
        "2 <- WORK_EXCEPTION H:t:1 it broke",
    ]
    assert running.broker.jobs == {}


def test_server_may_send_exceptions_without_being_asked():
    play = Stage(exceptions=True)
    play("3 can_do f", "1 submit_job f", "3 grab_job")
    assert play("3 work_exception H:t:1 oops") == ["1 <- WORK_EXCEPTION H:t:1 oops"]


def test_failure_or_result_right_after_an_exception_is_swallowed_once(running):
    # Perl's and Python's workers send WORK_FAIL too, and Perl's dies of the ERROR.
    running("3 work_exception H:t:1 oops")
    assert running("3 work_fail H:t:1") == []
    assert running("3 work_fail H:t:1") == [NOT_FOUND]
    running("1 submit_job f", "3 grab_job", "3 work_exception H:t:2 oops")
    assert running("3 work_complete H:t:2 r") == []
    assert running("3 work_complete H:t:2 r") == [NOT_FOUND]


def test_only_the_worker_that_sent_the_exception_is_forgiven(running):
    running("3 work_exception H:t:1 oops")
    assert running("4 work_fail H:t:1") == [NOT_FOUND.replace("3 <-", "4 <-")]


def test_only_the_last_exceptions_are_remembered(play):
    play("3 can_do f")
    for n in range(1, 67):
        play("1 submit_job f", "3 grab_job", f"3 work_exception H:t:{n} oops")
    assert play("3 work_fail H:t:1", "3 work_fail H:t:2") == [NOT_FOUND, NOT_FOUND]
    assert play("3 work_fail H:t:3", "3 work_fail H:t:66") == []
    assert len(play.broker.sessions[3].excepted) == 62


def test_background_job_ends_without_a_word(play):
    play("3 can_do f", *["1 submit_job_bg f"] * 3, *["3 grab_job"] * 3)
    assert play("3 work_data H:t:1 d", "3 work_warning H:t:1 w", "3 work_status H:t:1 1 2") == []
    assert play("3 work_complete H:t:1 r", "3 work_fail H:t:2", "3 work_exception H:t:3 e") == []
    assert play("9 status") == ["9 <- status: f 0 0 1"]


def test_each_submission_gets_its_own_result_even_on_one_connection(play):
    # PHP and Perl count on it: three tasks, one key, one handle, three results.
    play("3 can_do f", *["1 submit_job f unique=u"] * 3, "3 grab_job")
    assert play("3 work_complete H:t:1 r") == ["1 <- WORK_COMPLETE H:t:1 r"] * 3


# Words about jobs the worker does not have.

REPORTS = [
    ("work_complete {} r", NOT_FOUND),
    ("work_fail {}", NOT_FOUND),
    ("work_exception {} e", NOTHING_RAISED),
    ("work_data {} d", NO_SUCH_JOB),
    ("work_warning {} w", NO_SUCH_JOB),
    ("work_status {} 1 2", NOT_FOUND),
]


@pytest.mark.parametrize(("report", "refusal"), REPORTS)
@pytest.mark.parametrize("handle", ["H:t:1", "H:t:99", "H:other:1", "nonsense"])
def test_words_about_a_job_the_worker_does_not_have_are_refused(play, report, refusal, handle):
    play("4 can_do f", "1 submit_job f", "4 grab_job", "3 can_do f")
    assert play("3 " + report.format(handle)) == [refusal]
    # The job goes on as if nothing had been said.
    assert play("9 get_status H:t:1") == ["9 <- STATUS_RES H:t:1 known running 0/0 clients=1"]
    assert play("4 work_complete H:t:1 r") == ["1 <- WORK_COMPLETE H:t:1 r"]


@pytest.mark.parametrize(("report", "refusal"), REPORTS)
def test_words_about_a_job_that_waits_are_refused(play, report, refusal):
    play("3 can_do f", "1 submit_job f")
    assert play("3 " + report.format("H:t:1")) == [refusal]
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


@pytest.mark.parametrize(("report", "refusal"), REPORTS)
def test_words_about_a_job_that_ended_are_refused(play, report, refusal):
    play("3 can_do f", "1 submit_job f", "3 grab_job", "3 work_complete H:t:1 r")
    assert play("3 " + report.format("H:t:1")) == [refusal]


# Some libraries send a NUL behind the handle; clients hear the handle itself.


@pytest.mark.parametrize(
    ("command", "heard"),
    [
        (WorkComplete(3, b"H:t:1\0", b"r"), "WORK_COMPLETE H:t:1 r"),
        (WorkFail(3, b"H:t:1\0"), "WORK_FAIL H:t:1"),
        (WorkException(3, b"H:t:1\0", b"e"), "WORK_FAIL H:t:1"),
        (WorkData(3, b"H:t:1\0", b"d"), "WORK_DATA H:t:1 d"),
    ],
)
def test_handle_with_a_nul_behind_it_is_understood(play, command, heard):
    play("3 can_do f", "1 submit_job f", "3 grab_job")
    assert play.step(command) == [f"1 <- {heard}"]


def test_failure_after_an_exception_is_swallowed_with_a_nul_behind_the_handle_too(running):
    running("3 work_exception H:t:1 oops")
    assert running.step(WorkFail(3, b"H:t:1\0")) == []
