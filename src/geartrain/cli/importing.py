"""
``geartrain import``: take over what other programs were told. One file for each of them.
"""

from __future__ import annotations

import typer

from geartrain.cli.import_supervisord import import_supervisord

__all__ = ["app"]

app = typer.Typer(help="Take over the configuration of other programs.", no_args_is_help=True)


@app.callback()
def importing() -> None:
    """Take over the configuration of other programs."""


app.command("supervisord-conf")(import_supervisord)
