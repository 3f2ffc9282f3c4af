"""In which order jobs are assigned."""

from __future__ import annotations

import pytest

from tests.broker.story import Stage


def order(play: Stage, worker: int = 3) -> list[str]:
    """Let the worker grab until nothing is left, and return the workloads."""
    workloads = []
    while (line := play(f"{worker} grab_job"))[0] != f"{worker} <- NO_JOB":
        workloads.append(line[0].split()[-1])
    return workloads


def test_jobs_of_a_function_are_assigned_first_come_first(play):
    play("3 can_do f", *[f"{n % 3 + 4} submit_job f workload={n}" for n in range(5)])
    assert order(play) == ["0", "1", "2", "3", "4"]


def test_high_comes_before_normal_before_low(play):
    play("3 can_do f")
    for packet in ("submit_job_low", "submit_job", "submit_job_high"):
        play(f"1 {packet} f workload={packet}", f"1 {packet}_bg f workload={packet}_bg")
    assert order(play) == [
        "submit_job_high",
        "submit_job_high_bg",
        "submit_job",
        "submit_job_bg",
        "submit_job_low",
        "submit_job_low_bg",
    ]


# f, ga and gb announced in that order, two jobs each, and one HIGH one.
def announce_three(play: Stage) -> None:
    play("3 can_do f", "3 can_do ga", "3 can_do gb")
    for function in ("f", "ga", "gb"):
        play(f"1 submit_job {function} workload={function}0")
        play(f"1 submit_job {function} workload={function}1")
    play("1 submit_job_high gb workload=gbhigh")


def test_order_across_functions_is_that_of_gearmand_2():
    play = Stage()
    announce_three(play)
    assert order(play) == ["gbhigh", "ga0", "f0", "gb0", "ga1", "f1", "gb1"]


def test_order_across_functions_is_that_of_gearmand_1_1():
    play = Stage(per_function=True, round_robin=False)
    announce_three(play)
    assert order(play) == ["gbhigh", "gb0", "gb1", "ga0", "ga1", "f0", "f1"]


def test_gearmand_1_1_with_round_robin_takes_the_functions_in_turn():
    play = Stage(per_function=True, round_robin=True)
    announce_three(play)
    assert order(play) == ["gbhigh", "ga0", "f0", "gb0", "ga1", "f1", "gb1"]


def test_low_job_of_the_function_in_turn_goes_first_only_in_gearmand_1_1():
    script = ["3 can_do f", "3 can_do g", "1 submit_job_high f workload=f"]
    script += ["1 submit_job_low g workload=g"]
    newer, older = Stage(), Stage(per_function=True, round_robin=False)
    newer(*script)
    older(*script)
    assert order(newer) == ["f", "g"]
    assert order(older) == ["g", "f"]


def test_function_announced_last_is_served_first(play):
    play("3 can_do f", "3 can_do g", "1 submit_job f workload=f", "1 submit_job g workload=g")
    assert order(play) == ["g", "f"]


def test_turns_of_one_worker_are_its_own(play):
    play("3 can_do f", "3 can_do g", "4 can_do f", "4 can_do g")
    for n in range(2):
        play(f"1 submit_job f workload=f{n}", f"1 submit_job g workload=g{n}")
    assert play("3 grab_job", "4 grab_job", "3 grab_job", "4 grab_job") == [
        "3 <- JOB_ASSIGN H:t:2 g g0",
        "4 <- JOB_ASSIGN H:t:4 g g1",
        "3 <- JOB_ASSIGN H:t:1 f f0",
        "4 <- JOB_ASSIGN H:t:3 f f1",
    ]


@pytest.mark.parametrize("settings", [{}, {"per_function": True}])
@pytest.mark.parametrize("others", [0, 20])
def test_order_does_not_depend_on_how_many_functions_have_jobs(settings, others):
    # Of the worker's functions and the functions with jobs the shorter list is walked through.
    play = Stage(**settings)
    for n in range(5):
        play(f"3 can_do f{n}")
    play(*[f"1 submit_job other{n}" for n in range(others)])
    play("1 submit_job f0 workload=0", "1 submit_job f3 workload=3", "1 submit_job f1 workload=1")
    play("1 submit_job f3 workload=3b")
    assert order(play) == ["3", "1", "0", "3b"]


def test_worker_of_many_functions_finds_nothing_where_only_others_have_jobs(play):
    for n in range(5):
        play(f"3 can_do f{n}")
    assert order(play) == []
    play("1 submit_job other")
    assert order(play) == []
    play(*[f"1 submit_job other{n}" for n in range(20)])
    assert order(play) == []


def test_job_that_comes_back_is_assigned_before_all_others_of_its_priority(play):
    play("4 can_do f", "1 submit_job f workload=0", "4 grab_job")
    play("1 submit_job f workload=1", "1 submit_job_high f workload=high", "4 disconnect")
    play("3 can_do f")
    assert order(play) == ["high", "0", "1"]


def test_several_jobs_of_a_lost_worker_come_back_in_their_order(play):
    play("4 can_do f", *[f"1 submit_job f workload={n}" for n in range(4)])
    play("4 grab_job", "4 grab_job", "4 grab_job", "4 disconnect", "3 can_do f")
    assert order(play) == ["0", "1", "2", "3"]


def test_jobs_that_ended_while_they_waited_are_passed_over(play):
    play("3 can_do f", *[f"{n} submit_job f workload={n}" for n in range(10, 20)])
    for n in (10, 12, 13, 19):
        play(f"{n} disconnect")
    assert order(play) == ["11", "14", "15", "16", "17", "18"]
    play("1 submit_job f workload=next")
    assert order(play) == ["next"]


def test_line_from_which_most_jobs_left_keeps_its_order_and_forgets_them(play):
    play("3 can_do f", *[f"{n} submit_job f workload={n}" for n in range(100, 400)])
    for n in range(100, 400):
        if n % 10:
            play(f"{n} disconnect")
    line = play.broker.functions[b"f"].lines[1]
    assert line.count == 30
    assert len(line.jobs) < 2 * 30 + 64
    assert order(play) == [str(n) for n in range(100, 400, 10)]
    # The others were swept while the last ones left.
    assert line.jobs is None or len(line.jobs) == 0


def test_line_that_nobody_waits_in_keeps_no_ended_jobs(play):
    play("1 submit_job f", *[f"{n} submit_job f" for n in range(10, 40)])
    for n in range(10, 40):
        play(f"{n} disconnect")
    line = play.broker.functions[b"f"].lines[1]
    assert line.count == 1
    play("3 can_do f", "3 grab_job")
    assert line.count == 0
    assert not line.jobs
    play("2 submit_job f", "2 disconnect")
    assert not line.jobs


def test_job_comes_back_into_a_line_that_everybody_else_left(play):
    play("4 can_do f", "1 submit_job f workload=0", "4 grab_job", "2 submit_job f", "2 disconnect")
    play("4 disconnect", "3 can_do f")
    assert order(play) == ["0"]
