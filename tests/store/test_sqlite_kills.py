"""SQLite's store under kill -9."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from geartrain.store.sqlite import SqliteStore
from tests.services.availability import find_program, require
from tests.store.samples import numbers

ROUNDS = 12


class Account:
    """What has to be in the store, from what a killed process said it had committed."""

    def __init__(self) -> None:
        self.kept: set[int] = set()
        self.batch: set[int] = set()
        # The commit that was under way: it may be there as a whole, or not at all.
        self.trying: set[int] = set()
        self.generation = 0

    def read(self, line: bytes) -> None:
        word, first, count = line.split()
        batch = set(range(int(first), int(first) + int(count)))
        self.generation = int(first) >> 40
        if word == b"trying":
            self.trying = batch
            return
        self.kept = self.after(batch)
        self.batch = batch
        self.trying = set()

    def after(self, batch: set[int]) -> set[int]:
        """Return what is kept once this batch is committed."""
        return self.kept - {n for n in self.batch if n % 2} | batch

    def settle(self, found: set[int]) -> None:
        """Compare with what is there after a crash, and go on from it."""
        assert found in (self.kept, self.after(self.trying))
        self.kept = found
        self.batch = self.trying = set()


def run_and_kill(path: Path, account: Account, lines: int, seed: int) -> None:
    """Let a process commit, read so many lines of it, kill it, and read the rest."""
    argv = [sys.executable, "-m", "tests.store.committer", str(path), str(seed)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(lines):
        account.read(process.stdout.readline())
    process.kill()
    rest, _ = process.communicate()
    for line in rest.splitlines(keepends=True):
        if line.endswith(b"\n"):
            account.read(line)


@pytest.mark.timeout(60)
def test_what_was_committed_survives_kill_9(path: Path) -> None:
    choose = random.Random(6)
    account = Account()
    generations = []
    for seed in range(ROUNDS):
        run_and_kill(path, account, choose.randrange(1, 60), seed)
        generations.append(account.generation)
        with closing(SqliteStore(str(path), handle_prefix=b"H:x")) as store:
            generations.append(store.open())
            account.settle(set(numbers(store)))
    assert generations == list(range(1, 2 * ROUNDS + 1))


KILLED_IN_START = """
import os, signal, sqlite3, sys
from geartrain.store.sqlite import SqliteStore
wanted = int(sys.argv[2])
class Killing(sqlite3.Connection):
    count = 0
    def execute(self, *args):
        Killing.count += 1
        if Killing.count == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*args)
connect = sqlite3.connect
sqlite3.connect = lambda *args, **settings: connect(*args, factory=Killing, **settings)
SqliteStore(sys.argv[1], handle_prefix=b"H:x").open()
"""


@pytest.mark.timeout(60)
def test_first_start_that_is_killed_anywhere_can_be_repeated(
    tmp_path: Path, sqlite: Callable[..., SqliteStore]
) -> None:
    for step in range(1, 40):
        path = tmp_path / f"{step}.db"
        argv = [sys.executable, "-c", KILLED_IN_START, str(path), str(step)]
        code = subprocess.run(argv).returncode
        with closing(SqliteStore(str(path), handle_prefix=b"H:x")) as store:
            assert store.open() in (1, 2)
            assert numbers(store) == []
        if code == 0:
            break
    assert code == 0
    assert step > 10


def test_nothing_is_said_to_be_committed_before_the_log_is_synced(
    path: Path, tmp_path: Path
) -> None:
    require("strace")
    trace = tmp_path / "trace"
    calls = "trace=pwrite64,fdatasync,fsync,write"
    strace = [find_program("strace") or "strace", "-f", "-y", "-e", calls, "-o", str(trace)]
    argv = [*strace, sys.executable, "-m", "tests.store.committer", str(path), "7"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(100):
        process.stdout.readline()
    # strace ends with the program it runs, which can't write any more.
    process.stdout.close()
    process.wait()
    written = synced = committed = 0
    for line in trace.read_text(errors="replace").splitlines():
        if "pwrite64" in line and "queue.db-wal>" in line:
            written += 1
        elif "sync(" in line and "queue.db-wal>" in line:
            synced = written
        elif '"committed' in line:
            committed += 1
            assert synced == written > 0
    assert committed >= 50
