"""How often a job is tried, and what happens after the last time."""

from __future__ import annotations

import pytest

from tests.broker.story import Stage


def lose(play: Stage, times: int) -> list[str]:
    """Let that many workers take the next job and die; return what was told meanwhile."""
    told = []
    for worker in range(50, 50 + times):
        told += play(f"{worker} can_do f", f"{worker} grab_job", f"{worker} disconnect")[1:]
    return told


def test_job_is_tried_any_number_of_times_by_default(play):
    play("1 submit_job f")
    assert lose(play, 40) == []
    assert play("9 show_jobs") == ["9 <- jobs: H:t:1 40"]


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 1), (2, 2), (5, 5)])
def test_job_that_came_back_too_often_fails(retries, attempts):
    play = Stage(job_retries=retries)
    play("1 submit_job f")
    assert lose(play, attempts - 1) == []
    assert lose(play, 1) == ["log <- gave up H:t:1", "1 <- WORK_FAIL H:t:1"]
    assert play.broker.jobs == {}


def test_every_way_to_lose_a_worker_counts():
    play = Stage(job_retries=4)
    play("1 submit_job f", "3 can_do f timeout=10", "3 grab_job", "wait 10")
    play("3 grab_job", "3 cant_do f", "3 can_do f", "3 grab_job", "3 reset_abilities")
    assert play("9 show_jobs") == ["9 <- jobs: H:t:1 3"]
    play("3 can_do f", "3 grab_job")
    assert play("3 disconnect") == ["log <- gave up H:t:1", "1 <- WORK_FAIL H:t:1"]


def test_failure_and_exception_are_results_and_no_attempts():
    play = Stage(job_retries=5)
    play("3 can_do f", "1 submit_job f", "3 grab_job")
    assert play("3 work_fail H:t:1") == ["1 <- WORK_FAIL H:t:1"]


def test_attempts_of_a_stored_job_are_stored(durable):
    durable("1 submit_job_bg f", "stored")
    assert lose(durable, 2) == ["disk <- attempts 1 1", "disk <- attempts 1 2"]


def test_stored_job_that_is_given_up_is_forgotten():
    durable = Stage(durable=True, job_retries=2)
    durable("1 submit_job_bg f", "stored")
    assert lose(durable, 2) == ["disk <- attempts 1 1", "log <- gave up H:t:1", "disk <- forget 1"]


def test_attempts_of_a_foreground_job_are_not_stored(durable):
    durable("1 submit_job f")
    assert lose(durable, 1) == []


def test_key_of_a_job_that_was_given_up_is_free():
    play = Stage(job_retries=1)
    play("1 submit_job f unique=u")
    lose(play, 1)
    assert play("1 submit_job f unique=u") == ["1 <- JOB_CREATED H:t:2"]


def test_job_that_nobody_wants_any_more_is_not_given_up_but_dropped():
    play = Stage(job_retries=1)
    play("3 can_do f", "1 submit_job f", "3 grab_job", "1 disconnect")
    assert play("3 disconnect") == []
    assert play.broker.jobs == {}
