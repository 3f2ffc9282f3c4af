"""What an expression means, in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from geartrain.schedule.cron import Cron

START = datetime(2026, 1, 31, 23, 58, 30, tzinfo=UTC)

WORDS = {
    "* * * * *": "every minute of every hour, every day",
    "30 2 * * *": "at 02:30, every day",
    "0,30 9,17 * * 1-5": "at 09:00, 09:30, 17:00 and 17:30, on Monday to Friday",
    "5 4 3 2 *": "at 04:05, on day 3 of the month, in February",
    "*/10 9-17 * * *": "every 10th minute from 0 of hour 9-17, every day",
    "1,2,3,40 * * jan-mar sun,tue": "minute 1-3, 40 of every hour, on Tuesday and Sunday, "
    "in January, February and March",
    "* * * * * *": "every second of every minute of every hour, every day",
    "10-12 30 4 * * *": "at 04:30:10, 04:30:11 and 04:30:12, every day",
    "0 0 L * *": "at 00:00, on the last day of the month",
    "0 0 15,L-2 * *": "at 00:00, on day 15 of the month and the 3rd day from the end of the month",
    "0 0 LW * *": "at 00:00, on the last Monday to Friday of the month",
    "0 0 15W * *": "at 00:00, on the Monday to Friday nearest to day 15",
    "0 0 * * MON#1,FRIL": "at 00:00, on the 1st Monday of the month and the last Friday "
    "of the month",
    "0 0 13 * 5": "at 00:00, on day 13 of the month and on Friday",
    "0 0 */10 * 1": "at 00:00, on day 1, 11, 21, 31 of the month if that is Monday",
    "@hourly": "minute 0 of every hour, every day",
}


@pytest.mark.parametrize(("text", "words"), WORDS.items())
def test_words_say_when_it_fires(text: str, words: str) -> None:
    assert Cron.parse(text).explain(START).words == f"{words}, UTC time"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("@every 90s", "every 0:01:30 (h:mm:ss) counted from 1970-01-01T00:00:00Z"),
        (
            "@every 1h/5m",
            (
                "every 1:00:00 (h:mm:ss) counted from 1970-01-01T00:00:00Z, "
                "300 seconds later each time"
            ),
        ),
        ("@at 2026-02-01T01:00:00+01:00", "once, at 2026-02-01T00:00:00Z"),
        ("@reboot", "once whenever an executor starts, not by the clock"),
        ("@manually", "only when somebody asks for it"),
    ],
)
def test_words_say_what_has_no_fields(text: str, words: str) -> None:
    explanation = Cron.parse(text).explain(START)
    assert explanation.words == words
    assert explanation.remarks == ()


@pytest.mark.parametrize(
    ("text", "rule", "remarks"),
    [
        (
            "15,30 2 * * *",
            "vixie",
            [
                "run once, right behind the gap",
                "On 2026-03-29 in Europe/Berlin, 02:15 to 02:30 is left out and run at 03:00.",
                (
                    "On 2026-10-25 in Europe/Berlin, 02:15 to 02:30 comes twice and is run "
                    "the first time."
                ),
            ],
        ),
        (
            "30 2 * * *",
            "skip",
            [
                "not run, times that come twice are run the first time",
                "On 2026-03-29 in Europe/Berlin, 02:30 is left out and not run.",
                "On 2026-10-25 in Europe/Berlin, 02:30 comes twice and is run the first time.",
            ],
        ),
        (
            "30 2 * * *",
            "strict",
            [
                "not run, times that come twice are run twice",
                "On 2026-03-29 in Europe/Berlin, 02:30 is left out and not run.",
                "On 2026-10-25 in Europe/Berlin, 02:30 comes twice and is run both times.",
            ],
        ),
        (
            "30 * * * *",
            "vixie",
            [
                "minute or hour starts with *",
                "On 2026-03-29 in Europe/Berlin, 02:30 is left out and not run.",
                "On 2026-10-25 in Europe/Berlin, 02:30 comes twice and is run both times.",
            ],
        ),
        ("30 5 * * *", "vixie", ["When clocks are changed"]),
        ("0 5 13 * 5", "vixie", ["either day of month or day of week", "When clocks"]),
        ("0 5 */2 * 5", "vixie", ["both day of month and day of week", "When clocks"]),
    ],
)
def test_remarks_say_what_changes_of_clocks_do_in_the_next_year(
    text: str, rule: str, remarks: list[str]
) -> None:
    explanation = Cron.parse(text, tz="Europe/Berlin", dst=rule).explain(START)
    assert len(explanation.remarks) == len(remarks)
    for remark, part in zip(explanation.remarks, remarks, strict=True):
        assert part in remark


def test_a_correction_of_the_clock_is_not_made_up_for() -> None:
    start = datetime(2011, 12, 1, tzinfo=UTC)
    remarks = Cron.parse("0 12 * * *", tz="Pacific/Apia").explain(start).remarks
    assert "On 2011-12-30 in Pacific/Apia, 12:00 is left out and not run." in remarks


def test_the_next_fires_come_with_it() -> None:
    cron = Cron.parse("@daily")
    assert list(cron.explain(START, count=2).fires) == [
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime(2026, 2, 2, tzinfo=UTC),
    ]
    assert len(cron.explain(START).fires) == 5
    assert cron.explain(START, count=0).fires == ()


def test_warnings_are_remarks() -> None:
    assert "step 100" in Cron.parse("*/100 0 * * *").explain(START).remarks[0]
