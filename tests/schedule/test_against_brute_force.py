"""The evaluator steps fields; its dumb twin walks through every minute. They agree."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geartrain.errors import CronError
from geartrain.schedule.cron import Cron
from tests.schedule.brute import brute_days, brute_fires
from tests.schedule.expressions import expressions, near_changes

RULES = st.sampled_from(["vixie", "vixie", "skip", "strict"])


def parsed(expression: str, tz: str, dst: str) -> Cron:
    try:
        return Cron.parse(expression, tz=tz, dst=dst)
    except CronError as error:
        # The twin can't tell; what is refused so is asked elsewhere.
        assume("would never fire" not in str(error))
        raise


@settings(max_examples=150, deadline=None)
@given(expressions(), near_changes(), RULES)
def test_fires_are_those_of_a_walk_through_every_minute(
    expression: str, where: tuple[str, datetime], dst: str
) -> None:
    """Forwards and backwards, near changes of clocks, whatever the rule."""
    tz, after = where
    until = after + timedelta(days=1)
    cron = parsed(expression, tz, dst)
    expected = brute_fires(expression, tz, after, until, dst)
    assert list(cron.fires(after, until)) == expected
    assert backwards(cron, until + timedelta(seconds=1), after) == expected


@settings(max_examples=8, deadline=None)
@given(expressions(seconds=True), near_changes(), RULES)
def test_fires_with_seconds_are_those_of_a_walk_through_every_second(
    expression: str, where: tuple[str, datetime], dst: str
) -> None:
    tz, after = where
    until = after + timedelta(hours=2)
    cron = parsed(expression, tz, dst)
    expected = brute_fires(expression, tz, after, until, dst)
    assert list(cron.fires(after, until)) == expected
    assert backwards(cron, until + timedelta(seconds=1), after) == expected


@settings(max_examples=100, deadline=None)
@given(expressions(), st.integers(2000, 2100))
def test_days_are_those_of_a_walk_through_a_year(expression: str, year: int) -> None:
    day = " ".join(["0", "0", *expression.split()[2:]])
    after = datetime(year, 1, 1, tzinfo=UTC) - timedelta(seconds=1)
    fires = parsed(day, "UTC", "vixie").fires(after, after + timedelta(days=365))
    assert [fire.date() for fire in fires] == brute_days(day, date(year, 1, 1), 365)


@settings(max_examples=100, deadline=None)
@given(expressions(), near_changes(), RULES)
def test_the_next_fire_is_later_and_there_is_none_between(
    expression: str, where: tuple[str, datetime], dst: str
) -> None:
    tz, after = where
    cron = parsed(expression, tz, dst)
    fire = cron.next(after)
    assert fire is not None
    assert fire > after
    assert fire.microsecond == 0
    assert cron.previous(fire + timedelta(microseconds=1)) == fire
    earlier = cron.previous(fire)
    assert earlier is None or earlier <= after
    assert cron.next(fire - timedelta(microseconds=1)) == fire


@pytest.mark.parametrize(
    ("tz", "after"),
    [
        # Three hours are still made up for, twenty-four are not.
        ("Antarctica/Casey", "2009-10-17T12:00:00Z"),
        ("Pacific/Apia", "2011-12-29T12:00:00Z"),
        # Back by three hours.
        ("Antarctica/Casey", "2010-03-04T06:00:00Z"),
    ],
)
@pytest.mark.parametrize(
    "expression", ["30 4 * * *", "0 12 30 12 *", "*/7 4 * * *", "0 0-23 * * *"]
)
def test_changes_of_many_hours_are_as_walked_through(expression: str, tz: str, after: str) -> None:
    start = datetime.fromisoformat(after)
    until = start + timedelta(days=2)
    expected = brute_fires(expression, tz, start, until)
    assert list(Cron.parse(expression, tz=tz).fires(start, until)) == expected


def backwards(cron: Cron, before: datetime, after: datetime) -> list[datetime]:
    """Return the fires between two instants, found from the last to the first."""
    found: list[datetime] = []
    fire = cron.previous(before)
    while fire is not None and fire > after:
        found.append(fire)
        fire = cron.previous(fire)
    return found[::-1]
