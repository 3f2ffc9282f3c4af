"""
Private instances of database servers: on free ports of 127.0.0.1, in folders of their own.

Started as the database's own user where the tests run as root, ended by the process that was
started. Their data are on a memory file system where there is one: a sync costs nothing there,
and is asked for all the same.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

START_TIMEOUT = 30.0
# Bytes that have to be free for data to be put into memory.
ROOM = 2 << 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_folder(user: str, in_memory: bool) -> Path:
    """Return a new folder that belongs to the user, in memory if wanted and there is room."""
    memory = Path("/dev/shm")
    roomy = in_memory and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="geartrain-", dir=memory if roomy else None))
    folder.chmod(0o755)
    if os.getuid() == 0:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    return folder


def as_user(user: str, *argv: object) -> list[str]:
    """Return a command line that runs as the user, and ends when the tests are killed."""
    options = ["--pdeathsig", "KILL"]
    if os.getuid() == 0:
        options += ["--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--init-groups"]
    return ["setpriv", *options, *map(str, argv)]


def run_as(user: str, *argv: object) -> None:
    """Run a command to its end; fails with what it printed."""
    done = subprocess.run(
        as_user(user, *argv), capture_output=True, text=True, cwd="/", stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"


class Instance:
    """
    One database server that can be stopped, killed, paused and started again on its files.

    Args:
        user: Whom it runs as.

    Attributes:
        port: Where it listens on 127.0.0.1.
        in_memory: Whether its files may be in memory, where a sync costs nothing.

    """

    in_memory = True

    def __init__(self, user: str) -> None:
        self.user = user
        self.port = free_port()
        self.folder = make_folder(user, self.in_memory)
        self.process: subprocess.Popen[bytes] | None = None
        # What its command line begins with.
        self.before: tuple[str, ...] = ()

    def command(self) -> list[object]:
        """Return the command line that runs it in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Return whether it accepts connections and works."""
        raise NotImplementedError

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it works."""
        assert self.process is None
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                as_user(self.user, *self.before, *self.command()),
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
        if wait:
            self.wait_until(self.answers)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition of a server that runs."""
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def said(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-4000:]

    def end(self, number: signal.Signals) -> None:
        """Send a signal that ends it, and wait for its end."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(START_TIMEOUT)
            self.process = None

    def kill(self) -> None:
        """End it as a power cut of the machine would, but for the disk's cache."""
        if self.process is None:
            return
        started = children(self.process.pid)
        self.end(signal.SIGKILL)
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # They hold on to its memory, which a new one would find in use.
        deadline = time.monotonic() + START_TIMEOUT
        while any(is_running(pid) for pid in started):
            assert time.monotonic() < deadline, started
            time.sleep(0.005)

    def stop(self) -> None:
        """End it in good order."""
        self.end(signal.SIGTERM)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to it and all processes it started."""
        assert self.process is not None
        for pid in [self.process.pid, *children(self.process.pid)]:
            os.kill(pid, number)

    def pause(self) -> None:
        """Let it hang: connections are accepted by the system and never answered."""
        self.signal_all(signal.SIGSTOP)
        assert self.process is not None
        wait_until_stopped(self.process.pid, *children(self.process.pid))

    def resume(self) -> None:
        """Let it go on after ``pause``."""
        self.signal_all(signal.SIGCONT)

    def remove(self) -> None:
        """End it, and remove its files."""
        if self.process is not None and self.process.poll() is None:
            self.resume()
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Startable(Protocol):
    """A database server, or a cluster of them."""

    def create(self) -> None: ...

    def start(self) -> None: ...

    def remove(self) -> None: ...


AnyStartable = TypeVar("AnyStartable", bound=Startable)


@contextmanager
def started(server: AnyStartable) -> Iterator[AnyStartable]:
    """Make a server's files, start it, and remove all of it in the end."""
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.remove()


def is_running(pid: int) -> bool:
    """Return whether a process has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until_stopped(*pids: int) -> None:
    """Wait until no thread runs of processes that were sent SIGSTOP; it may take a busy machine."""
    deadline = time.monotonic() + START_TIMEOUT
    while not all(is_stopped(pid) for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.001)


def is_stopped(pid: int) -> bool:
    """Return whether all threads of a process are stopped, or it has ended."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return not is_running(pid)
    return all(text.rpartition(")")[2].split()[0] in "TtZX" for text in texts)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
