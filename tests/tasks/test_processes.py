"""What tasks do to their processes, and when these are replaced."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from geartrain import App, Lifetime
from geartrain.errors import TaskError
from geartrain.testing import TestServer
from tests.acceptance.job_server import DEADLINE, eventually
from tests.tasks import shop
from tests.tasks.running import Program, RunningPool
from tests.worker.processes import cpu_ticks, is_running, wake_ups


@pytest.mark.timeout(40)
def test_a_child_that_dies_is_replaced_and_its_job_runs_again(app: App, tmp_path: Path) -> None:
    with RunningPool("process", concurrency=1):
        for number, task in enumerate((shop.die_first, shop.crash_first, shop.exit_first)):
            marker = tmp_path / str(number)
            assert task.call(str(marker)) == "lived"
            assert shop.process_id.call() != int(marker.read_text())


@pytest.mark.parametrize("pool", ["thread", "process", "async", "inline"])
def test_a_task_that_forks_ends_its_job_once(server: TestServer, app: App, pool: str) -> None:
    with Program(*worker_arguments(server, pool, "-c", "1")) as program:
        program.wait_for("ready: 1 at once")
        for number in range(3):
            assert shop.fork_and_forget.call() == "original"
            assert shop.fork_and_forget_late.call() == "original"
            assert shop.fork_and_exit.call() == 7
            assert shop.add.call(number) == number + 1


@pytest.mark.parametrize("pool", ["thread", "process", "async", "inline"])
def test_a_task_that_raises_an_interrupt_fails_and_its_worker_goes_on(
    server: TestServer, app: App, pool: str
) -> None:
    with Program(*worker_arguments(server, pool, "-c", "1")) as program:
        program.wait_for("ready: 1 at once")
        for task, name in (
            (shop.interrupt, "KeyboardInterrupt"),
            (shop.interrupt_late, "KeyboardInterrupt"),
            (shop.leave_late, "SystemExit"),
        ):
            with pytest.raises(TaskError) as raised:
                task.options(timeout=DEADLINE).call()
            assert raised.value.type == name
            assert shop.add.call(1) == 2
        assert program.stop() == 0
        assert "ended with exit status" not in program.read_log()


def test_children_are_replaced_after_so_many_jobs(app: App) -> None:
    with RunningPool("process", concurrency=1, lifetime=Lifetime(max_jobs=3, jitter=0)):
        pids = [shop.process_id.call() for _ in range(7)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
    eventually(lambda: not any(is_running(pid) for pid in pids), "all children have ended")


def test_children_are_replaced_when_they_hold_too_much(app: App) -> None:
    with RunningPool("process", concurrency=1, lifetime=Lifetime(max_memory=1)):
        assert len({shop.process_id.call() for _ in range(2)}) == 2


def test_children_are_replaced_when_they_are_old(app: App) -> None:
    with RunningPool("process", concurrency=1, lifetime=Lifetime(max_age=0.3)):
        first = shop.process_id.call()
        eventually(lambda: not is_running(first), "an idle child is replaced")
        assert shop.process_id.call() != first


@pytest.mark.parametrize("pool", ["thread", "async"])
def test_without_children_the_worker_retires(app: App, pool: str) -> None:
    with RunningPool(pool, concurrency=1, lifetime=Lifetime(max_jobs=2, jitter=0)) as running:
        assert [shop.add.call(number) for number in range(2)] == [1, 2]
        running.thread.join(DEADLINE)
        assert running.worker.retired


def worker_arguments(server: TestServer, pool: str, *more: str) -> list[str]:
    return ["worker", "tests.tasks.shop", "-s", server.address, "--pool", pool, *more]


@pytest.mark.parametrize("pool", ["thread", "process", "async"])
def test_a_worker_program_runs_its_hooks_and_stops_warmly(
    server: TestServer, app: App, tmp_path: Path, pool: str
) -> None:
    log = tmp_path / "log"
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    arguments = worker_arguments(server, pool, "-c", "2", "--queues", "hold,process_id")
    with Program(*arguments, SHOP_LOG=str(log)) as program:
        program.wait_for("ready: 2 at once")
        pid = shop.process_id.call()
        assert (pid == program.process.pid) is (pool != "process")
        job = shop.hold.submit(str(gate))
        with gate.open("w") as through:
            program.process.send_signal(signal.SIGTERM)
            program.wait_for("stopping")
            through.write("seen to its end")
        assert job.result(DEADLINE) == "seen to its end"
        assert program.process.wait(DEADLINE) == 0, program.read_log()
        written = log.read_text().split()
    processes = 2 if pool == "process" else 1
    assert written.count("started") == processes
    assert written.count("stopped") == processes


def test_idle_workers_use_no_cpu_time(server: TestServer) -> None:
    """All pools side by side: each is watched for the same second and a half."""
    with ExitStack() as stack:
        programs = [
            stack.enter_context(Program(*worker_arguments(server, pool, "-c", "4")))
            for pool in ("thread", "process", "async")
        ]
        for program in programs:
            program.wait_for("ready: 4 at once")
        pids = [
            [program.process.pid, *(child.pid for child in program.children())]
            for program in programs
        ]
        before = [(sum(map(cpu_ticks, group)), sum(map(wake_ups, group))) for group in pids]
        with pytest.raises(subprocess.TimeoutExpired):
            programs[0].process.wait(1.5)
        after = [(sum(map(cpu_ticks, group)), sum(map(wake_ups, group))) for group in pids]
        for program in programs:
            program.process.send_signal(signal.SIGTERM)
        used = [
            (now[0] - then[0], now[1] - then[1]) for now, then in zip(after, before, strict=True)
        ]
        # Hundredths of a second of CPU time, and wake-ups, of all processes of each pool. The
        # last grabs may still have been under way.
        assert all(ticks <= 1 and wakes <= 20 for ticks, wakes in used), used


@pytest.mark.timeout(40)
def test_no_kill_of_a_child_or_a_worker_loses_a_job(
    server: TestServer, app: App, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with app.batch() as batch:
        for number in range(150):
            batch.add(shop.note, str(log), number)
    arguments = worker_arguments(server, "process", "-c", "2", "--queues", "note")
    with Program(*arguments) as first, Program(*arguments) as second:
        eventually(lambda: log.exists() and len(log.read_text().split()) > 20, "jobs run")
        first.children()[0].send_signal(signal.SIGKILL)
        children = first.children()
        first.process.kill()
        eventually(lambda: len(set(log.read_text().split())) == 150, "every job has run")
        eventually(lambda: not any(is_running(child.pid) for child in children), "none is left")
        assert second.stop() == 0


def test_a_program_that_has_grown_old_starts_anew_under_the_same_number(
    server: TestServer, app: App
) -> None:
    arguments = worker_arguments(server, "thread", "-c", "1", "--max-jobs", "1", "--jitter", "0")
    with Program(*arguments) as program:
        pids = {shop.process_id.call() for _ in range(3)}
        assert pids == {program.process.pid}
        program.wait_for("has done 1 jobs", times=3)


def test_a_worker_program_starts_anew_when_files_change(
    server: TestServer, app: App, tmp_path: Path
) -> None:
    module = tmp_path / "fresh_shop.py"
    text = (
        "from geartrain import App\napp = App()\n"
        "@app.task\ndef add(a: int, b: int = 1) -> int:\n    return a + b\n"
    )
    module.write_text(text)
    arguments = ["worker", "fresh_shop", "-s", server.address, "-c", "1", "--reload"]
    with Program(*arguments, cwd=tmp_path) as program:
        program.wait_for("ready: 1 at once")
        assert shop.add.call(1) == 2
        module.write_text(text.replace("a + b", "a + b + 100"))
        program.wait_for("ready: 1 at once", times=2)
        assert shop.add.call(1) == 102
        assert program.stop() == 0


RENEWED = """
from pathlib import Path
from geartrain import App
app = App()

