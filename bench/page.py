"""
Writes the documentation page: goals, what is missed and why, all tables, how they came about.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

from .findings import Findings
from .instructions import Counts
from .plot import Bar, plot
from .profile import Profile
from .remarks import REMARKS
from .report import COLUMNS, Measured, Row, breakdown, rows
from .servers import Setup

__all__ = ["PICTURE", "page", "picture"]

PICTURE = "benchmarks.svg"
MOST_SYMBOLS = 12  # of a profile


def page(found: Findings) -> str:
    """The documentation page."""
    often = "once" if found.rounds == 1 else f"{found.rounds} times"
    parts = [
        INTRODUCTION.format(rounds=often),
        *goals(found),
        *missed(found),
        *instructions(found.instructions),
        "## Results\n",
        *(section(each, found.programs) for each in found.measured),
        *(f"Left out: {sentence}\n" for sentence in found.skipped),
        *commands(found),
        "## Machine\n",
        "\n".join(f"- {name}: {value}" for name, value in found.facts) + "\n",
    ]
    return "\n".join(parts)


INTRODUCTION = f"""\
<!-- Written by `make bench`; edits are lost with the next run. -->

# Benchmarks

One run on one machine: geartrain beside gearmand, beanstalkd and Python's task queues. Servers have
their default settings but for where jobs are kept, and are loaded by the same generator
(`bench/load.c`, one process), which checks every answer while it measures; a wrong one ends the
run. Every measurement starts a fresh server, the servers take turns, and a class is measured
{{rounds}} unless it says otherwise; the figures are medians. *Times better* is our rate divided by
the peer's, or the peer's cost divided by ours, with the range of the single rounds in brackets.
Where no other peer is named it is gearmand. Workloads have 64 bytes. CPU is user and system time
of the server's whole process. Durable means on disk before the answer, on both sides. Where the
machine allows it, cores are kept from falling asleep (`/dev/cpu_dma_latency`), but for the class
that measures just that.

Absolute figures change from machine to machine and from hour to hour. Compare the ratios.

![How many times better geartrain is than its peers, and the goals]({PICTURE})
"""


def picture(found: Findings) -> str:
    """The plot of all goals that are ratios."""
    bars = [
        Bar(
            f"{each.kind.name}: {row.figure}",
            row.times,
            min(row.range),
            max(row.range),
            row.line.times,
        )
        for each in found.measured
        for row in rows(each.kind, each.results)
        if row.line.times is not None and row.times is not None
    ]
    return plot("How many times better geartrain is", bars)


# Goals.


def with_goals(found: Findings) -> list[tuple[Measured, Row]]:
    pairs = [(each, row) for each in found.measured for row in rows(each.kind, each.results)]
    return [(each, row) for each, row in pairs if row.line.has_goal]


def goals(found: Findings) -> list[str]:
    lines = [markdown(("class", *COLUMNS)), "|---|---|--:|--:|--:|--:|---|"]
    lines += [markdown((each.kind.name, *row.cells())) for each, row in with_goals(found)]
    return ["## Goals\n", *lines, ""]


def missed(found: Findings) -> list[str]:
    """Every goal that is not reached, with what is known about it."""
    pairs = [(each, row) for each, row in with_goals(found) if row.missed]
    if not pairs:
        return ["All goals are reached.\n"]
    parts = ["## Goals not reached\n"]
    for each, row in pairs:
        name = each.kind.name
        known = REMARKS.get((name, row.line.metric), "Nobody has looked into it yet.")
        have = row.ratio.split(" ")[0] + " x" if row.line.times is not None else row.ours
        parts.append(f"**{name}, {row.figure}**: {have}, goal {row.goal}.")
        parts += [*wrap(known, 100), ""]
    for name in dict.fromkeys(each.kind.name for each, _ in pairs):
        if name in found.profiles and found.profiles[name].objects:
            parts += profile_section(name, found.profiles[name])
    return parts


def profile_section(name: str, found: Profile) -> list[str]:
    objects = ", ".join(f"{of} {percent:.0f} %" for percent, of in found.objects)
    return [
        *wrap(f"Where the CPU time of our server goes in {name} (perf): {objects}.", 100),
        "",
        "```text",
        *(f"{percent:5.1f} %  {of}" for percent, of in found.symbols[:MOST_SYMBOLS]),
        "```\n",
    ]


# Instructions.


def instructions(counts: Counts) -> list[str]:
    if not counts:
        return []
    programs = list(dict.fromkeys(name for each in counts.values() for name in each))
    lines = [markdown(("path", *programs)), f"|---|{'--:|' * len(programs)}"]
    for path, each in counts.items():
        cells = (f"{each[name]:,.0f}" if name in each else "-" for name in programs)
        lines.append(markdown((path, *cells)))
    return ["## Instructions per job\n", INSTRUCTIONS, *lines, ""]


INSTRUCTIONS = """\
Counted by callgrind in user space, all threads of the server. They do not drift as times do: a
change that costs something shows here first. What the kernel does for the server is not in them.
"""


# Classes.


def section(measured: Measured, programs: dict[str, str]) -> str:
    kind, results = measured.kind, measured.results
    titles = ("figure", programs["ours"], "peer", *COLUMNS[3:])
    lines = [f"### {kind.name}: {kind.title}\n", markdown(titles), "|---|--:|--:|--:|--:|---|"]
    lines += [markdown(each.cells()) for each in rows(kind, results)]
    if more := breakdown(measured):
        lines += ["", markdown(more[0]), f"|---|{'--:|' * len(kind.breakdown)}"]
        lines += [markdown(each) for each in more[1:]]
    loads = dict.fromkeys(line for each in measured.commands.values() for line in each)
    note = [*wrap(kind.note, 100), ""] if kind.note else []
    return "\n".join([*lines, "", *note, "```text", *loads, "```\n"])


def commands(found: Findings) -> list[str]:
    measured = [each for each in found.measured if each.kind.measure]
    contestants = {contestant for each in measured for contestant in each.results}
    setups = sorted(
        (Setup(found.programs[each.side], each.store) for each in contestants),
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


def markdown(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
