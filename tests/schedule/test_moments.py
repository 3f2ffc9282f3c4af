"""Expressions without fields: at an interval, once, or not by the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from geartrain.schedule import cron
from geartrain.schedule.cron import Cron

START = datetime(2026, 1, 31, 23, 58, 30, tzinfo=UTC)


def times(text: str, count: int = 3, **options: str) -> str:
    fires = islice(Cron.parse(text, **options).fires(START), count)
    return " ".join(f"{fire:%d-%H:%M:%S}" for fire in fires)


def test_an_interval_is_counted_from_the_epoch() -> None:
    assert times("@every 90s") == "01-00:00:00 01-00:01:30 01-00:03:00"
    assert times("@every 90s", tz="Asia/Kathmandu") == times("@every 90s")
    assert times("@every 1H30M") == "01-00:00:00 01-01:30:00 01-03:00:00"
    # The first of January 1970 was a Thursday.
    assert times("@every 1w", count=1) == "05-00:00:00"


def test_a_phase_makes_every_fire_later() -> None:
    assert times("@every 1h/5m") == "01-00:05:00 01-01:05:00 01-02:05:00"
    assert times("@every 1h/59m") == "31-23:59:00 01-00:59:00 01-01:59:00"


@pytest.mark.parametrize("text", ["@every 7s", "@every 90s/13s", "@every 1d", "@every 36525d"])
def test_the_last_fire_of_an_interval_is_found_as_the_next(text: str) -> None:
    entry = Cron.parse(text)
    fire = entry.next(START)
    assert fire is not None
    assert fire > START
    assert entry.previous(fire + timedelta(microseconds=1)) == fire
    before = entry.previous(fire)
    assert before is not None
    assert before <= START
    assert entry.next(before) == fire


def test_an_instant_fires_once() -> None:
    entry = Cron.parse("@at 2026-02-01T01:00:00+01:00")
    instant = datetime(2026, 2, 1, tzinfo=UTC)
    assert list(entry.fires(START)) == [instant]
    assert entry.next(instant) is None
    assert entry.previous(instant) is None
    assert entry.previous(instant + timedelta(seconds=1)) == instant
    assert Cron.parse("@at 2026-02-01t00:00:00.000z").next(START) == instant


@pytest.mark.parametrize(("text", "kind"), [("@reboot", cron.REBOOT), ("@manually", cron.MANUALLY)])
def test_what_is_not_fired_by_the_clock_has_no_instants(text: str, kind: str) -> None:
    entry = Cron.parse(text)
    assert entry.kind == kind
    assert entry.next(START) is None
    assert entry.previous(START) is None


def test_the_kind_says_what_sort_of_expression_it_is() -> None:
    texts = ["@daily", "* * * * *", "@every 1s", "@at 2026-02-01T00:00:00Z"]
    kinds = [Cron.parse(text).kind for text in texts]
    assert kinds == [cron.CALENDAR, cron.CALENDAR, cron.EVERY, cron.AT]
