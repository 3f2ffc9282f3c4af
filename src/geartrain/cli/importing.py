"""
``geartrain import``: take over what other programs were told and left undone.
"""

from __future__ import annotations

import typer

from geartrain.cli.import_crontab import import_crontab
from geartrain.cli.import_gearmand import import_gearmand
from geartrain.cli.import_supervisord import import_supervisord

__all__ = ["app"]

app = typer.Typer(help="Take over what other programs left.", no_args_is_help=True)


@app.callback()
def importing() -> None:
    """Take over what other programs left."""


app.command("crontab")(import_crontab)
app.command("supervisord-conf")(import_supervisord)
for _kind in ("sqlite", "mysql", "postgres", "redis"):
    app.command(f"gearmand-{_kind}")(import_gearmand)
