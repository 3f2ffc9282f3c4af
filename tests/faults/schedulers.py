"""
Several schedulers on one database, killed, stopped and cut off from it: ``python -m
tests.faults.schedulers --store galera --seconds 60``.

Judged from the rows, from the expressions of the entries, and from what a worker wrote down: each
moment of each entry has to stand in exactly one row, each row has to come to an end, and what is
said to be done has to have been run.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from geartrain.errors import StoreUnavailable, UsageError
from geartrain.schedule.entry import cron_of, from_definition, read_entry
from geartrain.schedule.standing import to_schedule
from geartrain.store.schedule_rows import DONE, FINAL, Fire, Schedule
from geartrain.store.schedule_sql import SqlScheduleStore, open_schedules
from geartrain.worker.sync import Worker
from tests.faults.server import Server
from tests.faults.stores import Rig, rig

__all__ = ["Outcome", "run"]

FUNCTION = "fire"
# Seconds. The shortest lease there is, so that much is taken over in a short time.
LEASE = 3.0
SETTLED = 90.0
STARTED = 30.0
# What is stopped is stopped for so long: for some a lease ends, for others it does not.
STOPS = (0.3, 1.0, 2.5, 4.0, 6.0)
SECONDLY = ("@every 1s", "* * * * * *", "*/2 * * * * *", "@every 3s/1s", "0-59/5 * * * * *")


@dataclass
class Outcome:
    """
    What became of everything.

    Attributes:
        moments: How many moments the entries had.
        states: How many rows there are in each state.
        lost: Moments without a row, and rows that nobody knows the end of.
        twice: Moments in two rows.
        unaccounted: Rows that have not ended, or are done although nobody has run them.
        run_twice: How many fires were run more than once.
        troubles: What was done to whom.

    """

    moments: int = 0
    states: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    run_twice: int = 0
    troubles: Counter[str] = field(default_factory=Counter)

    @property
    def broken(self) -> bool:
        return bool(self.lost or self.twice or self.unaccounted)


class Member:
    """One scheduler after the other, under one name."""

    def __init__(self, number: int, folder: Path, store: str, server: str) -> None:
        self.name = f"scheduler-{number}"
        self.log = folder / f"{self.name}.log"
        self.command = [
            *(str(Path(sys.executable).with_name("geartrain")), "scheduler"),
            *("--store", store, "--servers", server, "--instance", self.name),
            *("--lease", str(LEASE), "--poll", "0.5"),
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-4_000:]
        self.process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Runner:
    """A worker that notes which fires it has run, and now and then takes its time."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self.ran: Counter[str] = Counter()
        self.chance = chance
        self.worker = Worker(f"127.0.0.1:{port}")
        self.worker.register(FUNCTION, self.work)
        self.thread = threading.Thread(target=self.worker.run, daemon=True)

    def work(self, job: object) -> bytes:
        self.ran[job.unique.decode()] += 1  # type: ignore[attr-defined]
        if self.chance.random() < 0.01:
            time.sleep(0.2)
        return b"done"


@contextmanager
def running(folder: Path, seed: int) -> Iterator[tuple[Server, Runner]]:
    """A job server and a worker, which nothing happens to."""
    server = Server("geartrain", folder)
    server.start()
    runner = Runner(server.port, random.Random(seed))
    runner.thread.start()
    try:
        yield server, runner
    finally:
        runner.worker.stop()
        runner.thread.join(10)
        server.stop()


def run(store: Rig, folder: Path, seconds: float, seed: int, entries: int, *faults: str) -> Outcome:
    """
    Have three schedulers fire entries for some time while there is trouble, and judge.

    Args:
        store: Where entries are.
        folder: For everything else.
        seconds: How long.
        seed: Of what is left to chance.
        entries: How many; each fires each second to each fifth.
        faults: Of the store, beside what happens to schedulers.

    """
    outcome = Outcome()
    with running(folder, seed) as (server, runner):
        schedules = open_schedules(store.url)
        assert isinstance(schedules, SqlScheduleStore)
        schedules.open()
        members = [
            Member(number, folder, url, f"127.0.0.1:{server.port}")
            for number, url in enumerate(turned(store.url, 3), 1)
        ]
        try:
            for member in members:
                member.start()
            wait(lambda: len(schedules.instances()) == len(members), STARTED)
            add(schedules, entries)
            trouble(store, members, seconds, random.Random(seed), faults, outcome)
            stop_firing(schedules)
            wait(lambda: not schedules.counts(), SETTLED)
        finally:
            for member in members:
                member.stop()
        judge(schedules, runner, outcome)
        schedules.close()
    return outcome


def turned(url: str, times: int) -> list[str]:
    """Return a URL with its hosts in another order each time, so that nodes share the load."""
    start, _, rest = url.rpartition("@")
    places, slash, name = rest.partition("/")
    hosts = places.split(",")
    if not start:
        return [url] * times
    return [
        f"{start}@{','.join(hosts[n % len(hosts) :] + hosts[: n % len(hosts)])}{slash}{name}"
        for n in range(times)
    ]


