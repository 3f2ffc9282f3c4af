"""``geartrain dev``: server and worker in one process that starts its own program anew."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from geartrain import App
from geartrain.cli.dev import Development
from tests.acceptance.job_server import DEADLINE, eventually
from tests.tasks.running import Program

COMMAND = [sys.executable, "-c", "from geartrain.cli.main import main; main()"]
TEXT = """
import os, pathlib, time
from geartrain import App

app = App()

@app.task
def add(a: int) -> int:
    return a + 1

@app.task
def note(text: str) -> None:
    with open("notes", "a") as file:
        file.write(text + "\\n")

@app.task
def wait_for_file(name: str) -> str:
    pathlib.Path("begun").touch()
    while not os.path.exists(name):
        time.sleep(0.01)
    return name

@app.task
def crash() -> None:
    os._exit(9)

@app.task
def stop_here(value: int) -> int:
    breakpoint()
    return value + 1
"""


@contextlib.contextmanager
def running(folder: Path, *options: str, text: str = TEXT) -> Iterator[tuple[Program, App]]:
    """``geartrain dev`` for a module in a folder, and an app to call its tasks with."""
    (folder / "fresh.py").write_text(text)
    arguments = ("dev", "fresh", "--listen", "127.0.0.1:0", *options)
    # As for people, whose Python keeps what it has compiled.
    with Program(*arguments, cwd=folder, TMPDIR=str(folder), PYTHONDONTWRITEBYTECODE="") as program:
        program.wait_for("server on ")
        with calling(program) as app:
            yield program, app


@contextlib.contextmanager
def calling(program: Program) -> Iterator[App]:
    found = re.search(r"server on (\S+),", program.read_log())
    assert found is not None
    with App(found[1], default_timeout=DEADLINE) as app:

        @app.task
        def add(a: int) -> int: ...  # type: ignore[empty-body]

        @app.task
        def note(text: str) -> None: ...

        @app.task
        def wait_for_file(name: str) -> str: ...  # type: ignore[empty-body]

        @app.task
        def crash() -> None: ...

        yield app


def change(program: Program, folder: Path, text: str) -> None:
    """Write the module, and wait for the program that has read it."""
    seen = program.read_log().count("ready: ")
    module = folder / "fresh.py"
    saved = module.stat().st_mtime_ns
    module.write_text(text)
    # As if it were saved within a second of the last time.
    os.utime(module, ns=(saved, saved))
    program.wait_for("ready: ", times=seen + 1)


def end(program: Program) -> int:
    program.process.send_signal(signal.SIGINT)
    return program.process.wait(DEADLINE)


def settled_size(descriptors: Path) -> int:
    """How many are open, once the connections of those who have left are closed."""
    sizes = [-1]

    def is_settled() -> bool:
        sizes.append(len(list(descriptors.iterdir())))
        return sizes[-1] == sizes[-2]

    eventually(is_settled, "connections are closed")
    return sizes[-1]


class Knocking:
    """Connects to a server all the time, one connection after the other."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = host, int(port)
        self.count = 0
        self.refused: list[OSError] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.over.wait(0.005):
            try:
                socket.create_connection(self.address, DEADLINE).close()
                self.count += 1
            except OSError as error:
                self.refused.append(error)

    def __enter__(self) -> Knocking:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


@pytest.mark.timeout(60)
def test_it_is_one_process_that_new_code_replaces_and_nobody_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as (program, app):
        program.wait_for("ready: 2 at once")
        assert program.children() == []
        descriptors = Path(f"/proc/{program.process.pid}/fd")
        sizes, noted = [], 0
        for more in ("2", "3"):
            with Knocking(str(app.servers)) as knocking:
                for _ in range(20):
                    app.tasks["note"].delay(f"note {noted}")
                    noted += 1
                change(program, tmp_path, TEXT.replace("a + 1", f"a + {more}"))
                assert app.tasks["add"].call(1) == 1 + int(more)
            assert knocking.count > 5
            assert knocking.refused == []
            sizes.append(settled_size(descriptors))
        notes = tmp_path / "notes"
        eventually(lambda: len(notes.read_text().split("\n")) > noted, "all jobs have run")
        assert set(notes.read_text().split("\n")) == {f"note {n}" for n in range(noted)} | {""}
        assert max(sizes) - min(sizes) <= 2
        assert end(program) == 0
        assert "WARNING" not in program.read_log()
        assert list(tmp_path.glob("geartrain-dev-*")) == []


