"""
Jobs done before your eyes: ``make demo``.

Starts a job server on a free port with its queue in a temporary folder, uses it
the ways people use it, and ends everything that it started.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from geartrain import AdminClient, Client

BIN = Path(sys.executable).parent
EXAMPLES = Path(__file__).resolve().parent
ROOT = EXAMPLES.parent
PATIENCE = 20.0

BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def say(title: str, *lines: str) -> None:
    """Print a heading and what there is to know about it."""
    print(f"\n{BOLD}{title}{PLAIN}")
    for line in lines:
        print(f"  {line}")


def shown(command: str) -> None:
    """Print a command as a person would type it."""
    print(f"    $ {command}", flush=True)


class Demo:
    """A server, and the processes around it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.started: list[subprocess.Popen[bytes]] = []
        # gearman and gearadmin ask this server without being told where it is.
        os.environ["GEARMAN_SERVER"] = self.address
        os.environ["GEARMAN_SERVERS"] = self.address

    def start(self, command: list[str | Path], **settings: object) -> subprocess.Popen[bytes]:
        """Start a process that ends with the demo."""
        process = subprocess.Popen([str(part) for part in command], **settings)  # type: ignore[call-overload]
        self.stack.callback(self.end, process)
        self.started.append(process)
        return process  # type: ignore[no-any-return]

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End a process of the demo."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def end_all(self) -> None:
        """End the workers, then the server they would miss."""
        last = self.started.index(self.server)
        for process in [*self.started[:last], *self.started[last + 1 :], self.server]:
            self.end(process)

    def serve(self) -> subprocess.Popen[bytes]:
        """Start the server, and wait until it says that it is ready."""
        database = self.folder / "queue.db"
        server = self.start(
            [
                BIN / "geartrain",
                "serve",
                "--listen",
                self.address,
                "--store",
                f"sqlite:///{database}",
            ],
            stderr=subprocess.PIPE,
        )
        self.server = server
        assert server.stderr is not None
        for line in server.stderr:
            text = line.decode().rstrip()
            print(f"      {text}")
            if text == "ready":
                return server
        sys.exit("the server did not start")

    def run(self, words: list[str | Path], **settings: object) -> None:
        """Run a command and show what it prints, indented."""
        done = subprocess.run(  # type: ignore[call-overload]
            [str(word) for word in words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE * 3,
            **settings,
        )
        for line in done.stdout.decode().splitlines():
            print(f"      {line}")
        if done.returncode:
            sys.exit(f"that failed with exit status {done.returncode}")

    def wait_for_workers(self, function: str) -> None:
        """Wait until somebody can do the function."""
        deadline = time.monotonic() + PATIENCE
        with AdminClient(self.address) as admin:
            while not any(row.function == function and row.workers for row in admin.status()):
                if time.monotonic() > deadline:
                    sys.exit(f"no worker for {function} came")
                time.sleep(0.02)


def any_command_is_a_worker(demo: Demo) -> None:
    """The lines that every Gearman tutorial shows."""
    say(
        "Any command is a worker",
        "One process announces the function wc; another sends a file and gets the answer.",
    )
    shown("gearman -w -f wc -- wc -l")
    demo.start([BIN / "gearman", "-w", "-f", "wc", "--", "wc", "-l"])
    demo.wait_for_workers("wc")
    shown("gearman -f wc < /etc/passwd")
    with open("/etc/passwd", "rb") as passwd:
        demo.run([BIN / "gearman", "-f", "wc"], stdin=passwd)


def a_worker_in_python(demo: Demo) -> None:
    """A Python function, called from another process."""
    say("A worker in Python", "examples/reverse_worker.py serves reverse; a client calls it.")
    shown("python examples/reverse_worker.py")
    demo.start([sys.executable, EXAMPLES / "reverse_worker.py"])
    demo.wait_for_workers("reverse")
    shown("client.call('reverse', b'hello')")
    with Client(demo.address) as client:
        print(f"      {client.call('reverse', b'hello', timeout=PATIENCE)!r}")


def a_background_job(demo: Demo) -> None:
    """Submit, go away, and ask how far it is."""
    say(
        "A background job, and how far it is",
        "Nobody waits for it: the handle is all that is needed to ask.",
    )
    shown("python examples/counting_worker.py")
    demo.start([sys.executable, EXAMPLES / "counting_worker.py"])
    demo.wait_for_workers("count")
    with Client(demo.address) as client:
        handle = client.submit("count", b"5", background=True)
        print(f"      accepted and on disk: {handle.handle.decode()}")
        deadline = time.monotonic() + PATIENCE
        seen = ""
        while (status := client.status(handle)).known:
            line = "waiting"
            if status.running:
                line = f"running, {status.numerator} of {status.denominator or 5}"
            if line != seen:
                print(f"      {line}")
                seen = line
            if time.monotonic() > deadline:
                sys.exit("the background job did not end")
            time.sleep(0.02)
        print("      done")


def questions_to_the_server(demo: Demo) -> None:
    """What the server says of itself."""
    say("What is going on", "A function's jobs, those running, and its workers; then who is here.")
    shown("gearadmin --status --workers --show-jobs")
    demo.run([BIN / "gearadmin", "--status", "--workers", "--show-jobs"])
    if shutil.which("nc"):
        # Debian's nc stays until the server hangs up, unless -q says how long after its input.
        shown(f"(echo status; sleep 0.1) | nc -q 0 127.0.0.1 {demo.port}")
        demo.run(["sh", "-c", f"(echo status; sleep 0.1) | nc -q 0 127.0.0.1 {demo.port}"])


def the_plug_is_pulled(demo: Demo, server: subprocess.Popen[bytes]) -> None:
    """kill -9, start again, and every acknowledged job runs."""
    say(
        "The plug is pulled",
        "100 background jobs nobody can do yet; then the server is killed and started again.",
    )
    with Client(demo.address) as client:
        for number in range(100):
            client.submit("add-line", f"line {number}\n".encode(), background=True)
    print("      100 jobs acknowledged")
    shown(f"kill -9 {server.pid}")
    server.send_signal(signal.SIGKILL)
    server.wait()
    demo.serve()
    lines = demo.folder / "lines"
    shown("gearman -w -f add-line -- sh -c 'cat >> lines'")
    demo.start([BIN / "gearman", "-w", "-f", "add-line", "--", "sh", "-c", f"cat >> '{lines}'"])
    deadline = time.monotonic() + PATIENCE
    while not lines.exists() or len(lines.read_bytes().splitlines()) < 100:
        if time.monotonic() > deadline:
            sys.exit("not all jobs ran")
        time.sleep(0.02)
    print(f"      {len(set(lines.read_bytes().splitlines()))} of 100 jobs have run")


def many_parts_one_answer(demo: Demo) -> None:
    """Map and reduce over this repository's docs."""
    say(
        "Many parts, one answer",
        "examples/word_count.py counts words over all pages of the docs: one job a page,",
        "then a reducer adds the counts up.",
    )
    pages = [str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md"))]
    shown("python examples/word_count.py docs/*.md")
    demo.run([sys.executable, EXAMPLES / "word_count.py", *pages], cwd=ROOT)


def main() -> None:
    """Show all of it."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="geartrain-demo-") as folder, ExitStack() as stack:
        demo = Demo(Path(folder), stack)
        say("A job server", "Its queue is a file; nothing else has to be installed.")
        shown(f"geartrain serve --listen {demo.address} --store sqlite:///queue.db")
        server = demo.serve()
        any_command_is_a_worker(demo)
        a_worker_in_python(demo)
        a_background_job(demo)
        many_parts_one_answer(demo)
        questions_to_the_server(demo)
        the_plug_is_pulled(demo, server)
        demo.end_all()
        say(
            f"That was all, in {time.monotonic() - started:.0f} seconds",
            "Shell commands and Python functions did jobs for clients in other processes; the",
            "server kept what it had promised through a kill -9. To go on: docs/start/first-job.md",
        )


if __name__ == "__main__":
    main()
