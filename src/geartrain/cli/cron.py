"""
``geartrain cron``: entries of the schedule, and the expressions they fire by.

Each command is in a file of its kind; here they only get their names.
"""

from __future__ import annotations

import typer

from geartrain.cli.cron_editing import add_entry, edit_entry
from geartrain.cli.cron_entries import (
    list_entries,
    pause_entries,
    remove_entries,
    resume_entries,
    show_entry,
)
from geartrain.cli.cron_expressions import CONTEXT, explain, show_next
from geartrain.cli.cron_files import apply_file, diff_file, export
from geartrain.cli.cron_fires import backfill, list_fires, run_entry
from geartrain.cli.cron_status import show_status

__all__ = ["app"]

app = typer.Typer(help="Entries of the schedule, and when they fire.", no_args_is_help=True)

_LOOK = "Look"
_CHANGE = "Change"
_FIRE = "Fire"
_FILES = "Files"
_EXPRESSIONS = "Expressions"


@app.callback()
def cron() -> None:
    """Entries of the schedule, and when they fire."""


app.command("ls", rich_help_panel=_LOOK)(list_entries)
app.command("show", rich_help_panel=_LOOK)(show_entry)
app.command("fires", rich_help_panel=_LOOK)(list_fires)
app.command("status", rich_help_panel=_LOOK)(show_status)
app.command("add", rich_help_panel=_CHANGE)(add_entry)
app.command("edit", rich_help_panel=_CHANGE)(edit_entry)
app.command("pause", rich_help_panel=_CHANGE)(pause_entries)
app.command("resume", rich_help_panel=_CHANGE)(resume_entries)
app.command("rm", rich_help_panel=_CHANGE)(remove_entries)
app.command("run", rich_help_panel=_FIRE)(run_entry)
app.command("backfill", rich_help_panel=_FIRE)(backfill)
app.command("apply", rich_help_panel=_FILES)(apply_file)
app.command("diff", rich_help_panel=_FILES)(diff_file)
app.command("export", rich_help_panel=_FILES)(export)
app.command("next", rich_help_panel=_EXPRESSIONS, context_settings=CONTEXT)(show_next)
app.command("explain", rich_help_panel=_EXPRESSIONS, context_settings=CONTEXT)(explain)
