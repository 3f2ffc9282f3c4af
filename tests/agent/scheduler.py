"""A scheduler as agents see it: it answers greetings, out of a store of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from geartrain.agent.desk import Desk
from geartrain.schedule.entry import Entry, from_definition
from geartrain.schedule.envelope import envelope_for
from geartrain.schedule.standing import to_schedule
from geartrain.store.schedule_rows import Fire, Schedule
from geartrain.store.schedule_sql import open_schedules

KEY = "a key that both sides have"


class Scheduler:
    """
    Answers greetings at a job server, which may come and go.

    Args:
        directory: Where its store is, and the file with its key.
        host, port: The job server's.

    """

    def __init__(self, directory: Path, port: int, host: str = "127.0.0.1") -> None:
        self.key_file = directory / "key"
        self.key_file.write_text(KEY)
        self.key_file.chmod(0o600)
        self.store = open_schedules(f"sqlite:///{directory / 'schedules.db'}")
        self.store.open()
        self.desk = Desk(f"{host}:{port}", self.store, KEY.encode())
        self.desk.start()

    def add(self, name: str, **values: Any) -> Schedule:
        """Store an entry for all agents that fires each second."""
        full = {"when": "@every 1s", "target": "all", "catch_up": "all", **values}
        return self.store.add(to_schedule(Entry(name=name, **full), time.time()), "test")

    def sent(self, row: Schedule, nominal: int, agent: str, attempt: int = 1) -> bytes:
        """Return what the job of a fire carries."""
        fire = Fire(row.id, row.generation, nominal, agent, attempt=attempt)
        return envelope_for(from_definition(row.definition), fire).to_bytes()

    def close(self) -> None:
        self.desk.stop()
        self.store.close()
