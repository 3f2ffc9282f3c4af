"""
A small disk, in memory, that can be filled up: for the store that writes to it, not for others.

Whoever uses it runs in a mount namespace of its own (`ENTER`), so that nothing is left mounted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

# What a command begins with that has mounts of its own, and ends when its parent does.
ENTER = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
MEGABYTE = 1 << 20
# What is written, and not set aside at once, because others write too.
LAST = 64 * MEGABYTE
# What is written at a time in the end.
PAGE = 4096


def can_be_made() -> bool:
    """Return whether a disk can be made: by root, where the kernel lets it."""
    if os.geteuid() != 0:
        return False
    words = [*ENTER, "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(words, capture_output=True).returncode == 0


class Disk:
    """
    A disk at a new folder.

    Args:
        folder: Where; whoever starts on it finds it empty.
        size: In megabytes.
        user: Whom it belongs to.

    """

    def __init__(self, folder: Path, size: int, user: str = "root") -> None:
        folder.mkdir(exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=700", "none", str(folder)]
        subprocess.run(words, check=True)
        shutil.chown(folder, user, user)
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no room on it, whoever writes to it meanwhile."""
        free = shutil.disk_usage(self.folder).free
        with self.ballast.open("wb", buffering=0) as file:
            start = max(0, free - LAST)
            if start:
                os.posix_fallocate(file.fileno(), 0, start)
            file.seek(start)
            for size in (MEGABYTE, PAGE):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """Give the room back."""
        self.ballast.unlink()

    def close(self) -> None:
        """Take it away, and what is on it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
