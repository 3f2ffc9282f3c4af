"""
What commands print: bytes on standard output, one line of words on standard error.

Written with the system calls, so that nothing is buffered, nothing changes a
byte, and what a pipe's reader closed shows at the write that meets it.
"""

from __future__ import annotations

import os
from typing import Final

STDOUT: Final = 1
STDERR: Final = 2


def write_out(data: bytes) -> None:
    """
    Write bytes to standard output as they are.

    Raises:
        BrokenPipeError: Nobody reads them any more.
        OSError: They can't be written: disk full, output closed.

    """
    _write(STDOUT, data)


def write_err(data: bytes) -> None:
    """Write bytes to standard error as they are; where that can't be, they are lost."""
    try:
        _write(STDERR, data)
    except OSError:
        # There is no place left to complain.
        return


def say(program: str, text: str) -> None:
    """Write one line for the user to standard error, after the program's name."""
    write_err(f"{program}: {text}\n".encode("utf-8", "backslashreplace"))


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


__all__ = ["STDERR", "STDOUT", "say", "write_err", "write_out"]
