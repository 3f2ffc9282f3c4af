"""
``geartrain import supervisord-conf``: write our configuration from supervisord's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["import_supervisord"]


def import_supervisord(
    file: Annotated[Path, typer.Argument(help="A supervisord.conf.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="New file to write.", show_default="standard output"),
    ] = None,
) -> None:
    """Write the TOML that has `geartrain up` keep what supervisord does."""
    from geartrain.errors import UsageError
    from geartrain.supervisor.supervisord_conf import convert

    found = convert(file)
    if output is None:
        print(found.toml(), end="")
    else:
        try:
            with output.open("x") as out:
                out.write(found.toml())
        except OSError as error:
            raise UsageError(f"can't write {output}: {error.strerror}") from None
    for remark in found.remarks:
        print(f"geartrain: {remark}", file=sys.stderr)
    if not found.programs:
        print(f"geartrain: {file} has no programs", file=sys.stderr)
