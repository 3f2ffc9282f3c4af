"""
``geartrain cron ls``, ``show``, ``pause``, ``resume`` and ``rm``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geartrain.cli.moments import ago, at, length, read_moment
from geartrain.cli.schedules import Config, Json, Store, me, opened
from geartrain.cli.table import print_table, shown
from geartrain.errors import EntryNotFound

if TYPE_CHECKING:
    from geartrain.store.schedule_rows import Fire, Schedule
    from geartrain.store.schedule_store import ScheduleStore

__all__ = [
    "Name",
    "list_entries",
    "pause_entries",
    "remove_entries",
    "resume_entries",
    "show_entry",
    "what_runs",
    "where_it_runs",
]

Name = Annotated[str, typer.Argument(metavar="NAME", help="The entry's name.")]
# What ``at`` begins with and a table has no room for.
_WEEKDAY = len("Mon ")
# Zones that need not be mentioned.
_UTC = ("UTC", "Etc/UTC")
Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Names of entries; * and ? match any.")
]


def list_entries(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Names to list, such as 'web1/*'.")
    ] = "",
    source: Annotated[
        str | None, typer.Option(help="Only what came from there; '' for what was added by hand.")
    ] = None,
    group: Annotated[str, typer.Option(help="Only a group.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1_000,
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List entries: what they run, when next, and how they stand."""
    from geartrain.schedule.desk import entries
    from geartrain.schedule.showing import as_schedule

    with opened(store, config) as schedules:
        found = entries(schedules, pattern=pattern, source=source, group=group)
        rows = list(islice(found, limit + 1))
        now = schedules.now()
    if as_json:
        print(json.dumps([as_schedule(row) for row in rows[:limit]], ensure_ascii=False))
        return
    if not rows:
        print(_nothing(pattern, source, group))
        return
    heads = ("name", "when", "zone", "runs", "on", "next", "last", "status")
    print_table(
        [head.upper() for head in heads],
        [_row(row, now) for row in rows[:limit]],
        cut={"RUNS": 8, "ON": 6, "NAME": 30, "WHEN": 11, "ZONE": 6},
    )
    if len(rows) > limit:
        print(f"... and more; --limit {limit} was reached")


