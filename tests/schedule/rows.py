"""Rows of entries for the tests of the rules: made by hand, no store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from geartrain.schedule.entry import Entry, read_entry
from geartrain.schedule.planning import plan
from geartrain.schedule.standing import to_schedule
from geartrain.store.schedule_rows import FINAL, Agent, Fire, Plan, Schedule

__all__ = ["NOON", "Ledger", "agent", "at", "entry", "schedule", "story"]

# A Sunday.
NOON = round(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())


def at(text: str) -> int:
    """Return a time of that Sunday, such as ``13:05:30``."""
    hour, minute, second = (int(part) for part in f"{text}:00"[:8].split(":"))
    return NOON + (hour - 12) * 3600 + minute * 60 + second


def entry(**table: Any) -> Entry:
    """Return an entry that fires each hour unless the table says otherwise."""
    table = {"when": "0 * * * *", "function": "report"} | table
    return read_entry("hourly", {key: value for key, value in table.items() if value is not None})


def schedule(made: float = NOON - 3600, **table: Any) -> Schedule:
    return replace(to_schedule(entry(**table), made), id=7)


def agent(name: str, *tags: str) -> Agent:
    return Agent(name, tags)


def story(fires: list[Fire]) -> list[str]:
    """Return fires as short lines: moment, target, state, origin, count."""
    lines = []
    for fire in fires:
        line = f"{datetime.fromtimestamp(fire.nominal, UTC):%H:%M:%S}".removesuffix(":00")
        line += f" {fire.target}" if fire.target else ""
        line += f" {fire.state}"
        line += f" {fire.origin}" if fire.origin != "clock" else ""
        line += f" x{fire.count}" if fire.count > 1 else ""
        lines.append(line)
    return lines


class Ledger:
    """A store of one entry: claims it as a store does, and refuses a row whose key is there."""

    def __init__(self, row: Schedule, agents: tuple[Agent, ...] = ()) -> None:
        self.row = row
        self.agents = agents
        self.fires: dict[tuple[int, int, str], Fire] = {}

    def open(self) -> list[Fire]:
        return [fire for fire in self.fires.values() if fire.state not in FINAL]

    def claim(self, now: float) -> list[Fire]:
        """Deal with what is due; return the rows of all the plans that takes."""
        new: list[Fire] = []
        while self.is_due(now):
            made = plan(self.row, now, self.open(), self.agents)
            self.write(made)
            new += made.fires
        return new

    def is_due(self, now: float) -> bool:
        row = self.row
        held = row.paused_at and not 0 < row.paused_until <= now
        return row.enabled and not held and 0 < row.next_fire <= now

    def write(self, made: Plan) -> None:
        for fire in made.fires:
            key = (fire.generation, fire.nominal, fire.target)
            assert key not in self.fires, f"{key} twice"
            fire.id = len(self.fires) + 1
            self.fires[key] = fire
        for fire in made.changes:
            self.fires[fire.generation, fire.nominal, fire.target] = fire
        row = self.row
        assert made.last_nominal >= row.last_nominal, "time went back"
        self.row = replace(
            row,
            next_fire=made.next_fire,
            last_nominal=made.last_nominal,
            runs=made.runs,
            enabled=made.enabled,
            paused_at=0.0,
            paused_until=0.0,
        )

    def end(self, state: str = "done") -> None:
        """End whatever has not ended."""
        for key, fire in self.fires.items():
            if fire.state not in FINAL:
                self.fires[key] = replace(fire, state=state)
