from __future__ import annotations

import pytest

from geartrain.broker.broker import MAX_IDLE_FUNCTIONS, Broker
from geartrain.broker.commands import (
    CanDo,
    Command,
    Connect,
    CreateFunction,
    Disconnect,
    Echo,
    SessionCommand,
    SubmitJob,
)
from geartrain.broker.job import NORMAL, STATE_NAMES, Job


def test_client_hears_the_handle_of_its_job(play):
    assert play("1 submit_job resize workload=a.jpg") == ["1 <- JOB_CREATED H:t:1"]
    assert play("1 submit_job resize workload=b.jpg") == ["1 <- JOB_CREATED H:t:2"]


def test_background_job_in_memory_is_acknowledged_at_once(play):
    assert play("1 submit_job_bg resize") == ["1 <- JOB_CREATED H:t:1"]


def test_handle_starts_with_the_prefix_and_counts_from_one_whatever_the_number():
    broker = Broker(b"H:host:b00t", first_number=1000)
    broker.step(0, Connect(1))
    (created,) = broker.step(0, SubmitJob(1, b"f", b"", b"", NORMAL, False))
    assert created.handle == b"H:host:b00t:1"
    assert broker.jobs[created.handle].number == 1000


def test_job_keeps_what_was_submitted(play):
    play("1 submit_reduce_job_background sum unique=u workload=w reducer=add")
    job = play.broker.jobs[b"H:t:1"]
    assert (job.function, job.unique, job.workload, job.reducer) == (b"sum", b"u", b"w", b"add")
    assert (job.priority, job.epoch, job.submitted, job.attempts) == (NORMAL, 0, 1000.0, 0)


@pytest.mark.parametrize("state", STATE_NAMES)
def test_job_shows_its_handle_function_and_state(state):
    job = Job(1, b"H:t:1", b"f", b"", b"", NORMAL, 0, b"", 0.0, 0)
    job.state = STATE_NAMES.index(state)
    assert repr(job) == f"<Job b'H:t:1' b'f' {state}>"


def test_longest_unique_key_is_accepted(play):
    unique = "u" * 64
    assert play(f"1 submit_job f unique={unique}") == ["1 <- JOB_CREATED H:t:1"]
    assert play(f"2 submit_job f unique={unique}") == ["2 <- JOB_CREATED H:t:1"]


def test_longer_unique_key_is_refused_and_leaves_nothing(play):
    assert play(f"1 submit_job f unique={'u' * 65}") == [
        "1 <- ERROR ARGUMENT_TOO_LARGE Unique value too large"
    ]
    assert play.broker.jobs == {}
    assert play.broker.functions == {}


def test_client_may_submit_the_same_thing_twice_without_a_key(play):
    play("1 submit_job f workload=w", "1 submit_job f workload=w")
    assert list(play.broker.jobs) == [b"H:t:1", b"H:t:2"]


# maxqueue.


def test_full_function_refuses_jobs(play):
    play("9 maxqueue f 2 2 2", "1 submit_job f", "1 submit_job_bg f")
    assert play("1 submit_job f") == ["1 <- ERROR QUEUE_ERROR Job queue is full"]
    assert play("1 submit_job_bg f") == ["1 <- ERROR QUEUE_ERROR Job queue is full"]
    assert play("1 submit_job g") == ["1 <- JOB_CREATED H:t:3"]


def test_limit_is_that_of_the_new_job_s_priority_and_counts_all_jobs(play):
    play("9 maxqueue f 0 2 1", "1 submit_job f")
    assert play("1 submit_job_low f") == ["1 <- ERROR QUEUE_ERROR Job queue is full"]
    play("1 submit_job f")
    assert play("1 submit_job f") == ["1 <- ERROR QUEUE_ERROR Job queue is full"]
    assert play("1 submit_job_high f") == ["1 <- JOB_CREATED H:t:3"]


def test_running_jobs_count_and_ended_ones_do_not(play):
    play("9 maxqueue f 1 1 1", "3 can_do f", "1 submit_job f", "3 grab_job")
    assert play("1 submit_job f") == ["1 <- ERROR QUEUE_ERROR Job queue is full"]
    play("3 work_complete H:t:1")
    assert play("1 submit_job f") == ["1 <- JOB_CREATED H:t:2"]


def test_full_function_still_lets_submissions_join(play):
    play("9 maxqueue f 1 1 1", "1 submit_job f unique=u")
    assert play("2 submit_job f unique=u") == ["2 <- JOB_CREATED H:t:1"]
    assert play("2 submit_job f unique=v") == ["2 <- ERROR QUEUE_ERROR Job queue is full"]


# Sessions.


def test_session_that_never_came_or_has_left_is_not_obeyed(play):
    command = Echo(1, b"hi")
    assert play.step(command) == []
    play.step(Connect(1))
    assert play.step(command) == ["1 <- ECHO_RES hi"]
    play.step(Disconnect(1))
    assert play.step(command) == []
    assert play.step(Disconnect(1)) == []
    assert play.broker.sessions == {}


def test_session_that_connects_twice_is_the_same_session(play):
    play("3 can_do f")
    assert play.step(Connect(3)) == []
    assert play("3 workers") == ["3 <- workers: 3 - : f"]


def test_command_that_nobody_knows_is_our_own_mistake(play):
    with pytest.raises(AssertionError, match="nobody knows the command"):
        play.step(Command())
    play.step(Connect(1))
    with pytest.raises(AssertionError, match="nobody knows the command"):
        play.step(SessionCommand(1))


def test_answers_that_need_no_memory_pass_through(play):
    assert play("1 answer 'ERR UNKNOWN_COMMAND'") == ["1 <- reply ERR UNKNOWN_COMMAND"]
    assert play("1 echo_req 'hello world'") == ["1 <- ECHO_RES hello world"]
    assert play("1 option_req Exceptions") == ["1 <- OPTION_RES Exceptions"]


# Functions nobody uses.


def test_functions_stay_once_they_were_named(play):
    play("1 submit_job f", "1 disconnect")
    assert play("9 status") == ["9 <- status: f 0 0 0"]


def test_inventing_functions_fills_no_memory(play):
    broker = play.broker
    play("9 create_function kept", "9 maxqueue limited 1 1 1", "3 can_do served")
    play("1 submit_job_bg busy")
    for number in range(MAX_IDLE_FUNCTIONS + 10):
        broker.step(0, Connect(number + 100))
        broker.step(0, SubmitJob(number + 100, b"f%d" % number, b"", b"", NORMAL, False))
        broker.step(0, Disconnect(number + 100))
    assert len(broker.functions) < 100
    assert {b"kept", b"limited", b"served", b"busy"} <= set(broker.functions)


def test_many_functions_in_use_are_not_walked_through_for_each_new_name(play):
    broker = play.broker
    broker.step(0, Connect(1))
    for number in range(MAX_IDLE_FUNCTIONS + 1):
        broker.step(0, CreateFunction(1, b"f%d" % number))
    assert len(broker.functions) == MAX_IDLE_FUNCTIONS + 1
    assert broker.function_limit == 2 * MAX_IDLE_FUNCTIONS


def test_one_connection_can_not_announce_functions_without_end(play):
    broker = play.broker
    broker.step(0, Connect(3))
    for number in range(16_384):
        assert broker.step(0, CanDo(3, b"f%d" % number)) == []
    assert play("3 can_do more") == [
        "3 <- ERROR ARGUMENT_TOO_LARGE Too many functions on one connection"
    ]
    assert b"more" not in broker.functions
    # What it knows already it may announce again.
    assert play("3 can_do f0 timeout=5") == []
    assert play("3 can_do f0") == []
