"""
How many jobs a second the Python clients submit and see done.

Starts a server of ours with memory alone, and a worker in a process of its own, and prints a
line a way. The last column is what the client's process spent on a job::

    python -m bench.client_rates [JOBS]
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geartrain import AdminClient, AsyncClient, Client, Worker

WORKLOAD = b"x" * 64
# Pipelined ways get so many times more jobs, to last about as long.
MANY = 10


def free_port() -> int:
    """Return a port nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def work(address: str) -> None:
    """Do ``echo`` until terminated."""
    worker = Worker(address, concurrency=16, execution="inline")
    worker.register("echo", lambda job: job.workload)
    worker.run()


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server and a worker, and give the address."""
    address = f"127.0.0.1:{free_port()}"
    command = [Path(sys.executable).parent / "geartrain", "serve", "--listen", address]
    server = subprocess.Popen(
        [*command, "--store", "memory:"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert server.stderr is not None
    while server.stderr.readline() not in (b"ready\n", b""):
        pass
    worker = multiprocessing.get_context("spawn").Process(target=work, args=[address])
    worker.start()
    try:
        with AdminClient(address) as admin:
            while not any(row.function == "echo" and row.workers for row in admin.status()):
                time.sleep(0.01)
        yield address
    finally:
        for process in (worker, server):
            process.terminate()
        worker.join()
        server.wait()


@contextmanager
def timed(name: str, count: int) -> Iterator[None]:
    """Print jobs a second, and microseconds of this process a job, of a ``with`` block."""
    started, cpu = time.perf_counter(), time.process_time()
    yield
    seconds, spent = time.perf_counter() - started, time.process_time() - cpu
    print(f"{name:36} {count / seconds:9,.0f} jobs/s {spent / count * 1e6:6.1f} us")


def blocking(address: str, count: int) -> None:
    """Measure the blocking client."""
    many = [("nobody", WORKLOAD)] * count * MANY
    with Client(address) as client:
        with timed("submit, one by one", count):
            for _ in range(count):
                client.submit("nobody", WORKLOAD, background=True)
        with timed("submit_many", count * MANY):
            client.submit_many(many, background=True)
        with timed("call, one by one", count):
            for _ in range(count):
                client.call("echo", WORKLOAD)
        with timed("map", count):
            for _ in client.map("echo", [WORKLOAD] * count):
                pass


async def on_loop(address: str, count: int) -> None:
    """Measure the asyncio client."""
    many = [("nobody", WORKLOAD)] * count * MANY
    async with AsyncClient(address) as client:
        with timed("asyncio: submit, one by one", count):
            for _ in range(count):
                await client.submit("nobody", WORKLOAD, background=True)
        with timed("asyncio: submit_many", count * MANY):
            await client.submit_many(many, background=True)
        with timed("asyncio: call, all in tasks at once", count):
            await asyncio.gather(*(client.call("echo", WORKLOAD) for _ in range(count)))


def main() -> None:
    """Measure both."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with running_server() as address:
        blocking(address, count)
        asyncio.run(on_loop(address, count))


if __name__ == "__main__":
    main()
