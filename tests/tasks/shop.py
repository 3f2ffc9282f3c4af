"""An app as users write one; child processes and worker programs import it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pydantic

from geartrain import App, Fail, Reject, Retry, SoftTimeout, current_job

app = App()


@dataclasses.dataclass
class Order:
    number: int
    items: list[str] = dataclasses.field(default_factory=list)


class Address(msgspec.Struct):
    street: str


class Customer(pydantic.BaseModel):
    name: str
    age: int = 0


@app.on_startup
def remember_start() -> None:
    write_down("started")


@app.on_shutdown
async def remember_stop() -> None:
    write_down("stopped")


def write_down(what: str) -> None:
    if marker := os.environ.get("SHOP_LOG"):
        with open(marker, "a") as log:
            log.write(f"{what} {os.getpid()}\n")


@app.task
def add(a: int, b: int = 1) -> int:
    return a + b


@app.task(name="shout-loudly", unique="args")
def shout(text: str, *, times: int = 1) -> str:
    return text.upper() * times


@app.task
def check_out(order: Order, to: Address, by: Customer) -> Customer:
    return Customer(name=f"{by.name} of {to.street}", age=order.number + len(order.items))


RESULTS: list[str] = []


@app.task
def join_result(number: int, suffix: str) -> str:
    """The end of a chain."""
    RESULTS.append(f"{number}{suffix}")
    return RESULTS[-1]


@app.task
def join_all(*words: str, **more: int) -> str:
    return " ".join(words) + " " + " ".join(f"{key}={value}" for key, value in more.items())


@app.task
async def fetch(url: str) -> str:
    await asyncio.sleep(0)
    current_job().progress(1, 2)
    return f"<{url}>"


@app.task
def count(to: int) -> Iterator[int]:
    for number in range(to):
        current_job().progress(number + 1, to)
        yield number


@app.task
async def count_slowly(to: int) -> AsyncIterator[Order]:
    for number in range(to):
        await asyncio.sleep(0)
        yield Order(number)


@app.task(codec="raw")
def reverse(data: bytes) -> bytes:
    return data[::-1]


@app.task(codec="msgpack")
def pack(data: bytes, times: int) -> bytes:
    return data * times


@app.task
def tell() -> dict[str, str]:
    job = current_job()
    job.warn("careful")
    job.data({"half": True})
    return {"function": job.function, "handle": job.handle, "unique": job.unique}


@app.task
def process_id() -> int:
    return os.getpid()


@app.task
def explode(text: str) -> None:
    raise ValueError(text)


@app.task
def fork_and_forget() -> str:
    """Both processes return, as code does that has forgotten `os._exit`."""
    copy = os.fork()
    if copy:
        os.waitpid(copy, 0)
    return "copy" if copy == 0 else "original"


@app.task
async def fork_and_forget_late() -> str:
    await asyncio.sleep(0)
    return fork_and_forget()


@app.task
def fork_and_exit() -> int:
    copy = os.fork()
    if copy == 0:
        sys.exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])


@app.task
def interrupt() -> None:
    raise KeyboardInterrupt


@app.task
async def interrupt_late() -> None:
    await asyncio.sleep(0)
    raise KeyboardInterrupt


@app.task
async def leave_late() -> None:
    await asyncio.sleep(0)
    sys.exit(3)


@app.task
def give_up() -> None:
    raise Fail("not today")


@app.task
def again() -> None:
    raise Retry("later", countdown=7)


@app.task
def never() -> None:
    raise Reject("bad input")


@app.task
def unwritable() -> object:
    return object()


@app.task
def enlarge(size: int) -> str:
    return "x" * size


@app.task
def leave(status: int) -> None:
    sys.exit(status)


@app.task
def print_much() -> int:
    print("x" * 100_000)  # noqa: T201
    return 1


@app.task
def fork() -> int:
    """Leave a child behind that would answer for its parent, if it could."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return os.getpid()


@app.task
def die_first(marker: str) -> str:
    """Die as by kill -9 the first time, and live the second time."""
    return die_by(marker, signal.SIGKILL)


@app.task
def crash_first(marker: str) -> str:
    """Die of a segmentation fault the first time."""
    return die_by(marker, signal.SIGSEGV)


@app.task
def exit_first(marker: str) -> str:
    """End the process the first time, past everything that could hear of it."""
    path = Path(marker)
    if not path.exists():
        path.write_text(str(os.getpid()))
        os._exit(3)
    return "lived"


@app.task
def poison(log: str) -> None:
    """Take the process along each time."""
    with open(log, "a") as opened:
        opened.write(f"{os.getpid()}\n")
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


@app.task(retries=3, backoff=0.1, retention="1h")
def second_time() -> int:
    """Succeed the second time, by the server's count."""
    if current_job().attempt < 2:
        raise ValueError("not the first time")
    return current_job().attempt


def die_by(marker: str, number: signal.Signals) -> str:
    path = Path(marker)
    if not path.exists():
        path.write_text(str(os.getpid()))
        os.kill(os.getpid(), number)
        time.sleep(60)
    return "lived"


@app.task(soft_timeout=0.2, timeout="10s")
def tidy(marker: str) -> str:
    """Wait too long, and tidy up when told so."""
    try:
        for _ in range(1000):
            time.sleep(0.01)
    except SoftTimeout:
        mark_tidied(marker)
        raise
    return "in time"


@app.task(soft_timeout=0.1, timeout="10s")
def nap(seconds: float) -> float:
    """Wait in one call of the system's, and say how long that took."""
    start = time.monotonic()
    try:
        time.sleep(seconds)
        while True:
            time.sleep(0)
    except SoftTimeout:
        return time.monotonic() - start


def mark_tidied(marker: str) -> None:
    Path(marker).write_text("tidied")


@app.task(soft_timeout=0.2, timeout="10s")
async def tidy_on_loop(marker: str) -> str:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        mark_tidied(marker)
        raise
    return "in time"


@app.task(soft_timeout=0.1, timeout=0.4)
def ignore(marker: str) -> None:
    """Ignore every signal and exception."""
    Path(marker).write_text(str(os.getpid()))
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            time.sleep(0.05)
        except BaseException:
            continue


@app.task(soft_timeout=0.1, timeout=0.4)
async def ignore_on_loop(marker: str) -> None:
    until = asyncio.get_running_loop().time() + 2
    while asyncio.get_running_loop().time() < until:
        try:
            await asyncio.sleep(0.05)
        except BaseException:
            continue


@app.task
def note(log: str, number: int) -> None:
    """Write a number down, after a moment in which its process may be killed."""
    time.sleep(0.01)
    with open(log, "a") as opened:
        opened.write(f"{number}\n")


@app.task(poison=1)
def hold_once(path: str) -> str:
    """Read from a FIFO; the first worker that is lost meanwhile is the last."""
    return Path(path).read_text()


@app.task
def hold(path: str) -> str:
    """Read from a FIFO, so that a test sees it come and lets it go."""
    return Path(path).read_text()
