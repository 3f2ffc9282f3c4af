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
# No job server could be reached, or the connection to it was lost.
UNREACHABLE: Final = 3
# The server answered ERROR or ERR.
REFUSED: Final = 5
# Nothing happened within the time allowed.
TIMED_OUT: Final = 6

__all__ = ["DONE", "FAILED", "REFUSED", "TIMED_OUT", "UNREACHABLE", "USAGE"]
