"""``H``, ``~`` and jitter: values that the schedule's name chooses."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from geartrain.schedule.cron import Cron
from geartrain.schedule.field import DAY, HOUR, MINUTE, MONTH, WEEKDAY, Kind, read_field
from geartrain.schedule.spreading import jittered

NAMES = [f"schedule-{number}" for number in range(600)]


@pytest.mark.parametrize(
    ("kind", "text", "low", "high"),
    [
        (MINUTE, "H", 0, 59),
        (MINUTE, "h(10-15)", 10, 15),
        (MINUTE, "20~29", 20, 29),
        (MINUTE, "50~", 50, 59),
        (MINUTE, "~9", 0, 9),
        (MINUTE, "H/100", 0, 59),
        (HOUR, "H", 0, 23),
        (DAY, "H", 1, 28),
        (DAY, "~", 1, 28),
        (DAY, "27~31", 27, 31),
        (MONTH, "H", 1, 12),
        (MONTH, "jan~mar", 1, 3),
        (WEEKDAY, "H", 0, 6),
        (WEEKDAY, "H(mon-fri)", 1, 5),
    ],
)
def test_every_value_of_the_range_is_chosen_by_some_name(
    kind: Kind, text: str, low: int, high: int
) -> None:
    chosen = Counter(read_field(kind, text, name).values for name in NAMES)
    assert sorted(chosen) == [(value,) for value in range(low, high + 1)]
    assert max(chosen.values()) < 3 * len(NAMES) / len(chosen)


def test_a_step_starts_where_the_name_says() -> None:
    starts = {read_field(MINUTE, "H/15", name).values for name in NAMES}
    assert starts == {tuple(range(first, 60, 15)) for first in range(15)}
    assert {read_field(HOUR, "H(8-17)/4", name).values for name in NAMES} == {
        tuple(range(first, 18, 4)) for first in range(8, 12)
    }


def test_the_same_name_chooses_the_same_for_ever() -> None:
    # Values that were once given out: changing them would move people's runs.
    cron = Cron.parse("H H(1-5) H * *", key="backup")
    assert cron.next(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 2, 2, 28, tzinfo=UTC)


def test_fields_and_parts_of_a_list_choose_for_themselves() -> None:
    both = {
        (read_field(MINUTE, "H(0-23)", name).values, read_field(HOUR, "H", name).values)
        for name in NAMES
    }
    assert len({minute == hour for minute, hour in both}) == 2
    assert max(len(read_field(MINUTE, "H,H", name).values) for name in NAMES) == 2


def test_a_missing_name_is_warned_of() -> None:
    assert "none was given" in Cron.parse("H * * * *").warnings[0]
    assert "none was given" in Cron.parse("0 1~5 * * *").warnings[0]
    assert Cron.parse("H * * * *", key="backup").warnings == ()
    assert Cron.parse("0 0 * * THU").warnings == ()


NOMINAL = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE_LATER = NOMINAL + timedelta(minutes=1)


def test_jitter_makes_a_fire_later_by_less_than_its_window() -> None:
    window = timedelta(seconds=30)
    due = [jittered(name, NOMINAL, window, MINUTE_LATER) for name in NAMES]
    assert NOMINAL <= min(due) < NOMINAL + timedelta(seconds=1)
    assert NOMINAL + timedelta(seconds=29) < max(due) < NOMINAL + window
    assert len(set(due)) > len(NAMES) * 0.9


def test_jitter_stays_before_the_following_fire() -> None:
    due = [jittered(name, NOMINAL, timedelta(hours=1), MINUTE_LATER) for name in NAMES]
    assert NOMINAL + timedelta(seconds=59) < max(due) < MINUTE_LATER


def test_jitter_is_the_same_for_a_fire_and_another_for_the_next() -> None:
    window = timedelta(seconds=30)
    first = jittered("backup", NOMINAL, window, None)
    assert first == jittered("backup", NOMINAL, window, None)
    second = jittered("backup", MINUTE_LATER, window, None)
    assert first - NOMINAL != second - MINUTE_LATER


def test_without_a_window_there_is_no_jitter() -> None:
    assert jittered("backup", NOMINAL, timedelta(0), None) == NOMINAL
