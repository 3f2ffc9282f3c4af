"""
Exit codes of the commands.

The drop-in tools exit as gearmand's own do where those exit non-zero (always
1), and with a code of this table where those wrongly say 0.
"""

from __future__ import annotations

from typing import Final

DONE: Final = 0
# A job failed. For the drop-in tools also: wrong usage, or output that can't be written.
FAILED: Final = 1
# An option, a setting, an address or the store can't be used.
USAGE: Final = 2
# No job server or database could be reached, or the connection to it was lost.
UNREACHABLE: Final = 3
# There is no such job or entry.
NOT_FOUND: Final = 4
# The server answered ERROR or ERR; or what was asked can't be done as things stand.
REFUSED: Final = 5
# Nothing happened within the time allowed.
TIMED_OUT: Final = 6

__all__ = ["DONE", "FAILED", "NOT_FOUND", "REFUSED", "TIMED_OUT", "UNREACHABLE", "USAGE"]
