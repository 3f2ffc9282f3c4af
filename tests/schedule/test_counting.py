"""Fires are counted without going through them, and as if one had."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from geartrain.errors import CronError
from geartrain.schedule.cron import Cron
from tests.schedule.expressions import expressions, near_changes

START = datetime(2026, 1, 1, tzinfo=UTC)


def counted(cron: Cron, after: datetime, until: datetime) -> int:
    """Count by going through them; the slow and certain way."""
    return sum(1 for _ in cron.fires(after, until))


@settings(max_examples=60, deadline=None)
@given(
    expressions(),
    near_changes(),
    st.integers(0, 5 * 86_400),
    st.sampled_from(["vixie", "skip", "strict"]),
)
def test_the_count_is_what_going_through_them_gives(
    text: str, place: tuple[str, datetime], seconds: int, dst: str
) -> None:
    """Whatever clocks do, both ways of counting agree."""
    tz, after = place
    try:
        cron = Cron.parse(text, tz=tz, dst=dst)
    except CronError:
        reject()
    until = after + timedelta(seconds=seconds)
    assert cron.count(after, until) == counted(cron, after, until)


@pytest.mark.parametrize("dst", ["vixie", "skip", "strict"])
@pytest.mark.parametrize(
    "text", ["0,30 2 * * *", "0,30 2,3 * * *", "*/7 * * * *", "0 * * * *", "30 1-3 * * *"]
)
@pytest.mark.parametrize(
    "day", [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)]
)
def test_every_start_and_end_around_a_change_is_counted_right(
    text: str, dst: str, day: datetime
) -> None:
    cron = Cron.parse(text, tz="Europe/Berlin", dst=dst)
    fires = list(cron.fires(day, day + timedelta(days=3)))
    cuts = [day + timedelta(minutes=20 * number) for number in range(0, 180, 7)]
    for after in cuts:
        for until in cuts[::3]:
            assert cron.count(after, until) == sum(after < fire <= until for fire in fires)


@pytest.mark.parametrize("text", ["@every 7s", "@every 1h/5m", "@at 2026-01-01T00:01:00Z"])
def test_what_needs_no_calendar_is_counted_too(text: str) -> None:
    cron = Cron.parse(text)
    for seconds in (-60, 0, 1, 59, 60, 61, 7_200):
        until = START + timedelta(seconds=seconds)
        assert cron.count(START, until) == counted(cron, START, until)
    assert Cron.parse("@manually").count(START, START + timedelta(days=9)) == 0


def test_ten_years_of_seconds_take_no_time() -> None:
    cron = Cron.parse("* * * * * *", tz="Europe/Berlin")
    begun = time.process_time()
    count = cron.count(START, START + timedelta(days=3652))
    assert time.process_time() - begun < 1
    assert count == 3652 * 86_400
