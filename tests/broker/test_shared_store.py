"""What workers may do while the lease on the store is in doubt; the stories are in ``scripts``."""

from __future__ import annotations

import pytest

from geartrain.broker import shared
from geartrain.broker.commands import Command, ReportServers, Restore, WantAttempts
from geartrain.broker.effects import AskOthers, EchoResult, OptionResult, ServersReport
from geartrain.broker.job import Job
from geartrain.broker.shared_commands import Coalesced, ServersFound, Uncertain
from tests.broker.story import Stage

WORKER = 3


@pytest.fixture
def stage() -> Stage:
    return Stage(durable=True, shared=True)


def test_the_end_of_a_stored_job_is_held_back_and_no_other_job_s(stage: Stage) -> None:
    stage(f"{WORKER} can_do f", "1 submit_job_bg f", "stored", "2 submit_job f")
    stage(f"{WORKER} grab_job", f"{WORKER} grab_job")
    assert shared.holds_back(stage.broker, WORKER, b"H:t:1")
    assert shared.holds_back(stage.broker, WORKER, b"H:t:1\0")
    assert not shared.holds_back(stage.broker, WORKER, b"H:t:2")
    assert not shared.holds_back(stage.broker, WORKER, b"H:t:3")
    assert not shared.holds_back(stage.broker, 4711, b"H:t:1")


def test_who_has_a_stored_job_is_known(stage: Stage) -> None:
    stage(f"{WORKER} can_do f", "1 submit_job_bg f", "stored", "2 submit_job_high f")
    stage(f"{WORKER} grab_job")
    assert not shared.holds_stored_job(stage.broker, WORKER)
    stage(f"{WORKER} grab_job")
    assert shared.holds_stored_job(stage.broker, WORKER)
    assert not shared.holds_stored_job(stage.broker, 4711)


