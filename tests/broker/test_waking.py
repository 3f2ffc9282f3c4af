from __future__ import annotations

from geartrain.broker.broker import WAKE_PATIENCE


def test_sleeping_worker_is_woken_by_a_job_it_can_do(play):
    assert play("3 can_do f", "3 pre_sleep", "4 can_do g", "4 pre_sleep") == []
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:1", "3 <- NOOP"]


def test_worker_that_does_not_sleep_is_not_woken(play):
    play("3 can_do f")
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:1"]


def test_worker_that_would_sleep_beside_work_is_woken_at_once(play):
    # A job may have come between NO_JOB and PRE_SLEEP.
    play("3 can_do f", "3 grab_job", "1 submit_job f")
    assert play("3 pre_sleep") == ["3 <- NOOP"]


def test_worker_that_was_woken_and_sleeps_again_is_woken_again_if_work_is_left(play):
    play("3 can_do f", "1 submit_job f")
    assert play("3 pre_sleep", "3 pre_sleep") == ["3 <- NOOP", "3 <- NOOP"]
    play("3 grab_job")
    assert play("3 pre_sleep") == []


def test_worker_that_sleeps_already_is_not_disturbed(play):
    assert play("3 can_do f", "3 pre_sleep", "3 pre_sleep", "3 pre_sleep") == []
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:1", "3 <- NOOP"]


def test_one_job_wakes_one_of_many_workers(play):
    for worker in range(3, 13):
        play(f"{worker} can_do f", f"{worker} pre_sleep")
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:1", "3 <- NOOP"]
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:2", "4 <- NOOP"]


def test_worker_that_was_woken_hears_no_second_noop(play):
    play("3 can_do f", "3 pre_sleep", "1 submit_job f")
    assert play("1 submit_job f", "2 submit_job_high f") == [
        "1 <- JOB_CREATED H:t:2",
        "2 <- JOB_CREATED H:t:3",
    ]


def test_the_worker_that_sleeps_longest_is_woken_first(play):
    play("3 can_do f", "4 can_do f", "4 pre_sleep", "3 pre_sleep")
    assert play("1 submit_job f")[-1] == "4 <- NOOP"
    assert play("1 submit_job f")[-1] == "3 <- NOOP"


def test_grabbing_ends_the_sleep(play):
    play("3 can_do f", "3 pre_sleep", "3 grab_job")
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:1"]
    assert play("3 pre_sleep") == ["3 <- NOOP"]


def test_worker_that_was_passed_over_while_awake_is_woken_when_it_sleeps_again(play):
    play("3 can_do f", "3 pre_sleep", "3 grab_job", "1 submit_job f", "3 grab_job")
    play("3 pre_sleep")
    assert play("1 submit_job f")[-1] == "3 <- NOOP"


def test_worker_that_learns_a_function_while_it_sleeps_is_woken_for_its_jobs(play):
    play("3 can_do f", "3 pre_sleep", "1 submit_job g")
    assert play("3 can_do g") == ["3 <- NOOP"]


def test_worker_that_learns_a_function_without_jobs_sleeps_on(play):
    play("3 can_do f", "3 pre_sleep")
    assert play("3 can_do g") == []
    assert play("1 submit_job g")[-1] == "3 <- NOOP"


def test_worker_that_forgot_a_function_is_not_woken_for_it(play):
    play("3 can_do f", "3 can_do g", "3 pre_sleep", "3 cant_do f")
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:1"]
    play("3 reset_abilities")
    assert play("1 submit_job g") == ["1 <- JOB_CREATED H:t:2"]


def test_worker_that_forgot_a_function_before_it_slept_is_not_woken_for_it(play):
    play("3 can_do f", "3 cant_do f", "3 pre_sleep")
    assert play("1 submit_job f", "wait 1") == ["1 <- JOB_CREATED H:t:1"]


def test_worker_that_left_is_not_woken(play):
    play("3 can_do f", "3 pre_sleep", "4 can_do f", "4 pre_sleep", "3 disconnect")
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:1", "4 <- NOOP"]


# Workers that were woken and do something else.


def two_sleepers(play) -> None:
    """Let 3 and 4 sleep, and one job wake 3."""
    play("3 can_do f", "3 can_do g", "4 can_do f", "3 pre_sleep", "4 pre_sleep")
    assert play("1 submit_job f")[-1] == "3 <- NOOP"


