"""`geartrain ctl` as a person types it, and the socket behind it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.running import (
    DEADLINE,
    GEARTRAIN,
    Start,
    Up,
    ctl,
    eventually,
    shell,
    starting,
)

LASTING = {"command": ["sleep", "1000"], "startsecs": 0}


PROGRAMS = {
    "web": {**LASTING, "numprocs": 2},
    "idle": {**LASTING, "autostart": False},
    "broken": {"command": "false", "startretries": 0, "autostart": False},
}


@pytest.fixture
def manager(up: Start) -> Up:
    return up(**PROGRAMS)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A supervisor for tests that only look."""
    for start in starting(tmp_path_factory.mktemp("shared")):
        yield start(**PROGRAMS)


def states(manager: Up) -> dict[str, str]:
    rows = manager.ask("status")["processes"]
    return {row["name"]: row["state"] for row in rows}


def pids(manager: Up) -> dict[str, int]:
    rows = manager.ask("status")["processes"]
    return {row["name"]: row["pid"] for row in rows if row["pid"]}


# Seeing.


def test_status_is_a_table(shared: Up) -> None:
    done = ctl(shared, "status", "web", "idle")
    assert done.returncode == 0
    head, idle, *web = done.stdout.splitlines()
    assert head.split() == ["NAME", "STATE", "PID", "UPTIME", "MEMORY", "REMARK"]
    assert idle.split() == ["idle:0", "STOPPED", "-", "-", "-"]
    assert [line.split()[:3] for line in web] == [
        [name, "RUNNING", str(pid)] for name, pid in sorted(pids(shared).items())
    ]


def test_status_as_json_says_more(shared: Up) -> None:
    (row,) = json.loads(ctl(shared, "status", "--json", "web:1").stdout)
    assert row["pid"] == pids(shared)["web:1"]
    assert (row["program"], row["number"], row["starts"], row["wanted"]) == ("web", 1, 1, True)
    assert row["memory"] > 0


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["all"], {"web:0", "web:1", "idle:0", "broken:0"}),
        (["w*"], {"web:0", "web:1"}),
        (["web:*"], {"web:0", "web:1"}),
        (["*:1", "idle"], {"web:1", "idle:0"}),
    ],
)
def test_wildcards_choose(shared: Up, names: list[str], found: set[str]) -> None:
    rows = shared.ask("status", names=names)["processes"]
    assert {row["name"] for row in rows} == found


def test_a_name_that_chooses_nothing_is_code_4(shared: Up) -> None:
    done = ctl(shared, "stop", "wbe")
    assert done.returncode == 4
    assert done.stderr == "geartrain ctl: nothing is called 'wbe'; did you mean 'web'?\n"