@app.task
def add(a: int, b: int = 1) -> int:
    return a + b

@app.task
def hold(path: str) -> str:
    return Path(path).read_text()
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pool", ["thread", "process", "async"])
def test_hangup_has_a_worker_finish_and_start_anew_with_new_code(
    server: TestServer, app: App, tmp_path: Path, pool: str
) -> None:
    module, gate, ready = (tmp_path / name for name in ("renewed_shop.py", "gate", "ready"))
    module.write_text(RENEWED)
    os.mkfifo(gate)
    arguments = ["worker", "renewed_shop", "-s", server.address, "--pool", pool, "-c", "2"]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears,
        Program(
            *arguments,
            "--ready-file",
            str(ready),
            cwd=tmp_path,
            NOTIFY_SOCKET=listen(hears, tmp_path / "notify"),
        ) as program,
    ):
        assert hears.recv(100) == b"READY=1"
        assert ready.read_text() == f"{program.process.pid}\n"
        assert shop.add.call(1) == 2
        job = shop.hold.submit(str(gate))
        with gate.open("w") as through:
            module.write_text(RENEWED.replace("a + b", "a + b + 1000"))
            program.process.send_signal(signal.SIGHUP)
            assert hears.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert not ready.exists()
            through.write("seen to its end")
        assert job.result(DEADLINE) == "seen to its end"
        assert hears.recv(100) == b"READY=1"
        assert shop.add.call(1) == 1002
        assert ready.read_text() == f"{program.process.pid}\n"
        assert program.stop() == 0
        assert not ready.exists()


def listen(hears: socket.socket, path: Path) -> str:
    hears.bind(str(path))
    hears.settimeout(DEADLINE)
    return str(path)


@pytest.mark.parametrize("pool", ["thread", "async"])
def test_a_worker_that_is_stopped_after_a_hangup_does_not_start_anew(
    server: TestServer, app: App, tmp_path: Path, pool: str
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with Program(*worker_arguments(server, pool, "-c", "1", "--queues", "hold")) as program:
        program.wait_for("ready: 1 at once")
        handle = shop.hold.delay(str(gate))
        with gate.open("w"):
            program.process.send_signal(signal.SIGHUP)
            program.wait_for("stopping: no more jobs")
            assert program.stop() == 1
        handle.cancel()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tests.tasks.nowhere"], "there is no module 'tests.tasks.nowhere' here"),
        ([""], "'' names no module; write module:app"),
        (["tests/tasks/shop.py"], "write its module, tests.tasks.shop:app"),
        (["tests.tasks.shop:Order"], "is no App"),
        (["tests.tasks.shop", "--pool", "fork"], "it is one of thread, process, async, inline"),
        (["tests.tasks.shop", "--queues", "x"], "no task is called 'x'"),
        (["tests.tasks.shop", "--max-memory", "much"], "write bytes, or for instance 512M"),
    ],
)
def test_a_worker_program_says_what_is_wrong(arguments: list[str], message: str) -> None:
    with Program("worker", *arguments) as program:
        assert program.process.wait(DEADLINE) == 2
        assert message in program.read_log()
