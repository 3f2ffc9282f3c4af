"""Entries in words, with the moments at which they fire."""

from __future__ import annotations

from typing import Any

import pytest

from geartrain.cli.moments import read_length
from geartrain.schedule.showing import explained
from tests.schedule.rows import NOON, at, entry


def moments(following: int = 0, **table: Any) -> list[str]:
    found = explained(entry(**table), NOON, 3, following)
    return [f"{fire:%d %H:%M}" for fire in found.fires]


def test_moments_outside_of_the_window_are_none() -> None:
    assert moments(when="0 * * * *", window="22:00-01:00") == ["01 22:00", "01 23:00", "02 00:00"]
    assert moments(when="@every 1s", window="11:59-12:00") == []
    words = explained(entry(when="0 * * * *", window="22:00-01:00"), NOON).words
    assert words.endswith("UTC time, but only between 22:00 and 01:00")


def test_the_moment_that_an_executor_chose_comes_first() -> None:
    assert moments(at("12:20"), when="0 * * * *") == ["01 12:20", "01 13:00", "01 14:00"]
    assert moments(at("13:00"), when="0 * * * *") == ["01 13:00", "01 14:00", "01 15:00"]
    assert moments(at("12:20"), when="0 * * * *", end="2026-03-01T13:30:00Z") == [
        "01 12:20",
        "01 13:00",
    ]


@pytest.mark.parametrize(
    ("rule", "after", "words"),
    [
        ("all_success", ["a", "b"], "when a and b have all been done"),
        ("all_done", ["a"], "when a has ended"),
        ("any", ["a", "b"], "when a or b has been done"),
    ],
)
def test_what_comes_after_others_is_said_in_words(rule: str, after: list[str], words: str) -> None:
    assert explained(entry(when=None, after=after, rule=rule), NOON).words == words


def test_a_length_of_time_may_be_a_number_of_seconds() -> None:
    assert (read_length("--timeout", "8"), read_length("--timeout", "1m30s")) == (8, 90)
