from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.wire.schedule import next_minute


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def due(now: str, fields: str) -> str | None:
    """Return when a job is due, as text; fields are minute, hour, day, month, day of week."""
    found = next_minute(seconds(now), *fields.encode().split())
    return None if found < 0 else datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("now", "fields", "expected"),
    [
        ("2026-11-22 10:00:00", "* * * * *", "2026-11-22 10:01:00"),
        ("2026-11-22 10:00:59", "* * * * *", "2026-11-22 10:01:00"),
        ("2026-11-22 10:00:00", "0 10 * * *", "2026-11-23 10:00:00"),
        ("2026-11-22 09:59:59", "0 10 * * *", "2026-11-22 10:00:00"),
        ("2026-11-22 10:00:00", "30 * * * *", "2026-11-22 10:30:00"),
        ("2026-11-22 23:59:00", "* * * * *", "2026-11-23 00:00:00"),
        ("2026-11-22 10:00:00", "0 0 1 * *", "2026-12-01 00:00:00"),
        ("2026-11-22 10:00:00", "0 0 31 * *", "2026-12-31 00:00:00"),
        ("2026-12-31 23:59:30", "0 0 1 1 *", "2027-01-01 00:00:00"),
        ("2026-11-22 10:00:00", "0 0 * 11 *", "2026-11-23 00:00:00"),
        # November 22 of 2026 is a Sunday, the last day of PROTOCOL's week.
        ("2026-11-22 10:00:00", "0 12 * * 6", "2026-11-22 12:00:00"),
        ("2026-11-22 10:00:00", "0 12 * * 0", "2026-11-23 12:00:00"),
        ("2026-11-22 10:00:00", "5 4 29 2 *", "2028-02-29 04:05:00"),
        ("2096-03-01 00:00:00", "5 4 29 2 *", "2104-02-29 04:05:00"),
        ("2026-11-22 10:00:00", "5 4 29 2 0", "2044-02-29 04:05:00"),
    ],
)
def test_job_is_due_at_the_next_minute_that_fits(now, fields, expected):
    assert due(now, fields) == expected


def test_empty_field_fits_any_value():
    now = seconds("2026-11-22 10:00:00")
    assert next_minute(now, b"", b"", b"", b"", b"") == now + 60
    assert next_minute(now, b"7", b"", b"", b"", b"") == now + 7 * 60


@pytest.mark.parametrize(
    "fields",
    [
        *["60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *", "* * * 13 *"],
        *["* * * * 7", "x * * * *", "-1 * * * *", "1.5 * * * *", "001 * * * *", "*/5 * * * *"],
    ],
)
def test_what_is_no_number_in_range_is_refused(fields):
    assert due("2026-11-22 10:00:00", fields) is None


@pytest.mark.parametrize("fields", ["* * 31 2 *", "* * 30 2 *", "* * 31 4 *", "0 0 31 11 3"])
def test_date_that_does_not_exist_is_refused(fields):
    assert due("2026-11-22 10:00:00", fields) is None


FIELDS = st.tuples(
    st.none() | st.integers(0, 59),
    st.none() | st.integers(0, 23),
    st.none() | st.integers(1, 31),
    st.none() | st.integers(1, 12),
    st.none() | st.integers(0, 6),
)


def fits(moment: datetime, fields: tuple[int | None, ...]) -> bool:
    real = (moment.minute, moment.hour, moment.day, moment.month, moment.weekday())
    return all(one is None or one == other for one, other in zip(fields, real, strict=True))


def first_fit(start: datetime, fields: tuple[int | None, ...]) -> datetime:
    """The plain way: look at every day for two years, and at every minute of the days that fit."""
    for days in range(731):
        day = (start + timedelta(days=days)).replace(hour=0, minute=0)
        if fits(day, (None, None, *fields[2:])):
            for minutes in range(24 * 60):
                moment = day + timedelta(minutes=minutes)
                if moment >= start and fits(moment, fields):
                    return moment
    return datetime.max.replace(tzinfo=UTC)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)), FIELDS)
def test_no_minute_before_it_fits(now, fields):
    """It is the calendar's own first minute that fits, looked for one by one."""
    texts = [b"*" if field is None else b"%d" % field for field in fields]
    found = next_minute(int(now.timestamp()), *texts)
    start = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    expected = first_fit(start, fields)
    if expected.year < 9999:
        assert datetime.fromtimestamp(found, UTC) == expected
    elif found >= 0:
        moment = datetime.fromtimestamp(found, UTC)
        assert fits(moment, fields)
        assert moment > start + timedelta(days=700)
