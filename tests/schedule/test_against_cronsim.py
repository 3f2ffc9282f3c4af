"""
cronsim as a second oracle: another program with the same rules.

Where it is known to answer otherwise it is not asked; each of these faults is
shown below, so that a release of cronsim that mends one is noticed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geartrain.errors import CronError
from geartrain.schedule.cron import Cron
from tests.schedule.brute import value_of
from tests.schedule.expressions import changes_of, expressions
from tests.schedule.vectors import VECTORS, Vector

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Europe/Dublin")


def cronsim_fires(expression: str, tz: str, start: datetime, count: int = 5) -> list[datetime]:
    local = start.astimezone(ZoneInfo(tz))
    return [fire.astimezone(UTC) for fire in islice(CronSim(expression, local), count)]


def cronsim_fires_backwards(expression: str, start: datetime) -> list[datetime]:
    return list(islice(CronSim(expression, start, reverse=True), 5))


def without_faults(expression: str) -> bool:
    """Whether an expression is one that cronsim reads as cron does."""
    for field in expression.split():
        for part in field.split(","):
            body, slash, _ = part.partition("/")
            first, dash, last = body.partition("-")
            # It takes "3-3/2" for "3/2".
            if slash and dash and value_of(first.upper()) == value_of(last.upper()):
                return False
    return True


instants = st.datetimes(datetime(2001, 1, 1), datetime(2060, 1, 1)).map(
    lambda naive: naive.replace(microsecond=0, tzinfo=UTC)
)


@settings(max_examples=100, deadline=None)
@given(expressions(special=False), instants)
def test_in_utc_both_fire_at_the_same_instants(expression: str, start: datetime) -> None:
    assume(without_faults(expression))
    try:
        cron = Cron.parse(expression)
    except CronError:
        with pytest.raises((CronSimError, StopIteration)):
            next(CronSim(expression, start))
        return
    assert list(islice(cron.fires(start), 5)) == cronsim_fires(expression, "UTC", start)
    backwards: list[datetime] = []
    fire = cron.previous(start)
    while fire is not None and len(backwards) < 5:
        backwards.append(fire)
        fire = cron.previous(fire)
    assert backwards == cronsim_fires_backwards(expression, start)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ZONES), st.data())
def test_over_a_change_of_clocks_both_fire_at_the_same_instants(
    tz: str, data: st.DataObject
) -> None:
    expression = data.draw(expressions(special=False))
    assume(without_faults(expression))
    days = changes_of(tz) or [datetime(2024, 2, 28, tzinfo=UTC)]
    start = data.draw(st.sampled_from(days)) - timedelta(seconds=data.draw(st.integers(0, 86_400)))
    # Inside an overlap it runs fixed jobs again.
    assume(start.astimezone(ZoneInfo(tz)).fold == 0)
    try:
        cron = Cron.parse(expression, tz=tz)
    except CronError:
        return
    assert list(islice(cron.fires(start), 5)) == cronsim_fires(expression, tz, start)


FAULTS = {
    "a range up to Sunday is refused": ("0 0 * * FRI-SUN", "UTC", "2026-01-31T23:58:30Z"),
    "? is not known": ("0 0 ? * MON", "UTC", "2026-01-31T23:58:30Z"),
    "L-n is not known": ("0 0 L-2 * *", "UTC", "2026-01-31T23:58:30Z"),
    "nW is not known": ("0 0 15W * *", "UTC", "2026-01-31T23:58:30Z"),
    "the last weekday has no name": ("0 0 * * FRIL", "UTC", "2026-01-31T23:58:30Z"),
    "a range of one value with a step is open": ("3-3/2 0 * * *", "UTC", "2026-01-31T23:58:30Z"),
    "started in an overlap, fixed jobs are run again": (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-25T01:00:00Z",
    ),
    "six fields make up for no gap": ("0 30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z"),
    "days begin wrongly where midnight is left out": (
        "*/20 1 11 * SUN",
        "America/Havana",
        "2025-03-09T00:00:00Z",
    ),
    "hours are walked in steps that half an hour upsets": (
        "*/20 */3 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T13:59:00Z",
    ),
    "a day that was left out is run later": (
        "0 12 30 12 *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_cronsim_still_has_its_known_faults(fault: str) -> None:
    expression, tz, start = FAULTS[fault]
    after = datetime.fromisoformat(start)
    ours = list(islice(Cron.parse(expression, tz=tz).fires(after), 5))
    try:
        theirs = cronsim_fires(expression, tz, after)
    except CronSimError:
        theirs = []
    assert ours != theirs


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_cronsim_differs_from_the_vectors_only_where_that_is_known(vector: Vector) -> None:
    try:
        fires = cronsim_fires(vector.expression, vector.tz, vector.start)
    except CronSimError:
        fires = []
    known = "cronsim" in vector.differ or vector.expression.startswith("@")
    assert (fires == vector.fires) is not known