def show_entry(
    name: Name,
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show an entry whole: its keys, how it stands, its next moments and its last fires."""
    from geartrain.schedule.desk import find
    from geartrain.schedule.entry import from_definition
    from geartrain.schedule.showing import as_fire, as_schedule, explained

    with opened(store, config) as schedules:
        row = find(schedules, name)
        fires = schedules.fires(schedule=row.id, limit=5)
        now = schedules.now()
    entry = from_definition(row.definition)
    found = explained(entry, now, 3, row.next_fire)
    if as_json:
        print(
            json.dumps(
                {
                    **as_schedule(row),
                    "words": found.words,
                    "remarks": list(found.remarks),
                    "fires": [as_fire(fire, name) for fire in fires],
                },
                ensure_ascii=False,
            )
        )
        return
    for key, value in _facts(row, found.words, now):
        print(f"{key:<12} {shown(value)}")
    print_moments(found.fires, entry.timezone, now)
    if fires:
        print("\nlast fires")
        print_fires(fires, entry.timezone, now)


def pause_entries(
    names: Names,
    why: Annotated[str, typer.Option(help="For whoever wonders.")] = "",
    until: Annotated[
        str, typer.Option(help="When it ends by itself: an instant, or a time such as 2h.")
    ] = "",
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Keep entries from firing; what falls into a pause is not made up for."""
    from geartrain.schedule.desk import pause

    end = read_moment("--until", until, ahead=True) if until else 0
    with opened(store, config) as schedules:
        rows = [
            pause(schedules, name, me(), why=why, until=end).after
            for name in expanded(schedules, names)
        ]
        now = schedules.now()
    report(rows, as_json, [f"paused {row.name}{_until(row, now)}" for row in rows])


def resume_entries(
    names: Names, store: Store = "", config: Config = None, as_json: Json = False
) -> None:
    """Let paused entries fire again, from now on."""
    from geartrain.schedule.desk import resume

    with opened(store, config) as schedules:
        wanted = expanded(schedules, names, lambda row: bool(row.paused_at))
        rows = [resume(schedules, name, me()).after for name in wanted]
        now = schedules.now()
    said = [
        f"resumed {row.name}" + (f", next {_next(row, now)}" if row.next_fire else "")
        for row in rows
    ]
    report(rows, as_json, said)


def remove_entries(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of entries.")],
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Forget entries; what they have fired stays in history."""
    from geartrain.schedule.desk import find, remove

    with opened(store, config) as schedules:
        for name in names:
            find(schedules, name)
        rows = [remove(schedules, name, me()) for name in names]
    report(rows, as_json, [f"removed {row.name}" for row in rows])


def expanded(
    schedules: ScheduleStore, names: Sequence[str], keep: Any = lambda row: True
) -> list[str]:
    """Return the names that words stand for; raises EntryNotFound for a pattern without any."""
    from geartrain.schedule.desk import entries

    found: list[str] = []
    for name in names:
        if "*" not in name and "?" not in name:
            found.append(name)
            continue
        matching = [row.name for row in entries(schedules, pattern=name) if keep(row)]
        if not matching:
            raise EntryNotFound(name)
        found += matching
    return list(dict.fromkeys(found))


def report(rows: Sequence[Schedule], as_json: bool, lines: Sequence[str]) -> None:
    """Say what was done to entries."""
    from geartrain.schedule.showing import as_schedule

    if as_json:
        print(json.dumps([as_schedule(row) for row in rows], ensure_ascii=False))
        return
    for line in lines:
        print(shown(line))


def what_runs(row: Schedule) -> str:
    """Return an entry's function, or its command."""
    from geartrain.schedule.entry import from_definition

    return row.function or from_definition(row.definition).command


def where_it_runs(row: Schedule) -> str:
    """Return an entry's target; nothing where any worker will do."""
    from geartrain.schedule.entry import from_definition

    target = "" if row.target == "one" else row.target.removeprefix("agent:")
    tags = ",".join(from_definition(row.definition).tags)
    return f"{target or 'one'} of {tags}" if tags else target


def print_moments(fires: Sequence[Any], tz: str, now: float) -> None:
    """Print moments on the clocks of a zone, and how far away they are."""
    for fire in fires:
        moment = fire.timestamp()
        print(f"  {at(moment, tz)}  {ago(moment, now)}")


def print_fires(
    fires: Sequence[Fire], tz: str, now: float, names: dict[int, tuple[str, str]] | None = None
) -> None:
    """Print fires as a table; ``names`` are their entries' names and zones, where these differ."""
    from geartrain.schedule.showing import lag, run_time

    rows = []
    for fire in fires:
        name, zone = "", tz
        if names is not None:
            name, zone = names.get(fire.schedule, ("(removed)", "UTC"))
        late, ran = lag(fire), run_time(fire)
        rows.append(
            (
                str(fire.id),
                name,
                at(fire.nominal, zone)[_WEEKDAY:],
                fire.state + (f" x{fire.count}" if fire.count > 1 else ""),
                "" if late is None else length(max(late, 0)),
                "" if ran is None else length(max(ran, 0)),
                fire.target,
                fire.reason or fire.handle,
            )
        )
    heads = ("ID", "ENTRY", "MOMENT", "STATE", "LAG", "RAN", "ON", "REASON OR HANDLE")
    print_table(heads, rows, cut={"REASON OR HANDLE": 16, "ON": 6, "ENTRY": 12})


def _row(row: Schedule, now: float) -> tuple[str, ...]:
    from geartrain.schedule.entry import AFTER, from_definition
    from geartrain.schedule.showing import status

    when = row.expression
    if row.kind == AFTER:
        when = f"after {', '.join(from_definition(row.definition).after)}"
    standing = status(row)
    return (
        row.name,
        when,
        "" if row.timezone in _UTC else row.timezone.rpartition("/")[2],
        what_runs(row),
        where_it_runs(row),
        "" if standing in ("paused", "disabled", "ended") else _coming(row.next_fire, now),
        ago(row.last_nominal, now),
        f"{standing} x{row.failures}" if standing == "failing" else _unless_active(standing),
    )


def _coming(moment: float, now: float) -> str:
    """Return when an entry fires next; what is due and was not dealt with yet says so."""
    return f"due {ago(moment, now)}" if 0 < moment <= now - 2 else ago(moment, now)


def _unless_active(standing: str) -> str:
    return "" if standing == "active" else standing


def _facts(row: Schedule, words: str, now: float) -> list[tuple[str, str]]:
    from geartrain.schedule.entry import from_definition, to_table
    from geartrain.schedule.showing import status

    facts = [("name", row.name), ("status", _standing(row, status(row), now))]
    for key, value in to_table(from_definition(row.definition)).items():
        if isinstance(value, dict):
            value = " ".join(f"{name}={text}" for name, text in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        facts.append((key, str(value)))
    facts.append(("fires", words))
    facts.append(("runs so far", str(row.runs)))
    facts.append(("revision", f"{row.revision}, generation {row.generation}"))
    return facts


def _standing(row: Schedule, standing: str, now: float) -> str:
    if row.paused_at:
        why = f": {row.paused_why}" if row.paused_why else ""
        return f"paused {ago(row.paused_at, now)} by {row.paused_by}{_until(row, now)}{why}"
    return f"failing, {row.failures} in a row" if standing == "failing" else standing


def _until(row: Schedule, now: float) -> str:
    if not row.paused_until:
        return ""
    return f" until {at(row.paused_until, row.timezone)} ({ago(row.paused_until, now)})"


def _next(row: Schedule, now: float) -> str:
    return f"{at(row.next_fire, row.timezone)} ({ago(row.next_fire, now)})"


def _nothing(pattern: str, source: str | None, group: str) -> str:
    if pattern or source is not None or group:
        return "no such entries; geartrain cron ls shows all of them"
    return (
        'no entries yet; add one: geartrain cron add NAME "0 3 * * *" --function FUNCTION\n'
        "or take over a crontab: crontab -l | geartrain import crontab -"
    )
