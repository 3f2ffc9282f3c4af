"""Ended jobs are freed at once: the garbage collector knows nothing of them."""

from __future__ import annotations

import sys

import pytest

from geartrain.broker.job import Job

ENDINGS = {
    "completed": ["3 grab_job", "3 work_complete H:t:1 r"],
    "failed": ["3 grab_job", "3 work_fail H:t:1"],
    "came back": ["3 grab_job", "3 disconnect", "4 grab_job", "4 work_complete H:t:1 r"],
    "cancelled": ["9 cancel_job H:t:1"],
    "joined": ["2 submit_job_bg f unique=u", "3 grab_job", "3 work_complete H:t:1 r"],
}


def is_held_by_nobody_else(job: Job) -> bool:
    alone = object()
    return sys.getrefcount(job) - sys.getrefcount(alone) == 1  # the caller's


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("packet", ["submit_job", "submit_job_bg"])
def test_ended_job_is_held_by_nobody(play, packet, ending):
    play("3 can_do f", "4 can_do f", f"1 {packet} f unique=u")
    (job,) = play.broker.jobs.values()
    assert not is_held_by_nobody_else(job)
    play(*ending)
    assert is_held_by_nobody_else(job)


@pytest.mark.parametrize("stored", ["stored", "refused"])
def test_durable_job_that_ended_is_held_by_nobody(durable, stored):
    durable("3 can_do f", "1 submit_job_bg f")
    (job,) = durable.broker.jobs.values()
    durable(stored)
    if stored == "stored":
        durable("3 grab_job", "3 work_complete H:t:1 r", "stored")
    assert is_held_by_nobody_else(job)


def test_job_that_its_only_client_left_is_held_by_nobody(play):
    play("1 submit_job f")
    (job,) = play.broker.jobs.values()
    play("1 disconnect")
    assert is_held_by_nobody_else(job)
