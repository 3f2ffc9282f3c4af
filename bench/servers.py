"""
Job servers as processes of their own: started, looked at from outside, stopped.

Nothing here is specific to a measurement. Figures come from ``/proc``, never from the server, and
the queue is counted in the server's own words.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .load import WrongResult

__all__ = ["Server", "Setup", "free_port", "program_path", "version"]

START_TIMEOUT = 120  # seconds until a server must accept, with a million jobs on disk
ANSWER_TIMEOUT = 60  # seconds for an answer to a line
STOP_TIMEOUT = 15  # seconds until a server must be gone after SIGTERM
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Setup:
    """
    A server as it is compared: a program with its default settings, and where its queue is kept.

    Attributes:
        program: ``geartrain``, ``gearmand`` or ``beanstalkd``.
        store: ``memory``, ``sqlite``, for geartrain also a URL, or for beanstalkd ``binlog``:
            written at once, on disk within 50 ms by its default; and ``binlog -f 0``: on disk
            before the answer.
        queue: gearmand's options for a queue that is not ``store``'s.

    """

    program: str
    store: str
    queue: tuple[str, ...] = ()

    @property
    def protocol(self) -> str:
        return "beanstalk" if self.program == "beanstalkd" else "gearman"

    def database(self, directory: Path) -> Path:
        return directory / "queue.db"

    def command(self, port: int, directory: Path) -> list[str]:
        """The command that serves on ``port`` of 127.0.0.1, with its files in ``directory``."""
        path = program_path(self.program)
        database = self.database(directory)
        if self.program == "beanstalkd":
            binlog = [] if self.store == "memory" else ["-b", str(directory)]
            always = ["-f", "0"] if self.store.endswith("-f 0") else []
            return [path, "-l", "127.0.0.1", "-p", str(port), *binlog, *always]
        if self.program == "geartrain":
            url = self.store
            if ":" not in url:
                url = "memory:" if url == "memory" else f"sqlite:///{database}"
            return [path, "serve", "--listen", f"127.0.0.1:{port}", "--store", url]
        queue = ["-q", "libsqlite3", "--libsqlite3-db", str(database)]
        queue = [*self.queue] or (queue if self.store == "sqlite" else [])
        return [
            path,
            *("-L", "127.0.0.1", "-p", str(port)),
            *("-l", str(directory / "server.log"), "-P", str(directory / "server.pid")),
            *queue,
        ]


def program_path(program: str) -> str:
    """
    Where a server's program is: ours beside the running Python, the peer on ``PATH``.

    An empty string means that it is not installed. ``gearmand`` beside the running Python is our
    drop-in of the same name and is never taken for the peer.

    """
    own = Path(sys.executable).parent
    if program == "geartrain":
        places = [own, Path(__file__).resolve().parents[1] / ".venv" / "bin"]
        return next((str(place / program) for place in places if (place / program).exists()), "")
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    others = [folder for folder in path if folder and not is_venv(Path(folder))]
    return shutil.which(program, path=os.pathsep.join([*others, "/usr/sbin", "/usr/bin"])) or ""


def is_venv(folder: Path) -> bool:
    return (folder.parent / "pyvenv.cfg").exists()


def version(program: str) -> str:
    """What the installed program says of its version, on one line."""
    argument = {"geartrain": "version", "beanstalkd": "-v"}.get(program, "--version")
    try:
        done = subprocess.run(
            [program_path(program), argument], capture_output=True, text=True, timeout=20
        )
    except OSError:
        return "not installed"
    return " ".join((done.stdout or done.stderr).split()) or "unknown"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """
    One server process, alive inside a ``with`` block.

    Args:
        setup: What to start.
        directory: An empty folder for its database, log and pid file.
        under: ``strace`` to count its fsync and fdatasync calls, ``callgrind`` to count its
            instructions; both slow it down.

    Attributes:
        port: Where it listens on 127.0.0.1.
        pid: Its process id.

    """

    def __init__(self, setup: Setup, directory: Path, under: str = "") -> None:
        self.setup = setup
        self.directory = directory
        self.under = under
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def __enter__(self) -> Server:
        self.start()
        return self

    def start(self) -> None:
        """Start the process, with the database it had before, and wait until it answers."""
        command = self.setup.command(self.port, self.directory)
        if self.under == "strace":
            command = [*self.tracer(), *command]
        elif self.under == "callgrind":
            command = [*self.counter(), *command]
        with open(self.directory / "output", "ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.directory
            )
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def tracer(self) -> list[str]:
        # -D leaves the server our direct child, and the filter spares it a stop at every other
        # system call, which would make its batches larger than they are.
        summary = str(self.directory / "syncs")
        traced = "trace=fsync,fdatasync"
        return ["strace", "-D", "-f", "--seccomp-bpf", "-c", "-e", traced, "-o", summary]

    def counter(self) -> list[str]:
        return [
            *("valgrind", "--quiet", "--tool=callgrind"),
            f"--callgrind-out-file={self.directory}/callgrind.out.%p",
        ]

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                self.ask("list-tube-used" if self.setup.protocol == "beanstalk" else "version")
                return
            except OSError:
                pass
            if self.process is None or self.process.poll() is not None:
                raise WrongResult(f"{self.setup.program} stopped at once: {self.last_words()}")
            if time.monotonic() > deadline:
                raise WrongResult(f"{self.setup.program} does not accept: {self.last_words()}")
            time.sleep(0.02)

    def last_words(self) -> str:
        lines = (self.directory / "output").read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"

    def ask(self, line: str) -> list[str]:
        """Send a line of the text protocol and return the lines of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_TIMEOUT) as peer:
            peer.sendall(f"{line}\r\n".encode())
            with peer.makefile("r", encoding="utf-8") as answer:
                first = answer.readline()
                if not first:
                    raise ConnectionError("closed without an answer")
                if line == "stats":  # OK, the number of bytes, and so many of YAML
                    return answer.read(int(first.split()[1])).splitlines()
                if line != "status":
                    return [first.rstrip()]
                rest = iter([first, *iter(answer.readline, ".\n")] if first != ".\n" else [])
                return [each.rstrip("\n") for each in rest]

    def queued(self) -> int:
        """How many jobs the server holds, queued or running, by its own count."""
        if self.setup.protocol == "beanstalk":
            counts = dict(line.split(": ") for line in self.ask("stats") if ": " in line)
            return sum(int(counts[f"current-jobs-{state}"]) for state in ("ready", "reserved"))
        return sum(int(line.split("\t")[1]) for line in self.ask("status"))

    def rss(self) -> int:
        """Resident memory in bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * PAGE

    def peak_rss(self) -> int:
        """The most resident memory so far, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

    def cpu(self) -> float:
        """CPU time so far in seconds, user and system, all threads."""
        self.check_alone()
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def check_alone(self) -> None:
        """A server that had child processes would look cheaper than it is."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        if children:
            raise WrongResult(f"{self.setup.program} has child processes that nobody counts")

    def stop(self) -> None:
        """End the process and wait for it. Safe to call twice."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """End the process as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def start_counting(self) -> None:
        """Forget the instructions counted so far, under callgrind."""
        self.control_callgrind("-z")

    def instructions(self) -> int:
        """Instructions in user space since ``start_counting``, all threads."""
        before = set(self.directory.glob("callgrind.out.*"))
        self.control_callgrind("-d")
        (dump,) = set(self.directory.glob("callgrind.out.*")) - before
        lines = dump.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("totals:"))

    def control_callgrind(self, option: str) -> None:
        command = ["callgrind_control", option, str(self.pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_TIMEOUT)
        if done.returncode != 0 or "OK" not in done.stdout:
            raise WrongResult(f"callgrind_control: {done.stdout} {done.stderr}".strip())

    def syncs(self) -> int:
        """The fsync and fdatasync calls of a traced server that has stopped."""
        summary = self.directory / "syncs"
        deadline = time.monotonic() + STOP_TIMEOUT
        while not summary.exists() or "total" not in summary.read_text():
            if time.monotonic() > deadline:
                return 0  # strace prints no table when there was nothing to count
            time.sleep(0.05)
        total = next(line for line in summary.read_text().splitlines() if line.endswith("total"))
        return int(total.split()[3])
