"""Jobs that an earlier process accepted."""

from __future__ import annotations

import pytest

from geartrain.broker.broker import Broker
from geartrain.broker.commands import Restore
from geartrain.broker.job import HIGH, NORMAL, Job
from tests.broker.story import Stage


def stored(
    number: int, unique: bytes = b"", priority: int = NORMAL, epoch: int = 0, attempts: int = 0
) -> Job:
    handle = b"H:before:%d" % number
    return Job(number, handle, b"f", unique, b"w", priority, epoch, b"r", 900.0, attempts)


@pytest.fixture
def restarted() -> Stage:
    stage = Stage(durable=True, job_retries=3)
    # Numbers go on behind those of restored jobs.
    stage.broker = Broker(b"H:t", first_number=8, durable=True, job_retries=3)
    return stage


def test_restored_jobs_run_in_their_order_with_all_they_had(restarted):
    for job in (stored(5), stored(6, b"u"), stored(7, priority=HIGH)):
        assert restarted.step(Restore(job)) == []
    restarted("3 can_do f")
    assert restarted("3 grab_job_all", "3 grab_job_all", "3 grab_job_all") == [
        "3 <- JOB_ASSIGN_ALL H:before:7 f '' r w",
        "3 <- JOB_ASSIGN_ALL H:before:5 f '' r w",
        "3 <- JOB_ASSIGN_ALL H:before:6 f u r w",
    ]
    assert restarted("3 work_complete H:before:5 r") == ["disk <- forget 5"]


def test_handles_and_numbers_are_not_used_again(restarted):
    restarted.step(Restore(stored(5)))
    assert restarted("1 submit_job_bg f", "stored") == ["disk <- add 8", "1 <- JOB_CREATED H:t:1"]


def test_restored_job_is_joined_by_its_key(restarted):
    restarted.step(Restore(stored(5, b"u")))
    restarted.step(Restore(stored(6, b"-")))
    assert restarted("1 submit_job_bg f unique=u") == ["1 <- JOB_CREATED H:before:5"]
    assert restarted("1 submit_job f unique=- workload=w") == ["1 <- JOB_CREATED H:before:6"]


def test_restored_job_waits_for_its_epoch(restarted):
    restarted.step(Restore(stored(5, epoch=1010)))
    restarted.step(Restore(stored(6, epoch=990)))
    restarted("3 can_do f", "3 grab_job", "3 pre_sleep")
    assert restarted("wait 10") == ["3 <- NOOP"]
    assert restarted("3 grab_job") == ["3 <- JOB_ASSIGN H:before:5 f w"]


def test_attempts_of_a_restored_job_go_on(restarted):
    restarted.step(Restore(stored(5, attempts=1)))
    restarted("3 can_do f", "3 grab_job")
    assert restarted("3 cant_do f") == ["disk <- attempts 5 2"]
    restarted("4 can_do f", "4 grab_job")
    assert restarted("4 disconnect") == ["log <- gave up H:before:5", "disk <- forget 5"]


def test_jobs_with_one_key_that_a_foreign_store_held_twice_run_both(restarted):
    restarted.step(Restore(stored(5, b"u")))
    restarted.step(Restore(stored(6, b"u")))
    restarted.step(Restore(stored(7, b"-")))
    restarted.step(Restore(stored(8, b"-")))
    restarted("3 can_do f", *["3 grab_job"] * 4)
    # Ending the second does not free the key of the first.
    assert restarted("3 work_complete H:before:6 r", "3 work_complete H:before:8 r") == [
        "disk <- forget 6",
        "disk <- forget 8",
    ]
    assert restarted("1 submit_job_bg f unique=u") == ["1 <- JOB_CREATED H:before:5"]
    assert restarted("1 submit_job_bg f unique=- workload=w") == ["1 <- JOB_CREATED H:before:7"]