def test_another_is_woken_when_the_first_does_not_answer_in_time(play):
    two_sleepers(play)
    assert play.broker.next_deadline() == 1000.0 + WAKE_PATIENCE
    assert play(f"wait {WAKE_PATIENCE - 0.01}") == []
    assert play("wait 0.01") == ["4 <- NOOP"]
    assert play("wait 10") == []


def test_nobody_else_is_woken_once_the_first_took_the_job(play):
    two_sleepers(play)
    assert play("3 grab_job", "wait 10") == ["3 <- JOB_ASSIGN H:t:1 f"]
    assert play.broker.next_deadline() is None


def test_nobody_else_is_woken_for_a_job_that_somebody_else_took(play):
    two_sleepers(play)
    play("5 can_do f", "5 grab_job")
    assert play("wait 10") == []


def test_another_is_woken_when_the_first_leaves(play):
    two_sleepers(play)
    assert play("3 disconnect") == ["4 <- NOOP"]


def test_another_is_woken_when_the_first_forgets_the_function(play):
    two_sleepers(play)
    assert play("3 cant_do g") == []
    assert play("3 cant_do f") == ["4 <- NOOP"]


def test_another_is_woken_when_the_first_resets_its_abilities(play):
    two_sleepers(play)
    assert play("3 reset_abilities") == ["4 <- NOOP"]


def test_another_is_woken_when_the_first_takes_a_job_of_another_function(play):
    two_sleepers(play)
    play("1 submit_job_high g")
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 g", "4 <- NOOP"]


def test_another_is_woken_when_the_first_sleeps_again_and_is_woken_for_something_else(play):
    two_sleepers(play)
    play("1 submit_job_high g")
    assert play("3 pre_sleep") == ["3 <- NOOP", "4 <- NOOP"]


def test_worker_that_sleeps_again_without_a_word_is_asked_once_more(play):
    two_sleepers(play)
    assert play("3 pre_sleep") == ["3 <- NOOP"]
    assert play("3 grab_job", "wait 10") == ["3 <- JOB_ASSIGN H:t:1 f"]


def test_answer_after_the_patience_wakes_nobody_twice(play):
    two_sleepers(play)
    play("5 can_do f", "5 pre_sleep")
    assert play("wait 0.25") == ["4 <- NOOP"]
    assert play("4 grab_job", "3 grab_job") == ["4 <- JOB_ASSIGN H:t:1 f", "3 <- NO_JOB"]
    assert play("wait 10") == []


def test_one_worker_after_the_other_is_tried(play):
    for worker in (3, 4, 5):
        play(f"{worker} can_do f", f"{worker} pre_sleep")
    assert play("1 submit_job f", "wait 10") == [
        "1 <- JOB_CREATED H:t:1",
        "3 <- NOOP",
        "4 <- NOOP",
        "5 <- NOOP",
    ]
    assert play("9 status") == ["9 <- status: f 1 0 3"]


def test_tick_that_nobody_asked_for_changes_nothing(play):
    two_sleepers(play)
    play("1 submit_job_epoch f at=1100")
    assert play("tick") == []
    assert play("wait 0.25") == ["4 <- NOOP"]


def test_clock_that_is_set_back_keeps_nobody_asleep_beside_work(play):
    two_sleepers(play)
    play.set_clock(-500)
    assert play("wait 0.25") == ["4 <- NOOP"]
    assert play("4 grab_job", "wait 10") == ["4 <- JOB_ASSIGN H:t:1 f"]


def test_tick_for_one_worker_passes_over_those_that_answered(play):
    two_sleepers(play)
    play("5 can_do h", "5 pre_sleep", "6 can_do h", "6 pre_sleep", "1 submit_job h")
    play("3 grab_job")
    play.now += WAKE_PATIENCE
    assert play("tick") == ["6 <- NOOP"]


def test_thousand_idle_workers_cost_a_job_no_more_than_one(play):
    for worker in range(10, 1010):
        play(f"{worker} can_do f", f"{worker} pre_sleep")
    for _ in range(5):
        assert len(play("1 submit_job f")) == 2
