"""What gearmand gets wrong, and we must not."""

from __future__ import annotations

import pytest

from geartrain.broker.broker import Broker
from geartrain.broker.commands import Connect, Restore, SubmitJob
from geartrain.broker.job import NORMAL, Job
from tests.broker.story import Stage


@pytest.mark.parametrize("when", ["waiting", "delayed", "running"])
def test_background_job_survives_a_foreground_client_that_joined_and_left(durable, when):
    # gearmand never runs it, and brings it back at the next start.
    epoch = "at=1100" if when == "delayed" else "at=0"
    durable(f"1 submit_job_epoch f unique=u {epoch}", "stored", "3 can_do f", "4 can_do f")
    if when == "running":
        durable("3 grab_job")
    durable("2 submit_job f unique=u", "2 disconnect", "1 disconnect", "wait 100")
    if when == "running":
        assert durable("3 disconnect") == ["disk <- attempts 1 1"]
    assert durable("4 grab_job", "4 work_complete H:t:1 r") == [
        "4 <- JOB_ASSIGN H:t:1 f",
        "disk <- forget 1",
    ]


@pytest.mark.parametrize("submission", ["submit_job", "submit_job_bg"])
@pytest.mark.parametrize("before", ["1 disconnect", "9 cancel_job H:t:1"])
def test_key_of_an_orphaned_or_cancelled_job_is_as_good_as_new(durable, submission, before):
    # gearmand attaches the submission to the dead job: a client waits for ever, or an
    # acknowledged job is lost.
    durable("1 submit_job f unique=u", before, "3 can_do f")
    durable(f"2 {submission} f unique=u", "stored")
    assert durable("3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 f"]
    ending = "2 <- WORK_COMPLETE H:t:2 r" if submission == "submit_job" else "disk <- forget 2"
    assert durable("3 work_complete H:t:2 r") == [ending]


@pytest.mark.parametrize("key", ["", "unique=-", "unique=- workload=w"])
def test_jobs_without_a_key_of_their_own_do_not_collide_in_the_store(durable, key):
    # gearmand's stores know a job by function and key, so the second overwrites the first.
    durable(f"1 submit_job_bg f {key}", "1 submit_job_bg f unique=- workload=x")
    numbers = [job.number for job in durable.storing]
    assert len(set(numbers)) == 2
    durable("stored", "3 can_do f", "3 grab_job")
    assert durable("3 work_complete H:t:1 r") == ["disk <- forget 1"]


def test_completion_does_not_depend_on_the_store(durable):
    # gearmand drops the worker and runs the job again when the row can't be deleted.
    durable("3 can_do f", "1 submit_job_bg f", "2 submit_job_bg f", "stored", "3 grab_job")
    assert durable("4 submit_job_bg f", "3 work_complete H:t:1 r") == [
        "disk <- add 3",
        "disk <- forget 1",
    ]
    durable("refused")
    assert durable("3 grab_job", "9 show_jobs") == [
        "3 <- JOB_ASSIGN H:t:2 f",
        "9 <- jobs: H:t:2 0",
    ]


def test_handles_are_not_used_again_after_a_restart():
    # gearmand counts from 1 at every start, also for the jobs it restores.
    first, second = Broker(b"H:host:1a"), Broker(b"H:host:1b", first_number=2)
    old = handles_of(first, 1)[0]
    second.step(0, Restore(Job(1, old, b"f", b"", b"old", NORMAL, 0, b"", 0.0, 0)))
    assert old not in handles_of(second, 10)
    assert second.jobs[old].workload == b"old"


def handles_of(broker: Broker, count: int) -> list[bytes]:
    """Submit jobs and return their handles."""
    broker.step(0, Connect(1))
    submission = SubmitJob(1, b"f", b"", b"", NORMAL, False)
    return [broker.step(0, submission)[0].handle for _ in range(count)]


def test_dropping_a_function_leaves_no_jobs_behind(play):
    # gearmand frees the function under its jobs, which then never run.
    play("1 submit_job_bg f")
    assert play("9 drop_function f") == ["9 <- function in use"]
    assert play("9 drop_function f force") == ["9 <- OK"]
    assert play("9 show_jobs", "9 get_status H:t:1") == [
        "9 <- jobs: nothing",
        "9 <- STATUS_RES H:t:1 unknown idle 0/0 clients=0",
    ]
    play("1 submit_job_bg f", "3 can_do f")
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 f"]


@pytest.mark.parametrize("settings", [{}, {"per_function": True, "round_robin": False}])
def test_epoch_job_does_not_hide_low_jobs(settings):
    play = Stage(**settings)
    play("1 submit_job_epoch f at=2000", "1 submit_job_low f", "3 can_do f", "3 can_do g")
    assert play("3 grab_job", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 f", "3 <- NO_JOB"]


@pytest.mark.parametrize("settings", [{}, {"per_function": True, "round_robin": False}])
def test_epoch_job_wakes_a_sleeping_worker(settings):
    play = Stage(**settings)
    play("3 can_do f", "3 pre_sleep", "1 submit_job_epoch f at=1010")
    assert play("wait 9") == []
    assert play("wait 2", "3 grab_job") == ["3 <- NOOP", "3 <- JOB_ASSIGN H:t:1 f"]
