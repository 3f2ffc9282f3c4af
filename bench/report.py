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

from .classes import METRICS, Class, Contestant, Line
from .load import Figures

__all__ = ["COLUMNS", "Measured", "Results", "Row", "rows", "say", "table"]

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


COLUMNS = ("figure", "ours", "peer", "times better", "goal", "")


@dataclass(frozen=True)
class Row:
    """One line of the table, ready to print."""

    figure: str
    ours: str
    peer: str
    ratio: str
    goal: str
    verdict: str

    def cells(self) -> tuple[str, ...]:
        return (self.figure, self.ours, self.peer, self.ratio, self.goal, self.verdict)


def rows(kind: Class, results: Results) -> list[Row]:
    """The rows of a class, from as many contestants and rounds as there are results for."""
    return [row(kind, line, results) for line in kind.lines]


def row(kind: Class, line: Line, results: Results) -> Row:
    metric = METRICS[line.metric]
    against = line.against or kind.contestants[1]
    ours = series(results, kind.contestants[0], line.metric)
    peer = series(results, against, line.metric)
    pairs = zip(ours, peer, strict=False)
    ratios = [each for pair in pairs if (each := better(*pair, metric.more)) is not None]
    ratio = better(median(ours), median(peer), metric.more) if ours and peer else None
    title = metric.title + (f" (peer: in {against.store})" if line.against else "")
    goal, met = judged(line, median(ours) if ours else None, ratio)
    return Row(
        title,
        number(median(ours), metric.digits) if ours else "-",
        number(median(peer), metric.digits) if peer else "-",
        f"{ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratio is not None else "",
        goal,
        "" if met is None else "reached" if met else "not reached",
    )


def series(results: Results, contestant: Contestant, metric: str) -> list[float]:
    return [figures[metric] for figures in results.get(contestant, [])]


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
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    body = [aligned(line, widths) for line in lines]
    note = wrap(kind.note, 96, initial_indent="  ", subsequent_indent="  ")
    return "\n".join([f"{kind.name}: {kind.title}", *body, *note, ""])


def aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    words = (0, len(cells) - 1)  # names and verdicts; numbers stand to the right
    padded = [
        cell.ljust(width) if i in words else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"  {'  '.join(padded)}".rstrip()


def say(text: str) -> None:
    """Print at once: a benchmark that is silent for a minute looks dead."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
