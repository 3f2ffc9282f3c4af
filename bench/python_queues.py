"""
Python's task queues beside geartrain's own client and worker.

All run the same no-op task (``bench/queues``): one process enqueues, then one worker process
executes. The others get a Redis of their own without persistence, quiet logs, and the fastest of
the settings of one worker process that were tried. They live in a virtual environment of their
own, ``.cache/bench``, in pinned versions.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .kinds import Class, Contestant, Line
from .load import Figures, WrongResult
from .queues.enqueueing import WARM_UP
from .report import say
from .servers import Server, Setup, free_port, program_path

__all__ = ["PYTHON_QUEUES", "QUEUES", "install", "measure_queue", "versions"]

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = Path(__file__).resolve().parent / "queues" / "requirements.txt"
ENVIRONMENT = ROOT / ".cache" / "bench"
TIMEOUT = 120  # seconds for one process
MODULE = "bench.queues."


@dataclass(frozen=True)
class Queue:
    """
    A task queue and how it is run.

    Attributes:
        tasks: How many tasks it gets, so that its worker is busy for about two seconds.
        worker: The command of the worker, a program of the virtual environment first;
            ``{broker}`` stands for the address of the queue.
        ways: Functions of its module that enqueue.
        stop: The signal that ends its worker.

    """

    tasks: int
    worker: tuple[str, ...]
    ways: tuple[str, ...] = ("one_by_one",)
    stop: signal.Signals = signal.SIGTERM


QUEUES = {
    # The prefork pool and threads are slower; gossip and heartbeat cost nothing that shows.
    "celery": Queue(
        2_000, ("celery", "-A", f"{MODULE}celery_tasks", "worker", "-P", "solo", "-l", "WARNING")
    ),
    # Faster with more threads than its default of 8, up to about so many.
    "dramatiq": Queue(
        6_000, ("dramatiq", f"{MODULE}dramatiq_tasks", "-p", "1", "-t", "32", "--skip-logging")
    ),
    # A second worker thread makes it no faster.
    "huey": Queue(10_000, ("huey_consumer", f"{MODULE}huey_tasks.huey", "-q"), stop=signal.SIGINT),
    # Its usual worker forks for each task, which is slower still.
    "rq": Queue(
        1_000,
        ("rq", "worker", "-u", "{broker}", "-w", "rq.worker.SimpleWorker", "-q"),
        ways=("one_by_one", "many"),
    ),
    "taskiq": Queue(
        5_000,
        (
            *("taskiq", "worker", f"{MODULE}taskiq_tasks:broker", "--workers", "1"),
            *("--no-parse", "--log-level", "WARNING"),
        ),
    ),
}

# Ours, by what comes after the store in a contestant: 32 jobs at a time, the default of 1, and
# tasks of an app, 32 at a time on an event loop.
WORKERS = {
    "": ("geartrain_tasks", "inline"),
    "default worker": ("geartrain_tasks", "default"),
    "App tasks": ("geartrain_app_tasks",),
}
OUR_TASKS = {"one_by_one": 20_000, "many": 100_000}

OURS = Contestant("ours", "memory")
OURS_DURABLE = Contestant("ours", "sqlite")
OURS_DEFAULT = Contestant("ours", "memory, default worker")
OURS_DURABLE_DEFAULT = Contestant("ours", "sqlite, default worker")
OURS_TASKS = Contestant("ours", "memory, App tasks")
OURS_DURABLE_TASKS = Contestant("ours", "sqlite, App tasks")
PEERS = tuple(Contestant(name, "redis") for name in QUEUES)


# The virtual environment.


def lacks(contestant: Contestant) -> str:
    """Why a contestant can't be measured, or nothing."""
    return "" if contestant.side == "ours" else install()


@functools.cache
def install() -> str:
    """Make the virtual environment unless it is there; returns why it can't be, or nothing."""
    if shutil.which("redis-server") is None:
        return "redis-server is not installed (Debian: apt install redis-server)"
    stamp = ENVIRONMENT / "installed.txt"
    if stamp.exists() and stamp.read_text() == REQUIREMENTS.read_text():
        return ""
    say(f"installing Python's task queues in {ENVIRONMENT}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
    python = str(ENVIRONMENT / "bin" / "python")
    pip = [python, "-m", "pip", "-q", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "install", "-r", str(REQUIREMENTS)], capture_output=True, text=True
    )
    if done.returncode != 0:
        return f"pip could not install them: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
    stamp.write_text(REQUIREMENTS.read_text())
    return ""


