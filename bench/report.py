"""
Turns the figures of all rounds into the rows of a table, and prints it.

A ratio says how many times better we are: our rate over the peer's, the peer's cost over ours. Its
range comes from the single rounds, in which both servers ran one after the other.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from statistics import median
from textwrap import wrap

from .kinds import METRICS, Class, Contestant, Line
from .load import Figures

__all__ = ["COLUMNS", "Measured", "Results", "Row", "breakdown", "rows", "say", "table"]

# Of one class: the figures of every round, by contestant.
Results = dict[Contestant, list[Figures]]


@dataclass
class Measured:
    """
    A class with all that was found out about it.

    Attributes:
        kind: The class.
        results: Figures of every round, by contestant.
        commands: The generator's command lines of one round, by contestant.

    """

    kind: Class
    results: Results = field(default_factory=dict)
    commands: dict[Contestant, list[str]] = field(default_factory=dict)


# Sides that are not called what they are.
NAMES = {"ours": "geartrain", "peer": "gearmand"}
COLUMNS = ("figure", "ours", "peer", "times better", "goal", "")


@dataclass(frozen=True)
class Row:
    """
    One line of the table, ready to print.

    Attributes:
        line: What it shows.
        times: How many times better we are, and in ``range`` by the single rounds.

    """

    line: Line
    figure: str
    ours: str
    peer: str
    ratio: str
    goal: str
    verdict: str
    times: float | None = None
    range: tuple[float, ...] = ()

    def cells(self) -> tuple[str, ...]:
        return (self.figure, self.ours, self.peer, self.ratio, self.goal, self.verdict)

    @property
    def missed(self) -> bool:
        return self.verdict == "not reached"


def rows(kind: Class, results: Results) -> list[Row]:
    """The rows of a class, from as many contestants and rounds as there are results for."""
    return [row(kind, line, results) for line in kind.lines]


def row(kind: Class, line: Line, results: Results) -> Row:
    metric = METRICS[line.metric]
    contestant = line.ours or kind.contestants[0]
    ours = series(results, contestant, line.metric)
    rival, peer = best(kind, line, results)
    pairs = zip(ours, peer, strict=False)
    ratios = [each for pair in pairs if (each := better(*pair, metric.more)) is not None]
    ratio = better(median(ours), median(peer), metric.more) if ours and peer else None
    goal, met = judged(line, median(ours) if ours else None, ratio)
    return Row(
        line,
        metric.title + who(line, rival),
        number(median(ours), metric.digits) if ours else "-",
        number(median(peer), metric.digits) if peer else "-",
        f"{ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratio is not None else "",
        goal,
        "" if met is None else "reached" if met else "not reached",
        ratio,
        tuple(ratios),
    )


def best(kind: Class, line: Line, results: Results) -> tuple[Contestant | None, list[float]]:
    """The peer that a line compares with, and its figures; of several the best one."""
    against = line.against or kind.contestants[1:2]
    name = line.peer_metric or line.metric
    found = [(each, figures) for each in against if (figures := series(results, each, name))]
    if not found:
        return (against[0] if against else None), []
    better_end = max if METRICS[name].more else min
    return better_end(found, key=lambda pair: median(pair[1]))


def who(line: Line, rival: Contestant | None) -> str:
    """Which contestants a line is about, where it is not the usual two."""
    words = []
    if line.ours:
        words.append(f"ours: {line.ours.store}")
    if line.against and rival:
        name = NAMES.get(rival.side, rival.side)
        words.append(f"peer: {name}" + ("" if rival.store == "redis" else f", {rival.store}"))
    return f" ({'; '.join(words)})" if words else ""


def series(results: Results, contestant: Contestant, metric: str) -> list[float]:
    return [figures[metric] for figures in results.get(contestant, []) if metric in figures]


def breakdown(measured: Measured) -> list[tuple[str, ...]]:
    """Medians of every contestant, a heading first, where a class asks for them."""
    kind = measured.kind
    lines = [("", *(METRICS[name].title for name in kind.breakdown))]
    for contestant in kind.contestants:
        if contestant in measured.results:
            cells = [cell(measured.results, contestant, name) for name in kind.breakdown]
            name = NAMES.get(contestant.side, contestant.side)
            lines.append((f"{name}, {contestant.store}", *cells))
    return lines if kind.breakdown else []


def cell(results: Results, contestant: Contestant, name: str) -> str:
    values = series(results, contestant, name)
    return number(median(values), METRICS[name].digits) if values else "-"


def better(ours: float, peer: float, more: bool) -> float | None:
    """How many times better ours is; None where one of them is too small to be measured."""
    above, below = (ours, peer) if more else (peer, ours)
    return above / below if above > 0 and below > 0 else None


def judged(line: Line, ours: float | None, ratio: float | None) -> tuple[str, bool | None]:
    """The goal in words, and whether it is reached; None when there is nothing to judge."""
    if line.times is not None:
        return f">= {line.times:g} x", None if ratio is None else ratio >= line.times
    if line.at_most is not None:
        return f"<= {line.at_most:g}", None if ours is None else ours <= line.at_most
    if line.at_least is not None:
        return f">= {line.at_least:g}", None if ours is None else ours >= line.at_least
    return "", None


def number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def table(measured: Measured) -> str:
    """The rows of a class in columns for the terminal."""
    kind = measured.kind
    lines = [COLUMNS, *(each.cells() for each in rows(kind, measured.results))]
    note = wrap(kind.note, 96, initial_indent="  ", subsequent_indent="  ")
    parts = [f"{kind.name}: {kind.title}", *columns(lines), *note, ""]
    if more := breakdown(measured):
        parts += [*columns(more), ""]
    return "\n".join(parts)


def columns(lines: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [aligned(line, widths) for line in lines]


def aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    words = (0, COLUMNS.index(""))  # names and verdicts; numbers stand to the right
    padded = [
        cell.ljust(width) if i in words else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"  {'  '.join(padded)}".rstrip()


def say(text: str) -> None:
    """Print at once: a benchmark that is silent for a minute looks dead."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
