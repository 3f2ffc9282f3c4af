"""
``geartrain import crontab``: entries that do what a crontab did.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from geartrain.cli import exit_code
from geartrain.cli.differences import as_object, counted, print_difference
from geartrain.cli.schedules import Config, Json, Store, me, opened
from geartrain.errors import UsageError

if TYPE_CHECKING:
    from geartrain.schedule.crontab import Note
    from geartrain.schedule.declaring import Difference
    from geartrain.schedule.entry import Entry
    from geartrain.store.schedule_store import ScheduleStore

__all__ = ["import_crontab"]

System = Annotated[
    bool | None,
    typer.Option(
        "--system/--no-system",
        help="Users are in the sixth column, as in /etc/crontab.",
        show_default="for /etc/crontab and /etc/cron.d",
    ),
]
User = Annotated[
    str, typer.Option("--user", "-u", help="Whose crontab it is.", show_default="yours")
]
Agent = Annotated[
    str,
    typer.Option(
        help="Name of the agent of the machine it belongs to.", show_default="this host's name"
    ),
]
Target = Annotated[
    str,
    typer.Option(
        help="Where entries run: one, all, 3 or agent:NAME.", show_default="the machine's agent"
    ),
]
Tags = Annotated[list[str] | None, typer.Option(help="What agents must have. May be repeated.")]
Zone = Annotated[
    str, typer.Option(help="Zone of lines without CRON_TZ.", show_default="this machine's")
]
Overlap = Annotated[
    str, typer.Option(help="While the last has not ended; cron starts it again.", metavar="RULE")
]
CatchUp = Annotated[
    str, typer.Option(help="Which missed moments run; cron makes up for none.", metavar="RULE")
]
Source = Annotated[
    str, typer.Option(help="What the file speaks for.", show_default="host and file")
]

_SYSTEM_PLACES: Final = ("/etc/crontab", "/etc/cron.d")


@dataclass(slots=True)
class Reading:
    """
    A crontab that was read.

    Attributes:
        name: The file's, for messages.
        source: What its entries are of.
        entries: What it runs.
        refused, remarks: See ``Crontab``.

    """

    name: str
    source: str
    entries: list[Entry] = field(default_factory=list)
    refused: list[Note] = field(default_factory=list)
    remarks: list[Note] = field(default_factory=list)


def import_crontab(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Crontabs; - for standard input.")
    ],
    system: System = None,
    user: User = "",
    agent: Agent = "",
    target: Target = "",
    tags: Tags = None,
    timezone: Zone = "",
    overlap: Overlap = "allow",
    catch_up: CatchUp = "none",
    source: Source = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be.")] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Change and remove what the same file brought before."),
    ] = False,
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Make entries of crontabs, which do what cron did.

    Lines that cron would not run are left out with the reason, and it ends with 1.
    """
    from geartrain.schedule.declaring import apply, check, compare

    if source and len(files) > 1:
        raise UsageError("--source names one file: import the others by themselves")
    readings, differences = [], []
    with opened(store, config, adds=not dry_run) as schedules:
        for reading in read_files(
            schedules, files, system=system, user=user, agent=agent, target=target,
            tags=tags or [], timezone=timezone, overlap=overlap, catch_up=catch_up, source=source,
        ):  # fmt: skip
            found = compare(schedules, reading.entries, reading.source)
            check(schedules, found)
            wanted = found if replace else only_new(found)
            if not as_json:
                tell(reading, wanted, found, dry_run)
            if not dry_run:
                apply(schedules, wanted, me())
            readings.append(reading)
            differences.append(wanted)
    if as_json:
        print(json.dumps(objects(readings, differences, not dry_run), ensure_ascii=False))
    if any(reading.refused for reading in readings):
        raise typer.Exit(exit_code.FAILED)


