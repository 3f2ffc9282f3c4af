"""The slow rounds over all entries."""

from __future__ import annotations

import pytest

from geartrain.schedule.rounds import Rounds
from tests.schedule.stage import NOON, Stage


def test_nothing_is_compared_by_zone_data_that_entries_do_not_have_yet(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or moments of the old data would be missing, and be told of, where they were dealt with."""
    stage.add()
    versions = ["old"]
    compared: list[str] = []
    rounds = Rounds(stage.store, lambda alerts: None, lambda: versions[-1])
    monkeypatch.setattr(rounds, "_reconcile", lambda row, now: compared.append(row.name))
    finish(rounds)
    versions.append("new")
    assert rounds.step(NOON, ())
    assert compared == []
    finish(rounds)
    rounds.step(NOON, ())
    assert compared == ["hourly"]


def finish(rounds: Rounds) -> None:
    """Go through all entries for new zone data."""
    while rounds.step(NOON, ()):
        pass
