"""Ratios say how many times better we are, goals are judged on medians, the page shows it all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.classes import CLASSES, OURS, PEER, PEER_DURABLE
from bench.findings import Findings
from bench.kinds import METRICS, Class, Contestant, Line, Run
from bench.load import Figures
from bench.page import page, picture
from bench.profile import Profile
from bench.remarks import REMARKS
from bench.report import Measured, Row, breakdown, rows, table
from bench.stores import lacks
from tests.services.availability import SERVICES


def nothing(run: Run) -> Figures:
    return {}


def kind(*lines: Line) -> Class:
    return Class("sample", "a sample", nothing, lines, (OURS, PEER), note="A note.")


def rates(*values: float) -> list[Figures]:
    return [{"rate": value, "server_cpu_us": 1000 / value} for value in values]


def only(rows: list[Row]) -> tuple[str, ...]:
    (row,) = rows
    return row.cells()


def test_a_rate_is_better_when_it_is_higher() -> None:
    results = {OURS: rates(200, 300, 1000), PEER: rates(100, 100, 250)}
    assert only(rows(kind(Line("rate", times=2.5)), results)) == (
        *("jobs/s", "300", "100", "3.00 (2.00-4.00)", ">= 2.5 x", "reached"),
    )


def test_a_cost_is_better_when_it_is_lower() -> None:
    results = {OURS: rates(200), PEER: rates(100)}
    assert only(rows(kind(Line("server_cpu_us", times=2.5)), results)) == (
        *("server CPU, us/job", "5.0", "10.0", "2.00 (2.00-2.00)", ">= 2.5 x", "not reached"),
    )


def test_limits_judge_our_own_figure_without_a_peer() -> None:
    results = {OURS: [{"rss_per_job": 400.0, "tenths": 0.7}]}
    small, flat = rows(
        kind(Line("rss_per_job", at_most=600), Line("tenths", at_least=0.8)), results
    )
    assert (small.peer, small.ratio, small.goal, small.verdict) == ("-", "", "<= 600", "reached")
    assert (flat.goal, flat.verdict) == (">= 0.8", "not reached")


def test_a_ratio_of_nothing_is_left_out() -> None:
    results = {OURS: [{"idle_cpu": 0.0}], PEER: [{"idle_cpu": 0.0}]}
    (row,) = rows(kind(Line("idle_cpu", at_most=2)), results)
    assert (row.ratio, row.verdict) == ("", "reached")


def test_of_several_peers_the_best_one_counts_and_is_named() -> None:
    results = {OURS: rates(300), PEER: rates(100), PEER_DURABLE: rates(150)}
    line = Line("rate", times=2, against=(PEER, PEER_DURABLE))
    assert only(rows(kind(line), results)) == (
        *("jobs/s (peer: gearmand, sqlite)", "300", "150", "2.00 (2.00-2.00)", ">= 2 x", "reached"),
    )


@pytest.fixture
def found() -> Findings:
    """A run of one class with two goals, of which one is missed."""
    lines = (Line("rate", times=2), Line("server_cpu_us", times=9))
    measured = Measured(kind(*lines), {OURS: rates(300), PEER: rates(100)})
    measured.commands[OURS] = ["load submit --jobs 5"]
    return Findings(
        {"ours": "geartrain", "peer": "gearmand"},
        rounds=3,
        facts=[("processor", "a fast one")],
        measured=[measured],
        skipped=["x."],
        instructions={"drain": {"geartrain": 8123.4}},
        profiles={"sample": Profile([(90.0, "wire.so")], [(12.3, "wire.so pack")])},
    )


def test_the_table_shows_every_line_and_the_note(found: Findings) -> None:
    text = table(found.measured[0])
    assert "jobs/s               300   100  3.00 (3.00-3.00)  >= 2 x  reached" in text
    assert "A note." in text


def test_the_page_shows_goals_figures_commands_counts_and_machine(found: Findings) -> None:
    text = page(found)
    assert "| sample | jobs/s | 300 | 100 | 3.00 (3.00-3.00) | >= 2 x | reached |" in text
    assert "A note." in text
    assert "load submit --jobs 5" in text
    assert "serve --listen 127.0.0.1:4730 --store memory:" in text
    assert "| drain | 8,123 |" in text
    assert "Left out: x." in text
    assert "- processor: a fast one" in text


def test_a_goal_that_is_missed_comes_with_its_remark_and_its_profile(
    found: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REMARKS, ("sample", "server_cpu_us"), "It thinks too much.")
    text = page(found)
    assert "**sample, server CPU, us/job**: 3.00 x, goal >= 9 x.\nIt thinks too much." in text
    assert "wire.so 90 %" in text
    assert " 12.3 %  wire.so pack" in text
    assert "**sample, jobs/s**" not in text


def test_the_picture_has_a_bar_for_every_goal_that_is_a_ratio(found: Findings) -> None:
    drawn = ElementTree.fromstring(picture(found))
    words = "".join(drawn.itertext())
    assert "sample: jobs/s" in words
    assert "sample: server CPU, us/job (goal missed)" in words


def test_a_page_can_be_written_again_from_what_a_run_kept(
    found: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.findings.CLASSES", [found.measured[0].kind])
    found.save(tmp_path / "results.json")
    assert page(Findings.load(tmp_path / "results.json")) == page(found)


def test_every_metric_is_of_some_class_and_every_remark_of_some_goal() -> None:
    lines = [(each.name, line) for each in CLASSES for line in each.lines]
    peers = {line.peer_metric for _, line in lines if line.peer_metric}
    columns = {name for each in CLASSES for name in each.breakdown}
    assert {line.metric for _, line in lines} | peers | columns == set(METRICS)
    assert len({each.name for each in CLASSES}) == len(CLASSES)
    assert set(REMARKS) <= {(name, line.metric) for name, line in lines if line.has_goal}


def test_every_contestant_of_a_class_has_a_line_under_its_own_name() -> None:
    results = {OURS: rates(300), PEER_DURABLE: rates(150)}
    broken_down = replace(kind(Line("rate")), breakdown=("rate",), contestants=(OURS, PEER_DURABLE))
    heading, *lines = breakdown(Measured(broken_down, results))
    assert heading == ("", "jobs/s")
    assert lines == [("geartrain, memory", "300"), ("gearmand, sqlite", "150")]


def test_an_engine_that_is_missing_is_named_and_its_line_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SERVICES["mariadb"], "present", lambda: False)
    assert lacks(Contestant("ours", "mariadb")) == "it needs apt install mariadb-server"
    assert lacks(Contestant("ours", "sqlite")) == ""
    monkeypatch.setattr("bench.stores.program_path", lambda _: "")
    assert lacks(Contestant("peer", "sqlite")) == "gearmand is not installed"
