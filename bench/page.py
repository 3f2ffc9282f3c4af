"""
Writes the documentation page: all tables, how they came about, and on which machine.
"""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap

from .report import COLUMNS, Measured, rows
from .servers import Setup, version

__all__ = ["machine", "page"]


def machine(directory: Path) -> list[tuple[str, str]]:
    """What the figures depend on, as (name, value): hardware, kernel, file system, versions."""
    return [
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("processor", f"{processor()}, {os.cpu_count()} cores"),
        ("memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("file system of the durable classes", file_system(directory)),
        ("Python", platform.python_version()),
        ("compiler of the load generator", first_line(["cc", "--version"])),
    ]


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def file_system(directory: Path) -> str:
    return first_line(["stat", "-f", "-c", "%T", str(directory)])


def first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except OSError:
        return "unknown"
    return (done.stdout.splitlines() or ["unknown"])[0]


def page(
    measured: list[Measured],
    programs: dict[str, str],
    rounds: int,
    directory: Path,
    skipped: list[str],
) -> str:
    """
    The documentation page.

    Args:
        measured: The classes, in the order of the page.
        programs: Name of the program for ``ours`` and ``peer``.
        rounds: How often each class was measured.
        directory: Where the databases were, for the file system's name.
        skipped: Sentences on what was left out, and why.

    """
    often = "once" if rounds == 1 else f"{rounds} times"
    parts = [INTRODUCTION.format(rounds=often), *commands(programs, measured), "## Results\n"]
    parts += [section(each, programs) for each in measured]
    parts += [f"Left out: {sentence}\n" for sentence in skipped]
    versions = [(name, version(name)) for name in sorted(set(programs.values()))]
    facts = [*machine(directory), *versions]
    parts += ["## Machine\n", "\n".join(f"- {name}: {value}" for name, value in facts) + "\n"]
    return "\n".join(parts)


INTRODUCTION = """\
<!-- Written by `make bench`; edits are lost with the next run. -->

# Benchmarks

One run on one machine: geartrain beside gearmand, both with their default settings, loaded by the
same generator (`bench/load.c`, one process). Every measurement starts a fresh server, the servers
take turns, and each class was measured {rounds}; the figures are medians. *Times better* is
our rate divided by the peer's, or the peer's cost divided by ours, with the range of the single
rounds in brackets. Workloads have 64 bytes. CPU is user and system time of the server's whole
process. The generator checks every answer while it measures; a wrong one ends the run.

Absolute figures change from machine to machine and from hour to hour. Compare the ratios.
"""


def commands(programs: dict[str, str], measured: list[Measured]) -> list[str]:
    contestants = {contestant for each in measured for contestant in each.kind.contestants}
    setups = sorted(
        (Setup(programs[each.side], each.store) for each in contestants if each.side in programs),
        key=lambda setup: (setup.program, setup.store),
    )
    lines = [" ".join(relative(setup.command(4730, Path("DIR")))) for setup in setups]
    words = "`make bench` starts, with fresh folders and free ports:\n"
    return ["## Commands\n", words, "```text", *dict.fromkeys(lines), "```\n"]


def relative(command: list[str]) -> list[str]:
    here = Path(__file__).resolve().parents[1]
    path = Path(command[0])
    name = path.relative_to(here) if path.is_relative_to(here) else path
    return [str(name), *command[1:]]


def section(measured: Measured, programs: dict[str, str]) -> str:
    kind, results = measured.kind, measured.results
    titles = ("figure", programs["ours"], programs.get("peer", "peer"), *COLUMNS[3:])
    lines = [f"### {kind.name}: {kind.title}\n", markdown(titles), "|---|--:|--:|--:|--:|---|"]
    lines += [markdown(each.cells()) for each in rows(kind, results)]
    loads = dict.fromkeys(line for each in measured.commands.values() for line in each)
    note = [*wrap(kind.note, 100), ""] if kind.note else []
    return "\n".join([*lines, "", *note, "```text", *loads, "```\n"])


def markdown(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
