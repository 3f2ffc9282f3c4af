"""
The load generator, compiled once and run once per measurement.

It does not interpret figures: what the generator reports is handed on as it is, and a generator
that found an error in the answers ends the whole benchmark with its message.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Figures", "Load", "WrongResult", "compile_load"]

Figures = dict[str, float]

HERE = Path(__file__).resolve().parent
SOURCES = [HERE / name for name in ("load.c", "gearman.c", "beanstalk.c")]
HEADER = HERE / "load.h"
TIMEOUT = 300  # seconds for one run of the generator


class WrongResult(Exception):
    """The answers of a server were wrong, missing or late, so its figures mean nothing."""


def compile_load(directory: Path) -> Path:
    """Compile the generator into ``directory``, unless it is there and newer, and return it."""
    program = directory / "load"
    changed = max(source.stat().st_mtime for source in [*SOURCES, HEADER])
    if program.exists() and program.stat().st_mtime >= changed:
        return program
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("bench needs a C compiler for its load generator: install gcc")
    command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), *map(str, SOURCES)]
    subprocess.run(command, check=True)
    return program


def words(mode: str, options: dict[str, object]) -> list[str]:
    """The generator's command line: ``{"server_pid": 7}`` becomes ``--server-pid 7``."""
    pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in options.items()]
    return [mode, *(word for pair in pairs for word in pair)]


class Load:
    """
    Runs the generator against one server.

    Args:
        program: Path of the compiled generator.
        target: Options that name the server, such as ``{"port": 4730, "server_pid": 99}``.

    Attributes:
        commands: The command lines run so far, without the target.

    """

    def __init__(self, program: Path, target: dict[str, object]) -> None:
        self.program = program
        self.target = target
        self.commands: list[str] = []

    def run(self, mode: str, **options: object) -> Figures:
        """
        Run one mode to its end and return what it measured.

        Rates are per second, names ending in ``_us`` are microseconds, the CPU ones per job.

        Raises:
            WrongResult: The generator found a wrong answer, or none in time.

        """
        self.commands.append(" ".join(["load", *words(mode, options)]))
        command = [str(self.program), *words(mode, {**options, **self.target, "timeout": TIMEOUT})]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT + 30)
        if done.returncode != 0:
            raise WrongResult(f"{done.stderr.strip()} ({' '.join(command)})")
        figures = json.loads(done.stdout)
        figures.pop("mode")
        return {name: float(value) for name, value in figures.items()}

    @contextmanager
    def held(self, **options: object) -> Iterator[Figures]:
        """Hold idle connections open for as long as the block runs; yields how they opened."""
        self.commands.append(" ".join(["load", *words("idle", options)]))
        target = {name: value for name, value in self.target.items() if name != "server_pid"}
        settings = {**options, **target, "timeout": TIMEOUT}
        with subprocess.Popen(
            [str(self.program), *words("idle", settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                line = process.stdout.readline()
                if not line:
                    raise WrongResult(process.stderr.read().strip())
                figures = json.loads(line)
                yield {name: float(figures[name]) for name in ("seconds", "reopened")}
            finally:
                process.stdin.close()
