"""
How each kind of work is done: functions that load a fresh server and return figures.

Both servers get the same work from the same generator; where the peer is so slow that it gets
fewer jobs, the class says so in its note.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .kinds import Run
from .load import Figures
from .servers import Server

__all__ = [
    "abilities",
    "both",
    "depth",
    "drain",
    "foreground",
    "idle_connections",
    "idle_workers",
    "large_workload",
    "restart",
    "submit",
]

Measure = Callable[[Run], Figures]


def foreground(clients: int, outstanding: int, jobs: int) -> Measure:
    def measure(run: Run) -> Figures:
        figures = run.load.run(
            "foreground",
            clients=clients,
            workers=clients,
            outstanding=outstanding,
            jobs=run.jobs(jobs),
        )
        run.expect_queued(0)
        return figures

    return measure


def submit(
    clients: int, outstanding: int, unique: str, jobs: int, slow: int | None = None
) -> Measure:
    def measure(run: Run) -> Figures:
        amount = run.jobs(jobs, slow)
        before = run.server.rss()
        figures = run.load.run(
            "submit",
            clients=clients,
            outstanding=outstanding,
            unique=run.unique(unique),
            jobs=amount,
        )
        figures["rss_per_job"] = (run.server.rss() - before) / amount
        figures["tenths"] = figures["last_tenth_rate"] / figures["first_tenth_rate"]
        run.expect_queued(amount)
        return figures

    return measure


def drain(jobs: int, slow: int | None = None) -> Measure:
    fill = submit(8, 100, "distinct", jobs, slow)

    def measure(run: Run) -> Figures:
        fill(run)
        figures = run.load.run(
            "drain", workers=8, unique=run.unique("distinct"), jobs=run.jobs(jobs, slow)
        )
        run.expect_queued(0)
        return figures

    return measure


def both(jobs: int, slow: int | None = None) -> Measure:
    def measure(run: Run) -> Figures:
        durable = run.server.setup.store != "memory"
        figures = run.load.run(
            "both",
            clients=8,
            workers=8,
            outstanding=20,
            unique=run.unique("distinct"),
            jobs=run.jobs(jobs, slow if durable else None),
        )
        run.expect_queued(0)
        return figures

    return measure


# Depth.


def depth(jobs: int, slow: int) -> Measure:
    """Fill a queue, and empty it while somebody asks for ``status`` all the time."""
    fill = submit(8, 100, "distinct", jobs, slow)

    def measure(run: Run) -> Figures:
        figures = fill(run)
        with asking_status(run.server) as waits:
            drained = run.load.run("drain", workers=8, unique="distinct", jobs=run.jobs(jobs, slow))
        run.expect_queued(0)
        figures["status_ms"] = max(waits) * 1000
        figures["drain_rate"] = drained["rate"]
        figures["drain_tenths"] = drained["first_tenth_rate"] / drained["last_tenth_rate"]
        return figures

    return measure


@contextmanager
def asking_status(server: Server) -> Iterator[list[float]]:
    """Ask for ``status`` twenty times a second; yields the seconds that each answer took."""
    waits: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not waits or not over.wait(0.05):
            begun = time.monotonic()
            server.ask("status")
            waits.append(time.monotonic() - begun)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()


# Width.


def idle_workers(run: Run) -> Figures:
    """One job at a time, while all workers but one sleep."""
    narrow = run.load.run("foreground", clients=1, workers=10, jobs=run.jobs(10_000))
    wide = run.load.run("foreground", clients=1, workers=1000, jobs=run.jobs(10_000, slow=200))
    return {
        "rate_narrow": narrow["rate"],
        "rate_wide": wide["rate"],
        "cpu_narrow": narrow["server_cpu_us"],
        "cpu_wide": wide["server_cpu_us"],
        "width": wide["server_cpu_us"] / narrow["server_cpu_us"],
        "noops_wide": wide["noops"] / wide["jobs"],
    }


def abilities(run: Run) -> Figures:
    """One job at a time for a worker that knows one function, and for one that knows 1,000."""
    jobs = run.jobs(10_000)
    one = run.load.run("foreground", clients=1, workers=1, jobs=jobs)
    many = run.load.run("foreground", clients=1, workers=1, jobs=jobs, functions=1000)
    return {
        "rate_one": one["rate"],
        "rate_many": many["rate"],
        "cpu_one": one["server_cpu_us"],
        "cpu_many": many["server_cpu_us"],
        "abilities": many["server_cpu_us"] / one["server_cpu_us"],
    }


def idle_connections(run: Run) -> Figures:
    """Many connections that say nothing: what they cost, and whether others feel them."""
    connections = 10_000
    before = run.server.rss()
    with run.load.held(idle=connections, connecting=256) as opened:
        connection_kb = (run.server.rss() - before) / connections / 1024
        cpu, begun = run.server.cpu(), time.monotonic()
        time.sleep(1 if run.quick else 4)
        idle_cpu = (run.server.cpu() - cpu) / (time.monotonic() - begun) * 100
        busy = run.load.run("foreground", clients=1, workers=1, jobs=1000)
    return {
        "opening": opened["seconds"],
        "connection_kb": connection_kb,
        "idle_cpu": idle_cpu,
        "busy_rate": busy["rate"],
    }


def large_workload(run: Run) -> Figures:
    """One foreground job of 256 MiB, whose result is as large."""
    size = 2**28
    figures = run.load.run("foreground", clients=1, workers=1, jobs=1, size=size)
    return {
        "large_peak": run.server.peak_rss() / size,
        "large_seconds": figures["seconds"],
    }


# Restarts.


def restart(jobs: int) -> Measure:
    """Kill a server that has jobs on disk: when does it answer again, and has it all of them?"""
    fill = submit(32, 100, "distinct", jobs)

    def measure(run: Run) -> Figures:
        server, amount = run.server, run.jobs(jobs)
        if server.setup.program == "gearmand":
            fill_gearmand(server, amount)
        else:
            fill(run)
        server.kill()
        begun = time.monotonic()
        server.start()
        ready = time.monotonic() - begun
        run.expect_queued(amount)
        return {"ready": ready}

    return measure


def fill_gearmand(server: Server, jobs: int) -> None:
    """Put jobs where gearmand would, which needs minutes for it."""
    server.kill()
    rows = ((f"key-{number:08x}", "bench", 1, bytes(64), 0) for number in range(jobs))
    with sqlite3.connect(server.setup.database(server.directory)) as connection:
        connection.executemany("INSERT INTO gearman_queue VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    server.start()
