"""
``geartrain up``: keep worker processes running.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from geartrain.errors import UsageError

__all__ = ["up"]


def up(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="Configuration file (TOML).")
    ] = Path("geartrain.toml"),
    socket: Annotated[
        Path | None, typer.Option(help="Where `geartrain ctl` is answered.", show_default=False)
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only check the configuration, and show it.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Keep the programs of a configuration file running."""
    from dataclasses import replace

    from geartrain.cli.daemon import fill_standard_streams
    from geartrain.supervisor.configuration import load_configuration
    from geartrain.supervisor.difference import differences

    if not config.exists():
        raise UsageError(
            f"there is no file {config}; name one with --config, or write it, for instance\n\n"
            '    [programs.worker]\n    task = "module:app"\n    numprocs = 2\n\n'
            f"and look at what it starts with geartrain up --check --config {config}"
        )
    # A log file would take the number of a stream that was closed, and get what goes there.
    fill_standard_streams()
    configuration = load_configuration(config)
    if socket is not None:
        configuration = replace(configuration, socket=str(socket.absolute()), is_socket_given=True)
    if check:
        for difference in differences({}, configuration.programs):
            print("\n".join(difference.lines()))
        return

    from geartrain.supervisor.running import run_in_foreground

    level = logging.DEBUG if verbose else logging.INFO
    raise typer.Exit(run_in_foreground(configuration, level))
