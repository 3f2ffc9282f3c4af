"""What an expression may look like, what it means, and why others are refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import islice

import pytest

from geartrain.errors import CronError
from geartrain.schedule.cron import Cron

START = datetime(2026, 1, 31, 23, 58, 30, tzinfo=UTC)

REFUSED = {
    # Not five or six fields.
    "": "it is empty",
    "   ": "it is empty",
    "*": "1 fields",
    "* * * *": "4 fields",
    "* * * * * * *": "7 fields",
    "* * * * * ; rm": "7 fields",
    # Not a value.
    "1- * * * *": "'1-' is no value",
    "-1 * * * *": "'-1' is no value",
    "1--5 * * * *": "'1--5' is no value",
    "1-5-7 * * * *": "'1-5-7' is no value",
    "*-5 * * * *": "'*-5' is no value",
    "1.5 * * * *": "'1.5' is no value",
    "+1 * * * *": "'+1' is no value",
    "/5 * * * *": "'/5' is no value",
    "*/ * * * *": "'*/' is no value",
    "*/-2 * * * *": "'*/-2' is no value",
    "** * * * *": "'**' is no value",
    "0x10 * * * *": "'0X10' is no value",
    ", * * * *": "an empty value",
    "1,,2 * * * *": "an empty value",
    "1, * * * *": "an empty value",
    # Names, where there are none or not these.
    "* * MON * *": "day of month: 'MON' is no value",
    "* * * * FOO": "day of week: 'FOO' is no value",
    "* * * * FEB": "day of week: 'FEB' is no value",
    "* * * JANUARY *": "month: 'JANUARY' is no value",
    "* * * * MONDAY": "day of week: 'MONDAY' is no value",
    # Out of range.
    "60 * * * *": "minute: 60 is not within 0-59",
    "* 24 * * *": "hour: 24 is not within 0-23",
    "* * 0 * *": "day of month: 0 is not within 1-31",
    "* * 32 * *": "day of month: 32 is not within 1-31",
    "* * * 0 *": "month: 0 is not within 1-12",
    "* * * 13 *": "month: 13 is not within 1-12",
    "* * * * 8": "day of week: 8 is not within 0-7",
    "60 * * * * *": "second: 60 is not within 0-59",
    "5-60 * * * *": "minute: 60 is not within 0-59",
    f"{'9' * 900} * * * *": "is not within 0-59",
    # Backwards, or with no step.
    "5-1 * * * *": "write it in two parts, 5-59 and 0-1",
    "* * * * 5-1": "range 5-1 runs backwards",
    "* * * nov-feb *": "range NOV-FEB runs backwards",
    "* * * * 5~1": "range 5~1 runs backwards",
    "H(9-5) * * * *": "range H(9-5) runs backwards",
    "*/0 * * * *": "a step is 1 or more",
    "H/0 * * * *": "a step is 1 or more",
    # What only the day fields know.
    "* L * * *": "hour: 'L' is no value",
    "? * * * *": "minute: '?' is no value",
    "* * * ? *": "month: '?' is no value",
    "* * ?/2 * *": "'?/2' is no value",
    "* * ?,1 * *": "'?' is no value",
    "* * L-31 * *": "no month has a day L-31",
    "* * L/2 * *": "'L/2' is no value",
    "* * 1W,2 * *": "1W can't be in a list",
    "* * 1-5W * *": "'1-5W' is no value",
    "* * 32W * *": "32 is not within 1-31",
    "* * W * *": "'W' is no value",
    "* * * * L": "day of week: 'L' is no value",
    "* * * * 8L": "8 is not within 0-7",
    "* * * * 1-5L": "'1-5L' is no value",
    "* * * * MON#0": "no weekday number 0",
    "* * * * MON#6": "no weekday number 6",
    "* * 5L * *": "day of month: '5L' is no value",
    # Words.
    "@fortnightly": "there is no @fortnightly",
    "@": "there is no @",
    "@daily 5": "nothing may follow @daily",
    "@every": "'' is no interval",
    "@every 0s": "an interval lasts from 1s",
    "@every 90": "'90' is no interval",
    "@every 1.5h": "'1.5h' is no interval",
    "@every -5s": "'-5s' is no interval",
    "@every 999999999w": "an interval lasts from 1s to 36525d",
    "@every 1h/1h": "has to be shorter than the interval",
    "@every 1h/": "'' is no interval",
    "@at": "'' is no instant",
    "@at tomorrow": "'tomorrow' is no instant",
    "@at 2026-02-01": "is no instant",
    "@at 2026-02-01T00:00:00": "is no instant",
    "@at 2026-02-30T00:00:00Z": "is no instant: day is out of range",
    "@at 2026-02-01T00:00:00.5Z": "write whole seconds",
    "@at 0001-01-01T00:00:00+14:00": "is no instant",
    # Characters.
    "\uff11 * * * *": "neither printable ASCII",
    "\u0661 * * * *": "neither printable ASCII",
    "* * * * fr\u0131": "neither printable ASCII",
    "* *\u00a0* * *": "neither printable ASCII",
    "* * * *\n*": "neither printable ASCII",
    "* * * * *\0": "neither printable ASCII",
    "1" * 1_001: "it has 1001 characters",
    # Zones.
    "CRON_TZ=PST 0 0 * * *": "there is no time zone 'PST'",
    "TZ=+01:00 0 0 * * *": "there is no time zone '+01:00'",
    "CRON_TZ= 0 0 * * *": "there is no time zone ''",
    "CRON_TZ=UTC": "1 fields",
    "CRON_TZ=../../etc/passwd 0 0 * * *": "there is no time zone",
    "CRON_TZ=/etc/localtime 0 0 * * *": "there is no time zone",
    "CRON_TZ=localtime 0 0 * * *": "there is no time zone",
    "CRON_TZ=right/UTC 0 0 * * *": "there is no time zone",
    "CRON_TZ=Europe 0 0 * * *": "there is no time zone",
    # Never.
    "0 0 30 2 *": "it would never fire",
    "0 0 31 2 *": "it would never fire",
    "0 0 31 2,4,6,9,11 *": "it would never fire",
    "0 0 31W 4 ?": "it would never fire",
    "0 0 L-29 2 *": "it would never fire",
    # The first of a month is never its second Friday.
    "0 0 */100 * FRI#2": "it would never fire",
}

SAME = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
    "0 0 0 * * *": "0 0 * * *",
    "  0\t0  * * * ": "0 0 * * *",
    "00 08 01 07 *": "0 8 1 7 *",
    "0 0 * JAN,Feb mon-WED": "0 0 * 1,2 1-3",
    "0 0 ? * ?": "0 0 * * *",
    "5/20 0 * * *": "5,25,45 0 * * *",
    "0 0 * * */7": "0 0 * * 0",
    "0 0 * * 5/2": "0 0 * * 0,5",
    "0 0 * * 7": "0 0 * * sun",
    "0 0 * * 5-0": "0 0 * * 0,5,6",
    "0 0 * * fri-sun": "0 0 * * 0,5,6",
    "0 0 * * 0-0": "0 0 * * 0",
    "0 0 * * 7L": "0 0 * * SUNL",
    "0 0 l-0 * *": "0 0 L * *",
    "*/100 0 * * *": "0 0 * * *",
    "0 0 * * 2,2,2": "0 0 * * 2",
    "CRON_TZ=UTC 0 5 * * *": "0 5 * * *",
    "TZ=Asia/Kathmandu 0 5 * * *": "15 23 * * *",
}

DAYS = [
    # The nearest Monday to Friday never leaves the month.
    ("0 0 1W 8 *", "2026-08-03 2027-08-02 2028-08-01"),
    ("0 0 15W * *", "2026-02-16 2026-03-16 2026-04-15 2026-05-15 2026-06-15"),
    ("0 0 31W * *", "2026-03-31 2026-05-29 2026-07-31 2026-08-31 2026-10-30"),
    ("0 0 30W 5 *", "2026-05-29 2027-05-31"),
    ("0 0 LW * *", "2026-02-27 2026-03-31 2026-04-30 2026-05-29 2026-06-30"),
    ("0 0 L-30 * *", "2026-03-01 2026-05-01 2026-07-01"),
    ("0 0 * * MON#5", "2026-03-30 2026-06-29 2026-08-31"),
    ("0 0 L * 5L", "2026-02-27 2026-02-28 2026-03-27 2026-03-31"),
    ("0 0 */2 * 1", "2026-02-09 2026-02-23 2026-03-09 2026-03-23"),
    ("0 0 29 2 */7", "2032-02-29 2060-02-29 2088-02-29 2128-02-29"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=lambda text: text[:30])
def test_what_cannot_be_read_or_never_fires_is_refused_with_the_reason(
    text: str, reason: str
) -> None:
    with pytest.raises(CronError, match=re.escape(reason)) as caught:
        Cron.parse(text)
    assert caught.value.expression == text
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_100


@pytest.mark.parametrize(("text", "same"), SAME.items())
def test_two_ways_to_write_it_mean_the_same(text: str, same: str) -> None:
    fires = [list(islice(Cron.parse(one).fires(START), 20)) for one in (text, same)]
    assert fires[0] == fires[1]
    assert len(fires[0]) == 20


@pytest.mark.parametrize(("text", "days"), DAYS)
def test_days_that_depend_on_the_month(text: str, days: str) -> None:
    fires = [f"{fire:%Y-%m-%d}" for fire in islice(Cron.parse(text).fires(START), 5)]
    assert " ".join(fires).startswith(days)


@pytest.mark.parametrize(
    ("mode", "text", "days"),
    [
        ("cron", "0 0 13 * 5", "2026-02-06 2026-02-13 2026-02-20"),
        ("and", "0 0 13 * 5", "2026-02-13 2026-03-13 2026-11-13"),
        ("or", "0 0 13 * 5", "2026-02-06 2026-02-13 2026-02-20"),
        ("cron", "0 0 */10 * 1", "2026-05-11 2026-06-01 2026-08-31"),
        ("or", "0 0 */10 * 1", "2026-02-01 2026-02-02 2026-02-09"),
        ("or", "0 0 * * 1", "2026-02-02 2026-02-09 2026-02-16"),
        ("or", "0 0 13 * *", "2026-02-13 2026-03-13 2026-04-13"),
        ("and", "0 0 1-31 * 3", "2026-02-04 2026-02-11 2026-02-18"),
    ],
)
def test_the_day_mode_says_how_the_day_fields_go_together(mode: str, text: str, days: str) -> None:
    fires = islice(Cron.parse(text, day_mode=mode).fires(START), 3)
    assert " ".join(f"{fire:%Y-%m-%d}" for fire in fires) == days


@pytest.mark.parametrize(
    ("rule", "fires"),
    [
        ("vixie", "2026-03-29T01:00 2026-10-25T00:30"),
        ("skip", "2026-10-25T00:30"),
        ("strict", "2026-10-25T00:30 2026-10-25T01:30"),
    ],
)
def test_the_dst_rule_says_what_changes_of_clocks_do(rule: str, fires: str) -> None:
    days = [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)]
    cron = Cron.parse("30 2 * * *", tz="Europe/Berlin", dst=rule)
    found = [fire for day in days for fire in cron.fires(day, day.replace(hour=12))]
    assert " ".join(f"{fire:%Y-%m-%dT%H:%M}" for fire in found) == fires


def test_six_fields_follow_the_same_rule_by_minute_and_hour() -> None:
    start, until = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC)
    cron = Cron.parse("*/20 30 2 * * *", tz="Europe/Berlin")
    assert list(cron.fires(start, until)) == [datetime(2026, 3, 29, 1, tzinfo=UTC)]


def test_a_zone_is_named_once() -> None:
    assert Cron.parse("CRON_TZ=Europe/Berlin @daily").tz == "Europe/Berlin"
    assert Cron.parse("@daily").tz == "UTC"
    with pytest.raises(CronError, match="and so does tz"):
        Cron.parse("TZ=UTC @daily", tz="UTC")


@pytest.mark.parametrize("option", ["day_mode", "dst"])
def test_an_unknown_rule_is_refused(option: str) -> None:
    with pytest.raises(CronError, match=f"{option} is 'sometimes'; write"):
        Cron.parse("@daily", **{option: "sometimes"})


def test_what_never_fires_because_of_the_zone_is_refused() -> None:
    with pytest.raises(CronError, match="clocks in Africa/Cairo leave those times out"):
        Cron.parse("*/30 0 * 4 FRIL", tz="Africa/Cairo")
    assert Cron.parse("*/30 0 * 4 FRIL").next(START)
    assert Cron.parse("30 0 * 4 FRIL", tz="Africa/Cairo").next(START)


def test_a_step_beyond_the_range_is_warned_of() -> None:
    (warning,) = Cron.parse("*/100 0 * * *").warnings
    assert warning == "minute: step 100 is larger than the range 0-59; one value is left"
    assert Cron.parse("*/59 */23 * * *").warnings == ()


def test_a_time_without_a_zone_is_no_instant() -> None:
    cron = Cron.parse("@daily")
    naive = datetime(2026, 1, 1)
    with pytest.raises(ValueError, match="has no time zone"):
        cron.next(naive)
    with pytest.raises(ValueError, match="has no time zone"):
        cron.previous(naive)


def test_at_the_ends_of_the_calendar_there_is_nothing() -> None:
    cron = Cron.parse("* * * * *", tz="Pacific/Kiritimati")
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert cron.next(last) is None
    assert cron.previous(first) is None
    early, late = cron.next(first), cron.previous(last)
    assert early is not None
    assert late is not None
    assert (early.year, late.year) == (2, 9998)
    assert list(cron.fires(datetime(9998, 12, 30, 23, 57, tzinfo=UTC))) != []
