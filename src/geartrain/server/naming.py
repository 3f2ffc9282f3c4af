"""
What a server is called: its handles' start, its name among others, where others reach it.
"""

from __future__ import annotations

import os
import secrets
import string
import time

from geartrain.errors import UsageError
from geartrain.server.settings import Settings

# What leaves a handle room for the count behind it: 63 bytes in all.
MAX_HANDLE_PREFIX = 30

_DIGITS = string.digits + string.ascii_lowercase
# Listening there is listening everywhere, which is nowhere that others could connect to.
_EVERYWHERE = ("", "*", "0.0.0.0", "[::]", "::")

__all__ = ["MAX_HANDLE_PREFIX", "advertised_address", "name_among_others", "new_handle_prefix"]


def name_among_others(settings: Settings) -> str:
    """
    Return what a server is called among those that share its store.

    It stays the same when the server is started again on the same port, so that what an
    earlier process left is taken over at once.
    """
    if settings.name:
        return settings.name
    _, _, port = advertised_address(settings).rpartition(":")
    # On a free port, or on none, it is a new server each time.
    return f"{os.uname().nodename}:{port or unused_name()}"


def advertised_address(settings: Settings) -> str:
    """Return ``HOST:PORT`` at which other servers reach this one; empty where they can't."""
    if settings.advertise:
        return settings.advertise
    for address in settings.listen:
        host, colon, port = address.rpartition(":")
        if colon and port.isdigit() and int(port) and host != "unix":
            return f"{os.uname().nodename if host in _EVERYWHERE else host}:{port}"
    return ""


def unused_name() -> str:
    """Return what nobody is called."""
    return base36(secrets.randbelow(36**8))


def new_handle_prefix(wanted: str) -> bytes:
    """
    Return the start of this process's handles, which no other process has.

    It ends with the time of the start and some randomness, in base 36. Raises
    UsageError where the wanted prefix leaves no room.
    """
    prefix = wanted or f"H:{os.uname().nodename[: MAX_HANDLE_PREFIX - 2]}"
    if len(prefix) > MAX_HANDLE_PREFIX or not prefix.isascii() or not prefix.isprintable():
        raise UsageError(
            f"handle prefix {wanted!r} has to be at most {MAX_HANDLE_PREFIX} ASCII characters"
        )
    start = base36(int(time.time())) + base36(secrets.randbelow(36**4)).rjust(4, "0")
    return f"{prefix.replace(' ', '_')}:{start}".encode()


def base36(number: int) -> str:
    """Return a number in base 36."""
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
