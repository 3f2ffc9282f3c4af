"""Whatever happens, every moment of an entry is in exactly one row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from geartrain.schedule.entry import Entry, cron_of, from_definition, read_entry
from geartrain.schedule.reconciling import missing
from geartrain.schedule.sequence import following
from geartrain.schedule.standing import paused, resumed, to_schedule
from geartrain.store.schedule_rows import Fire
from tests.schedule.rows import NOON, Ledger, agent

AGENTS = (agent("a"), agent("b", "db"))
MINUTE, HOUR, DAY = 60, 3_600, 86_400

# Expressions, and about how far their moments are apart.
INTERVALS = {
    "*/10 * * * * *": 10,
    "* * * * *": MINUTE,
    "@every 90s": 90,
    "*/7 * * * *": 7 * MINUTE,
    "30 * * * *": HOUR,
    "0,30 2 * * *": DAY,
}

tables = st.fixed_dictionaries(
    {
        "function": st.just("report"),
        "when": st.sampled_from(list(INTERVALS)),
        "timezone": st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
        "target": st.sampled_from(["one", "one", "all", "1", "shards:2", "agent:a"]),
        "catch_up": st.sampled_from(["none", "last", "first", "all"]),
        "catch_up_max": st.integers(1, 5),
        "catch_up_window": st.sampled_from([0, MINUTE, HOUR, DAY]),
        "grace": st.sampled_from([0, 10, MINUTE, HOUR]),
        "overlap": st.sampled_from(
            ["allow", "skip", "queue_one", "queue_all", "cancel_old", "kill_old"]
        ),
        "overlap_max": st.integers(1, 3),
        "jitter": st.sampled_from([0, 5, HOUR]),
        "window": st.sampled_from(["", "", "22:00-06:00", "01:30-02:30"]),
    },
    optional={
        "max_runs": st.integers(1, 20),
        "end": st.sampled_from(["2026-03-29T03:00:00Z", "2026-03-30T00:00:00Z"]),
        "start": st.sampled_from(["2026-03-28T23:00:00Z", "2026-03-29T00:30:00Z"]),
    },
)
# Either nothing much, a downtime, or a clock that is set: in intervals of the entry.
steps = st.one_of(
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("wait"), st.integers(1, 40)),
    st.tuples(st.just("wait"), st.just(1_100)),
    st.tuples(st.just("back"), st.integers(1, 20)),
    st.tuples(st.sampled_from(["end", "run", "pause", "resume", "edit", "agents"]), st.just(0)),
)
# Shortly before clocks change in Berlin, and a week before they do on Lord Howe.
START = round(datetime(2026, 3, 28, 22, tzinfo=UTC).timestamp())


class Life:
    """An entry that things happen to."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table
        self.now = float(START)
        self.ledger = Ledger(replace(to_schedule(read_entry("e", table), self.now), id=1), AGENTS)

    def happen(self, what: str, intervals: int) -> None:
        row = self.ledger.row
        seconds = intervals * INTERVALS[self.table["when"]]
        if what == "wait":
            self.now += seconds + 0.25
        elif what == "back":
            self.now -= seconds
        elif what == "end":
            self.ledger.end()
        elif what == "run":
            for fire in self.ledger.open():
                fire.state = "running"
        elif what == "agents":
            self.ledger.agents = AGENTS[: len(self.ledger.agents) - 1]
        elif what == "pause" and not row.paused_at:
            self.ledger.row = paused(row, self.now, "ann", until=self.now + HOUR)
        elif what == "resume" and row.paused_at:
            self.account()
            self.ledger.row = resumed(row, self.now)
        elif what == "edit":
            self.account()
            self.table = self.table | {"payload": str(self.now)}
            self.ledger.row = to_schedule(read_entry("e", self.table), self.now, row)
        self.ledger.claim(self.now)

    def account(self) -> None:
        """Every moment of this generation that was dealt with is in exactly one row."""
        row = self.ledger.row
        entry = from_definition(row.definition)
        rows = [fire for fire in self.ledger.fires.values() if fire.generation == row.generation]
        expected = moments(entry, row.since, row.last_nominal)
        found: list[int] = []
        for nominal, fires in by_nominal(rows).items():
            index = expected.index(nominal)
            found += expected[index : index + fires[0].count]
            assert len({fire.target for fire in fires}) == len(fires)
            assert len(fires) == 1 or all(fire.count == 1 for fire in fires)
        assert sorted(found) == expected
        assert missing(row, rows, self.now) == []
        if row.enabled and row.next_fire:
            assert row.next_fire == following(entry, max(row.last_nominal, row.since))


def moments(entry: Entry, after: int, until: int) -> list[int]:
    """Return the moments of an entry by going through them."""
    cron = cron_of(entry)
    assert cron is not None
    last = datetime.fromtimestamp(min(until, entry.end or until), UTC)
    first = datetime.fromtimestamp(max(after, entry.start - 1), UTC)
    return [round(fire.timestamp()) for fire in cron.fires(first, last)]


def by_nominal(rows: list[Fire]) -> dict[int, list[Fire]]:
    found: dict[int, list[Fire]] = {}
    for row in rows:
        found.setdefault(row.nominal, []).append(row)
    return found


@given(tables, st.lists(steps, min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_every_moment_is_in_exactly_one_row(
    table: dict[str, Any], happenings: list[tuple[str, int]]
) -> None:
    """Pauses, downtimes, edits, clocks set back and agents that leave lose and repeat nothing."""
    life = Life(table)
    for what, intervals in happenings:
        life.happen(what, intervals)
    life.account()


def test_the_start_is_where_clocks_are_about_to_change() -> None:
    assert START < NOON + 28 * DAY