@pytest.mark.timeout(60)
def test_broken_code_is_shown_and_jobs_wait_for_code_that_works(tmp_path: Path) -> None:
    with running(tmp_path, text="from geartrain import Application\n") as (program, app):
        program.wait_for("no worker: jobs wait until a Python file changes")
        log = program.read_log()
        assert 'fresh.py", line 1, in <module>' in log
        assert "ImportError: cannot import name 'Application'" in log
        # From where the app's own code begins.
        assert "find_app" not in log
        assert "importlib" not in log
        app.tasks["note"].delay("patient")
        (tmp_path / "fresh.py").write_text("def :\n")
        program.wait_for("SyntaxError: invalid syntax")
        program.wait_for("no worker", times=2)
        change(program, tmp_path, TEXT)
        notes = tmp_path / "notes"
        eventually(lambda: notes.exists() and notes.read_text() == "patient\n", "the job has run")
        assert end(program) == 0


@pytest.mark.timeout(60)
def test_an_app_without_tasks_is_no_reason_to_end(tmp_path: Path) -> None:
    with running(tmp_path, text="from geartrain import App\napp = App()\n") as (program, app):
        program.wait_for("no task is called '*'; the app has none at all\nno worker: jobs wait")
        app.tasks["note"].delay("patient")
        change(program, tmp_path, TEXT)
        notes = tmp_path / "notes"
        eventually(lambda: notes.exists() and notes.read_text() == "patient\n", "the job has run")
        assert end(program) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_code_is_imported_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "fresh.py").write_text("open('fifo').read()\n")
    with Program(
        "dev", "fresh", "--listen", f"unix:{tmp_path}/socket", cwd=tmp_path, TMPDIR=str(tmp_path)
    ) as program:
        # That it is opened here means that the module has opened it.
        with open(tmp_path / "fifo", "w"):
            assert (tmp_path / "socket").is_socket()
            assert len(list(tmp_path.glob("geartrain-dev-*"))) == 1
            program.process.send_signal(number)
            assert program.process.wait(DEADLINE) == 130
        assert list(tmp_path.glob("geartrain-dev-*")) == []
        assert not (tmp_path / "socket").exists()


def test_where_files_cannot_be_watched_it_says_so_and_serves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> Iterator[set[Path]]:
        raise RuntimeError("Error creating recommended watcher: Too many open files")

    monkeypatch.setattr("geartrain.cli.dev.python_changes", refuse)
    renewal: Any = SimpleNamespace(directory=".")
    development = Development("fresh", {}, renewal, False)
    development.watch()
    assert development.watch_end.begun.is_set()
    told = "files can't be watched, so nothing starts anew: Error creating recommended watcher"
    assert told in capsys.readouterr().err


@pytest.mark.timeout(60)
def test_a_signal_while_it_gives_way_ends_it_and_its_socket(tmp_path: Path) -> None:
    with running(tmp_path, "--listen", f"unix:{tmp_path}/socket") as (program, app):
        app.tasks["wait_for_file"].delay("go")
        eventually((tmp_path / "begun").exists, "it runs")
        (tmp_path / "fresh.py").write_text(TEXT + "# changed")
        program.wait_for("fresh.py changed; starting anew")
        program.process.send_signal(signal.SIGTERM)
        (tmp_path / "go").touch()
        assert program.process.wait(DEADLINE) == 0
        assert not (tmp_path / "socket").exists()
        assert list(tmp_path.glob("geartrain-dev-*")) == []


