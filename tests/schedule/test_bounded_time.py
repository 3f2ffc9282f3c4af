"""No input takes long: not to read, not to refuse, not to find its fires."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geartrain.errors import CronError
from geartrain.schedule.cron import Cron
from tests.schedule.expressions import ZONES

# Seconds of the processor. The slowest known input takes a twentieth.
ENOUGH = 1.0

ALPHABET = "0123456789*/-,~?#LWH()@ \tCRONTZ=jansunedvyrk.\u0131\uff11\0"
SHREDS = [
    *("*", "0", "7", "59", "60", "31", "29", "L", "W", "H", "LW", "L-", "#", "#5", "?", "~", "/"),
    *("-", ",", "(", ")", "*/", "1-5", "FRI", "fri", "feb", "FEB", "JANUARY", "@every ", "@at "),
    *("@daily", "1h", "90s", "2026-02-01T00:00:00Z", "CRON_TZ=", "TZ=", "UTC", "Europe/Berlin"),
    *(" ", " ", " ", " ", " "),
]
texts = st.one_of(
    st.text(ALPHABET, max_size=60),
    st.lists(st.sampled_from(SHREDS), max_size=20).map("".join),
    st.lists(st.sampled_from(SHREDS).map(str.strip), min_size=5, max_size=6).map(" ".join),
    st.text(max_size=40),
)
instants = st.datetimes(timezones=st.just(UTC))

# What has the longest way to go, or looks so.
SLOW = [
    ("0 0 29 2 */7", "UTC"),
    ("0 0 29 2 MON#5", "UTC"),
    ("0 0 31 2 0", "UTC"),
    ("* * * * * *", "America/New_York"),
    ("59 59 23 31 12 */7", "Pacific/Apia"),
    ("*/30 0 * 4 FRIL", "Africa/Cairo"),
    ("*/30 2 L-6 3 */7", "Europe/Berlin"),
    ("*/1 2 25-31 3 0", "Europe/Berlin"),
    (",".join(["1"] * 490) + " 0 * * *", "UTC"),
    (",".join(["H/7"] * 200) + " 0 * * *", "UTC"),
    ("*/999999999999999999999 0 29 2 */7", "UTC"),
    ("(" * 990, "UTC"),
    ("H(" * 400 + " * * * *", "UTC"),
    ("@every " + "1s" * 400, "UTC"),
    ("9" * 100_000, "UTC"),
    ("CRON_TZ=" + "/a" * 400 + " * * * * *", None),
]


def try_all(text: str, tz: str | None, instant: datetime) -> None:
    """Ask an expression whatever there is to ask, if it is none that is refused."""
    began = process_time()
    with suppress(CronError):
        for rule in ("vixie", "strict"):
            cron = Cron.parse(text, tz=tz, key="name", dst=rule)
            later, earlier = cron.next(instant), cron.previous(instant)
            assert later is None or later > instant
            assert earlier is None or earlier < instant
            cron.explain(instant, count=3)
    assert process_time() - began < ENOUGH


@settings(max_examples=250, deadline=None)
@example("* * * * *", "Pacific/Apia", datetime.max.replace(tzinfo=UTC))
@example("* * * * *", "Pacific/Apia", datetime.min.replace(tzinfo=UTC))
@given(texts, st.sampled_from([None, *ZONES]), instants)
def test_no_text_takes_long_or_fails_otherwise_than_by_a_refusal(
    text: str, tz: str | None, instant: datetime
) -> None:
    try_all(text, tz, instant)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_no_zone_fails_otherwise_than_by_a_refusal(tz: str) -> None:
    try_all("0 2 * * *", tz, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("year", [2, 1600, 2026, 9990])
@pytest.mark.parametrize(("text", "tz"), SLOW, ids=lambda text: str(text)[:30])
def test_the_longest_ways_are_short(text: str, tz: str | None, year: int) -> None:
    try_all(text, tz, datetime(year, 1, 1, tzinfo=UTC))
