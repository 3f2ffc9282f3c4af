"""A store of schedules for tests of what people do with entries, and a clock they set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from geartrain.schedule.desk import add
from geartrain.schedule.entry import read_entry
from geartrain.schedule.instant import read_instant
from geartrain.store.schedule_rows import Schedule
from geartrain.store.schedule_sql import open_schedules
from geartrain.store.schedule_store import ScheduleStore

# A Sunday.
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


class Desk:
    """
    A store in a file.

    Attributes:
        now: What the store takes for the time.

    """

    def __init__(self, directory: Path) -> None:
        self.now = NOON
        self.url = f"sqlite:///{directory / 'queue.db'}"
        self.store: ScheduleStore = open_schedules(self.url, clock=lambda: self.now)
        self.store.open()

    def add(self, name: str = "nightly", **table: Any) -> Schedule:
        """Add an entry that has at least when and function, unless these are given as None."""
        keys = {"when": "0 3 * * *", "function": "report"} | table
        entry = read_entry(name, {key: value for key, value in keys.items() if value is not None})
        return add(self.store, entry, "ann@host")

    def row(self, name: str = "nightly") -> Schedule:
        found = self.store.schedule(name)
        assert found is not None
        return found


def moment(text: str) -> int:
    """Return the moment that an instant names."""
    return round(read_instant(text).timestamp())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    yield found
    found.store.close()
