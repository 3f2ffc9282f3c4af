"""Days of misfortune: no fire is lost, none has two rows, and every moment is accounted for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.schedule.world import HOUR, World
from tests.store.schedule_engines import SCHEDULE_ENGINES, Place

# Seconds of the world, and how many worlds; ``make schedule-days`` has more of both.
SECONDS = float(os.environ.get("SCHEDULE_HOURS", "2")) * HOUR
SEEDS = [int(seed) for seed in os.environ.get("SCHEDULE_SEEDS", "1").split(",")]


# Galera is among them for ``make schedule-days``, which sets GALERA.
PLACES = [name for name in SCHEDULE_ENGINES if name != "mariadb"]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = Place(SCHEDULE_ENGINES[request.param](tmp_path))
    yield place
    place.close()


@pytest.fixture
def world(place: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    world = World(place, request.param, tmp_path / "zones")
    yield world
    world.zones.restore()


@pytest.mark.timeout(3_600 if SECONDS > 2 * HOUR else 120)
@pytest.mark.parametrize("world", SEEDS, indirect=True)
def test_every_moment_is_accounted_for(world: World) -> None:
    world.run(SECONDS, each=HOUR / 3)
    world.settle()
    world.check()
    # Seen where the long form asks for it.
    sys.stdout.write(f"\n{world.found} moments in {SECONDS / HOUR:.0f} hours; {world.happened}\n")
    assert world.found > SECONDS / HOUR * 10
