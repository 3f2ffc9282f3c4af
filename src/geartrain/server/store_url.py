"""
Where a server's settings say that its store is, and who else could read that.

A URL may hold a password. It belongs into a file that only the server's user reads, or into the
environment; what others can read is warned about.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from geartrain.errors import UsageError
from geartrain.server.settings import Settings
from geartrain.store.secret import masked_url

__all__ = ["store_url", "warn_of_readers"]

warnings = logging.getLogger("geartrain.warning")


def store_url(settings: Settings) -> str:
    """Return the URL of the store; raises UsageError where it is in a file that can't be read."""
    if not settings.store_file:
        return settings.store
    path = Path(settings.store_file)
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"can't read store_file {path}: {said}") from None
    if not found or len(found.split()) > 1:
        raise UsageError(f"store_file {path} has to hold one URL, and nothing else")
    warn_of_readers(path, found)
    return found


def warn_of_readers(path: Path, url: str) -> None:
    """Warn when a URL with a password is in a file that every user can read."""
    if masked_url(url) != url and os.stat(path).st_mode & stat.S_IROTH:
        warnings.warning(
            "WARNING: %s holds a password and can be read by every user: chmod 600 %s", path, path
        )
