from __future__ import annotations


def test_job_that_only_one_client_waited_for_leaves_with_it(play):
    play("3 can_do f", "1 submit_job f", "1 disconnect")
    assert play("3 grab_job", "9 status") == ["3 <- NO_JOB", "9 <- status: f 0 0 1"]


def test_job_that_others_wait_for_stays(play):
    play("3 can_do f", "1 submit_job f unique=u", "2 submit_job f unique=u", "1 disconnect")
    assert play("3 grab_job", "3 work_complete H:t:1 r") == [
        "3 <- JOB_ASSIGN H:t:1 f",
        "2 <- WORK_COMPLETE H:t:1 r",
    ]


def test_client_that_waits_twice_leaves_twice(play):
    play("1 submit_job f unique=u", "2 submit_job f unique=u", "1 submit_job f unique=u")
    play("1 disconnect")
    assert play("9 get_status H:t:1") == ["9 <- STATUS_RES H:t:1 known idle 0/0 clients=1"]
    play("2 disconnect")
    assert play.broker.jobs == {}


def test_background_job_stays_without_its_client(play):
    play("3 can_do f", "1 submit_job_bg f", "1 disconnect")
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


def test_running_job_is_finished_though_its_client_left(play):
    play("3 can_do f", "1 submit_job f", "3 grab_job", "1 disconnect")
    assert play("9 status") == ["9 <- status: f 1 1 1"]
    assert play("3 work_data H:t:1 d", "3 work_complete H:t:1 r") == []
    assert play("9 status") == ["9 <- status: f 0 0 1"]


def test_running_job_that_nobody_waits_for_ends_with_its_worker(play):
    play("3 can_do f", "4 can_do f", "4 pre_sleep", "1 submit_job f", "3 grab_job")
    play("4 grab_job", "4 pre_sleep", "1 disconnect")
    assert play("3 disconnect") == []
    assert play.broker.jobs == {}


def test_job_of_a_worker_that_died_is_done_by_another(play):
    play("3 can_do f", "4 can_do f", "1 submit_job f", "3 grab_job", "4 pre_sleep")
    assert play("3 disconnect") == ["4 <- NOOP"]
    assert play("4 grab_job", "4 work_complete H:t:1 r") == [
        "4 <- JOB_ASSIGN H:t:1 f",
        "1 <- WORK_COMPLETE H:t:1 r",
    ]


def test_worker_that_died_is_counted_no_more(play):
    play("3 can_do f", "3 can_do g", "3 pre_sleep", "4 can_do g", "3 disconnect")
    assert play("9 status", "9 workers") == [
        "9 <- status: f 0 0 0 | g 0 0 1",
        "9 <- workers: 4 - : g | 9 - :",
    ]


def test_session_that_leaves_hears_nothing_of_what_fails_because_of_it(play):
    # It had the job it waited for itself, and a job has one attempt here.
    play.broker.job_retries = 1
    play("1 can_do f", "1 submit_job f", "1 grab_job", "2 submit_job f", "1 grab_job")
    assert play("1 disconnect") == ["log <- gave up H:t:2", "2 <- WORK_FAIL H:t:2"]


def test_nobody_is_woken_for_a_job_that_leaves_with_its_worker(play):
    play("1 can_do f", "1 submit_job f", "1 grab_job", "4 can_do f", "4 pre_sleep")
    assert play("1 disconnect") == []


def test_nobody_is_told_of_a_job_after_it_left(play):
    play("3 can_do f", "1 submit_job f unique=u", "2 submit_job f unique=u", "3 grab_job")
    play("1 disconnect")
    assert play("3 work_data H:t:1 d", "3 work_complete H:t:1 r") == [
        "2 <- WORK_DATA H:t:1 d",
        "2 <- WORK_COMPLETE H:t:1 r",
    ]


def test_everybody_may_leave_at_any_time_and_nothing_is_left(play):
    play("3 can_do f timeout=9", "3 can_do g", "4 can_do f", "4 pre_sleep", "5 can_do g")
    play("1 submit_job f unique=u", "1 submit_job g unique=- workload=w", "2 submit_job_low f")
    play("2 submit_job_epoch g at=1001", "wait 1", "5 grab_job", "5 work_complete H:t:2 r")
    play("5 grab_job", "5 work_complete H:t:4 r")
    play("3 grab_job", "3 work_exception H:t:1 e", "3 grab_job")
    for session in (1, 3, 2, 4, 5):
        play(f"{session} disconnect")
    broker = play.broker
    assert (broker.sessions, broker.jobs, broker.ready) == ({}, {}, ({}, {}, {}))
    assert broker.next_deadline() is None
    assert not broker.wakes
    assert (broker.timetable.timed, broker.timetable.postponed) == (0, 0)