def test_no_supervisor_is_code_3(tmp_path: Path) -> None:
    done = subprocess.run(
        [*GEARTRAIN, "ctl", "--socket", str(tmp_path / "none"), "status"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 3
    assert "(no such file or directory); start one with geartrain up -c FILE" in done.stderr


# Orders.


def test_start_and_stop_wait_until_it_is_done(manager: Up) -> None:
    assert ctl(manager, "start", "idle").returncode == 0
    assert states(manager)["idle:0"] == "RUNNING"
    assert ctl(manager, "stop", "idle", "web:1").returncode == 0
    assert states(manager)["idle:0"] == states(manager)["web:1"] == "STOPPED"
    assert states(manager)["web:0"] == "RUNNING"


def test_a_start_that_fails_is_code_1(manager: Up) -> None:
    done = ctl(manager, "start", "broken")
    assert done.returncode == 1
    assert "exited with code 1 too quickly" in done.stdout
    # Who asks how it is hears so by the exit code, and of another that it is well.
    assert ctl(manager, "status", "broken").returncode == 1
    assert ctl(manager, "status", "web:0").returncode == 0


def test_a_start_does_not_wait_for_what_can_not_come(up: Start) -> None:
    manager = up(
        db={"command": "false", "startretries": 0},
        web={**LASTING, "depends_on": "db", "autostart": False},
    )
    done = ctl(manager, "start", "web")
    assert done.returncode == 1
    assert "waits for db" in done.stdout


def test_what_is_run_once_has_started_well_while_it_runs(up: Start) -> None:
    once = {"command": "sleep 1000", "startsecs": 0, "autorestart": False, "autostart": False}
    assert ctl(up(once=once), "start", "once").returncode == 0


def test_restart_replaces_processes(manager: Up) -> None:
    before = pids(manager)
    assert ctl(manager, "restart", "web").returncode == 0
    assert before.keys() == pids(manager).keys()
    assert not set(before.values()) & set(pids(manager).values())


def test_scale_starts_and_stops_the_difference(manager: Up) -> None:
    before = pids(manager)
    assert ctl(manager, "scale", "web", "4").returncode == 0
    assert states(manager).keys() >= {"web:0", "web:1", "web:2", "web:3"}
    assert before.items() <= pids(manager).items()
    rows = json.loads(ctl(manager, "scale", "web", "1", "--json").stdout)
    assert [row["name"] for row in rows] == ["web:0"]
    assert pids(manager) == {"web:0": before["web:0"]}


def test_scaling_beyond_what_autoscale_allows_is_code_5(up: Start) -> None:
    rule = {"min": 1, "max": 2, "target_wait": 1000}
    manager = up({"servers": ["127.0.0.1:1"]}, web={**LASTING, "autoscale": rule})
    done = ctl(manager, "scale", "web", "3")
    assert done.returncode == 5
    assert done.stderr == "geartrain ctl: autoscale of web allows 1 to 2 processes\n"


def test_a_signal_reaches_the_process(up: Start) -> None:
    script = shell("trap 'echo caught' USR1; echo set; while :; do sleep 0.01; done")
    manager = up(web={"command": script, "startsecs": 0})
    manager.wait_for("set$")
    assert ctl(manager, "signal", "usr1", "web").returncode == 0
    manager.wait_for("caught$")
    done = ctl(manager, "signal", "USR9", "web")
    assert done.returncode == 2
    assert "'USR9' is no signal; did you mean 'USR" in done.stderr


def test_shutdown_stops_everything(manager: Up) -> None:
    assert ctl(manager, "shutdown").returncode == 0
    assert manager.process.wait(DEADLINE) == 0


# Output.


def test_tail_shows_the_last_lines(up: Start, tmp_path: Path) -> None:
    keys = {"command": shell("seq 1000"), "startsecs": 0, "autorestart": False}
    manager = up(
        kept={**keys, "stdout_logfile": str(tmp_path / "log"), "log_timestamps": False},
        shown={**keys, "log_timestamps": False},
    )
    manager.wait_for_state("kept:0", "EXITED")
    manager.wait_for_state("shown:0", "EXITED")
    assert ctl(manager, "tail", "kept", "--bytes", "10").stdout == "999\n1000\n"
    assert ctl(manager, "tail", "shown", "-b", "20").stdout == "shown:0 | 1000\n"
    assert ctl(manager, "tail", "shown", "--stream", "stderr").stdout == ""
    assert ctl(manager, "tail", "shown", "--stream", "stdwhat").returncode == 2


def test_tail_follows_what_comes(up: Start, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    script = shell(f"echo one; read x < {go}; echo two; exec sleep 1000")
    manager = up(web={"command": script, "startsecs": 0, "log_timestamps": False})
    manager.wait_for("one$")
    follower = subprocess.Popen(
        [*GEARTRAIN, "ctl", "-c", str(manager.config), "tail", "-f", "web"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    try:
        assert follower.stdout.readline() == "web:0 | one\n"
        go.write_text("go\n")
        assert follower.stdout.readline() == "web:0 | two\n"
        follower.send_signal(signal.SIGINT)
        assert follower.wait(DEADLINE) == 0
    finally:
        follower.kill()
        follower.stdout.close()


# Another configuration.


def test_reload_shows_the_difference_and_applies_no_more(manager: Up) -> None:
    before = pids(manager)
    manager.write({"web": {**LASTING, "numprocs": 3, "stopwaitsecs": 5}, "news": LASTING})
    wanted = [
        "- broken",
        "    stops 1 process",
        "- idle",
        "    stops 1 process",
        "+ news",
        "    command: sleep 1000",
        "    starts 1 process",
        "~ web",
        "    numprocs: 2 -> 3 (starts 1)",
        "    stopwaitsecs: 10.0 -> 5",
    ]
    assert ctl(manager, "diff").stdout.splitlines() == wanted
    assert pids(manager) == before
    assert ctl(manager, "reload").stdout.splitlines() == wanted
    assert pids(manager).keys() == {"web:0", "web:1", "web:2", "news:0"}
    assert before.items() <= pids(manager).items()
    assert ctl(manager, "diff").stdout == f"{manager.config} changes nothing\n"


def test_a_hangup_logs_the_difference_and_applies_it(manager: Up) -> None:
    before = pids(manager)
    manager.write({"web": {**LASTING, "numprocs": 1}})
    manager.process.send_signal(signal.SIGHUP)
    manager.wait_for(r"INFO     numprocs: 2 -> 1 \(stops 1\)")
    manager.wait_for_state("web:1", "STOPPED")
    eventually(lambda: states(manager) == {"web:0": "RUNNING"}, "the difference")
    assert pids(manager)["web:0"] == before["web:0"]


def test_a_changed_command_replaces_one_after_the_other(up: Start) -> None:
    keys = {"startsecs": 0.05, "numprocs": 3, "restart": "rolling(1)"}
    manager = up(web={"command": "sleep 1000", **keys})
    eventually(lambda: set(states(manager).values()) == {"RUNNING"}, "the start")
    manager.write({"web": {"command": "sleep 2000", **keys}})
    assert "~ web (its processes are replaced)" in ctl(manager, "reload").stdout
    for number in range(3):
        manager.wait_for(f"= web:{number} RUNNING -> STOPPING")
        manager.wait_for(f"= web:{number} STARTING -> RUNNING")


def test_a_file_with_a_mistake_changes_nothing(manager: Up) -> None:
    before = pids(manager)
    manager.config.write_text("[programs.web]\ncomand = 'x'\n")
    done = ctl(manager, "--socket", str(manager.socket), "reload")
    assert done.returncode == 2
    assert "'comand' is no key of [programs.web]; did you mean 'command'?" in done.stderr
    manager.process.send_signal(signal.SIGHUP)
    manager.wait_for("ERROR the configuration stays as it is: .*'comand' is no key")
    assert pids(manager) == before


def test_what_was_not_shown_is_not_applied(manager: Up) -> None:
    shown = manager.ask("diff")["digest"]
    manager.write({"web": LASTING})
    reply = manager.ask("reload", digest=shown)
    assert reply["code"] == 5
    assert "was changed since it was shown" in reply["error"]


# The shell.


def test_the_shell_takes_lines_and_survives_mistakes(manager: Up) -> None:
    done = ctl(manager, stdin="status web:0\nstop wbe\nnonsense\n'\nstart idle\nquit\n")
    assert done.returncode == 0
    assert "web:0" in done.stdout
    assert "idle:0  RUNNING" in done.stdout
    assert "did you mean 'web'?" in done.stderr
    assert "No such command 'nonsense'" in done.stderr


# The socket.


def test_only_the_owner_may_ask(shared: Up) -> None:
    assert stat.S_IMODE(shared.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(shared.socket.parent.stat().st_mode) == 0o700


def test_a_group_may_be_let_in(up: Start) -> None:
    manager = up({"socket_mode": "660"}, web=LASTING)
    assert stat.S_IMODE(manager.socket.stat().st_mode) == 0o660


def test_a_second_supervisor_is_refused_and_harms_nobody(shared: Up) -> None:
    done = subprocess.run(
        [*GEARTRAIN, "up", "-c", str(shared.config)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 2
    assert "another supervisor answers at" in done.stderr
    assert states(shared)["web:0"] == "RUNNING"


def test_a_socket_that_a_killed_supervisor_left_is_taken_over(up: Start) -> None:
    first = up(web=LASTING)
    first.process.kill()
    first.process.wait()
    assert first.socket.exists()
    assert states(up(web=LASTING)) == {"web:0": "RUNNING"}


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[]\n", b"{}\n", b'{"command": "fly"}\n', b'{"command": "stop"}\n']
)
def test_a_request_that_is_none_is_told_so(shared: Up, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(shared.socket))
        peer.sendall(line)
        reply = json.loads(peer.makefile("rb").readline())
    assert reply["code"] == 2
    assert reply["error"]


def test_a_request_without_an_end_is_cut_off(shared: Up) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(shared.socket))
        try:
            peer.sendall(b"x" * 1_000_000)
            assert peer.recv(1) == b""
        except ConnectionError:
            pass
    assert states(shared)["web:0"] == "RUNNING"