def test_only_so_many_jobs_are_looked_at_while_the_lease_is_in_doubt(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(f"{WORKER} can_do f")
    for _ in range(shared.MAX_LOOKED_AT):
        stage("1 submit_job_bg f")
    stage("stored", "2 submit_job f", "doubt")
    assert stage(f"{WORKER} grab_job") == [f"{WORKER} <- NO_JOB"]
    stage("trust", f"{WORKER} grab_job", "doubt")
    assert stage(f"{WORKER} grab_job")[0].startswith(f"{WORKER} <- JOB_ASSIGN")


def test_jobs_go_on_in_their_order_behind_one_that_was_taken_out_of_the_middle(
    stage: Stage,
) -> None:
    stage(f"{WORKER} can_do f", "1 submit_job_bg f", "stored", "2 submit_job f")
    stage("1 submit_job_bg f", "stored", "doubt")
    assert stage(f"{WORKER} grab_job") == [f"{WORKER} <- JOB_ASSIGN H:t:2 f"]
    stage(f"{WORKER} disconnect", "trust", "4 can_do f")
    assert stage("4 grab_job") == ["4 <- JOB_ASSIGN H:t:2 f"]
    assert stage("4 grab_job") == ["4 <- JOB_ASSIGN H:t:1 f"]
    assert stage("4 grab_job") == ["4 <- JOB_ASSIGN H:t:3 f"]
    assert stage("4 grab_job") == ["4 <- NO_JOB"]


def test_a_refusal_of_what_has_ended_by_then_is_an_acknowledgement(stage: Stage) -> None:
    """It was stored for the sake of a second client, and has run."""
    stage(f"{WORKER} can_do f", "1 submit_job f unique=u", f"{WORKER} grab_job")
    stage("2 submit_job_bg f unique=u", f"{WORKER} work_complete H:t:1 done")
    assert stage("refused") == ["2 <- JOB_CREATED H:t:1"]
    assert stage("forgotten 1") == ["1 <- WORK_COMPLETE H:t:1 done"]


def test_a_key_that_was_met_elsewhere_is_answered_once(stage: Stage) -> None:
    stage("1 submit_job_bg f unique=u")
    (job,) = stage.storing
    assert stage("coalesced 1 H:other:1") == ["1 <- JOB_CREATED H:other:1"]
    assert stage.step(Coalesced(job, b"H:other:2")) == []


@pytest.mark.parametrize("forgotten", [True, False])
def test_a_key_that_was_met_elsewhere_when_its_job_has_run_is_acknowledged(
    stage: Stage, forgotten: bool
) -> None:
    stage(f"{WORKER} can_do f", "1 submit_job f unique=u", f"{WORKER} grab_job")
    stage("2 submit_job_bg f unique=u", f"{WORKER} work_complete H:t:1 done")
    if forgotten:
        assert stage("forgotten 1") == ["1 <- WORK_COMPLETE H:t:1 done"]
    assert stage("coalesced 1 H:other:1") == ["2 <- JOB_CREATED H:other:1"]


def test_a_refused_job_that_others_joined_is_owed_to_them(stage: Stage) -> None:
    stage("1 submit_job f unique=u", "2 submit_job_bg f unique=u")
    (job,) = stage.storing
    assert stage("refused")[0].startswith("2 <- ERROR")
    assert not job.obligation
    assert stage.step(Restore(job)) == []
    stage("1 disconnect", f"{WORKER} can_do f")
    assert stage(f"{WORKER} grab_job") == [f"{WORKER} <- JOB_ASSIGN H:t:1 f"]


def test_a_job_that_is_about_to_end_is_not_taken_over_again(stage: Stage) -> None:
    stage(f"{WORKER} can_do f", "1 submit_job_bg f unique=u", "stored", f"{WORKER} grab_job")
    stage(f"{WORKER} work_complete H:t:1 done")
    job = stage.broker.jobs[b"H:t:1"]
    assert stage.step(Restore(job)) == []
    stage("forgotten 1")
    assert stage(f"{WORKER} grab_job") == [f"{WORKER} <- NO_JOB"]


def test_a_job_that_is_about_to_end_is_no_more_once_its_key_is_free(stage: Stage) -> None:
    stage(f"{WORKER} can_do f", "1 submit_job_bg f unique=u", "stored", f"{WORKER} grab_job")
    stage(f"{WORKER} work_complete H:t:1 done")
    assert stage("9 cancel_job H:t:1", "9 echo_req later") == []
    assert stage("forgotten 1") == ["9 <- UNKNOWN_JOB", "9 <- ECHO_RES later"]
    assert stage("9 cancel_job H:t:1") == ["9 <- UNKNOWN_JOB"]


def test_a_worker_may_ask_to_be_told_of_attempts() -> None:
    stage = Stage()
    stage("1 connect")
    (answer,) = stage.broker.step(stage.now, WantAttempts(1, b"attempts"))
    assert isinstance(answer, OptionResult)
    assert answer.option == b"attempts"
    assert stage.broker.sessions[1].attempts


def test_only_a_job_that_was_seen_is_taken(stage: Stage) -> None:
    stage(f"{WORKER} can_do f")
    session = stage.broker.sessions[WORKER]
    with pytest.raises(AssertionError, match="no job of b'f'"):
        shared.take_listened(stage.broker, session, session.order[0])


def test_a_store_of_one_server_gives_no_answers_of_several() -> None:
    with pytest.raises(AssertionError, match="nobody knows"):
        Stage().broker.step(0, Command())


ROW = ("one", "host:4730", 1, True, 2.5, 3)


def test_who_shares_the_store_is_told_in_turn(stage: Stage) -> None:
    stage("1 echo_req before")
    broker = stage.broker
    (asked,) = broker.step(0, ReportServers(1))
    assert isinstance(asked, AskOthers)
    assert isinstance(asked.answer, ServersReport)
    assert stage("1 echo_req after") == []
    told = broker.step(0, ServersFound(asked.answer, [ROW]))
    assert told[0] is asked.answer
    assert asked.answer.rows == [ROW]
    assert isinstance(told[1], EchoResult)


def test_a_key_of_no_job_that_ends_is_asked_for(stage: Stage) -> None:
    stage(f"{WORKER} can_do f", "1 submit_job_bg f unique=u", "stored", f"{WORKER} grab_job")
    stage(f"{WORKER} work_complete H:t:1 done")
    assert stage("1 get_status_unique v") == ["others <- v?"]


def test_a_function_that_is_dropped_fails_what_has_not_ended(stage: Stage) -> None:
    stage("1 submit_job_bg f unique=u", "1 submit_job_bg f unique=v", "stored")
    stage("9 cancel_job H:t:1")
    assert stage("8 drop_function f force") == ["disk <- forget 2", "8 <- OK"]
    assert stage("forgotten 1 2") == ["9 <- OK"]


def test_jobs_that_are_neither_stored_nor_wanted_are_answered_for_once(stage: Stage) -> None:
    stage("1 submit_job_bg f unique=u")
    (job,) = stage.broker.jobs.values()
    assert stage("coalesced 1 H:other:1") == ["1 <- JOB_CREATED H:other:1"]
    assert stage.broker.step(0, Coalesced(job, b"H:other:2")) == []
    assert stage.broker.step(0, Uncertain([job])) == []


def test_a_worker_in_doubt_passes_functions_without_listeners(stage: Stage) -> None:
    stage(f"{WORKER} can_do f", f"{WORKER} can_do g", "1 submit_job_bg g", "stored")
    stage("2 submit_job f", "doubt")
    assert stage(f"{WORKER} grab_job") == [f"{WORKER} <- JOB_ASSIGN H:t:2 f"]
    session = stage.broker.sessions[WORKER]
    with pytest.raises(AssertionError, match="only clients wait for"):
        shared.take_listened(stage.broker, session, session.abilities[b"g"])


def test_who_else_could_have_a_job_is_asked_to_cancel_it(stage: Stage) -> None:
    assert stage("9 cancel_job H:other:1") == ["disk <- cancel elsewhere H:other:1"]


def test_what_cannot_be_cancelled_is_answered_at_once(stage: Stage) -> None:
    """It has ended, or another server asks."""
    assert stage("9 cancel_job H:t:4711") == ["9 <- UNKNOWN_JOB"]
    stage("8 option_req_local local")
    assert stage("8 cancel_job H:other:1") == ["8 <- UNKNOWN_JOB"]


def test_a_job_that_has_come_meanwhile_is_known(stage: Stage) -> None:
    """Another server had it when its status was asked for, and it is this one's now."""
    assert stage("9 get_status H:gone:1") == ["others <- H:gone:1?"]
    stage.broker.step(0, Restore(Job(7, b"H:gone:1", b"f", b"", b"", 1, 0, b"", 0.0, 0)))
    assert stage("found") == ["9 <- STATUS_RES H:gone:1 known idle 0/0 clients=0"]


def test_who_is_to_be_cut_off_may_have_left(stage: Stage) -> None:
    stage("1 submit_job_bg f", "1 disconnect")
    assert stage("lost") == []


def test_a_job_that_ended_while_the_store_was_asked_may_have_coalesced(stage: Stage) -> None:
    """It became a job of the store for a second client, who then got it cancelled."""
    stage(f"{WORKER} can_do f", "1 submit_job f", f"{WORKER} grab_job")
    (job,) = stage.broker.jobs.values()
    stage("2 submit_job_bg f unique=u", "2 disconnect", f"{WORKER} work_complete H:t:1 done")
    assert stage.broker.step(0, Coalesced(job, b"H:other:1")) == []
