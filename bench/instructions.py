"""
Counts instructions per job on the hot paths, with callgrind.

Times drift with whatever else a machine does; these counts hardly do, so they show a change of a
hundredth. They are those of the server's process in user space: what the kernel does for its
sockets is not in them, nor what waiting costs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .load import Load
from .servers import Server, Setup

__all__ = ["Counts", "count_instructions"]

# Instructions per job, by name of the path and program.
Counts = dict[str, dict[str, float]]

# Jobs that warm a path up before it is counted.
WARM_UP = 200


@dataclass(frozen=True)
class HotPath:
    """Work that is counted: a mode of the load generator with its options, and how many jobs."""

    name: str
    store: str
    mode: str
    jobs: int
    options: dict[str, object]


def clients(number: int, outstanding: int, unique: str = "none") -> dict[str, object]:
    return {"clients": number, "outstanding": outstanding, "unique": unique}


# One server does all paths of a store, one after the other; each leaves its queue empty.
PATHS = (
    HotPath("foreground-1x1", "memory", "foreground", 1000, {**clients(1, 1), "workers": 1}),
    HotPath("foreground-8x50", "memory", "foreground", 2000, {**clients(8, 50), "workers": 8}),
    HotPath("submit-unique", "memory", "submit", 3000, clients(8, 100, "distinct")),
    HotPath("drain", "memory", "drain", 3000, {"workers": 8, "unique": "distinct"}),
    HotPath("both", "memory", "both", 2000, {**clients(8, 20, "distinct"), "workers": 8}),
    HotPath("durable-submit", "sqlite", "submit", 1000, clients(32, 20, "distinct")),
    HotPath("durable-drain", "sqlite", "drain", 1000, {"workers": 8, "unique": "distinct"}),
)


def count_instructions(programs: list[str], generator: Path, build: Path) -> Counts:
    """Count every path for every program."""
    counts: Counts = {path.name: {} for path in PATHS}
    for program in programs:
        for store in ("memory", "sqlite"):
            with running(program, store, build) as server:
                load = Load(generator, {"port": server.port})
                for path in PATHS:
                    if path.store == store:
                        counts[path.name][program] = count(path, server, load)
    return counts


@contextmanager
def running(program: str, store: str, build: Path) -> Iterator[Server]:
    with (
        tempfile.TemporaryDirectory(dir=build, prefix="run-") as folder,
        Server(Setup(program, store), Path(folder), "callgrind") as server,
    ):
        yield server


def count(path: HotPath, server: Server, load: Load) -> float:
    """Instructions per job of one path. A queue that a path fills is left for the next."""
    if path.mode in ("foreground", "both"):
        load.run(path.mode, jobs=WARM_UP, **path.options)
    server.start_counting()
    load.run(path.mode, jobs=path.jobs, **path.options)
    return server.instructions() / path.jobs
