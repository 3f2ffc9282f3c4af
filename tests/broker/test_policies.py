"""What functions with a policy do otherwise; the stories in ``scripts`` tell the rest."""

from __future__ import annotations

import json

import pytest

from geartrain.broker.commands import ClockSet, ResultFound, StoreAnswered, WorkComplete
from geartrain.broker.effects import AskStore, StoreReply
from geartrain.broker.inquiring import LIST_LETTERS, MAX_RESULT
from geartrain.broker.policy import Policy
from geartrain.broker.rulebook import MAX_DECLARED
from tests.broker.story import Stage, policy


def staged(*settings: str, durable: bool = False, function: str = "f") -> Stage:
    return Stage(policies=[policy(function, *settings)], durable=durable)


def raised(play: Stage, handle: str, **said: object) -> list[str]:
    """Have worker 3 raise, with a JSON object for a reason."""
    return play(f"3 work_exception {handle} {json.dumps(json.dumps(said))}")


# Back-off.


def test_waits_double_up_to_the_longest() -> None:
    backoff = policy("f", "backoff=exp(1s, 10s)")
    assert [backoff.delay(b"H", n) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert backoff.delay(b"H", 10_000) == 10


def test_jitter_shortens_a_wait_and_is_the_same_each_time() -> None:
    spread = policy("f", "backoff=10s", "jitter=0.5")
    waits = [spread.delay(b"H:%d" % n, 1) for n in range(200)]
    assert waits == [spread.delay(b"H:%d" % n, 1) for n in range(200)]
    assert 5 <= min(waits) < 5.5 < 9.5 < max(waits) <= 10
    assert len(set(waits)) > 190


def test_failed_job_without_back_off_goes_behind_the_others() -> None:
    play = staged("retries=1", "backoff=0")
    play("3 can_do f", "1 submit_job_bg f workload=a", "1 submit_job_bg f workload=b")
    play("3 grab_job", "3 work_fail H:t:1")
    assert play("3 grab_job", "3 grab_job") == [
        "3 <- JOB_ASSIGN H:t:2 f b",
        "3 <- JOB_ASSIGN H:t:1 f a",
    ]


def test_retry_that_waits_is_stored_with_its_moment() -> None:
    play = staged("retries=1", "backoff=1500ms", durable=True)
    play("3 can_do f", "1 submit_job_bg f", "stored", "3 grab_job")
    assert play("3 work_fail H:t:1") == ["disk <- attempts 1 1"]
    job = play.broker.jobs[b"H:t:1"]
    # Whole seconds, and not before.
    assert job.epoch == 1002
    assert play.broker.next_deadline() == 1001.5


# What workers ask for.


def test_worker_may_ask_for_a_retry_at_a_moment() -> None:
    play = staged("retries=1", "backoff=1h")
    play("3 can_do f", "1 submit_job_bg f", "3 grab_job")
    assert raised(play, "H:t:1", retry=True, retry_after=7) == []
    assert play.broker.next_deadline() == 1007
    play("wait 7", "3 grab_job")
    # It was the last attempt all the same.
    assert "bury" in raised(play, "H:t:1", retry=True)[0]


def test_worker_may_ask_for_retries_where_the_policy_has_none() -> None:
    play = staged("concurrency=5")
    play("3 can_do f", "1 submit_job_bg f")
    for _ in range(3):
        assert play("wait 1", "3 grab_job")
        assert raised(play, "H:t:1", retry=True) == []
    play("wait 1", "3 grab_job")
    assert raised(play, "H:t:1", retry_after=5) == []
    assert play.broker.jobs == {}


def test_worker_may_reject_a_job() -> None:
    play = staged("retries=9")
    play("3 can_do f", "1 submit_job_bg f", "3 grab_job")
    [line] = raised(play, "H:t:1", reject=True)
    assert line.startswith(
        "disk <- bury 1 after 1: its worker raised, which the worker rejected: {"
    )


@pytest.mark.parametrize(
    "data", ["{", "[]", "{" + "[" * 30_000, '{"retry": 1, "retry_after": true}', "{" + " " * 70_000]
)
def test_what_asks_for_nothing_is_an_exception(data: str) -> None:
    play = staged("concurrency=1")
    play("3 can_do f", "1 submit_job f", "1 option_req exceptions", "3 grab_job")
    [line] = play(f"3 work_exception H:t:1 {json.dumps(data)}")
    assert line.startswith("1 <- WORK_EXCEPTION H:t:1")
    play("1 submit_job_bg f", "3 grab_job", f"3 work_exception H:t:2 {json.dumps(data)}")
    assert play.broker.jobs == {}


def test_retry_after_has_an_end() -> None:
    play = staged("retries=1")
    play("3 can_do f", "1 submit_job_bg f", "3 grab_job")
    raised(play, "H:t:1", retry=True, retry_after=10**400)
    assert play.broker.next_deadline() == 1000 + 30 * 86_400


# Who listens.


def test_listener_of_a_background_job_hears_of_the_last_attempt() -> None:
    play = staged("retries=1", "backoff=0")
    play("3 can_do f", "1 submit_job_bg f unique=u", "2 submit_job f unique=u")
    assert play("3 grab_job", "3 work_fail H:t:1") == ["3 <- JOB_ASSIGN H:t:1 f"]
    assert play("3 grab_job", "3 work_complete H:t:1 r")[-1] == "2 <- WORK_COMPLETE H:t:1 r"


def test_job_nobody_wants_any_more_is_dropped_when_its_worker_leaves() -> None:
    play = staged("retries=1")
    play("3 can_do f", "2 submit_job f", "3 grab_job", "2 disconnect")
    assert play("3 disconnect") == []
    assert play.broker.jobs == {}


def test_last_attempt_that_is_lost_ends_the_job() -> None:
    play = staged("max_attempts=1")
    play("3 can_do f", "1 submit_job_bg f", "3 grab_job")
    assert play("3 cant_do f") == [
        "disk <- bury 1 after 1: it came back without a result at attempt 1 of 1"
    ]


def test_without_dead_letters_a_failure_is_a_failure() -> None:
    play = staged("retries=0", "dead_letters=false", durable=True)
    play("3 can_do f", "1 submit_job_bg f", "stored", "3 grab_job")
    assert play("3 work_fail H:t:1") == ["disk <- forget 1"]


def test_failed_job_may_have_waited_too_long_for_another_attempt() -> None:
    play = staged("retries=5", "expires=10")
    play("3 can_do f", "1 submit_job_bg f", "3 grab_job", "wait 11")
    assert play("3 work_fail H:t:1") == [
        "disk <- bury 1 after 1: its worker said WORK_FAIL after the time it may wait"
    ]


# Keys.


def test_jobs_without_a_key_are_not_held() -> None:
    play = staged("concurrency_per_key=1")
    play("3 can_do f", *["1 submit_job_bg f"] * 2, *["1 submit_job_bg f unique=- workload=w"])
    assert [line.split()[2] for line in play(*["3 grab_job"] * 4)] == [
        "JOB_ASSIGN",
        "JOB_ASSIGN",
        "JOB_ASSIGN",
        "NO_JOB"[:10],
    ]


def test_held_job_that_is_cancelled_is_passed_over() -> None:
    play = staged("concurrency_per_key=1")
    play("3 can_do f", *[f"1 submit_job_bg f unique=k:{n}" for n in range(4)])
    play("9 cancel_job H:t:2", "3 grab_job", "9 cancel_job H:t:3")
    assert play("3 work_complete H:t:1", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:4 f"]
    play("3 work_complete H:t:4")
    assert play.broker.functions[b"f"].policing.keys == {}


def test_job_in_line_that_is_cancelled_makes_room_for_its_key() -> None:
    play = staged("concurrency_per_key=1")
    play(
        "3 can_do f", "3 pre_sleep", "1 submit_job_bg f unique=k:1", "1 submit_job_bg f unique=k:2"
    )
    play("9 cancel_job H:t:1")
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 f"]


def test_job_that_comes_back_stays_before_those_of_its_key() -> None:
    play = staged("concurrency_per_key=1")
    play("3 can_do f", "4 can_do f", "1 submit_job_bg f unique=k:1", "1 submit_job_bg f unique=k:2")
    play("3 grab_job", "3 disconnect")
    assert play("4 grab_job") == ["4 <- JOB_ASSIGN H:t:1 f"]


def test_of_two_less_urgent_jobs_in_line_the_later_one_makes_room() -> None:
    play = staged("concurrency_per_key=2")
    play("3 can_do f")
    play("1 submit_job_low_bg f unique=k:1", "1 submit_job_bg f unique=k:2")
    play("1 submit_job_high_bg f unique=k:3", "1 submit_job_low_bg f unique=k:4")
    assert play("3 grab_job", "3 grab_job", "3 grab_job") == [
        "3 <- JOB_ASSIGN H:t:3 f",
        "3 <- JOB_ASSIGN H:t:2 f",
        "3 <- NO_JOB",
    ]
    assert play("3 work_complete H:t:2", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f"]


def test_urgent_job_takes_the_place_of_the_only_one_in_line() -> None:
    play = staged("concurrency_per_key=1")
    play("3 can_do f", "1 submit_job_low_bg f unique=k:1", "1 submit_job_bg f unique=j:1")
    play("1 submit_job_low_bg f unique=j:2", "1 submit_job_high_bg f unique=k:2")
    assert play.broker.ready[2] == {}
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:4 f"]


def test_unique_key_may_count_for_queued_jobs_only() -> None:
    play = staged("unique=queued", "retries=1", "backoff=0")
    play("3 can_do f", "1 submit_job_bg f unique=u", "3 grab_job")
    assert play("1 submit_job_bg f unique=u") == ["1 <- JOB_CREATED H:t:2"]
    assert play("1 submit_job_bg f unique=u") == ["1 <- JOB_CREATED H:t:2"]
    play("3 grab_job", "3 work_fail H:t:2")
    assert play("1 submit_job_bg f unique=u") == ["1 <- JOB_CREATED H:t:2"]
    play("3 disconnect")
    assert play("1 submit_job_bg f unique=u") == ["1 <- JOB_CREATED H:t:2"]


# Rates.


def test_rate_goes_on_after_the_clock_was_set() -> None:
    play = staged("rate=1/10s")
    play("3 can_do f", "1 submit_job_bg f", "1 submit_job_bg f", "3 grab_job", "3 pre_sleep")
    play.now -= 500
    play.step(ClockSet(-500.0))
    assert play.broker.next_deadline() == 510
    assert play("wait 10") == ["3 <- NOOP"]
    # What is due for others is none of its business.
    play.step(ClockSet(1.0))


def test_function_whose_rate_was_lifted_is_open() -> None:
    play = Stage()
    play("3 can_do f", "3 policy f rate=1/10s", "1 submit_job_bg f", "1 submit_job_bg f")
    play("3 grab_job", "3 policy f concurrency=9")
    play.step(ClockSet(0.0))
    assert play.broker.next_deadline() is None
    play("3 policy f rate=1/10s", "3 grab_job", "1 submit_job_bg f", "3 policy f concurrency=9")
    play.now += 20
    assert play("tick") == []
    assert play("3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 f"]
    play("3 policy f rate=1/10s", "1 submit_job_bg f", "3 grab_job", "3 policy f retries=1")
    assert play.broker.next_deadline() is None


def test_jobs_without_a_key_end_as_others_do() -> None:
    play = staged("concurrency_per_key=1", "expires=100", "retries=1", "backoff=1")
    play("3 can_do f", "1 submit_job_bg f", "1 submit_job_bg f", "9 cancel_job H:t:2")
    play("3 grab_job", "3 work_fail H:t:1", "wait 1", "3 grab_job", "3 work_complete H:t:1")
    assert play.broker.jobs == {}
    assert play.broker.agenda.watched == 0


def test_policy_comes_while_jobs_without_a_key_run() -> None:
    play = Stage(policies=[policy("billing.*", "retries=1")])
    play("3 can_do f", "1 submit_job_bg f", "3 grab_job", "3 policy f concurrency_per_key=1")
    assert play.broker.functions[b"f"].policing.keys == {}


def test_function_that_opened_by_other_means_is_not_opened_again() -> None:
    play = staged("rate=1/10s", "concurrency=1")
    play("3 can_do f", "1 submit_job_bg f", "1 submit_job_bg f", "3 grab_job")
    assert play.broker.next_deadline() == 1010
    assert play("wait 20") == []
    assert play("3 grab_job") == ["3 <- NO_JOB"]
    assert play("3 work_complete H:t:1", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:2 f"]


def test_workers_of_several_functions_pass_over_a_closed_one() -> None:
    play = Stage(policies=[policy("f", "concurrency=1")], per_function=True, round_robin=False)
    play("3 can_do f", "3 can_do g", "4 can_do f", "4 can_do g", "4 can_do h")
    play("1 submit_job_bg f", "1 submit_job_bg f", "1 submit_job_bg g", "4 grab_job")
    assert play("3 grab_job", "3 grab_job") == ["3 <- JOB_ASSIGN H:t:1 f", "3 <- NO_JOB"]


def test_many_jobs_that_expire_do_not_pile_up() -> None:
    play = staged("expires=1h")
    play("3 can_do f")
    for n in range(1, 300):
        play("1 submit_job_bg f", "3 grab_job", f"3 work_complete H:t:{n}")
    assert len(play.broker.agenda.expiries) <= 65
    assert play.broker.agenda.watched == 0


# Inquiries.


def test_result_that_is_too_large_is_not_kept() -> None:
    play = staged("retention=1h")
    play("3 can_do f", "1 submit_job_bg f", "3 grab_job")
    assert play.step(WorkComplete(3, b"H:t:1", b"x" * (MAX_RESULT + 1))) == [
        "disk <- result H:t:1 too_large until 4600"
    ]


def test_inquiry_that_was_given_up_is_forgotten() -> None:
    play = Stage()
    play("1 submit_job_bg f", "2 submit_job geartrain:result workload=H:t:1")
    play("4 submit_job geartrain:result workload=H:t:1", "2 disconnect")
    assert len(play.broker.inquiries[b"H:t:1"]) == 1
    play("4 disconnect")
    assert play.broker.inquiries == {}
    # One that the store was asked for, and nobody waits for any more.
    play("5 submit_job geartrain:result workload=H:gone", "5 disconnect")
    assert play("result completed r") == []


def test_inquiry_waits_for_a_job_that_was_revived_meanwhile() -> None:
    play = Stage()
    play("3 can_do f", "2 submit_job geartrain:result workload=H:old:1")
    play("adopted H:old:1 f")
    assert play("result failed") == []
    assert play("3 grab_job", "3 work_complete H:old:1 r") == [
        "3 <- JOB_ASSIGN H:old:1 f",
        "2 <- WORK_COMPLETE H:t:1 r",
    ]


def test_inquiry_about_itself_asks_the_store() -> None:
    play = Stage()
    assert play("2 submit_job geartrain:result workload=H:t:1")[-1].startswith("disk <- result of")


def test_cancelled_job_answers_its_inquiries() -> None:
    play = staged("retention=60")
    play("3 can_do f", "1 submit_job_bg f", "3 grab_job")
    play("2 submit_job geartrain:result workload=H:t:1")
    assert play("9 cancel_job H:t:1")[:2] == [
        "disk <- result H:t:1 failed until 1060",
        "2 <- WORK_FAIL H:t:2",
    ]
    # Nothing is kept of what its worker says after that.
    assert play("3 work_complete H:t:1 r") == []


def test_cancelled_inquiry_is_told_so() -> None:
    play = Stage()
    play("1 submit_job_bg f", "2 submit_job geartrain:result workload=H:t:1")
    assert play("9 cancel_job H:t:2") == ["2 <- WORK_FAIL H:t:2", "9 <- OK"]
    assert play.broker.inquiries == {}


def test_answer_of_the_store_to_a_session_that_left_is_dropped() -> None:
    play = Stage()
    play("9 show_dead_letters", "9 disconnect")
    assert play("answered too late") == []
    nobody = StoreReply(77)
    assert play.step(StoreAnswered(nobody, b"x")) == []
    assert AskStore(LIST_LETTERS, b"", 0, nobody, False).to is nobody
    assert play.step(ResultFound(b"H:t:5", b"H:t:6", 0, b"")) == []


# Declarations.


def test_declared_policy_counts_for_jobs_that_are_here() -> None:
    play = Stage()
    play("3 can_do f", "4 can_do f", "4 can_do g")
    play(*[f"1 submit_job_bg f unique=k:{n}" for n in range(3)], "1 submit_job_bg f")
    play("3 grab_job", "1 submit_job_epoch f at=5000")
    assert play("3 policy f concurrency_per_key=1 expires=100 maxqueue=5") == [
        "3 <- OPTION_RES policy:..."
    ]
    assert play("4 grab_job", "4 grab_job") == ["4 <- JOB_ASSIGN H:t:4 f", "4 <- NO_JOB"]
    assert play("1 submit_job_bg f") == ["1 <- ERROR QUEUE_ERROR Job queue is full"]
    assert play("3 work_complete H:t:1", "4 grab_job") == ["4 <- JOB_ASSIGN H:t:2 f"]
    assert [line.split()[-6:] for line in play("wait 100")] != []


def test_declaring_the_same_again_changes_nothing() -> None:
    play = Stage()
    play("3 policy f concurrency=1 retries=2", "3 can_do f", "1 submit_job_bg f", "3 grab_job")
    policing = play.broker.functions[b"f"].policing
    play("4 policy f concurrency=1 retries=2")
    assert play.broker.functions[b"f"].policing is policing
    play("1 submit_job_bg f")
    assert play("3 grab_job") == ["3 <- NO_JOB"]
    play("4 pre_sleep", "4 can_do f")
    assert play("4 policy f concurrency=2 retries=2") == ["4 <- NOOP", "4 <- OPTION_RES policy:..."]
    assert play("4 policy f concurrency=1") == ["4 <- OPTION_RES policy:..."]
    assert play("4 grab_job") == ["4 <- NO_JOB"]


def test_changed_policy_lets_go_of_jobs_that_were_held() -> None:
    play = Stage()
    play("3 can_do f", "3 policy f concurrency_per_key=1")
    play(*[f"1 submit_job_bg f unique=k:{n}" for n in range(3)], "3 grab_job", "3 grab_job")
    play("3 policy f expires=50")
    assert [line.split()[3] for line in play("3 grab_job", "3 grab_job")] == ["H:t:2", "H:t:3"]
    play("3 work_complete H:t:1")


def test_policy_may_be_for_all_functions_that_a_pattern_fits() -> None:
    play = Stage(policies=[policy("billing.*", "maxqueue=1"), policy("*", "maxqueue=2")])
    play("1 submit_job_bg billing.pay", *["1 submit_job_bg other"] * 2)
    assert "ERROR" in play("1 submit_job_bg billing.pay")[0]
    assert "ERROR" in play("1 submit_job_bg other")[0]


def test_declared_policy_is_found_when_the_function_comes_back() -> None:
    play = Stage()
    play("3 policy f maxqueue=1", "9 drop_function f")
    play("1 submit_job_bg f")
    assert play("1 submit_job_bg f") == ["1 <- ERROR QUEUE_ERROR Job queue is full"]


def test_configured_policy_wins_over_a_declared_one() -> None:
    play = staged("maxqueue=1")
    assert play("3 policy f maxqueue=5") == ["3 <- OPTION_RES policy:..."]
    play("1 submit_job_bg f")
    assert play("1 submit_job_bg f") == ["1 <- ERROR QUEUE_ERROR Job queue is full"]


def test_policies_are_declared_for_so_many_functions_and_no_more() -> None:
    play = Stage()
    play("3 policy f retries=1")
    for n in range(MAX_DECLARED):
        play.broker.rulebook.declared[b"f%d" % n] = Policy(b"f%d" % n)
    assert play("3 policy g retries=1") == [
        "3 <- ERROR INVALID_POLICY 16384 functions have declared policies, and no more may"
    ]
    assert play("3 policy f retries=2") == ["3 <- OPTION_RES policy:..."]
    assert play("3 policy geartrain:result retries=1") == [
        "3 <- ERROR INVALID_POLICY geartrain:result is the server's own"
    ]


def test_drop_by_force_fails_held_jobs_too() -> None:
    play = staged("concurrency_per_key=1")
    play("1 submit_job_bg f unique=k:1", "1 submit_job_bg f unique=k:2")
    assert play("9 drop_function f force") == ["9 <- OK"]
    assert play.broker.jobs == {}
