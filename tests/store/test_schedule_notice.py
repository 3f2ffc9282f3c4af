"""What a server beside which nobody has entries sees of those that are about to come."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from geartrain.store.schedule_notice import Lookout, announce, are_expected
from geartrain.store.schedule_sql import open_schedules


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'geartrain.db'}"
    with closing(open_schedules(url)) as store:
        store.open()
    return url


def path_of(url: str) -> str:
    return url.removeprefix("sqlite:///")


def long_ago(url: str) -> None:
    """Have a file as if nobody had written it for long: clocks of files are coarse."""
    os.utime(path_of(url), ns=(0, 0))


def test_entries_are_expected_once_they_are_announced(url: str) -> None:
    long_ago(url)
    lookout = Lookout(url)
    assert not lookout.sees_any()
    announce(url)
    assert lookout.sees_any()
    assert Lookout(url).sees_any()
    announce(url)
    with closing(open_schedules(url)) as store:
        store.open()
        assert store.revision() == 0


def test_a_file_that_nobody_has_written_is_not_read_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    monkeypatch.setattr(
        "geartrain.store.schedule_notice._read", lambda url: bool(reads.append(url))
    )
    long_ago(url)
    lookout = Lookout(url)
    for _ in range(3):
        assert not lookout.sees_any()
    assert len(reads) == 1
    announce(url)
    reads.clear()
    for _ in range(3):
        lookout.sees_any()
    assert len(reads) == 1


def test_a_file_that_could_not_be_read_is_read_again(url: str) -> None:
    announce(url)
    lookout = Lookout(url)
    with closing(sqlite3.connect(path_of(url), isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert not lookout.sees_any()
        seen = os.stat(path_of(url)).st_mtime_ns
        other.execute("ROLLBACK")
    assert os.stat(path_of(url)).st_mtime_ns == seen
    assert lookout.sees_any()


def test_where_nothing_can_be_noted_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(b"not a database, but longer than the header of one" * 9)
    for name in ("missing.db", "other.db"):
        url = f"sqlite:///{tmp_path / name}"
        announce(url)
        assert not are_expected(url)
        assert not Lookout(url).sees_any()
    assert not (tmp_path / "missing.db").exists()


def test_other_databases_may_always_have_entries() -> None:
    announce("postgresql://nobody@127.0.0.1:1/nothing")
    assert Lookout("postgresql://nobody@127.0.0.1:1/nothing").sees_any()