@pytest.mark.timeout(60)
def test_where_it_cannot_start_anew_it_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    text = TEXT + "import sys; sys.executable = '/nowhere'\n"
    with running(tmp_path, "--listen", f"unix:{tmp_path}/socket", text=text) as (program, _):
        program.wait_for("ready: ")
        (tmp_path / "fresh.py").write_text(TEXT)
        program.wait_for("can't start anew: [Errno 2] No such file or directory")
        assert program.process.wait(DEADLINE) == 2
        assert not (tmp_path / "socket").exists()
        assert list(tmp_path.glob("geartrain-dev-*")) == []


@pytest.mark.timeout(60)
def test_a_reload_waits_for_a_job_that_a_client_waits_for(tmp_path: Path) -> None:
    with running(tmp_path, "--listen", f"unix:{tmp_path}/socket") as (program, app):
        job = app.tasks["wait_for_file"].submit("go")
        eventually((tmp_path / "begun").exists, "it runs")
        (tmp_path / "fresh.py").write_text(TEXT + "# changed")
        program.wait_for("fresh.py changed; starting anew")
        (tmp_path / "go").touch()
        assert job.result(DEADLINE) == "go"
        program.wait_for("ready: ", times=2)
        assert (tmp_path / "socket").is_socket()
        assert end(program) == 0
        assert not (tmp_path / "socket").exists()


@pytest.mark.timeout(60)
def test_jobs_in_the_file_here_survive_code_that_takes_the_process_along(tmp_path: Path) -> None:
    (tmp_path / "geartrain.db").touch()
    with running(tmp_path, "-c", "1") as (program, app):
        program.wait_for(f"jobs kept in sqlite:///{tmp_path}/geartrain.db;")
        app.tasks["note"].options(delay=1).delay("still here")
        app.tasks["crash"].delay()
        assert program.process.wait(DEADLINE) == 9
    with running(tmp_path, text=TEXT.replace("os._exit(9)", "pass")) as (program, _):
        notes = tmp_path / "notes"
        eventually(notes.exists, "the job has run")
        assert end(program) == 0


def test_without_a_module_there_are_functions_to_try(tmp_path: Path) -> None:
    with Program("dev", "--listen", "127.0.0.1:0", cwd=tmp_path) as program:
        program.wait_for("ready: 2 at once (thread): reverse, slow_progress")
        with calling(program) as app:
            server = ["-s", str(app.servers)]
            command = [*COMMAND, "submit", "reverse", "hellö", "--wait", *server]
            assert subprocess.check_output(command, timeout=DEADLINE) == "ölleh".encode()
        assert program.stop() == 0


@pytest.mark.timeout(60)
def test_a_breakpoint_has_the_terminal_and_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "fresh.py").write_text(TEXT)
    ours, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    process = subprocess.Popen(
        [*COMMAND, "dev", "fresh", "--listen", f"unix:{tmp_path}/socket"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        # The terminal is its own, as it is where somebody types the command.
        preexec_fn=lambda: os.login_tty(terminal),
    )
    said = b""

    def read_until(text: bytes) -> None:
        nonlocal said
        while text not in said:
            said += os.read(ours, 4096)
        said = said.partition(text)[2]

    try:
        read_until(b"ready: ")
        with App(f"unix:{tmp_path}/socket") as app:

            @app.task
            def stop_here(value: int) -> int: ...  # type: ignore[empty-body]

            job = stop_here.submit(6)
            read_until(b"(Pdb) ")
            os.write(ours, b"value = 41\n")
            read_until(b"(Pdb) ")
            os.write(ours, b"continue\n")
            assert job.result(DEADLINE) == 42
            job = stop_here.submit(6)
            read_until(b"(Pdb) ")
            process.send_signal(signal.SIGINT)
            read_until(b"stopping")
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE) == 0
        assert list(tmp_path.glob("geartrain-dev-*")) == []
        assert termios.tcgetattr(terminal) == before
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(terminal)
