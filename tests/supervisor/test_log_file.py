"""Log files: where they make room, and what they refuse to write to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.supervisor import log_file
from geartrain.supervisor.lines import LONGEST_LINE, LineCutter
from geartrain.supervisor.log_file import RotatingFile
from geartrain.supervisor.program import BY_DAY, BY_SIZE, LogFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.log"


def file_of(path: Path, maxbytes: int = 0, backups: int = 3, rotate: str = BY_SIZE) -> RotatingFile:
    return RotatingFile(str(path), LogFile(str(path), maxbytes, backups), rotate)


def content(directory: Path) -> dict[str, str]:
    return {one.name: one.read_text() for one in sorted(directory.iterdir())}


# Lines.


@given(st.lists(st.binary(max_size=50)), st.data())
def test_lines_survive_any_cut(lines: list[bytes], data: st.DataObject) -> None:
    """However a program's writes come, the same lines come out."""
    lines = [line.replace(b"\n", b"") for line in lines]
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    cutter = LineCutter()
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += cutter.feed(stream[start:end])
    assert found == lines
    assert cutter.finish() == []


def test_a_line_without_an_end_is_cut_when_it_gets_too_long() -> None:
    cutter = LineCutter()
    lines = cutter.feed(b"x" * (2 * LONGEST_LINE + 5))
    assert [len(line) for line in lines] == [LONGEST_LINE, LONGEST_LINE]
    assert cutter.finish() == [b"xxxxx"]


# Room.


def test_a_full_file_is_put_aside_and_the_oldest_is_forgotten(tmp_path: Path, path: Path) -> None:
    file = file_of(path, maxbytes=10, backups=2)
    for number in range(5):
        file.write(b"line %d\n" % number)
    file.close()
    assert content(tmp_path) == {
        "web.log": "line 4\n",
        "web.log.1": "line 3\n",
        "web.log.2": "line 2\n",
    }


def test_without_backups_a_full_file_starts_over(tmp_path: Path, path: Path) -> None:
    file = file_of(path, maxbytes=10, backups=0)
    file.write(b"line 0\n")
    file.write(b"line 1\n")
    file.close()
    assert content(tmp_path) == {"web.log": "line 1\n"}


def test_a_file_of_another_day_is_put_aside_under_its_date(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(path, maxbytes=1, backups=2, rotate=BY_DAY)
    for day in ("2026-01-30", "2026-01-31", "2026-01-31", "2026-02-01", "2026-02-02"):
        monkeypatch.setattr(log_file, "today", lambda day=day: day)
        file.write(f"{day}\n".encode())
    file.close()
    assert content(tmp_path) == {
        "web.log": "2026-02-02\n",
        "web.log.2026-01-31": "2026-01-31\n2026-01-31\n",
        "web.log.2026-02-01": "2026-02-01\n",
    }


def test_a_file_that_was_there_is_of_the_day_it_was_written_on(tmp_path: Path, path: Path) -> None:
    path.write_text("old\n")
    os.utime(path, (0, 0))
    file = file_of(path, rotate=BY_DAY)
    file.write(b"new\n")
    file.close()
    assert content(tmp_path) == {"web.log": "new\n", "web.log.1970-01-01": "old\n"}


def test_a_file_that_was_removed_or_moved_is_made_anew(tmp_path: Path, path: Path) -> None:
    file = file_of(path)
    file.write(b"one\n")
    path.unlink()
    file.write(b"two\n")
    path.rename(tmp_path / "moved")
    file.write(b"three\n")
    file.close()
    assert content(tmp_path) == {"moved": "two\n", "web.log": "three\n"}


# What is refused.


def test_nobody_but_owner_and_group_may_read(path: Path) -> None:
    before = os.umask(0)
    try:
        file = file_of(path)
        file.write(b"secret\n")
    finally:
        os.umask(before)
    file.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_not_followed(tmp_path: Path, path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    path.symlink_to(victim)
    file = file_of(path)
    file.write(b"yours\n")
    assert victim.read_text() == "mine\n"
    assert file.lost == 6


def test_a_file_with_another_name_is_not_written_to(tmp_path: Path, path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    path.hardlink_to(victim)
    file = file_of(path)
    file.write(b"yours\n")
    assert victim.read_text() == "mine\n"


def test_a_pipe_in_its_place_holds_nobody_up(path: Path) -> None:
    os.mkfifo(path)
    file = file_of(path)
    file.write(b"lost\n")
    assert file.lost == 5


def test_what_was_lost_is_said_once_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "later" / "web.log"
    file = file_of(path)
    file.write(b"one\n")
    file.write(b"two\n")
    path.parent.mkdir()
    file.write(b"three\n")
    file.close()
    assert path.read_text() == "geartrain: 8 bytes of output were lost here\nthree\n"


def test_the_last_bytes_are_read_without_following_a_link(tmp_path: Path, path: Path) -> None:
    file = file_of(path)
    file.write(b"one\ntwo\n")
    assert file.tail(5) == b"\ntwo\n"
    assert file.tail(500) == b"one\ntwo\n"
    path.rename(tmp_path / "other")
    path.symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        file.tail(5)
    file.close()
