"""
Who holds a store that only one server may use at a time, and whether that one is gone.

A store on the network can't be locked as a file can. Its lease says in words
which process took it, so that a server that is started again after kill -9
on the same machine need not wait until the lease of its dead self runs out.
"""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from typing import Final

__all__ = ["describe", "is_gone", "new_holder"]

# ``host machine process start token``, without blanks in any of them.
_FIELDS: Final = 5


def new_holder() -> bytes:
    """Return the name under which this process holds a store, different at every call."""
    host = "".join(one if one.isalnum() or one in ".-_" else "_" for one in socket.gethostname())
    words = (host or "localhost", machine(), str(os.getpid()), started(os.getpid()))
    return " ".join((*words, secrets.token_hex(8))).encode()


def is_gone(holder: bytes) -> bool:
    """Whether the process was one of this machine, and has ended."""
    words = holder.decode("ascii", "replace").split(" ")
    if len(words) != _FIELDS or words[1] != machine() or words[1] == "-":
        return False
    process, start = words[2], words[3]
    return start != "-" and process.isdecimal() and started(int(process)) != start


def describe(holder: bytes) -> str:
    """Return who that is, for a message."""
    words = holder.decode("ascii", "backslashreplace").split(" ")
    if len(words) != _FIELDS:
        return f"{holder[:80]!r}"
    return f"process {words[2]} on {words[0]}"


def machine() -> str:
    """
    Return what tells this machine and its process numbers from others, ``-`` where unknown.

    Containers of one machine share its boot and have process numbers of their own.
    """
    with suppress(OSError):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    return "-"


def started(process: int) -> str:
    """Return when a process was started, in its kernel's ticks; ``-`` when there is none."""
    with suppress(OSError, IndexError):
        with open(f"/proc/{process}/stat", "rb") as file:
            # The name before it may hold blanks and brackets of its own.
            words = file.read().rpartition(b")")[2].split()
        # A process that has ended and was not waited for still has its entry.
        if words[0] not in (b"Z", b"X"):
            return words[19].decode()
    return "-"
