"""Ratios say how many times better we are, and goals are judged on medians."""

from __future__ import annotations

from pathlib import Path

from bench.classes import CLASSES, METRICS, OURS, PEER, Class, Line, Run
from bench.load import Figures
from bench.page import page
from bench.report import Measured, Row, rows, table


def nothing(run: Run) -> Figures:
    return {}


def kind(*lines: Line) -> Class:
    return Class("sample", "a sample", nothing, lines, (OURS, PEER), note="A note.")


def rates(*values: float) -> list[Figures]:
    return [{"rate": value, "server_cpu_us": 1000 / value} for value in values]


def test_a_rate_is_better_when_it_is_higher() -> None:
    results = {OURS: rates(200, 300, 1000), PEER: rates(100, 100, 250)}
    assert rows(kind(Line("rate", times=2.5)), results) == [
        Row("jobs/s", "300", "100", "3.00 (2.00-4.00)", ">= 2.5 x", "reached")
    ]


def test_a_cost_is_better_when_it_is_lower() -> None:
    results = {OURS: rates(200), PEER: rates(100)}
    assert rows(kind(Line("server_cpu_us", times=2.5)), results) == [
        Row("server CPU, us/job", "5.0", "10.0", "2.00 (2.00-2.00)", ">= 2.5 x", "not reached")
    ]


def test_limits_judge_our_own_figure_without_a_peer() -> None:
    results = {OURS: [{"rss_per_job": 400.0, "tenths": 0.7}]}
    small, flat = rows(
        kind(Line("rss_per_job", at_most=600), Line("tenths", at_least=0.8)), results
    )
    assert (small.peer, small.ratio, small.goal, small.verdict) == ("-", "", "<= 600", "reached")
    assert (flat.goal, flat.verdict) == (">= 0.8", "not reached")


def test_a_ratio_of_nothing_is_left_out() -> None:
    results: dict[object, list[Figures]] = {OURS: [{"idle_cpu": 0.0}], PEER: [{"idle_cpu": 0.0}]}
    (row,) = rows(kind(Line("idle_cpu", at_most=2)), results)  # type: ignore[arg-type]
    assert (row.ratio, row.verdict) == ("", "reached")


def test_the_table_and_the_page_show_every_line_and_the_note(tmp_path: Path) -> None:
    measured = Measured(kind(Line("rate", times=2)), {OURS: rates(300), PEER: rates(100)})
    measured.commands[OURS] = ["load submit --jobs 5"]
    assert "jobs/s   300   100  3.00 (3.00-3.00)  >= 2 x  reached" in table(measured)
    text = page([measured], {"ours": "geartrain", "peer": "gearmand"}, 3, tmp_path, ["x."])
    assert "| jobs/s | 300 | 100 | 3.00 (3.00-3.00) | >= 2 x | reached |" in text
    assert "A note." in text
    assert "load submit --jobs 5" in text
    assert "Left out: x." in text


def test_every_line_of_every_class_has_a_metric() -> None:
    assert {line.metric for each in CLASSES for line in each.lines} == set(METRICS)
    assert len({each.name for each in CLASSES}) == len(CLASSES)
