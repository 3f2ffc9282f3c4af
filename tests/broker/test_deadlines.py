from __future__ import annotations

import pytest

# Epochs.


def test_epoch_job_is_not_assigned_before_its_time(play):
    play("3 can_do f", "1 submit_job_epoch f at=1010")
    assert play("wait 9.9", "tick", "3 grab_job") == ["3 <- NO_JOB"]
    assert play("wait 0.1", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


def test_epoch_job_wakes_a_worker_when_its_time_comes(play):
    play("3 can_do f", "3 pre_sleep", "1 submit_job_epoch f at=1010")
    assert play.broker.next_deadline() == 1010
    assert play("wait 10") == ["3 <- NOOP"]


@pytest.mark.parametrize("epoch", [0, 1, 999, 1000])
def test_epoch_that_is_past_means_at_once(play, epoch):
    play("3 can_do f", f"1 submit_job_epoch f at={epoch}")
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


def test_epoch_jobs_come_in_the_order_of_their_time(play):
    play("3 can_do f")
    play("1 submit_job_epoch f at=1020", "1 submit_job_epoch f at=1010")
    play("1 submit_job_epoch f at=1010", "1 submit_job f", "wait 30")
    assert play(*["3 grab_job"] * 4) == [
        "3 <- JOB_ASSIGN H:t:4 f",
        "3 <- JOB_ASSIGN H:t:2 f",
        "3 <- JOB_ASSIGN H:t:3 f",
        "3 <- JOB_ASSIGN H:t:1 f",
    ]


def test_epoch_jobs_are_counted_as_waiting_normal_ones(play):
    play("1 submit_job_epoch f at=1010", "1 submit_job_low f")
    assert play("9 status", "9 prioritystatus", "9 get_status H:t:1") == [
        "9 <- status: f 2 0 0",
        "9 <- prioritystatus: f 0 1 1 0",
        "9 <- STATUS_RES H:t:1 known idle 0/0 clients=0",
    ]


def test_worker_sleeps_beside_a_job_whose_time_has_not_come(play):
    play("1 submit_job_epoch f at=1010", "3 can_do f")
    assert play("3 pre_sleep") == []


def test_epoch_far_ahead_is_waited_for(play):
    play(f"1 submit_job_epoch f at={2**62}")
    assert play.broker.next_deadline() == float(2**62)
    assert play("tick") == []


def test_cancelled_epoch_job_is_no_deadline_any_more(play):
    play("1 submit_job_epoch f at=1010", "1 submit_job_epoch f at=1020", "9 cancel_job H:t:1")
    assert play.broker.next_deadline() == 1020
    play("9 cancel_job H:t:2")
    assert play.broker.next_deadline() is None
    assert play("wait 100") == []


def test_cancelled_epoch_job_is_passed_over_when_its_time_comes(play):
    play("3 can_do f", "1 submit_job_epoch f at=1010", "1 submit_job_epoch f at=1010")
    play("9 cancel_job H:t:1")
    play.now = 1010.0
    assert play("tick", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 f"]


def test_cancelled_epoch_jobs_fill_no_memory(play):
    play("1 submit_job_epoch f at=1001", "1 submit_job_epoch f at=5000")
    for n in range(3, 1003):
        play("1 submit_job_epoch f at=2000000000", f"9 cancel_job H:t:{n}")
    assert len(play.broker.timetable.delayed) < 100
    play("3 can_do f", "wait 4000")
    assert play("3 grab_job", "3 grab_job") == [
        "3 <- JOB_ASSIGN H:t:1 f",
        "3 <- JOB_ASSIGN H:t:2 f",
    ]


def test_broker_without_anything_to_wait_for_has_no_deadline(play):
    play("3 can_do f timeout=10", "1 submit_job f")
    assert play.broker.next_deadline() is None


# Time-outs.


@pytest.mark.parametrize("shift", [3600, -500])
def test_worker_keeps_its_time_when_the_clock_is_set(play, shift):
    play("3 can_do f timeout=10", "1 submit_job f", "3 can_do g timeout=20", "1 submit_job g")
    play("3 grab_job", "3 grab_job", "3 work_complete H:t:2 r", "wait 4")
    play.set_clock(shift)
    assert play("wait 5.9", "9 status") == ["9 <- status: f 1 1 1 | g 0 0 1"]
    assert play("wait 0.1", "9 status") == ["9 <- status: f 1 0 1 | g 0 0 1"]


@pytest.mark.parametrize("shift", [3600, -500])
def test_epoch_goes_by_the_clock_as_it_is_set(play, shift):
    play("3 can_do f", "1 submit_job_epoch f at=4600")
    play.set_clock(shift)
    assert play("tick", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f" if shift > 0 else "3 <- NO_JOB"]


def test_job_whose_time_is_up_goes_to_another_worker(play):
    play("3 can_do f timeout=10", "4 can_do f", "4 pre_sleep", "1 submit_job f", "3 grab_job")
    play("4 grab_job", "4 pre_sleep")
    assert play.broker.next_deadline() == 1010
    assert play("wait 9.9") == []
    assert play("wait 0.1") == ["4 <- NOOP"]
    assert play("4 grab_job", "4 work_complete H:t:1 r") == [
        "4 <- JOB_ASSIGN H:t:1 f",
        "1 <- WORK_COMPLETE H:t:1 r",
    ]


@pytest.mark.parametrize(
    ("report", "refusal"),
    [
        ("work_complete H:t:1 late", "Job given in work result not found"),
        ("work_fail H:t:1", "Job given in work result not found"),
        ("work_status H:t:1 9 9", "Job given in work result not found"),
        ("work_data H:t:1 late", "Job does not exist on server"),
        ("work_warning H:t:1 late", "Job does not exist on server"),
        (
            "work_exception H:t:1 late",
            "An exception was received for a job that does not exist",
        ),
    ],
)
@pytest.mark.parametrize("again", [True, False])
def test_worker_whose_time_was_up_is_fenced(play, report, refusal, again):
    play("3 can_do f timeout=10", "4 can_do f", "1 submit_job f", "3 grab_job", "wait 10")
    if again:
        play("4 grab_job")
    assert play(f"3 {report}") == [f"3 <- ERROR JOB_NOT_FOUND {refusal}"]
    state = "running" if again else "idle"
    assert play("9 get_status H:t:1") == [f"9 <- STATUS_RES H:t:1 known {state} 0/0 clients=1"]
    if not again:
        play("4 grab_job")
    assert play("4 work_complete H:t:1 good") == ["1 <- WORK_COMPLETE H:t:1 good"]


def test_progress_starts_over_with_the_next_worker(play):
    play("3 can_do f timeout=10", "1 submit_job f", "3 grab_job", "3 work_status H:t:1 9 10")
    play("wait 10")
    assert play("9 get_status H:t:1") == ["9 <- STATUS_RES H:t:1 known idle 0/0 clients=1"]


def test_each_job_of_a_worker_has_its_own_time(play):
    play("3 can_do f timeout=10", "1 submit_job f", "1 submit_job f", "3 grab_job", "wait 5")
    play("3 grab_job", "4 can_do f", "wait 5")
    assert play("4 grab_job", "4 grab_job") == ["4 <- JOB_ASSIGN H:t:1 f", "4 <- NO_JOB"]
    assert play("3 work_complete H:t:2 r") == ["1 <- WORK_COMPLETE H:t:2 r"]


def test_time_is_not_stopped_by_pre_sleep(play):
    play("3 can_do f timeout=10", "1 submit_job f", "3 grab_job", "3 pre_sleep")
    # The worker sleeps, so it is woken for the very job it lost.
    assert play("wait 10") == ["3 <- NOOP"]


def test_job_without_a_time_out_may_take_any_time(play):
    play("3 can_do f timeout=0", "1 submit_job f", "3 grab_job")
    assert play("wait 1000000", "3 work_complete H:t:1 r") == ["1 <- WORK_COMPLETE H:t:1 r"]


def test_time_out_announced_anew_holds_for_the_next_job(play):
    play("3 can_do f timeout=10", "1 submit_job f", "1 submit_job f", "3 grab_job")
    play("3 can_do f timeout=100", "3 grab_job", "wait 10")
    assert play("9 status") == ["9 <- status: f 2 1 1"]
    play("3 can_do f", "3 grab_job", "wait 1000")
    assert play("9 status") == ["9 <- status: f 2 1 1"]


def test_job_that_ended_in_time_has_no_deadline(play):
    play("3 can_do f timeout=10", "1 submit_job f", "3 grab_job", "3 work_complete H:t:1 r")
    assert play.broker.next_deadline() is None
    assert play("wait 100") == []


def test_deadline_of_the_first_worker_is_not_that_of_the_second(play):
    play("3 can_do f timeout=10", "4 can_do f timeout=10", "1 submit_job f", "3 grab_job")
    play("wait 5", "3 disconnect", "4 grab_job")
    assert play.broker.next_deadline() == 1015
    play.now = 1010.0
    assert play("tick", "9 status") == ["9 <- status: f 1 1 1"]


def test_deadline_of_the_first_worker_is_passed_over_by_a_late_tick(play):
    play("3 can_do f timeout=10", "4 can_do f timeout=10", "1 submit_job f", "3 grab_job")
    play.now += 5
    play("3 disconnect", "4 grab_job")
    play.now += 5
    assert play("tick", "9 status") == ["9 <- status: f 1 1 1"]
    play.now += 5
    assert play("tick", "9 status") == ["9 <- status: f 1 0 1"]


def test_the_nearest_deadline_is_named(play):
    play("3 can_do f timeout=10", "1 submit_job_epoch g at=1020", "1 submit_job f", "3 grab_job")
    assert play.broker.next_deadline() == 1010
    play("4 can_do g", "4 pre_sleep", "1 submit_job g")
    assert play.broker.next_deadline() == 1000.25
    play("1 submit_job_epoch g at=1005", "4 grab_job")
    assert play.broker.next_deadline() == 1005
    play("wait 4.9", "4 pre_sleep", "1 submit_job g")
    assert play.broker.next_deadline() == 1005


def test_deadlines_of_jobs_that_moved_on_fill_no_memory(play):
    play("3 can_do f timeout=1000", "1 submit_job f", "3 grab_job")
    for n in range(2, 502):
        play("1 submit_job f", "3 grab_job", f"3 work_complete H:t:{n} r")
    assert len(play.broker.timetable.deadlines) < 100
    assert play("wait 1000", "9 status") == ["9 <- status: f 1 0 1"]


def test_work_that_came_back_by_time_out_wakes_one_worker_per_job(play):
    play("3 can_do f timeout=10", *["1 submit_job f"] * 3, *["3 grab_job"] * 3)
    for worker in (4, 5, 6, 7):
        play(f"{worker} can_do f", f"{worker} pre_sleep")
    play.now = 1010.0
    assert play("tick") == ["4 <- NOOP", "5 <- NOOP", "6 <- NOOP"]
