"""
``geartrain cron apply``, ``diff`` and ``export``: entries as files.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geartrain.cli import exit_code
from geartrain.cli.differences import as_object, carry_out, counted, print_difference
from geartrain.cli.import_crontab import (
    Agent,
    CatchUp,
    Overlap,
    Source,
    System,
    Tags,
    Target,
    User,
    Zone,
    host,
    login,
    read_files,
    report_notes,
    zone_of_machine,
)
from geartrain.cli.schedules import Config, Json, Store, opened
from geartrain.errors import UsageError

if TYPE_CHECKING:
    from geartrain.schedule.entry import Entry
    from geartrain.store.schedule_rows import Schedule

__all__ = ["apply_file", "diff_file", "export"]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")]
Adopt = Annotated[
    bool, typer.Option("--adopt", help="Take over entries of these names from elsewhere.")
]
_TOML = ".toml"


def apply_file(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="[schedule.NAME] tables.")],
    dry_run: DryRun = False,
    adopt: Adopt = False,
    source: Annotated[
        str, typer.Option(help="What the file speaks for.", show_default="the file's path")
    ] = "",
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Add, change and remove entries until they are what a file says."""
    from geartrain.schedule.declaring import compare, declared

    source = source or str(file.resolve())
    wanted = declared(file, source)
    with opened(store, config, adds=not dry_run) as schedules:
        found = compare(schedules, wanted, source, adopt=adopt)
        carry_out(schedules, found, dry_run=dry_run, as_json=as_json)


def diff_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="FILE.toml, a crontab, or -.")],
    system: System = None,
    user: User = "",
    agent: Agent = "",
    target: Target = "",
    tags: Tags = None,
    timezone: Zone = "",
    overlap: Overlap = "allow",
    catch_up: CatchUp = "none",
    source: Source = "",
    adopt: Adopt = False,
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show how a file differs from the store; ends with 1 where it does."""
    from geartrain.schedule.declaring import compare, declared

    notes = None
    with opened(store, config) as schedules:
        if file.endswith(_TOML):
            label = source or str(Path(file).resolve())
            found = compare(schedules, declared(Path(file), label), label, adopt=adopt)
        else:
            (notes,) = read_files(
                schedules, [file], system=system, user=user, agent=agent, target=target,
                tags=tags or [], timezone=timezone, overlap=overlap, catch_up=catch_up,
                source=source,
            )  # fmt: skip
            found = compare(schedules, notes.entries, notes.source, adopt=adopt)
    if as_json:
        print(json.dumps(as_object(found, False), ensure_ascii=False))
    else:
        print_difference(found)
        print(counted(found, False))
    bad = bool(notes and notes.refused)
    if notes:
        report_notes(notes)
    if found or bad:
        raise typer.Exit(exit_code.FAILED)


def export(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="Entries; * and ? match any. All by default."),
    ] = None,
    toml: Annotated[bool, typer.Option("--toml", help="As TOML, which says everything.")] = False,
    system: System = None,
    user: User = "",
    agent: Agent = "",
    timezone: Zone = "",
    source: Annotated[
        str | None, typer.Option(help="Only what came from there; '' for what was added by hand.")
    ] = None,
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Print entries as a crontab, with what cron can't do as comments; or as TOML, or JSON.

    Ends with 1 where a crontab had to leave entries out.
    """
    from geartrain.schedule.entry import from_definition

    if toml and as_json:
        raise UsageError("--toml and --json are two forms: choose one")
    rows = chosen(store, config, names or [], source)
    entries = [from_definition(row.definition) for row in rows]
    if as_json:
        from geartrain.schedule.showing import as_entry

        print(json.dumps([as_entry(entry) for entry in entries], ensure_ascii=False))
    elif toml:
        from geartrain.configuration import written_table
        from geartrain.schedule.entry import to_table

        # Its source is whatever file it is put into.
        tables = [(one.name, to_table(replace(one, source=""))) for one in entries]
        print("\n".join(written_table(("schedule", *one), keys) for *one, keys in tables), end="")
    else:
        # A pause is no key of an entry, and cron knows none: such a line would run.
        entries = [
            replace(entry, enabled=entry.enabled and not row.paused_at)
            for entry, row in zip(entries, rows, strict=True)
        ]
        print_crontab(entries, system, user, agent or host(), timezone or zone_of_machine())


def chosen(store: str, config: Path | None, names: list[str], source: str | None) -> list[Schedule]:
    """Return the rows that names and source choose; raises EntryNotFound."""
    from geartrain.cli.cron_entries import expanded
    from geartrain.schedule.desk import entries, find

    with opened(store, config) as schedules:
        if names:
            rows = [find(schedules, name) for name in expanded(schedules, names)]
            return [row for row in rows if source is None or row.source == source]
        return list(entries(schedules, source=source))


def print_crontab(
    entries: list[Entry], system: bool | None, user: str, agent: str, timezone: str
) -> None:
    """Print a crontab: of one user, or with a column of users where there are several."""
    from geartrain.schedule.crontab_writing import write_crontab

    users = {entry.user for entry in entries if entry.command}
    if system is None:
        system = not user and len(users) > 1
    if not user and not system:
        user = next(iter(users)) if len(users) == 1 else login()
    found = write_crontab(entries, system=system, timezone=timezone, user=user, agent=agent)
    form = "for /etc/cron.d" if system else f"for the crontab of {user}"
    number = len(entries) - len(found.left_out)
    print(f"# geartrain: {number} entries {form} on {agent}, {timezone}\n")
    print(found.text, end="")
    sys.stdout.flush()
    for name, reason in found.left_out:
        print(f"geartrain: {name} is left out: {reason}", file=sys.stderr)
    if found.left_out:
        raise typer.Exit(exit_code.FAILED)
