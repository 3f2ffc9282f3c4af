"""
Cuts what a process writes into lines.

A line is given out once its end has come. What has no end is cut when it gets
too long, or given out as it is when the process is gone. Bytes stay as they are.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LONGEST_LINE", "LineCutter"]

# Bytes.
LONGEST_LINE: Final = 64 * 1024


class LineCutter:
    """One output of one process."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that ``data`` completes, without their ends."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        while len(self.rest) >= LONGEST_LINE:
            lines.append(self.rest[:LONGEST_LINE])
            self.rest = self.rest[LONGEST_LINE:]
        return lines

    def finish(self) -> list[bytes]:
        """Return what is left of a line that has no end."""
        rest, self.rest = self.rest, b""
        return [rest] if rest else []