def add(schedules: SqlScheduleStore, count: int) -> None:
    """Store entries that fire every few seconds; what is late is caught up."""
    now = schedules.now()
    common = {"function": FUNCTION, "overlap": "allow", "catch_up": "all", "catch_up_max": 1_000}
    rows = [
        to_schedule(read_entry(f"entry-{n}", {"when": when, "keep": 100_000} | common), now)
        for n, when in zip(range(count), itertools.cycle(SECONDLY))
    ]
    schedules.add_all(rows, "test")


def trouble(
    store: Rig,
    members: Sequence[Member],
    seconds: float,
    chance: random.Random,
    faults: Sequence[str],
    outcome: Outcome,
) -> None:
    """Kill, stop and start schedulers, and give the store trouble."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.2, 1.5))
        what = chance.choice(("kill", "kill", "stop", "stop", *faults))
        outcome.troubles[what] += 1
        member = chance.choice(members)
        if what == "kill":
            member.kill()
            time.sleep(chance.choice((0.0, 0.5)))
            member.start()
        elif what == "stop":
            member.send(signal.SIGSTOP)
            time.sleep(chance.choice(STOPS))
            member.send(signal.SIGCONT)
        else:
            begin, back = store.troubles[what]
            begin()
            time.sleep(chance.uniform(0.5, 3.0))
            back()


def stop_firing(schedules: SqlScheduleStore) -> None:
    """Disable all entries, where they have got to."""

    def disable() -> bool:
        for row in schedules.schedules():
            if row.enabled:
                # As it is but for this; where it has got to is what is judged.
                schedules.replace(replace(row, enabled=False), "test")
        return True

    wait(disable, SETTLED)


def wait(condition: Callable[[], bool], timeout: float) -> None:
    """Wait until something is so; the store may be gone meanwhile."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if condition():
                return
        except (StoreUnavailable, UsageError):
            pass
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)


# The account.


def judge(schedules: SqlScheduleStore, runner: Runner, outcome: Outcome) -> None:
    """Compare rows with moments and with what was run."""
    for row in schedules.schedules():
        fires = all_fires(schedules, row.id)
        outcome.states.update(fire.state for fire in fires)
        judge_moments(row, fires, outcome)
        for fire in fires:
            key = f"cron:{row.id}:{fire.generation}:{fire.nominal}"
            if fire.state not in FINAL:
                outcome.unaccounted.append(f"{row.name} {fire.nominal} is {fire.state}")
            elif fire.state == DONE and not runner.ran[key]:
                outcome.unaccounted.append(f"{row.name} {fire.nominal} is done and was not run")
            elif fire.state == "lost":
                outcome.lost.append(f"{row.name} {fire.nominal}: {fire.reason}")
    outcome.run_twice = sum(count > 1 for count in runner.ran.values())


def judge_moments(row: Schedule, fires: Sequence[Fire], outcome: Outcome) -> None:
    """Compare an entry's rows with the moments of its expression."""
    cron = cron_of(from_definition(row.definition))
    assert cron is not None
    first, last = (datetime.fromtimestamp(one, UTC) for one in (row.since, row.last_nominal))
    expected = [round(moment.timestamp()) for moment in cron.fires(first, last)]
    outcome.moments += len(expected)
    places = {moment: number for number, moment in enumerate(expected)}
    found: Counter[int] = Counter()
    for fire in fires:
        if fire.nominal not in places:
            outcome.unaccounted.append(f"{row.name} has no moment {fire.nominal}")
            continue
        # One that was skipped or missed may stand for those after it.
        start = places[fire.nominal]
        found.update(expected[start : start + fire.count])
    outcome.lost += [f"{row.name} {moment}" for moment in expected if not found[moment]]
    outcome.twice += [f"{row.name} {moment}" for moment in expected if found[moment] > 1]


def all_fires(schedules: SqlScheduleStore, entry: int) -> list[Fire]:
    """Return all fires of an entry."""
    found: list[Fire] = []
    before = 0
    while page := schedules.fires(schedule=entry, before=before, limit=1_000):
        found += page
        before = page[-1].id
    return found


def main() -> int:
    """Run, print the account, and return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.schedulers", description=__doc__)
    parser.add_argument("--store", default="postgresql", help="sqlite, postgresql, mariadb, galera")
    parser.add_argument("--seconds", type=float, default=60.0, help="of trouble (60)")
    parser.add_argument("--entries", type=int, default=50, help="that fire (50)")
    parser.add_argument("--fault", action="append", default=[], help="down or hang: the store's")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)  # noqa: T201
    os.environ.pop("GEARTRAIN_STORE", None)
    with tempfile.TemporaryDirectory() as name, rig(args.store, Path(name)) as store:
        outcome = run(store, Path(name), args.seconds, args.seed, args.entries, *args.fault)
    print(  # noqa: T201
        f"{args.store}, {args.seconds:.0f} s, {dict(outcome.troubles)}: {outcome.moments} moments, "
        f"rows {dict(outcome.states)}; lost {len(outcome.lost)}, twice {len(outcome.twice)}, "
        f"unaccounted {len(outcome.unaccounted)}; run twice {outcome.run_twice}"
    )
    for line in (*outcome.lost[:10], *outcome.twice[:10], *outcome.unaccounted[:10]):
        print(f"  {line}")  # noqa: T201
    return int(outcome.broken)


if __name__ == "__main__":
    sys.exit(main())
