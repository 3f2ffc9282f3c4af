"""
The text protocol: words of a line, and the exact replies.

Lists end their lines with LF and themselves with a line of one dot; OK and
ERR end with CRLF, but for ``version``, ``getpid`` and ``verbose``. Existing
scripts count on all of it.
"""

from __future__ import annotations

import re
from typing import Final

OK: Final = b"OK\r\n"
END_OF_LIST: Final = b".\n"
UNKNOWN_JOB: Final = b"ERR UNKNOWN_JOB\r\n"
STORE_UNAVAILABLE: Final = b"ERR STORE_UNAVAILABLE The+store+does+not+answer\r\n"
SERVER_UNAVAILABLE: Final = (
    b"ERR SERVER_UNAVAILABLE The+server+that+may+have+the+job+does+not+answer\r\n"
)
UNKNOWN_ERROR: Final = b"ERR UNKNOWN_ERROR\r\n"
UNKNOWN_SHOW_ARGUMENTS: Final = b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"
FUNCTION_NOT_FOUND: Final = b"ERR function not found\r\n"
FUNCTION_IN_USE: Final = b"ERR there are still connected workers or executing clients\r\n"

_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")


def words(line: bytes) -> list[bytes]:
    """Return the words of a text command; runs of spaces separate them."""
    return [word for word in line.split(b" ") if word]


def printable(name: bytes) -> bytes:
    """
    Return a name as it may stand in a text reply.

    A function or unique key may hold any byte but NUL. Control characters
    would forge columns and lines, so they are written as ``\\xNN``.
    """
    if _CONTROL.search(name) is None:
        return name
    return _CONTROL.sub(lambda match: b"\\x%02x" % match.group()[0], name)


def unknown_command(word: bytes) -> bytes:
    """Return the reply to a command nobody knows; gearmand puts no space before the word."""
    return b"ERR UNKNOWN_COMMAND Unknown+server+command" + printable(word) + b"\r\n"


def incomplete_command(word: bytes) -> bytes:
    """Return the reply to a command that lacks arguments."""
    return (
        b"ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+"
        + printable(word)
        + b"\r\n"
    )


__all__ = [
    "END_OF_LIST",
    "FUNCTION_IN_USE",
    "FUNCTION_NOT_FOUND",
    "OK",
    "SERVER_UNAVAILABLE",
    "STORE_UNAVAILABLE",
    "UNKNOWN_ERROR",
    "UNKNOWN_JOB",
    "UNKNOWN_SHOW_ARGUMENTS",
    "incomplete_command",
    "printable",
    "unknown_command",
    "words",
]
