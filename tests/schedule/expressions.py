"""Random expressions, zones and instants for the property tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

__all__ = ["ZONES", "expressions", "near_changes"]

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

# Zones whose clocks do something of their own: half hours, midnight, two hours, twice around
# Ramadan, across the date line, by fifteen minutes off, backwards in winter.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/Havana",
    "America/Sao_Paulo",
    "America/Caracas",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Antarctica/Casey",
    "Pacific/Apia",
    "Pacific/Chatham",
)


@lru_cache
def changes_of(tz: str) -> list[datetime]:
    """Return the days from 2005 to 2030 on which the zone's offset changes, as instants."""
    zone = ZoneInfo(tz)
    day = datetime(2005, 1, 1, tzinfo=UTC)
    found = []
    while day.year < 2030:
        following = day + timedelta(days=1)
        if day.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            found.append(day)
        day = following
    return found


@st.composite
def near_changes(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and an instant, mostly not far from a change of its clocks."""
    tz = draw(st.sampled_from(ZONES))
    days = changes_of(tz)
    seconds = st.integers(-86_400, 2 * 86_400)
    if not days or draw(st.integers(0, 9)) == 0:
        days = [datetime(2024, 2, 28, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC)]
    return tz, draw(st.sampled_from(days)) + timedelta(seconds=draw(seconds))


@st.composite
def values(draw: st.DrawFn, low: int, high: int, names: list[str]) -> str:
    """One part of a list: a star, a number, a range, each perhaps with a step."""

    def shown(number: int) -> str:
        named = names and number - low < len(names) and draw(st.booleans())
        return names[number - low] if named else str(number)

    form = draw(st.sampled_from(["star", "star step", "one", "one", "step", "range", "range step"]))
    first = draw(st.integers(low, high))
    step = f"/{draw(st.integers(1, high + 2))}" if "step" in form else ""
    if "star" in form:
        return f"*{step}"
    if form == "one" or form == "step":
        return shown(first) + step
    return f"{shown(first)}-{shown(draw(st.integers(first, high)))}{step}"


def fields(low: int, high: int, names: list[str] | None = None) -> st.SearchStrategy[str]:
    """A field: a list of one to three parts."""
    return st.lists(values(low, high, names or []), min_size=1, max_size=3).map(",".join)


def day_fields() -> st.SearchStrategy[str]:
    special = st.one_of(
        st.sampled_from(["L", "LW", "?", "15,L", "L-2", "LW,1"]),
        st.integers(1, 31).map("{}W".format),
        st.integers(0, 30).map("L-{}".format),
    )
    return st.one_of(st.just("*"), fields(1, 31), special)


def weekday_fields() -> st.SearchStrategy[str]:
    days = st.one_of(st.integers(0, 7).map(str), st.sampled_from(WEEKDAYS))
    special = st.one_of(
        days.map("{}L".format),
        st.tuples(days, st.integers(1, 5)).map(lambda pair: "{}#{}".format(*pair)),
        st.sampled_from(["?", "fri-sun", "6-0", "sun#1,wed#3", "5-0/2"]),
    )
    return st.one_of(st.just("*"), fields(0, 7, WEEKDAYS), special)


@st.composite
def expressions(draw: st.DrawFn, seconds: bool = False, special: bool = True) -> str:
    """An expression, with times that clocks like to leave out or repeat."""
    early = st.sampled_from(["0", "1", "2", "3", "0,2", "1-3", "*/2", "*", "23"])
    months = st.one_of(st.just("*"), st.just("*"), fields(1, 12, MONTHS))
    parts = [
        draw(fields(0, 59)),
        draw(st.one_of(early, fields(0, 23))),
        draw(day_fields() if special else st.one_of(st.just("*"), fields(1, 31))),
        draw(months),
        draw(weekday_fields() if special else st.one_of(st.just("*"), fields(0, 7, WEEKDAYS))),
    ]
    if seconds:
        parts.insert(0, draw(fields(0, 59)))
    return " ".join(parts)
