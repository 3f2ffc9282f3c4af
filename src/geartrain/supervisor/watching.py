"""
Watches files and directories for changes, for programs that are to be restarted by them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

__all__ = ["watch"]


async def watch(paths: Sequence[str], changed: Callable[[], None]) -> None:
    """
    Call ``changed`` after each burst of changes, until it is cancelled.

    Raises:
        FileNotFoundError: One of the paths is not there.

    """
    # Loaded by those who use it.
    from watchfiles import awatch

    stop = asyncio.Event()
    try:
        async for _ in awatch(*paths, stop_event=stop, raise_interrupt=False):
            changed()
    finally:
        stop.set()
