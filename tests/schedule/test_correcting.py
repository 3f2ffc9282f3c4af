"""A gap of more than three hours, in which nothing is run, is told in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from geartrain.schedule.calendar import SKIP
from geartrain.schedule.cron import Cron
from tests.schedule.stage import NOON, Stage

HOUR = 3_600
# At 14:00 of the 29th in Samoa; the 30th was left out.
BEFORE = round(datetime(2011, 12, 30, tzinfo=UTC).timestamp())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    stage.clock.now = BEFORE
    yield stage
    stage.place.close()


def when(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}Z")


@pytest.mark.parametrize(
    ("expression", "tz", "start", "end", "found"),
    [
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00", "2011-12-30T23:00", True),
        ("0 12 31 * *", "Pacific/Apia", "2011-12-29T23:00", "2011-12-30T23:00", False),
        ("0 12 30 * *", "Pacific/Apia", "2011-11-30T23:00", "2012-01-29T22:00", True),
        ("0 * * * *", "Pacific/Apia", "2011-12-29T23:00", "2011-12-30T23:00", False),
        ("0 12 * * *", "Pacific/Apia", "2011-12-30T23:00", "2012-12-30T23:00", False),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T12:00", False),
        ("@every 1h", "UTC", "2011-12-29T23:00", "2011-12-30T23:00", False),
    ],
)
def test_a_correction_is_found_that_keeps_an_entry_from_firing(
    expression: str, tz: str, start: str, end: str, found: bool
) -> None:
    gap = Cron.parse(expression, tz=tz).correction(when(start), when(end))
    assert (gap is not None) == found
    if gap is not None:
        assert (gap.begin, gap.end) == (datetime(2011, 12, 30), datetime(2011, 12, 31))


def test_who_asked_not_to_make_up_for_gaps_is_told_of_none() -> None:
    cron = Cron.parse("0 12 * * *", tz="Pacific/Apia", dst=SKIP)
    assert cron.correction(when("2011-12-29T23:00"), when("2011-12-30T23:00")) is None


def test_a_scheduler_that_passes_a_correction_logs_it_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for number in range(6):
        stage.add(f"noon{number}", when=f"{number} 15 * * *", timezone="Pacific/Apia")
    scheduler = stage.scheduler()
    for hour in range(72):
        stage.at(BEFORE - NOON + hour * HOUR + 600, scheduler)
    [told] = [one.getMessage() for one in caplog.records if "clocks leave" in one.getMessage()]
    assert "2011-12-30 00:00:00 to 2011-12-31 00:00:00 in Pacific/Apia" in told
    assert told.endswith("of noon0, noon1, noon2, noon3, noon4 and 1 more")
