from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest

from geartrain.agent.agent import Agent
from geartrain.agent.greeter import new_start
from geartrain.agent.journal import Journal
from geartrain.agent.settings import AgentSettings


def test_starts_in_one_second_get_seconds_of_their_own(tmp_path: Path) -> None:
    starts = []
    for now in (1_000.1, 1_000.3, 1_000.6, 1_000.9, 1_020.5):
        # Each start opens the journal anew.
        with closing(Journal(tmp_path, 3_600.0)) as journal:
            starts.append(new_start(journal, now))
    assert starts == [1_000.1, 1_001.0, 1_002.0, 1_003.0, 1_020.5]


def test_a_clock_that_was_set_back_is_believed(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, 3_600.0)) as journal:
        assert new_start(journal, 90_000.5) == 90_000.5
        assert new_start(journal, 80_000.5) == 80_000.5


def test_an_agent_that_cannot_start_leaves_signals_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Journal) -> int:
        raise OSError("disk full")

    agent = Agent(AgentSettings(name="one", state=str(tmp_path)), {})
    monkeypatch.setattr(Journal, "interrupt", fail)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(OSError, match="disk full"):
        agent.run()
    assert signal.getsignal(signal.SIGTERM) is before
    # Nobody is woken by signals any more.
    assert signal.set_wakeup_fd(-1) == -1
