"""
What is measured, and what we want to reach.

A class is one kind of work. Its lines say which figures go into the table and what the goal is.
"""

from __future__ import annotations

from .kinds import Class, Contestant, Line
from .python_queues import PYTHON_QUEUES
from .schedules import SCHEDULES
from .stores import STORES
from .work import (
    abilities,
    both,
    depth,
    drain,
    foreground,
    idle_connections,
    idle_workers,
    large_workload,
    restart,
    submit,
)

__all__ = ["CLASSES"]

OURS = Contestant("ours", "memory")
PEER = Contestant("peer", "memory")
OURS_DURABLE = Contestant("ours", "sqlite")
PEER_DURABLE = Contestant("peer", "sqlite")
BEANSTALKD = Contestant("beanstalkd", "memory")
BEANSTALKD_BINLOG = Contestant("beanstalkd", "binlog")
BEANSTALKD_DURABLE = Contestant("beanstalkd", "binlog -f 0")

# A tenth more is within the noise of two short runs.
NO_DEARER = 1.1
NO_SLOWER = 0.9

FEWER_JOBS = (
    "200,000 jobs for us, 3,000 for gearmand and for beanstalkd -f 0, so that none lasts minutes."
)
NO_KEYS = "beanstalkd knows no unique keys: its jobs have none."
FSYNC = (
    "beanstalkd syncs before it answers (-f 0), as the other two do, unless its line says binlog."
)

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
        "foreground-asleep",
        "the same, while cores may fall asleep between two packets",
        foreground(1, 1, 20_000),
        (Line("rate"), Line("server_cpu_us"), *LATENCIES),
        (OURS, PEER),
        note="For all other classes cores are kept awake: on a quiet machine waking them six times "
        "a job takes longer than the job, whoever serves it.",
        asleep=True,
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
            Line("rate", against=(BEANSTALKD,)),
            Line("server_cpu_us"),
            Line("server_cpu_us", against=(BEANSTALKD,)),
            Line("rss_per_job", at_most=600),
            *LATENCIES,
        ),
        (OURS, PEER, BEANSTALKD),
        note="gearmand's best case: its table of unique keys stays empty.",
    ),
    Class(
        "drain",
        "drain 200,000 jobs with unique keys, 8 workers",
        drain(200_000),
        (
            Line("rate", times=2),
            Line("rate", against=(BEANSTALKD,)),
            Line("server_cpu_us"),
            Line("server_cpu_us", against=(BEANSTALKD,)),
            Line("generator_busy"),
        ),
        (OURS, PEER, BEANSTALKD),
        note=NO_KEYS,
    ),
    Class(
        "both",
        "submit and drain together, unique keys, 8 clients x 20, 8 workers",
        both(200_000),
        (
            Line("rate", times=3),
            Line("rate", against=(BEANSTALKD,)),
            Line("server_cpu_us"),
            Line("server_cpu_us", against=(BEANSTALKD,)),
            *LATENCIES,
        ),
        (OURS, PEER, BEANSTALKD),
        note=NO_KEYS,
    ),
    Class(
        "depth",
        "1,000,000 jobs with distinct unique keys submitted, then drained",
        depth(1_000_000, slow=200_000),
        (
            Line("tenths", at_least=0.8),
            Line("rss_per_job", at_most=600),
            Line("rate"),
            Line("server_cpu_us"),
            Line("drain_tenths", at_least=NO_SLOWER),
            Line("drain_rate"),
            Line("status_ms", at_most=100),
        ),
        (OURS, PEER),
        note="gearmand gets 200,000 jobs: it slows down with every key it holds, and a million "
        "would take it minutes. Its ratio of tenths would be worse there.",
    ),
    Class(
        "idle-workers",
        "one job at a time beside 10 and beside 1,000 sleeping workers",
        idle_workers,
        (
            Line("width", at_most=NO_DEARER),
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
        "abilities",
        "one job at a time for a worker of 1 function, and of 1,000",
        abilities,
        (
            Line("abilities", at_most=NO_DEARER),
            Line("rate_one"),
            Line("rate_many"),
            Line("cpu_one"),
            Line("cpu_many"),
        ),
        (OURS, PEER),
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
        "large-workload",
        "one foreground job whose workload and result have 256 MiB",
        large_workload,
        (Line("large_peak", at_most=2.5), Line("large_seconds")),
        (OURS, PEER),
        rounds=1,
    ),
    Class(
        "durable-submit",
        "durable submit, 32 producers x 20 outstanding",
        submit(32, 20, "distinct", 200_000, slow=3_000),
        (
            Line("rate", times=40),
            Line("rate", against=(BEANSTALKD_DURABLE,)),
            Line("rate", against=(BEANSTALKD_BINLOG,)),
            Line("server_cpu_us"),
            *LATENCIES,
        ),
        (OURS_DURABLE, PEER_DURABLE, BEANSTALKD_DURABLE, BEANSTALKD_BINLOG),
        note=f"{FEWER_JOBS} {FSYNC}",
    ),
    Class(
        "durable-serial",
        "durable submit, 1 producer, one by one",
        submit(1, 1, "distinct", 10_000, slow=3_000),
        (
            Line("rate", times=2),
            Line("rate", against=(BEANSTALKD_DURABLE,)),
            Line("server_cpu_us"),
            *LATENCIES,
        ),
        (OURS_DURABLE, PEER_DURABLE, BEANSTALKD_DURABLE),
        note=f"10,000 jobs for us, 3,000 for the others. {FSYNC}",
    ),
    Class(
        "durable-both",
        "durable submit and drain together, 8 clients x 20, 8 workers",
        both(200_000, slow=2_000),
        (
            Line("rate", times=25),
            Line("rate", times=1.2, against=(PEER,)),
            Line("rate", against=(BEANSTALKD_DURABLE,)),
            Line("server_cpu_us"),
            *LATENCIES,
        ),
        (OURS_DURABLE, PEER_DURABLE, PEER, BEANSTALKD_DURABLE),
        note="2,000 jobs for gearmand on SQLite and for beanstalkd, 200,000 for the others. "
        f"{FSYNC} {NO_KEYS}",
    ),
    Class(
        "durable-syncs",
        "disk synchronisations, 32 producers x 20 outstanding",
        submit(32, 20, "distinct", 50_000, slow=2_000),
        (Line("syncs_per_job", at_most=0.1),),
        (OURS_DURABLE, PEER_DURABLE),
        note="Counted by strace, which slows both servers down: no rate is taken from this run.",
        needs="strace",
        rounds=1,
    ),
    Class(
        "restart-100k",
        "killed with 100,000 durable jobs, and started again",
        restart(100_000),
        (Line("ready", at_most=5),),
        (OURS_DURABLE, PEER_DURABLE),
        note="Until it answers; then its own count must be right. gearmand's jobs are written into "
        "its table by SQLite, because it would need minutes to take them.",
    ),
    Class(
        "restart-1m",
        "killed with 1,000,000 durable jobs, and started again",
        restart(1_000_000),
        (Line("ready", at_most=30),),
        (OURS_DURABLE,),
        rounds=1,
    ),
    *SCHEDULES,
    STORES,
    PYTHON_QUEUES,
)