def read_files(
    schedules: ScheduleStore,
    files: Sequence[str],
    *,
    system: bool | None,
    user: str,
    agent: str,
    target: str,
    tags: Sequence[str],
    timezone: str,
    overlap: str,
    catch_up: str,
    source: str,
) -> list[Reading]:
    """Return crontabs as entries, named as those that are there already; raises UsageError."""
    from geartrain.schedule.crontab import read_crontab
    from geartrain.schedule.crontab_entries import Placing, entries_of
    from geartrain.schedule.desk import entries
    from geartrain.schedule.entry import from_definition, read_entry, to_table

    agent = agent or host()
    found = []
    for file in files:
        in_system = is_system(file) if system is None else system
        owner = "" if in_system else user or login()
        label = source or source_of(file, agent, owner, anywhere=bool(target or tags))
        placing = Placing(
            source=label,
            prefix=label if source else prefix_of(file, agent, owner, bool(target or tags)),
            target=target or ("one" if tags else f"agent:{agent}"),
            tags=tuple(part for tag in tags for part in tag.split(",") if part),
            user=owner,
            timezone=timezone or zone_of_machine(),
            overlap=overlap,
            catch_up=catch_up,
        )
        crontab = read_crontab(text_of(file), system=in_system)
        known = [from_definition(row.definition) for row in entries(schedules, source=label)]
        wanted = entries_of(crontab.lines, placing, known)
        # Checked as any entry is: zones, targets and rules come from the command line.
        checked = [read_entry(entry.name, to_table(entry)) for entry in wanted]
        found.append(Reading(file, label, checked, crontab.refused, crontab.remarks))
    return found


def tell(reading: Reading, wanted: Difference, found: Difference, dry_run: bool) -> None:
    """Say what a crontab brings."""
    print_difference(wanted)
    report_notes(reading)
    print(f"{reading.source}: {counted(wanted, not dry_run)}")
    left = len(found.changed) + len(found.removed) - len(wanted.changed) - len(wanted.removed)
    if left:
        print(f"{left} of its entries differ from the file; --replace makes them follow it")


def report_notes(reading: Reading) -> None:
    """Say which lines were refused, and which are strange."""
    name = "standard input" if reading.name == "-" else reading.name
    for note in reading.remarks:
        print(f"geartrain: {name}:{note.number}: {note.reason}", file=sys.stderr)
    for note in reading.refused:
        print(f"geartrain: {name}:{note.number}: left out: {note.reason}", file=sys.stderr)
        print(f"    {note.text}", file=sys.stderr)


def only_new(found: Difference) -> Difference:
    """Return what of a difference adds entries."""
    from geartrain.schedule.declaring import Difference

    return Difference(found.source, added=found.added, same=found.same)


def objects(
    readings: Sequence[Reading], differences: Sequence[Difference], done: bool
) -> list[dict[str, Any]]:
    """Return what was imported as JSON has it."""
    return [
        {
            **as_object(found, done),
            "refused": [vars_of(note) for note in reading.refused],
            "remarks": [vars_of(note) for note in reading.remarks],
        }
        for reading, found in zip(readings, differences, strict=True)
    ]


def vars_of(note: Note) -> dict[str, Any]:
    """Return a note as JSON has it."""
    return {"line": note.number, "text": note.text, "reason": note.reason}


def text_of(file: str) -> str:
    """Return a file's text; bytes that are not UTF-8 become surrogates. Raises UsageError."""
    if file == "-":
        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    try:
        return Path(file).read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror}") from None


def is_system(file: str) -> bool:
    """Whether a file is one of those that have a column of users."""
    path = os.path.abspath(file)
    return path == _SYSTEM_PLACES[0] or os.path.dirname(path) == _SYSTEM_PLACES[1]


def source_of(file: str, agent: str, owner: str, *, anywhere: bool) -> str:
    """Return what a crontab speaks for: of which machine and file, or whose."""
    name = f"crontab of {owner or 'the system'}" if file == "-" else os.path.abspath(file)
    return name if anywhere else f"{agent}:{name}"


def prefix_of(file: str, agent: str, owner: str, anywhere: bool) -> str:
    """Return what the names of a crontab's entries start with."""
    name = owner or "system" if file == "-" else os.path.basename(file)
    return name if anywhere else f"{agent}/{name}"


def host() -> str:
    """Return this host's name, as agents take it for theirs."""
    return socket.gethostname()


def login() -> str:
    """Return who is asking."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UsageError("this user has no name; give --user") from None


def zone_of_machine() -> str:
    """Return this machine's zone; raises UsageError where it has no name."""
    from geartrain.schedule.local_zone import machine_zone

    return machine_zone()
