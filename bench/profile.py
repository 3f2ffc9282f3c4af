"""
Shows where the server's time goes under a class of the benchmark: ``make profile``.

It samples the whole process with perf while the class is measured once, and prints its shares by
shared object and by symbol. Compiled Python functions are called ``CPyDef_`` and their name;
what the interpreter does for the others is in ``libpython`` or ``python``.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .classes import CLASSES
from .install import install_programs
from .kinds import Class, Run
from .load import Load, WrongResult, compile_load
from .servers import Server, Setup, program_path

__all__ = ["Profile", "Share", "can_profile", "profile"]

BUILD = Path(__file__).resolve().parent / "build"
# Samples per second of CPU time; a prime number, so as not to beat with timers.
FREQUENCY = 997
START_TIMEOUT = 10  # seconds until perf must be sampling
MOST_SYMBOLS = 25  # in print
MISSING = "make profile needs perf: apt install linux-perf (Ubuntu: linux-tools-generic)"

# Percent of the server's CPU time, and of what.
Share = tuple[float, str]


@dataclass(frozen=True)
class Profile:
    """Shares of the server's CPU time, largest first: by shared object, and by symbol."""

    objects: list[Share]
    symbols: list[Share]


def can_profile() -> bool:
    return shutil.which("perf") is not None


def profile(kind: Class, generator: Path, quick: bool = False) -> Profile:
    """Measure a class once, with our server under perf; what fills its queue is included."""
    assert kind.measure is not None
    setup = Setup("geartrain", kind.contestants[0].store)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="run-") as folder:
        samples = Path(folder) / "perf.data"
        with Server(setup, Path(folder)) as server:
            load = Load(generator, {"port": server.port, "server_pid": server.pid})
            with sampling(server.pid, samples):
                kind.measure(Run(server, load, quick))
            return Profile(shares(samples, "dso"), shares(samples, "dso,symbol"))


@contextmanager
def sampling(pid: int, samples: Path) -> Iterator[None]:
    """Have perf watch a process while the block runs."""
    # The clock of the CPU instead of its cycle counter, which virtual machines may not have.
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY)]
    with subprocess.Popen(
        [*command, "-p", str(pid), "-o", str(samples)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + START_TIMEOUT
        while not samples.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise WrongResult(f"perf does not start: {process.stderr.read().strip()}")
            time.sleep(0.05)
        time.sleep(0.2)
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def shares(samples: Path, by: str) -> list[Share]:
    """What perf reports, as percent and name, from one percent on; ``by`` are its columns."""
    done = subprocess.run(
        ["perf", "report", "-q", "-i", str(samples), "--no-children", "-t", "|", "--sort", by],
        capture_output=True,
        text=True,
    )
    fields = [[cell.strip() for cell in line.split("|")] for line in done.stdout.splitlines()]
    # The sorted columns follow the share; newer versions of perf add more of their own.
    found = [
        (float(share.rstrip(" %")), " ".join(names[: by.count(",") + 1]))
        for share, *names in fields
        if share.endswith("%")
    ]
    return [(percent, name) for percent, name in found if percent >= 1]


def text(found: Profile) -> str:
    objects, symbols = lines(found.objects), lines(found.symbols[:MOST_SYMBOLS])
    return "\n".join(["by shared object", *objects, "", "by symbol", *symbols])


def lines(found: list[Share]) -> list[str]:
    return [f"  {percent:5.1f} %  {name}" for percent, name in found]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    names = [kind.name for kind in CLASSES if kind.measure]
    parser.add_argument("name", nargs="?", choices=names, default="both", metavar="CLASS",
        help="the class (both); `python -m bench --list` names them")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a tenth of the jobs")
    options = parser.parse_args()
    install_programs()
    if not can_profile():
        sys.stderr.write(f"{MISSING}\n")
        return 1
    if not program_path("geartrain"):
        sys.stderr.write("geartrain is not installed: run `make install` first\n")
        return 1
    BUILD.mkdir(exist_ok=True)
    kind = next(kind for kind in CLASSES if kind.name == options.name)
    try:
        print(text(profile(kind, compile_load(BUILD), options.quick)))
    except WrongResult as error:
        sys.stderr.write(f"{kind.name}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
