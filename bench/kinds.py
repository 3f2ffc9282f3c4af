"""
What a class of measurements is made of: contestants, figures, lines of the table, goals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .load import Figures, Load, WrongResult
from .servers import Server

__all__ = ["METRICS", "Class", "Contestant", "Line", "Metric", "Run"]


@dataclass(frozen=True)
class Contestant:
    """
    Who is measured.

    Attributes:
        side: ``ours``, ``peer`` (gearmand), or the name of another program.
        store: Where its jobs are kept, such as ``memory`` or ``sqlite``.

    """

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
        """How many jobs to run: ``slow`` of them where ``amount`` would take minutes."""
        setup = self.server.setup
        if slow is not None and (setup.program == "gearmand" or setup.store == "binlog -f 0"):
            amount = slow
        return max(amount // 10, 100) if self.quick else amount

    def unique(self, wanted: str) -> str:
        """The keys that jobs get: none where the server knows no such thing."""
        return "none" if self.server.setup.protocol == "beanstalk" else wanted

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
    "tenths": Metric("submit: rate of the last tenth / first tenth", more=True, digits=2),
    "drain_rate": Metric("drain, jobs/s", more=True),
    "drain_tenths": Metric("drain: rate at full depth / when nearly empty", more=True, digits=2),
    "status_ms": Metric("longest wait for `status` meanwhile, ms", more=False, digits=1),
    "syncs_per_job": Metric("fsync + fdatasync per job", more=False, digits=3),
    "rate_narrow": Metric("jobs/s beside 10 workers", more=True),
    "rate_wide": Metric("jobs/s beside 1,000 workers", more=True),
    "cpu_narrow": Metric("server CPU beside 10 workers, us/job", more=False, digits=1),
    "cpu_wide": Metric("server CPU beside 1,000 workers, us/job", more=False, digits=1),
    "width": Metric("CPU of a job beside 1,000 / beside 10", more=False, digits=2),
    "noops_wide": Metric("workers woken per job", more=False, digits=1),
    "rate_one": Metric("jobs/s, worker of 1 function", more=True),
    "rate_many": Metric("jobs/s, worker of 1,000 functions", more=True),
    "cpu_one": Metric("server CPU, worker of 1 function, us/job", more=False, digits=1),
    "cpu_many": Metric("server CPU, worker of 1,000 functions, us/job", more=False, digits=1),
    "abilities": Metric("CPU of a job with 1,000 functions / with 1", more=False, digits=2),
    "opening": Metric("10,000 connections opened in, s", more=False, digits=2),
    "connection_kb": Metric("RSS per idle connection, KiB", more=False, digits=1),
    "idle_cpu": Metric("CPU while idle, % of a core", more=False, digits=1),
    "busy_rate": Metric("jobs/s beside 10,000 idle connections", more=True),
    "large_peak": Metric("peak RSS / workload", more=False, digits=2),
    "large_seconds": Metric("there and back in, s", more=False, digits=2),
    "ready": Metric("ready after, s", more=False, digits=2),
    "executed": Metric("tasks/s executed", more=True),
    "one_by_one": Metric("tasks/s enqueued one by one", more=True),
    "many": Metric("tasks/s enqueued together", more=True),
    "enqueued": Metric("tasks/s enqueued in the fastest way", more=True),
    "fires": Metric("fires/s", more=True),
    "lag_p50": Metric("lag p50, ms", more=False),
    "lag_p99": Metric("lag p99, ms", more=False),
    "acks": Metric("acks/s, 32 producers", more=True),
    "acks_p99": Metric("p99, ms", more=False, digits=1),
    "acks_serial": Metric("acks/s, one by one", more=True),
    "trips": Metric("round trips a job, 32 producers", more=False, digits=3),
    "trips_serial": Metric("round trips a job, one by one", more=False, digits=1),
    "syncs": Metric("syncs a job, 32 producers", more=False, digits=3),
    "syncs_serial": Metric("syncs a job, one by one", more=False, digits=2),
}


@dataclass(frozen=True)
class Line:
    """
    A row of the table.

    Attributes:
        metric: Key of `METRICS`.
        times: Goal: so many times better than the peer.
        at_most, at_least: Goal for our own figure.
        ours: Which of our contestants, when it is not the class's first.
        against: The peer to compare with, when it is not the class's second contestant; of
            several the best one.
        peer_metric: The peer's figure, when it is another one.

    """

    metric: str
    times: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    ours: Contestant | None = None
    against: tuple[Contestant, ...] = ()
    peer_metric: str = ""

    @property
    def has_goal(self) -> bool:
        return (self.times, self.at_most, self.at_least) != (None, None, None)


# Measures a contestant with all that this needs: called with it, the compiled generator, an empty
# folder, and whether a tenth of the jobs is enough. Returns figures, and what was run.
Alone = Callable[[Contestant, Path, Path, bool], tuple[Figures, list[str]]]


@dataclass(frozen=True)
class Class:
    """
    One kind of work: how to measure it, whom, and which lines it fills.

    Attributes:
        measure: Loads a server that was started for it. None where ``alone`` does everything.
        needs: A program without which it can't be measured.
        rounds: Fewer rounds than asked for, where one takes long and little depends on luck.
        breakdown: Metrics that a second table shows of every contestant.
        asleep: Cores may fall asleep while it is measured; else they are kept awake.
        alone: Starts its servers itself.
        lacks: Says why a contestant of such a class can't be measured, or nothing.

    """

    name: str
    title: str
    measure: Callable[[Run], Figures] | None
    lines: tuple[Line, ...]
    contestants: tuple[Contestant, ...]
    note: str = ""
    needs: str = ""
    rounds: int = 99
    breakdown: tuple[str, ...] = ()
    asleep: bool = False
    alone: Alone | None = None
    lacks: Callable[[Contestant], str] | None = None
