from __future__ import annotations

from contextlib import closing
from pathlib import Path

from geartrain.agent.greeter import new_start
from geartrain.agent.journal import Journal


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
