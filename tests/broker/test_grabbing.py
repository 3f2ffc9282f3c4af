from __future__ import annotations


def test_worker_without_abilities_gets_nothing(play):
    play("1 submit_job f")
    assert play("3 grab_job") == ["3 <- NO_JOB"]


def test_worker_gets_a_job_it_can_do(play):
    play("3 can_do f", "1 submit_job g", "1 submit_job f workload=w")
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 f w"]
    assert play("3 grab_job") == ["3 <- NO_JOB"]


def test_job_is_assigned_once(play):
    play("3 can_do f", "4 can_do f", "1 submit_job f")
    assert play("3 grab_job", "4 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f", "4 <- NO_JOB"]


def test_worker_hears_the_unique_key_if_it_asks_for_it(play):
    play("3 can_do f", "1 submit_job f unique=u workload=w", "1 submit_job f workload=w")
    assert play("3 grab_job_uniq") == ["3 <- JOB_ASSIGN_UNIQ H:t:1 f u w"]
    assert play("3 grab_job_uniq") == ["3 <- JOB_ASSIGN_UNIQ H:t:2 f '' w"]


def test_worker_that_asks_for_all_hears_the_reducer_of_a_reduce_job(play):
    play("3 can_do f", "1 submit_reduce_job f unique=u workload=w reducer=sum")
    assert play("3 grab_job_all") == ["3 <- JOB_ASSIGN_ALL H:t:1 f u sum w"]


def test_worker_that_asks_for_all_gets_a_plain_job_without_reducer(play):
    play("3 can_do f", "1 submit_job f unique=u workload=w")
    assert play("3 grab_job_all") == ["3 <- JOB_ASSIGN_UNIQ H:t:1 f u w"]


def test_reduce_job_goes_to_workers_that_do_not_ask_for_the_reducer_too(play):
    play("3 can_do f", "1 submit_reduce_job f unique=u workload=w reducer=sum")
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f w"]


def test_worker_may_hold_many_jobs(play):
    play("3 can_do f", "1 submit_job f", "1 submit_job f")
    assert play("3 grab_job", "3 grab_job", "3 grab_job") == [
        "3 <- JOB_ASSIGN H:t:1 f",
        "3 <- JOB_ASSIGN H:t:2 f",
        "3 <- NO_JOB",
    ]
    assert play("3 work_complete H:t:2", "3 work_complete H:t:1") == [
        "1 <- WORK_COMPLETE H:t:2",
        "1 <- WORK_COMPLETE H:t:1",
    ]


def test_session_may_be_client_and_worker_of_the_same_job(play):
    assert play("1 can_do f", "1 submit_job f", "1 grab_job", "1 work_complete H:t:1 r") == [
        "1 <- JOB_CREATED H:t:1",
        "1 <- JOB_ASSIGN H:t:1 f",
        "1 <- WORK_COMPLETE H:t:1 r",
    ]


def test_worker_that_can_not_do_a_function_any_more_gets_no_job_of_it(play):
    play("3 can_do f", "3 can_do g", "1 submit_job f", "3 cant_do f")
    assert play("3 grab_job") == ["3 <- NO_JOB"]
    play("3 can_do f")
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


def test_worker_that_reset_its_abilities_gets_no_job(play):
    play("3 can_do f", "3 can_do g", "1 submit_job f", "1 submit_job g", "3 reset_abilities")
    assert play("3 grab_job") == ["3 <- NO_JOB"]
    assert play("9 status") == ["9 <- status: f 1 0 0 | g 1 0 0"]


def test_ability_that_was_never_announced_may_be_taken_back(play):
    assert play("3 cant_do f", "3 reset_abilities") == []
    assert play.broker.functions == {}


def test_ability_announced_many_times_is_one(play):
    # Perl's worker announces its functions again and again.
    play("3 can_do f", "3 can_do f", "3 can_do f timeout=3", "3 can_do f")
    assert play("9 status") == ["9 <- status: f 0 0 1"]
    assert play("3 workers") == ["3 <- workers: 3 - : f | 9 - :"]
    play("3 cant_do f")
    assert play("9 status") == ["9 <- status: f 0 0 0"]


def test_job_of_a_function_the_worker_takes_back_returns_to_the_line(play):
    play("3 can_do f", "3 can_do g", "4 can_do f", "1 submit_job f", "1 submit_job g")
    play("3 grab_job", "3 grab_job", "3 cant_do f")
    assert play("4 grab_job") == ["4 <- JOB_ASSIGN H:t:1 f"]
    assert play("3 work_complete H:t:1 late") == [
        "3 <- ERROR JOB_NOT_FOUND Job given in work result not found"
    ]
    assert play("3 work_complete H:t:2 g") == ["1 <- WORK_COMPLETE H:t:2 g"]


def test_jobs_of_a_worker_that_resets_its_abilities_return_oldest_first(play):
    play("3 can_do f", "4 can_do f", *["1 submit_job f"] * 3)
    play("3 grab_job", "3 grab_job", "3 reset_abilities")
    assert play("4 grab_job", "4 grab_job", "4 grab_job") == [
        "4 <- JOB_ASSIGN H:t:1 f",
        "4 <- JOB_ASSIGN H:t:2 f",
        "4 <- JOB_ASSIGN H:t:3 f",
    ]


def test_server_that_is_about_to_stop_assigns_nothing_more(play):
    play("3 can_do f", "3 can_do g", "4 can_do f", "4 pre_sleep", "5 can_do f")
    play("1 submit_job f", "3 grab_job", "stop_assigning")
    assert play.broker.running() == 1
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:2"]
    assert play("3 grab_job", "5 grab_job", "5 pre_sleep") == ["3 <- NO_JOB", "5 <- NO_JOB"]
    assert play("3 disconnect", "wait 5") == []
    assert play.broker.running() == 0
