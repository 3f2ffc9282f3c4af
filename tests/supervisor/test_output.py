"""What real processes write, and where it ends up."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import time
from pathlib import Path

from geartrain.supervisor.output import Console
from tests.supervisor.running import GEARTRAIN, Start, ctl, eventually, shell, toml_of

QUICK = {"startsecs": 0, "autorestart": False}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_lines_are_stamped_and_say_whose_they_are(up: Start) -> None:
    manager = up(web={"command": shell("echo out; echo err >&2"), "numprocs": 2, **QUICK})
    lines = [manager.wait_for("out$|err$") for _ in range(4)]
    assert all(re.fullmatch(rf"{TIME} web:[01] \| (out|err)", line) for line in lines)


def test_each_process_has_files_of_its_own(up: Start, tmp_path: Path) -> None:
    script = shell("echo out %(process_num)s; echo err %(process_num)s >&2")
    manager = up(
        {"log_directory": str(tmp_path)},
        web={"command": script, "numprocs": 2, "log_timestamps": False, **QUICK},
    )
    manager.wait_for_state("web:0", "EXITED")
    manager.wait_for_state("web:1", "EXITED")
    assert {path.name: path.read_text() for path in tmp_path.glob("*.log")} == {
        "web-0.log": "out 0\n",
        "web-0.err.log": "err 0\n",
        "web-1.log": "out 1\n",
        "web-1.err.log": "err 1\n",
    }


def test_both_outputs_go_into_one_file_in_their_order(up: Start, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    manager = up(
        web={
            "command": shell("echo 1; echo 2 >&2; echo 3"),
            "redirect_stderr": True,
            "stdout_logfile": str(log),
            "log_prefix": "<%(program_name)s> ",
            "log_timestamps": False,
            **QUICK,
        }
    )
    manager.wait_for_state("web:0", "EXITED")
    assert log.read_text() == "<web> 1\n<web> 2\n<web> 3\n"


def test_half_lines_and_binary_are_kept_as_they_are(up: Start, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    manager = up(
        web={
            "command": shell(r"printf 'a\000\377b\n'; printf 'half'; sleep 0.05; printf ' way'"),
            "stdout_logfile": str(log),
            "log_timestamps": False,
            **QUICK,
        }
    )
    manager.wait_for_state("web:0", "EXITED")
    assert log.read_bytes() == b"a\x00\xffb\nhalf way\n"


def test_a_flood_fills_no_disk_and_holds_nobody_up(up: Start, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    manager = up(
        web={
            "command": "yes one-two-three-four",
            "startsecs": 0,
            "stdout_logfile": str(log),
            "stdout_logfile_maxbytes": 1_000_000,
            "stdout_logfile_backups": 2,
        },
        mail={"command": "sleep 1000", "startsecs": 0},
    )
    eventually((tmp_path / "web.log.2").exists, "the second rotation")
    begun = time.monotonic()
    assert manager.ask("restart", names=["mail"])["code"] == 0
    # What does not end when asked to is killed after ten seconds.
    assert time.monotonic() - begun < 8
    assert manager.ask("stop", names=["web"])["code"] == 0
    # A piece that was read at once goes into one file.
    assert all(one.stat().st_size < 1_000_000 + 200_000 for one in tmp_path.glob("web.log*"))
    assert len(list(tmp_path.glob("web.log*"))) == 3


def test_a_log_file_that_was_removed_is_written_again(up: Start, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    script = shell(f"echo one; read x < {tmp_path}/go; echo two; exec sleep 1000")
    go = tmp_path / "go"
    os.mkfifo(go)
    up(web={"command": script, "startsecs": 0, "stdout_logfile": str(log)})
    eventually(lambda: log.exists() and "one" in log.read_text(), "the first line")
    log.unlink()
    go.write_text("go\n")
    eventually(lambda: log.exists() and "two" in log.read_text(), "the second line")


def test_output_that_can_not_be_kept_is_no_reason_to_stop(up: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    manager = up(
        web={
            "command": shell("echo lost; exec sleep 1000"),
            "startsecs": 0,
            "stdout_logfile": str(tmp_path / "file" / "web.log"),
        }
    )
    manager.wait_for("ERROR can't write output to .*/file/web.log: Not a directory")
    assert manager.row("web:0")["state"] == "RUNNING"


def test_what_outlives_its_process_is_still_heard(up: Start, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    script = shell(f"(read x < {go}; echo late) & exit 0")
    manager = up(web={"command": script, "killasgroup": False, **QUICK})
    manager.wait_for_state("web:0", "EXITED")
    go.write_text("go\n")
    manager.wait_for("late$")


def test_a_log_directory_is_made_and_has_to_be_writable(up: Start, tmp_path: Path) -> None:
    directory = tmp_path / "new" / "logs"
    manager = up({"log_directory": str(directory)}, web={"command": "true", **QUICK})
    manager.wait_for_state("web:0", "EXITED")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o750
    (tmp_path / "file").touch()
    manager.settings["log_directory"] = str(tmp_path / "file")
    manager.write({})
    told = f"can't write to the log_directory {tmp_path}/file: File exists; name another"
    assert told in ctl(manager, "reload").stderr
    manager.process.send_signal(signal.SIGHUP)
    manager.wait_for(f"ERROR the configuration stays as it is: {re.escape(told)}")
    assert manager.row("web:0")["state"] == "EXITED"
    manager.stop()
    done = subprocess.run(
        [*GEARTRAIN, "up", "-c", str(manager.config)], capture_output=True, text=True, timeout=10
    )
    assert done.returncode == 2
    assert told in done.stderr


def test_a_reader_that_stops_reading_holds_nobody_up() -> None:
    reader, writer = os.pipe()
    console = Console(writer)
    begun = time.monotonic()
    for _ in range(200):
        console.write(b"x" * 1023 + b"\n")
    # It waits once for a tenth of a second, not for each line.
    assert time.monotonic() - begun < 5
    assert console.lost > 100_000
    shown = os.read(reader, 1_000_000)
    lost = console.lost
    assert len(shown) + lost == 200 * 1024
    console.write(b"again\n")
    remark = f"geartrain: {lost} bytes of output were not shown here\nagain\n"
    assert os.read(reader, 1000) == remark.encode()
    os.close(reader)
    # Nor does one that is gone.
    console.write(b"nobody\n")
    os.close(writer)


def test_closed_outputs_are_taken_by_nothing_else(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    script = "echo kept; read x < go; exit 1"
    once = {**QUICK, "startretries": 0, "startsecs": 1, "on_fatal": "exit"}
    keys = {"command": shell(script), "stdout_logfile": str(log), "log_timestamps": False, **once}
    tables = {"supervisor": {"socket": "s"}, "programs.web": keys}
    (tmp_path / "geartrain.toml").write_text(toml_of(tables))
    os.mkfifo(tmp_path / "go")
    command = " ".join([*GEARTRAIN, "up", "<&- >&- 2>&-"])
    process = subprocess.Popen(["sh", "-c", f"exec {command}"], cwd=tmp_path)
    try:
        eventually(lambda: log.exists() and log.read_text() == "kept\n", "the line")
        (tmp_path / "go").write_text("go\n")
        assert process.wait(10) == 1
        # What the supervisor says itself went nowhere.
        assert log.read_text() == "kept\n"
    finally:
        process.kill()
        process.wait()
