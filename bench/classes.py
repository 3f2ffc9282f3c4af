"""
What is measured, and what we want to reach.

A class is one kind of work. Its function loads a server that was started for it and returns
figures; its lines say which figures go into the table and what the goal is. Both servers get the
same work from the same generator; where the peer is so slow that it gets fewer jobs, the class
says so in its note.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .load import Figures, Load, WrongResult
from .servers import Server

__all__ = ["CLASSES", "METRICS", "Class", "Contestant", "Line", "Metric", "Run"]


@dataclass(frozen=True)
class Contestant:
    """One side of a comparison, ``ours`` or ``peer``, its queue in ``memory`` or ``sqlite``."""

    side: str
    store: str


@dataclass
class Run:
    """
    One measurement of one server.

    Attributes:
        server: The server, freshly started.
        load: The generator, aimed at it.
        quick: Whether a tenth of the jobs is enough.

    """

    server: Server
    load: Load
    quick: bool

    def jobs(self, amount: int, slow: int | None = None) -> int:
        """How many jobs to run: ``slow`` of them if gearmand would need minutes for ``amount``."""
        if slow is not None and self.server.setup.program == "gearmand":
            amount = slow
        return max(amount // 10, 100) if self.quick else amount

    def expect_queued(self, jobs: int) -> None:
        """The server's own count must agree with the generator's."""
        queued = self.server.queued()
        if queued != jobs:
            raise WrongResult(f"the server counts {queued} jobs where {jobs} should be")


@dataclass(frozen=True)
class Metric:
    """A figure of the table; ``more`` says whether more of it is better."""

    title: str
    more: bool
    digits: int = 0


METRICS = {
    "rate": Metric("jobs/s", more=True),
    "server_cpu_us": Metric("server CPU, us/job", more=False, digits=1),
    "p50_us": Metric("latency p50, us", more=False),
    "p99_us": Metric("latency p99, us", more=False),
    "generator_busy": Metric("load generator's share of a core", more=False, digits=2),
    "rss_per_job": Metric("RSS per queued job, bytes", more=False),
    "tenths": Metric("rate of the last tenth / first tenth", more=True, digits=2),
    "syncs_per_job": Metric("fsync + fdatasync per job", more=False, digits=3),
    "rate_narrow": Metric("jobs/s beside 10 workers", more=True),
    "rate_wide": Metric("jobs/s beside 1,000 workers", more=True),
    "cpu_narrow": Metric("server CPU beside 10 workers, us/job", more=False, digits=1),
    "cpu_wide": Metric("server CPU beside 1,000 workers, us/job", more=False, digits=1),
    "width": Metric("CPU of a job beside 1,000 / beside 10", more=False, digits=2),
    "noops_wide": Metric("workers woken per job", more=False, digits=1),
    "opening": Metric("10,000 connections opened in, s", more=False, digits=2),
    "connection_kb": Metric("RSS per idle connection, KiB", more=False, digits=1),
    "idle_cpu": Metric("CPU while idle, % of a core", more=False, digits=1),
    "busy_rate": Metric("jobs/s beside 10,000 idle connections", more=True),
}


@dataclass(frozen=True)
class Line:
    """
    A row of the table.

    Attributes:
        metric: Key of `METRICS`.
        times: Goal: so many times better than the peer.
        at_most, at_least: Goal for our own figure.
        against: The peer to compare with, when it is not the class's second contestant.

    """

    metric: str
    times: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    against: Contestant | None = None


@dataclass(frozen=True)
class Class:
    """One kind of work: how to measure it, whom, and which lines it fills."""

    name: str
    title: str
    measure: Callable[[Run], Figures]
    lines: tuple[Line, ...]
    contestants: tuple[Contestant, ...]
    note: str = ""
    traced: bool = field(default=False)


OURS = Contestant("ours", "memory")
PEER = Contestant("peer", "memory")
OURS_DURABLE = Contestant("ours", "sqlite")
PEER_DURABLE = Contestant("peer", "sqlite")


# How each kind of work is done.


def foreground(clients: int, outstanding: int, jobs: int) -> Callable[[Run], Figures]:
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
) -> Callable[[Run], Figures]:
    def measure(run: Run) -> Figures:
        amount = run.jobs(jobs, slow)
        before = run.server.rss()
        figures = run.load.run(
            "submit", clients=clients, outstanding=outstanding, unique=unique, jobs=amount
        )
        figures["rss_per_job"] = (run.server.rss() - before) / amount
        figures["tenths"] = figures["last_tenth_rate"] / figures["first_tenth_rate"]
        run.expect_queued(amount)
        return figures

    return measure


def drain(jobs: int) -> Callable[[Run], Figures]:
    fill = submit(8, 100, "distinct", jobs)

    def measure(run: Run) -> Figures:
        fill(run)
        figures = run.load.run("drain", workers=8, unique="distinct", jobs=run.jobs(jobs))
        run.expect_queued(0)
        return figures

    return measure


def both(jobs: int, slow: int | None = None) -> Callable[[Run], Figures]:
    def measure(run: Run) -> Figures:
        durable = run.server.setup.store == "sqlite"
        figures = run.load.run(
            "both",
            clients=8,
            workers=8,
            outstanding=20,
            unique="distinct",
            jobs=run.jobs(jobs, slow if durable else None),
        )
        run.expect_queued(0)
        return figures

    return measure


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


# The classes, in the order of the table.

LATENCIES = (Line("p50_us"), Line("p99_us"), Line("generator_busy"))

FOREGROUND = (Line("rate", times=1.3), Line("server_cpu_us", times=1.5), *LATENCIES)

CLASSES = (
    Class(
        "foreground-1x1",
        "foreground, 1 client, 1 outstanding, 1 worker",
        foreground(1, 1, 20_000),
        FOREGROUND,
        (OURS, PEER),
    ),
    Class(
        "foreground-8x8",
        "foreground, 8 clients, 1 outstanding each, 8 workers",
        foreground(8, 1, 60_000),
        FOREGROUND,
        (OURS, PEER),
    ),
    Class(
        "foreground-8x50",
        "foreground, 8 clients, 50 outstanding each, 8 workers",
        foreground(8, 50, 100_000),
        FOREGROUND,
        (OURS, PEER),
    ),
    Class(
        "submit-unique",
        "background submit, 200,000 distinct unique keys",
        submit(8, 100, "distinct", 200_000),
        (
            Line("rate", times=5),
            Line("server_cpu_us"),
            Line("rss_per_job", at_most=600),
            *LATENCIES,
        ),
        (OURS, PEER),
    ),
    Class(
        "submit-plain",
        "background submit, 1,000,000 jobs without a key",
        submit(8, 100, "none", 1_000_000),
        (
            Line("rate", times=1.1),
            Line("server_cpu_us"),
            Line("rss_per_job", at_most=600),
            *LATENCIES,
        ),
        (OURS, PEER),
        note="gearmand's best case: its table of unique keys stays empty.",
    ),
    Class(
        "drain",
        "drain 200,000 jobs with unique keys, 8 workers",
        drain(200_000),
        (Line("rate", times=2), Line("server_cpu_us"), Line("generator_busy")),
        (OURS, PEER),
    ),
    Class(
        "both",
        "submit and drain together, unique keys, 8 clients x 20, 8 workers",
        both(200_000),
        (Line("rate", times=3), Line("server_cpu_us"), *LATENCIES),
        (OURS, PEER),
    ),
    Class(
        "depth",
        "background submit, 1,000,000 distinct unique keys",
        submit(8, 100, "distinct", 1_000_000, slow=300_000),
        (
            Line("tenths", at_least=0.8),
            Line("rss_per_job", at_most=600),
            Line("rate"),
            Line("server_cpu_us"),
        ),
        (OURS, PEER),
        note="gearmand gets 300,000 jobs: it slows down with every key it holds, and a million "
        "would take it minutes. Its ratio of tenths would be worse there.",
    ),
    Class(
        "idle-workers",
        "one job at a time beside 10 and beside 1,000 sleeping workers",
        idle_workers,
        (
            # A tenth more is within the noise of two short runs.
            Line("width", at_most=1.1),
            Line("rate_narrow"),
            Line("rate_wide"),
            Line("cpu_narrow"),
            Line("cpu_wide"),
            Line("noops_wide"),
        ),
        (OURS, PEER),
        note="Beside 1,000 workers gearmand gets 200 jobs and we 10,000: it wakes all for each.",
    ),
    Class(
        "idle-connections",
        "10,000 connections that say nothing, opened 256 at a time",
        idle_connections,
        (
            Line("opening", at_most=2),
            Line("connection_kb", at_most=6),
            Line("idle_cpu", at_most=2),
            Line("busy_rate"),
        ),
        (OURS, PEER),
    ),
    Class(
        "durable-submit",
        "durable submit, 32 producers x 20 outstanding",
        submit(32, 20, "distinct", 200_000, slow=5_000),
        (Line("rate", times=40), Line("server_cpu_us"), *LATENCIES),
        (OURS_DURABLE, PEER_DURABLE),
        note="200,000 jobs for us, 5,000 for gearmand, so that both runs last seconds.",
    ),
    Class(
        "durable-serial",
        "durable submit, 1 producer, one by one",
        submit(1, 1, "distinct", 10_000, slow=3_000),
        (Line("rate", times=2), Line("server_cpu_us"), *LATENCIES),
        (OURS_DURABLE, PEER_DURABLE),
        note="10,000 jobs for us, 3,000 for gearmand.",
    ),
    Class(
        "durable-both",
        "durable submit and drain together, 8 clients x 20, 8 workers",
        both(60_000, slow=2_000),
        (
            Line("rate", times=25),
            Line("rate", times=1.2, against=PEER),
            Line("server_cpu_us"),
            *LATENCIES,
        ),
        (OURS_DURABLE, PEER_DURABLE, PEER),
        note="60,000 jobs for us and for gearmand in memory, 2,000 for gearmand on SQLite.",
    ),
    Class(
        "durable-syncs",
        "disk synchronisations, 32 producers x 20 outstanding",
        submit(32, 20, "distinct", 50_000, slow=2_000),
        (Line("syncs_per_job", at_most=0.1),),
        (OURS_DURABLE, PEER_DURABLE),
        note="Counted by strace, which slows both servers down: no rate is taken from this run.",
        traced=True,
    ),
)
