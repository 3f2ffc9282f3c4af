"""
What the kernel is asked about child processes: to hand over orphans, to end children with us.

On Linux by ``prctl``. Elsewhere there is neither, and the guard alone is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

import psutil

__all__ = ["become_subreaper", "die_with_parent", "has_members", "next_ended", "reap"]

_SET_DEATH_SIGNAL: Final = 1
_SET_CHILD_SUBREAPER: Final = 36

# Loaded at once: between fork and exec there is no time for it.
_LIBRARY: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def become_subreaper() -> bool:
    """
    Have orphans among our descendants handed to this process, and return whether that works.

    What a program leaves behind becomes our child, and is reaped like the program.
    """
    return _LIBRARY is not None and _LIBRARY.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def die_with_parent(number: int) -> Callable[[], None] | None:
    """
    Return what a child calls before it runs its program, to get a signal when we are gone.

    It has to be called after a change of user, which undoes it. None where there is no such thing.
    """
    if _LIBRARY is None:
        return None
    parent = os.getpid()
    prctl = _LIBRARY.prctl

    def call() -> None:
        prctl(_SET_DEATH_SIGNAL, number, 0, 0, 0)
        if os.getppid() != parent:
            # It came too late.
            os.kill(os.getpid(), signal.SIGKILL)

    return call


def next_ended() -> tuple[int, int] | None:
    """
    Return process id and status of a child that ended and is not yet reaped, None if none did.

    The status is its exit code, or minus the signal that ended it. Until it is
    reaped nobody else gets its process id.
    """
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if found is None:
        return None
    exited = found.si_code == os.CLD_EXITED
    return found.si_pid, found.si_status if exited else -found.si_status


def reap(pid: int) -> None:
    """Let the system forget a child that ended."""
    os.waitpid(pid, 0)


def has_members(group: int) -> bool:
    """Whether there is anybody in a process group, its leader apart."""
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if pid != group and os.getpgid(pid) == group:
                return True
    return False