def versions() -> str:
    """The pinned versions, in words."""
    lines = [line.split("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines()]
    return ", ".join(line.replace("==", " ") for line in lines if line)


# A measurement.


def measure_queue(
    contestant: Contestant, _: Path, folder: Path, quick: bool
) -> tuple[Figures, list[str]]:
    """Enqueue and execute in every way that a contestant has: the figures, and what was run."""
    if contestant.side == "ours":
        return measure_ours(contestant, folder, quick)
    queue = QUEUES[contestant.side]
    figures: Figures = {}
    with redis(folder) as broker:
        programs = ENVIRONMENT / "bin"
        trial = Trial(str(programs / "python"), f"{contestant.side}_tasks", broker, folder)
        program, *words = queue.worker
        worker = [str(programs / program), *(word.format(broker=broker) for word in words)]
        for way in queue.ways:
            tasks = max(queue.tasks // 10, 100) if quick else queue.tasks
            figures |= trial.run(way, tasks, worker, queue.stop)
    figures["enqueued"] = max(figures[way] for way in queue.ways)
    return figures, [" ".join(queue.worker)]


def measure_ours(contestant: Contestant, folder: Path, quick: bool) -> tuple[Figures, list[str]]:
    store, _, kind = contestant.store.partition(", ")
    python = str(Path(program_path("geartrain")).parent / "python")
    ways = ("many",) if kind == "default worker" else ("one_by_one", "many")
    figures: Figures = {}
    module, *how = WORKERS[kind]
    worker = ["-m", f"{MODULE}{module}", *how]
    with Server(Setup("geartrain", store), folder) as server:
        trial = Trial(python, module, f"127.0.0.1:{server.port}", folder)
        for way in ways:
            tasks = OUR_TASKS[way] // 10 if quick else OUR_TASKS[way]
            figures |= trial.run(way, tasks, [python, *worker], signal.SIGTERM)
            if server.queued():
                raise WrongResult(f"{server.queued()} jobs are left over after {way}")
    return figures, [" ".join(["python", *worker])]


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis that keeps nothing on disk; yields its address."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    with subprocess.Popen(
        [*command, "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL
    ) as process:
        try:
            wait_for_redis(process, port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def wait_for_redis(process: subprocess.Popen[bytes], port: int) -> None:
    ping = ["redis-cli", "-p", str(port), "ping"]
    deadline = time.monotonic() + TIMEOUT
    while subprocess.run(ping, capture_output=True).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise WrongResult("redis-server does not start")
        time.sleep(0.02)


@dataclass
class Trial:
    """
    One queue whose server runs.

    Attributes:
        python: The Python that has the queue.
        module: Its module in ``bench/queues``.
        broker: The address of the server.
        folder: Where files may be put.

    """

    python: str
    module: str
    broker: str
    folder: Path

    def run(self, way: str, tasks: int, worker: list[str], stop: signal.Signals) -> Figures:
        """Enqueue in one way, then have it all executed."""
        tally = self.folder / f"{way}.json"
        variables = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BENCH_BROKER": self.broker,
            "BENCH_TALLY": str(tally),
            "BENCH_TASKS": str(tasks),
        }
        rate = self.enqueue(way, tasks, variables)
        with open(self.folder / "worker.log", "wb") as log:
            process = subprocess.Popen(
                worker, env=variables, cwd=self.folder, stdout=log, stderr=log
            )
        try:
            self.wait_for(tally, process)
        finally:
            process.send_signal(stop)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        outcome = json.loads(tally.read_text())
        if not outcome["once"]:
            raise WrongResult(f"{self.module}: not every task was executed exactly once")
        return {way: rate, "executed": tasks / outcome["seconds"]}

    def enqueue(self, way: str, tasks: int, variables: dict[str, str]) -> float:
        done = subprocess.run(
            [self.python, "-m", "bench.queues.enqueueing", self.module, way],
            env=variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        if done.returncode != 0:
            raise WrongResult(f"{self.module} {way}: {done.stderr.strip().splitlines()[-1]}")
        return (tasks - WARM_UP) / float(done.stdout)

    def wait_for(self, tally: Path, worker: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not tally.exists():
            if worker.poll() is not None or time.monotonic() > deadline:
                last = (self.folder / "worker.log").read_text(errors="replace").strip()[-300:]
                raise WrongResult(f"{self.module}: the worker did not do all tasks: {last}")
            time.sleep(0.05)


# The class.


PYTHON_QUEUES = Class(
    "python-queues",
    "Python's task queues: no-op tasks, one process that enqueues, one worker process",
    None,
    (
        Line("executed", times=15, ours=OURS, against=PEERS),
        Line("executed", times=15, ours=OURS_DURABLE, against=PEERS),
        Line("executed", ours=OURS_DEFAULT, against=PEERS),
        Line("executed", ours=OURS_DURABLE_DEFAULT, against=PEERS),
        Line("executed", ours=OURS_TASKS, against=PEERS),
        Line("executed", ours=OURS_DURABLE_TASKS, against=PEERS),
        Line("one_by_one", times=2, ours=OURS, against=PEERS),
        Line("one_by_one", ours=OURS_DURABLE, against=PEERS),
        Line("many", times=5, ours=OURS, against=PEERS, peer_metric="enqueued"),
        Line("many", ours=OURS_DURABLE, against=PEERS, peer_metric="enqueued"),
    ),
    (
        *(OURS, OURS_DURABLE, OURS_DEFAULT, OURS_DURABLE_DEFAULT),
        *(OURS_TASKS, OURS_DURABLE_TASKS, *PEERS),
    ),
    note="The peer is the fastest of the five at each line, with the fastest settings of one "
    "worker process that were tried. Ours holds 32 jobs at a time, inline; "
    '"default worker" is Worker() as it comes: one job at a time, in a thread; "App tasks" are '
    "typed tasks with JSON arguments, 32 at a time on an event loop. Rates of execution "
    "are from the first task to the last, so that no start of a process counts. Enqueued together: "
    "our submit_many, beside their fastest way to enqueue. Their Redis keeps nothing on disk, as "
    "our memory mode; in our durable mode every job is on disk before it is acknowledged.",
    breakdown=("executed", "one_by_one", "many"),
    alone=measure_queue,
    lacks=lacks,
)
