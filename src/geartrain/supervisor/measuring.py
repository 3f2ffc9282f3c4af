"""
How much memory processes use, with all they have started.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

import psutil

__all__ = ["memory_of"]


def memory_of(leaders: Iterable[int]) -> dict[int, int]:
    """
    Return the bytes of memory that sessions use, by the process that leads each.

    Every process that we start leads a session, and what it starts belongs to
    it. Memory that several processes share is counted for each of them.
    """
    used = dict.fromkeys(leaders, 0)
    if not used:
        return used
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            session = os.getsid(pid)
            if session in used:
                used[session] += psutil.Process(pid).memory_info().rss
    return used
