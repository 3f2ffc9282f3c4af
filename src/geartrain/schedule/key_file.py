"""
The file with the key that agents and schedulers share.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from geartrain.errors import UsageError

__all__ = ["read_key"]

_LEAST: Final = 16


def read_key(path: str, setting: str) -> bytes:
    """
    Return the key that a file holds, without white space around it; empty without a file.

    Args:
        path: The file, or empty.
        setting: Where the file is named, for messages.

    Raises:
        UsageError: It can't be read, is too short to be secret, or can be read by every user.

    """
    if not path:
        return b""
    try:
        key = Path(path).read_bytes().strip()
        mode = os.stat(path).st_mode
    except OSError as error:
        raise UsageError(f"can't read {setting} {path}: {error.strerror}") from None
    if len(key) < _LEAST:
        raise UsageError(
            f"{setting} {path} holds {len(key)} bytes; make a key with: openssl rand -hex 32"
        )
    if mode & stat.S_IROTH:
        raise UsageError(f"{setting} {path} can be read by every user: chmod 600 {path}")
    return key
