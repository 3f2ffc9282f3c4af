"""
``geartrain cron next`` and ``explain``: when expressions fire, and what they mean.

Asks no server: an expression, a zone and an instant are all it takes.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from geartrain.errors import UsageError
from geartrain.rfc3339 import written
from geartrain.schedule.cron import Cron
from geartrain.schedule.instant import read_instant

__all__ = ["CONTEXT", "explain", "line_of", "show_next"]

# An expression such as "-1 * * * *" is a wrong expression, not an unknown option.
CONTEXT: Final = {"ignore_unknown_options": True}

Expression = Annotated[str, typer.Argument(metavar="EXPR", help='Such as "30 2 * * 1-5".')]
Zone = Annotated[
    str | None, typer.Option("--tz", help="IANA name of the time zone.", show_default="UTC")
]
After = Annotated[
    str | None,
    typer.Option(help="Instant to start behind, such as 2026-01-31T23:58:30Z.", show_default="now"),
]
Count = Annotated[int, typer.Option(min=1, help="How many fires.")]
Name = Annotated[str, typer.Option(help="The schedule's name, which H and ~ are chosen by.")]
DayMode = Annotated[
    str, typer.Option(help="How the two day fields go together: cron, and, or.", metavar="MODE")
]
Dst = Annotated[
    str, typer.Option(help="What changes of clocks do: vixie, skip, strict.", metavar="RULE")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def show_next(
    expression: Expression,
    tz: Zone = None,
    after: After = None,
    count: Count = 5,
    name: Name = "",
    day_mode: DayMode = "cron",
    dst: Dst = "vixie",
    as_json: Json = False,
) -> None:
    """Print the next instants at which an expression fires."""
    cron = Cron.parse(expression, tz=tz, key=name, day_mode=day_mode, dst=dst)
    fires = list(islice(cron.fires(_instant(after)), count))
    if as_json:
        print(json.dumps([written(fire) for fire in fires]))
        return
    for fire in fires:
        print(line_of(fire, cron.tz))
    if not fires:
        print(f"{cron.text} has no fires after that")


def explain(
    expression: Expression,
    tz: Zone = None,
    after: After = None,
    count: Count = 5,
    name: Name = "",
    day_mode: DayMode = "cron",
    dst: Dst = "vixie",
    as_json: Json = False,
) -> None:
    """Say in words when an expression fires, and what changes of clocks do to it."""
    cron = Cron.parse(expression, tz=tz, key=name, day_mode=day_mode, dst=dst)
    found = cron.explain(_instant(after), count)
    if as_json:
        print(json.dumps(_object(cron, found.words, found.remarks, found.fires)))
        return
    print(f"{found.words}.")
    for remark in found.remarks:
        print(remark)
    for fire in found.fires:
        print(f"  {line_of(fire, cron.tz)}")


def _object(
    cron: Cron, words: str, remarks: tuple[str, ...], fires: tuple[datetime, ...]
) -> dict[str, Any]:
    return {
        "expression": cron.text,
        "kind": cron.kind,
        "tz": cron.tz,
        "words": words,
        "remarks": list(remarks),
        "next": [written(fire) for fire in fires],
    }


def line_of(fire: datetime, tz: str) -> str:
    """Return an instant as people read it: in UTC and on the zone's clocks."""
    local = fire.astimezone(ZoneInfo(tz))
    return f"{written(fire)}  {local:%a} {local.isoformat(' ', 'seconds')}"


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        return read_instant(text)
    except ValueError as error:
        raise UsageError(f"--after: {error}") from None
