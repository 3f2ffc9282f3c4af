"""
A schedule of 100,000 entries, of which a thousand fire each second.

A scheduler, a job server and a worker are processes of their own, as is PostgreSQL. The entries
begin to fire at one moment: before it the scheduler is started and left idle, after it each entry
fires every hundred seconds. How late a fire was submitted is read from its row.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from .kinds import Class, Contestant, Line
from .load import Figures, WrongResult
from .servers import TICKS, Server, Setup, program_path
from .stores import ENGINES
from .stores import lacks as lacks_engine

if TYPE_CHECKING:
    from geartrain.store.schedule_sql import SqlScheduleStore

__all__ = ["SCHEDULES"]

ENTRIES = 100_000
PERIOD = 100  # seconds
LOT = 2_000
# Seconds: for the start, while nothing fires, until all goes steadily, and that are measured.
START = 15
IDLE = 5
SETTLING = 5
MEASURED = 10
LATER = 3

WORKER = """
import sys, geartrain
worker = geartrain.Worker(sys.argv[1])
worker.register("bench", lambda job: b"")
worker.run()
"""


class Unscheduled(Setup):
    """A server without a scheduler of its own."""

    def command(self, port: int, directory: Path) -> list[str]:
        return [*super().command(port, directory), "--no-scheduler"]


class Process:
    """A process beside the server, looked at from outside."""

    def __init__(self, log: Path, *command: str) -> None:
        self.log = log
        self.begun = time.monotonic()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def wait_until_said(self, word: str) -> float:
        """Wait for a word in its log; return for how many seconds it ran until then."""
        while word not in self.log.read_text(errors="replace"):
            if self.process.poll() is not None or time.monotonic() > self.begun + 60:
                raise WrongResult(f"no {word!r}: {self.log.read_text(errors='replace')[-500:]}")
            time.sleep(0.01)
        return time.monotonic() - self.begun

    def cpu(self) -> float:
        """CPU time so far in seconds, user and system, all threads."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def stopped_in_the_end(process: Process) -> Iterator[Process]:
    try:
        yield process
    finally:
        process.stop()


def measure(
    contestant: Contestant, generator: Path, folder: Path, quick: bool
) -> tuple[Figures, list[str]]:
    """Fill a store, start a scheduler on it, and see how late it is."""
    if contestant.store != "sqlite":
        from tests.services.instance import Instance

        Instance.in_memory = False
    entries = ENTRIES // 10 if quick else ENTRIES
    with ENGINES[contestant.store](folder) as new_place:
        url = new_place("schedules").url
        jobs = url if contestant.store == "sqlite" else "sqlite"
        with Server(Unscheduled("geartrain", jobs), folder) as server:
            return run(url, server, folder, entries)


def run(url: str, server: Server, folder: Path, entries: int) -> tuple[Figures, list[str]]:
    """Measure a scheduler beside a server."""
    from geartrain.store.schedule_sql import SqlScheduleStore, open_schedules

    store = open_schedules(url)
    assert isinstance(store, SqlScheduleStore)
    store.open()
    fill(store, entries)
    begins = round(time.time()) + START + IDLE
    set_off(store, begins)
    address = f"127.0.0.1:{server.port}"
    command = [program_path("geartrain"), "scheduler", "--store", url, "--servers", address]
    worker = Process(folder / "worker.log", sys.executable, "-c", WORKER, address)
    with stopped_in_the_end(worker):
        scheduler = Process(folder / "scheduler.log", *command)
        with stopped_in_the_end(scheduler):
            ready = scheduler.wait_until_said("ready")
            idle = idle_share(scheduler, begins - IDLE)
            wait_until(begins + SETTLING + MEASURED + LATER)
    figures = lateness(store, begins + SETTLING, entries)
    store.close()
    return {"ready": ready, "idle_cpu": idle, **figures}, [" ".join(command)]


def fill(store: SqlScheduleStore, entries: int) -> None:
    """Store entries that fire evenly."""
    from geartrain.schedule.entry import read_entry
    from geartrain.schedule.standing import to_schedule

    now = store.now()
    for start in range(0, entries, LOT):
        rows = [
            to_schedule(
                read_entry(
                    f"entry-{n}", {"when": f"@every {PERIOD}s/{n % PERIOD}s", "function": "bench"}
                ),
                now,
            )
            for n in range(start, min(entries, start + LOT))
        ]
        store.add_all(rows, "bench")


def set_off(store: SqlScheduleStore, begins: int) -> None:
    """Have all entries begin at one moment, however long it took to store them."""
    from sqlalchemy import update

    from geartrain.store.schedule_tables import schedules

    next_fire = begins + ((schedules.c.next_fire - begins) % PERIOD + PERIOD) % PERIOD
    begin = update(schedules).values(next_fire=next_fire, wake=next_fire, since=begins)
    store._writer.run(lambda one: one.run(begin), patience=60.0)


def idle_share(scheduler: Process, begins: float) -> float:
    """Return how much of a core it takes while nothing fires, in percent."""
    wait_until(begins)
    before = scheduler.cpu()
    wait_until(begins + IDLE - 0.5)
    return 100 * (scheduler.cpu() - before) / (IDLE - 0.5)


def wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


def lateness(store: SqlScheduleStore, first: int, entries: int) -> Figures:
    """Return how late fires were submitted; each of them has to be there once."""
    lags: list[float] = []
    for second in range(first, first + MEASURED):
        found = store.fires(since=second, until=second, limit=2 * entries)
        lags += [fire.submitted - fire.nominal for fire in found if fire.submitted]
    wanted = entries // PERIOD * MEASURED
    if len(lags) != wanted:
        raise WrongResult(f"{len(lags)} fires were submitted where {wanted} should be")
    centiles = quantiles(lags, n=100)
    return {
        "fires": len(lags) / MEASURED,
        "lag_p50": 1_000 * centiles[49],
        "lag_p99": 1_000 * centiles[98],
    }


NOTES = {
    "sqlite": "Entries and jobs are in one file.",
    "postgresql": "The jobs are in a file of SQLite's.",
}


def schedules(store: str) -> Class:
    """The class of one store; there is nobody to compare with."""
    return Class(
        f"schedules-{store}",
        "100,000 entries, of which 1,000 fire each second",
        None,
        (
            Line("fires", at_least=1_000),
            Line("lag_p99", at_most=1_000),
            Line("lag_p50"),
            Line("ready", at_most=5),
            Line("idle_cpu", at_most=2),
        ),
        (Contestant("ours", store),),
        note="`geartrain scheduler` beside `geartrain serve` and a worker. The lag is from the "
        "moment that an entry names to the acknowledgement of its job, for ten seconds. "
        + NOTES[store],
        rounds=1,
        alone=measure,
        lacks=lacks_engine,
    )


SCHEDULES = tuple(schedules(store) for store in NOTES)
