"""Processes that don't behave, and what may be done to them: real ones, killed for real."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.supervisor.running import (
    GEARTRAIN,
    Start,
    Up,
    eventually,
    has_ended,
    is_gone,
    shell,
    toml_of,
)

QUICK = {"backoff": "exp(10ms, 10ms)", "startretries": 1}
LASTING = {"command": ["sleep", "1000"], "startsecs": 0}


def zombies_of(up: Up) -> list[int]:
    children = psutil.Process(up.process.pid).children(recursive=True)
    return [one.pid for one in children if one.status() == psutil.STATUS_ZOMBIE]


# Starts that fail.


def test_a_program_that_exits_at_once_is_tried_again_and_given_up(up: Start) -> None:
    manager = up(web={"command": shell("exit 3"), **QUICK})
    manager.wait_for(r"= web:0 STARTING -> BACKOFF \(exited with code 3 too quickly\)")
    manager.wait_for(r"ERROR = web:0 STARTING -> FATAL \(exited with code 3 too quickly; gave up")
    row = manager.row("web:0")
    assert (row["state"], row["status"], row["starts"], row["pid"]) == ("FATAL", 3, 2, None)


def test_a_command_that_is_missing_is_named(up: Start) -> None:
    manager = up(web={"command": "/no/such/program", **QUICK})
    manager.wait_for(r"-> FATAL \(can't run '/no/such/program': no such file or directory; gave up")


def test_a_file_that_is_no_program_is_named(up: Start, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no program")
    manager = up(web={"command": str(tmp_path / "notes"), **QUICK})
    manager.wait_for(r"-> FATAL \(can't run '.*/notes': permission denied; gave up")


def test_a_directory_that_is_missing_is_named(up: Start) -> None:
    manager = up(web={"command": "true", "directory": "/no/such", **QUICK})
    manager.wait_for(r"-> FATAL \(can't enter the directory '/no/such': no such file or directory")


def test_the_supervisor_leaves_with_a_program_that_everything_depends_on(up: Start) -> None:
    manager = up(mail=LASTING, web={"command": shell("exit 1"), "on_fatal": "exit", **QUICK})
    manager.wait_for_state("web:0", "FATAL")
    assert manager.process.wait(10) == 1


def test_a_user_who_does_not_exist_is_told_before_anything_starts(tmp_path: Path) -> None:
    config = tmp_path / "geartrain.toml"
    config.write_text(
        toml_of({"programs.web": {"command": "true", "user": getpass.getuser()[:-1]}})
    )
    done = subprocess.run(
        [*GEARTRAIN, "up", "-c", str(config)], capture_output=True, text=True, timeout=10
    )
    assert done.returncode == 2
    assert f"is no user of this system; did you mean {getpass.getuser()!r}?" in done.stderr


def test_without_a_file_the_next_step_is_told(tmp_path: Path) -> None:
    argv = [*GEARTRAIN, "up"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no file geartrain.toml; name one with --config, or write it" in done.stderr
    # As it stands there, but for its indent.
    example = done.stderr.partition("[programs.worker]")[2].partition("and look")[0]
    lines = ["[programs.worker]", *map(str.strip, example.splitlines())]
    (tmp_path / "geartrain.toml").write_text("\n".join(lines))
    shown = subprocess.run([*argv, "--check"], capture_output=True, timeout=10, cwd=tmp_path)
    assert b"geartrain worker module:app" in shown.stdout
    assert b"starts 2 processes" in shown.stdout


# Ends that take force.


def test_a_process_that_ignores_its_stop_signal_is_killed(up: Start) -> None:
    script = shell("trap '' TERM; echo deaf; while :; do sleep 1000; done")
    manager = up(web={"command": script, "startsecs": 0, "stopwaitsecs": 0.2})
    manager.wait_for("deaf")
    reply = manager.ask("stop", names=["web"])
    assert reply["code"] == 0
    assert (manager.row("web:0")["state"], manager.row("web:0")["status"]) == ("STOPPED", -9)
    assert manager.stop() == 0


def test_stopasgroup_reaches_all_that_a_process_has_started(up: Start) -> None:
    inner = "trap 'echo heard; exit' TERM; echo up; sleep 1000 & wait"
    script = shell(f'sh -c "{inner}" & trap : TERM; wait; wait')
    manager = up(web={"command": script, "startsecs": 0, "stopasgroup": True})
    manager.wait_for("up$")
    manager.ask("stop", names=["web"], wait=False)
    manager.wait_for("heard$")
    manager.wait_for_state("web:0", "STOPPED")


def test_a_group_that_is_asked_to_end_may_finish_without_its_leader(up: Start) -> None:
    other = "trap 'sleep 0.1; echo finished; exit' TERM; echo up; while :; do sleep 0.01; done"
    script = shell(f'trap "exit 0" TERM; sh -c "{other}" & wait')
    manager = up(web={"command": script, "startsecs": 0, "stopasgroup": True})
    manager.wait_for("up$")
    assert manager.ask("stop", names=["web"])["code"] == 0
    manager.wait_for("finished$")


def test_a_child_that_was_killed_is_replaced(up: Start) -> None:
    manager = up(web={**LASTING, "numprocs": 2})
    manager.wait_for_state("web:1", "RUNNING")
    before, other = manager.pid("web:0"), manager.pid("web:1")
    os.kill(before, signal.SIGKILL)
    manager.wait_for(r"= web:0 RUNNING -> EXITED \(was ended by SIGKILL, unexpectedly\)")
    manager.wait_for("= web:0 STARTING -> RUNNING")
    assert manager.pid("web:0") != before
    assert manager.pid("web:1") == other
    assert zombies_of(manager) == []


# What is left behind.


def test_what_a_process_leaves_in_its_group_ends_with_it(up: Start) -> None:
    manager = up(web={"command": shell("sleep 1000 & echo left $!; exec sleep 0.01"), **QUICK})
    left = int(manager.wait_for("left").split()[-1])
    manager.wait_for_state("web:0", "BACKOFF")
    eventually(lambda: is_gone(left), "the end of what was left")


def test_orphans_are_adopted_and_leave_no_zombies(up: Start, tmp_path: Path) -> None:
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    # A daemon: its own session, its parent gone.
    script = shell(f"setsid sh -c 'echo $$ is away; read x < {fifo}' & exec sleep 1000")
    manager = up(web={"command": script, "startsecs": 0})
    orphan = int(manager.wait_for("is away").split()[-3])
    manager.ask("stop", names=["web"])
    assert psutil.Process(orphan).ppid() == manager.process.pid
    fifo.write_text("end\n")
    eventually(lambda: is_gone(orphan), "the orphan's end")
    assert zombies_of(manager) == []


def test_orphans_that_stay_are_ended_with_the_supervisor(up: Start) -> None:
    script = shell("setsid sh -c 'echo $$ is away; sleep 1000' & exec sleep 1000")
    manager = up(web={"command": script, "startsecs": 0})
    orphan = int(manager.wait_for("is away").split()[-3])
    assert manager.stop() == 0
    eventually(lambda: is_gone(orphan), "the orphan's end")
    assert any(f"killing process {orphan}, which was left behind" in one for one in manager.rest())


# The supervisor itself is killed.


def test_all_processes_end_when_the_supervisor_is_killed(up: Start, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = shell(
        f"trap 'echo asked >> {said}; exit' TERM; echo $$ gentle; while :; do sleep 0.01; done"
    )
    deaf = shell("trap '' TERM; sleep 1000 & echo $$ $! deaf; while :; do sleep 1; done")
    manager = up(
        gentle={"command": script, "startsecs": 0},
        deaf={"command": deaf, "startsecs": 0, "stopwaitsecs": 0.3},
    )
    lines = sorted([manager.wait_for("gentle$|deaf$"), manager.wait_for("gentle$|deaf$")])
    pids = [int(word) for line in lines for word in line.split() if word.isdigit()]
    assert len(pids) == 3
    manager.process.kill()
    for pid in pids:
        eventually(lambda pid=pid: has_ended(pid), "the end of the processes")
    # Once, and in a way that leaves time to finish.
    assert said.read_text() == "asked\n"


def test_a_killed_guard_is_replaced_and_knows_all_processes(up: Start) -> None:
    manager = up(
        web={
            "command": shell("trap '' TERM; echo $$ deaf; while :; do sleep 1; done"),
            "startsecs": 0,
            "stopwaitsecs": 0.1,
        }
    )
    pid = int(manager.wait_for("deaf$").split()[-2])
    guard = guard_of(manager)
    os.kill(guard, signal.SIGKILL)
    manager.wait_for("the guard was ended; another one is started")
    assert guard_of(manager) != guard
    manager.process.kill()
    eventually(lambda: has_ended(pid), "the end of the process")


def guard_of(manager: Up) -> int:
    def find() -> int | None:
        for one in psutil.Process(manager.process.pid).children():
            # Of a process that has just begun nobody knows the arguments yet.
            with contextlib.suppress(psutil.NoSuchProcess):
                if "geartrain.supervisor.guard" in one.cmdline():
                    return one.pid
        return None

    return int(eventually(find, "the guard"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_supervisor_that_ends_leaves_nothing(up: Start, number: signal.Signals) -> None:
    manager = up(web={**LASTING, "numprocs": 3})
    family = psutil.Process(manager.process.pid).children(recursive=True)
    assert len(family) == 4
    manager.process.send_signal(number)
    assert manager.process.wait(10) == 0
    assert all(is_gone(one.pid) for one in family)
    assert not manager.socket.exists()


def test_a_second_request_to_stop_kills(up: Start) -> None:
    deaf = shell("trap '' TERM; echo deaf; while :; do sleep 1; done")
    manager = up(web={"command": deaf, "startsecs": 0, "stopwaitsecs": 1000})
    manager.wait_for("deaf$")
    manager.process.send_signal(signal.SIGTERM)
    manager.wait_for("= web:0 RUNNING -> STOPPING")
    assert manager.process.poll() is None
    manager.process.send_signal(signal.SIGTERM)
    assert manager.process.wait(10) == 0
    assert "was ended by SIGKILL" in "\n".join(manager.rest())


# Many processes.


def test_a_hundred_processes_cost_next_to_nothing(up: Start) -> None:
    # The clock's lines say when to look; they are the only thing that happens meanwhile.
    clock = {"command": shell("echo begun; sleep 3; echo struck; exec sleep 1000"), "startsecs": 0}
    manager = up(
        many={**LASTING, "numprocs": 100, "max_memory": "1GB", "max_age": "1h"},
        clock={**clock, "autostart": False},
    )
    manager.wait_for_state("many:99", "RUNNING")
    manager.ask("start", names=["clock"])
    manager.wait_for("begun")
    process = psutil.Process(manager.process.pid)
    before, woken = process.cpu_times(), process.num_ctx_switches().voluntary
    manager.wait_for("struck")
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    assert used < 0.01 * 3
    # It sleeps until something happens: a line, a measurement, and not much else.
    assert process.num_ctx_switches().voluntary - woken < 30
