"""
Job servers for tests: in this process, where a test can look inside, or in one of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from geartrain.broker.policy import Policy
from geartrain.server.running import new_event_loop
from geartrain.server.server import JobServer
from geartrain.server.settings import Settings
from geartrain.store.memory import MemoryStore
from geartrain.store.queue_store import QueueStore
from tests.server.peer import DEADLINE, Peer

T = TypeVar("T")


def settings_for_tests(**changes: Any) -> Settings:
    """Return settings that take a free port and end at once when asked to."""
    return Settings(**{"listen": ["127.0.0.1:0"], "store": "memory:", "grace": 0.0, **changes})


class ThreadServer:
    """
    A job server in a thread of this process.

    Args:
        store: What keeps its jobs; memory alone by default.
        policies: Policies of functions.
        settings: Changes to ``settings_for_tests``.

    """

    def __init__(
        self,
        store: QueueStore | None = None,
        policies: Sequence[Policy] = (),
        **settings: Any,
    ) -> None:
        self.store = MemoryStore() if store is None else store
        self.server = JobServer(settings_for_tests(**settings), self.store, policies=policies)
        self.loop: asyncio.AbstractEventLoop
        self.failure: BaseException | None = None
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run, name="job server")
        self.peers: list[Peer] = []
        self.server.bind()
        try:
            self.server.open()
        except BaseException:
            self.server.stop_accepting()
            raise
        self.thread.start()
        assert self.ready.wait(DEADLINE)
        if self.failure is not None:
            self.thread.join(DEADLINE)
            raise self.failure

    def run(self) -> None:
        self.loop, _ = new_event_loop()
        try:
            self.loop.run_until_complete(self.life())
        except BaseException as error:
            self.failure = error
        finally:
            self.ready.set()
            self.loop.close()

    async def life(self) -> None:
        await self.server.start()
        self.addresses = [listener.getsockname() for listener in self.server.listeners]
        self.ready.set()
        await self.server.run_until_stopped()

    @property
    def address(self) -> Any:
        """Where it listens: host and port, or the path of a unix socket."""
        first = self.addresses[0]
        return first[:2] if isinstance(first, tuple) else first

    def peer(self, **words: Any) -> Peer:
        """Return a connection, which ends with the server."""
        peer = Peer(self.address, **words)
        self.peers.append(peer)
        return peer

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in the server's thread and return what it returns."""

        async def called() -> T:
            return function(*args)

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(DEADLINE)

    def stop(self) -> None:
        """End the server, twice if need be."""
        for peer in self.peers:
            peer.close()
        if self.thread.is_alive():
            for _ in range(2):
                # The first may have closed the loop already.
                with contextlib.suppress(RuntimeError):
                    self.loop.call_soon_threadsafe(self.server.stop, 0.0)
            self.thread.join(DEADLINE)
        assert not self.thread.is_alive()
        if self.failure is not None:
            raise self.failure


class ProcessServer:
    """
    A job server in a process of its own, as ``tests.server.process`` runs it.

    Args:
        directory: Where its log goes and it runs.
        nofile: Most descriptors it may have.
        event_loop: ``asyncio`` to do without uvloop.
        handed_over: Descriptors of sockets that it gets as from systemd.
        settings: Changes to ``settings_for_tests``.

    """

    def __init__(
        self,
        directory: Path,
        nofile: int | None = None,
        event_loop: str = "",
        handed_over: Sequence[int] = (),
        **settings: Any,
    ) -> None:
        self.log = directory / "log"
        words = {
            "settings": settings,
            "nofile": nofile,
            "event_loop": event_loop,
            "handed_over": handed_over,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.server.process", json.dumps(words)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                pass_fds=handed_over,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.peers: list[Peer] = []
        if not line:
            self.process.wait(DEADLINE)
            self.process.stdout.close()
            raise EndedAtOnce(self.process.returncode, self.error_text())
        self.addresses = json.loads(line)
        self.pid = self.process.pid

    @property
    def address(self) -> Any:
        first = self.addresses[0]
        return tuple(first[:2]) if isinstance(first, list) else first

    def peer(self, **words: Any) -> Peer:
        """Return a connection, which ends with the server."""
        peer = Peer(self.address, **words)
        self.peers.append(peer)
        return peer

    def error_text(self) -> str:
        """Return what it has written to standard error."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, deadline: float = DEADLINE) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(deadline)

    def stop(self) -> None:
        for peer in self.peers:
            peer.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    # What the kernel says of it.

    def resident(self) -> int:
        """Return its resident memory in bytes."""
        return memory_of(self.pid, "VmRSS")

    def peak(self) -> int:
        """Return the most resident memory it ever had, in bytes."""
        return memory_of(self.pid, "VmHWM")

    def virtual(self) -> int:
        """Return its address space in bytes."""
        return memory_of(self.pid, "VmSize")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu(self) -> float:
        """Return the seconds of processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class EndedAtOnce(Exception):
    """
    The server ended instead of getting ready.

    Attributes:
        code: Its exit code.
        text: What it wrote to standard error.

    """

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"ended with {code}:\n{text}")


def memory_of(pid: int, name: str) -> int:
    """Return one of the sizes in ``/proc/PID/status``, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def eventually(condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> float:
    """Wait until a condition holds, which can only be asked again; return the seconds it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + deadline, f"after {deadline} s still not true: {what}"
        time.sleep(0.005)
    return time.monotonic() - started
