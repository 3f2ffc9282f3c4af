"""
What figures depend on: the machine, the versions of what was measured.
"""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from . import python_queues
from .servers import version

__all__ = ["facts"]


def facts(programs: list[str], directory: Path) -> list[tuple[str, str]]:
    """Name and value of each; ``directory`` is where the databases are."""
    return [
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("processor", f"{processor()}, {os.cpu_count()} cores"),
        ("memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("file system of the durable classes", first_line(["stat", "-fc", "%T", str(directory)])),
        ("Python", platform.python_version()),
        ("compiler of the load generator", first_line(["cc", "--version"])),
        *((name, version(name)) for name in programs),
        ("Redis", first_line(["redis-server", "--version"])),
        ("Python task queues", python_queues.versions()),
    ]


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except OSError:
        return "unknown"
    return (done.stdout.splitlines() or ["unknown"])[0]
