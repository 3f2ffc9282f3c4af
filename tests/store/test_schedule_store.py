"""Each rule of ``ScheduleStore``, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from geartrain.errors import LeaseLost, UsageError
from geartrain.store.schedule_rows import SUBMITTED, Owner, Schedule
from geartrain.store.schedule_sql import SqlScheduleStore
from tests.store.schedule_engines import SCHEDULE_ENGINES, START, Place, every_minute

LEASE = 30.0


@pytest.fixture(params=list(SCHEDULE_ENGINES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each database in its turn."""
    place = Place(SCHEDULE_ENGINES[request.param](tmp_path))
    yield place
    place.close()


@pytest.fixture
def store(place: Place) -> SqlScheduleStore:
    """A store that was opened for the first time."""
    return place.store()


@pytest.fixture
def me(store: SqlScheduleStore) -> Owner:
    """An instance of the scheduler."""
    return store.join("one", "here", LEASE, "2025b")


def due(name: str = "backup", **values: object) -> Schedule:
    """Return an entry that is due, not stored yet."""
    return replace(Schedule(name, "{}", next_fire=START), **values)  # type: ignore[arg-type]


# Entries.


def test_entry_comes_back_as_it_was_stored(store: SqlScheduleStore) -> None:
    given = Schedule(
        "backup",
        '{"name": "backup", "description": "größer, \\u0000"}',
        kind="every",
        expression="@every 90s",
        timezone="Europe/Berlin",
        function="back up",
        target="all",
        source="cron.toml",
        generation=7,
        enabled=False,
        next_fire=1_800_000_000,
        last_nominal=1_799_999_910,
        since=1_699_999_000,
        runs=12,
        failures=3,
        paused_at=1.5,
        paused_by="ann",
        paused_why="größer",
        paused_until=1_900_000_000.25,
    )
    added = store.add(given, "ann")
    assert added == replace(given, id=added.id)
    assert added.id > 0
    assert store.schedule("backup") == added


def test_entry_of_a_taken_name_is_refused(store: SqlScheduleStore) -> None:
    store.add(due(), "ann")
    with pytest.raises(UsageError, match="there is an entry 'backup' already"):
        store.add(due(), "ben")


def test_claim_returns_the_pending_fires_that_it_has_stored(
    store: SqlScheduleStore, me: Owner
) -> None:
    entry = store.add(due(), "ann")
    (fire,) = store.claim(me, 10, every_minute)
    assert (fire.schedule, fire.nominal, fire.state) == (entry.id, START, "pending")
    assert store.fire(fire.id) == fire
    assert store.claim(me, 10, every_minute) == ()
    assert store.next_fire() == START + 60


def test_fire_that_is_marked_changes(store: SqlScheduleStore, me: Owner) -> None:
    store.add(due(), "ann")
    (fire,) = store.claim(me, 10, every_minute)
    fire.state, fire.handle = SUBMITTED, "H:one:1"
    assert store.mark(me, [fire], (), lambda *_: None) == [fire.id]
    assert store.fire(fire.id) == fire


def test_fenced_owner_writes_nothing(store: SqlScheduleStore, place: Place, me: Owner) -> None:
    store.add(due(), "ann")
    place.clock.now += LEASE
    with pytest.raises(LeaseLost):
        store.claim(me, 10, every_minute)
    assert store.fires() == []
