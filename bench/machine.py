"""
What figures depend on: the machine, the versions of what was measured, cores that fall asleep.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from . import python_queues
from .servers import version

__all__ = ["cores_kept_awake", "facts"]

# Whoever holds it open says how long waking a core may take, in microseconds (Linux's PM QoS).
LATENCY = Path("/dev/cpu_dma_latency")


@contextmanager
def cores_kept_awake() -> Iterator[None]:
    """
    Keep cores from falling asleep between two packets, where we may.

    Waking a core takes longer than a server needs for a job, most of all where the core is a
    virtual one, and it happens or not as the scheduler likes.
    """
    if not os.access(LATENCY, os.W_OK):
        yield
        return
    with LATENCY.open("wb", buffering=0) as request:
        request.write(bytes(4))
        yield


def facts(programs: list[str], directory: Path) -> list[tuple[str, str]]:
    """Name and value of each; ``directory`` is where the databases are."""
    return [
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("processor", f"{processor()}, {os.cpu_count()} cores"),
        ("cores between packets", "awake" if os.access(LATENCY, os.W_OK) else "may fall asleep"),
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
