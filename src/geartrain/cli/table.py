"""
Tables as people read them: columns of text, cut to the width of the terminal.

Where output is no terminal nothing is cut, since a program may read it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["print_table", "shown", "terminal_width"]

_GAP: Final = "  "
_UNLIMITED: Final = 1_000_000


def print_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    cut: Mapping[str, int] | None = None,
    width: int | None = None,
) -> None:
    """
    Print rows under their head.

    Args:
        head: Names of the columns.
        rows: A cell for each of them; columns that are empty in every row are left out.
        cut: Columns that may be cut where there is no room, the first to be cut first, with the
            width that is left to them.
        width: Of the terminal; found out where it is not given.

    """
    used = [place for place in range(len(head)) if any(row[place] for row in rows)]
    table = [[shown(row[place]) for place in used] for row in [head, *rows]]
    names = [head[place] for place in used]
    widths = [max(len(row[place]) for row in table) for place in range(len(names))]
    spare = (terminal_width() if width is None else width) - len(_GAP) * (len(names) - 1)
    for name, least in (cut or {}).items():
        if name in names and sum(widths) > spare:
            place = names.index(name)
            least = min(widths[place], max(least, len(name)))
            widths[place] = max(least, widths[place] - (sum(widths) - spare))
    for row in table:
        cells = [_fitted(cell, width) for cell, width in zip(row, widths, strict=True)]
        print(_GAP.join(cells).rstrip())


def terminal_width() -> int:
    """Return how wide a line may be."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNLIMITED


def shown(text: str) -> str:
    """Return a text that may stand in one line of a terminal."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _fitted(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"
