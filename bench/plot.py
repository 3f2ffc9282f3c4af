"""
Draws how many times better we are, and the goals, as an SVG of its own making.

One bar a goal on a logarithmic scale, from 1 on: to the right we are better, to the left worse. A
thin line spans the single rounds, a tick marks the goal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "plot"]

LABELS = 620  # width of the names
SCALE = 480  # width of the bars
VALUES = 110
TOP = 64
STEP = 24
BAR = 14

REACHED, MISSED, GOAL, INK, FAINT = "#2f7d5b", "#c0692b", "#1b1f24", "#1b1f24", "#d9dde2"


@dataclass(frozen=True)
class Bar:
    """One goal: how many times better, in which range, and how many times it ought to be."""

    label: str
    times: float
    lowest: float
    highest: float
    goal: float

    @property
    def reached(self) -> bool:
        return self.times >= self.goal


def plot(title: str, bars: list[Bar]) -> str:
    """The whole SVG document."""
    ends = [value for bar in bars for value in (bar.lowest, bar.highest, bar.goal)]
    scale = Scale(min(0.5, *ends), max(10.0, *ends))
    height = TOP + STEP * len(bars) + 44
    width = LABELS + SCALE + VALUES
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        f' width="{width}" height="{height}" role="img" font-family="system-ui, sans-serif"',
        f' font-size="13" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        box(0, 0, width, height, "#ffffff"),
        words(16, 28, title, size=16, weight=600),
        *grid(scale, TOP - 12, height - 36),
    ]
    for place, bar in enumerate(bars):
        parts += row(scale, bar, TOP + STEP * place)
    parts += [*legend(height - 12), "</svg>"]
    return "\n".join(parts) + "\n"


class Scale:
    """A logarithmic scale that reaches a little beyond both ends."""

    def __init__(self, lowest: float, highest: float) -> None:
        self.low = math.log10(lowest) - 0.05
        self.high = math.log10(highest) + 0.05

    def x(self, value: float) -> float:
        return LABELS + SCALE * (math.log10(value) - self.low) / (self.high - self.low)

    def marks(self) -> list[float]:
        """Round values on it: 1, 2, 5, 10 and so on."""
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        values = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        return [value for value in values if self.low <= math.log10(value) <= self.high]


def grid(scale: Scale, top: float, bottom: float) -> list[str]:
    parts = []
    for value in scale.marks():
        colour, width = (INK, 1.4) if value == 1 else (FAINT, 1)
        parts.append(line(scale.x(value), top, scale.x(value), bottom, colour, width))
        parts.append(words(scale.x(value), top - 5, f"{value:g}", size=11, anchor="middle"))
    return parts


def row(scale: Scale, bar: Bar, top: float) -> list[str]:
    middle = top + BAR / 2
    left, right = sorted((scale.x(1), scale.x(bar.times)))
    colour = REACHED if bar.reached else MISSED
    goal = scale.x(bar.goal)
    mark = "" if bar.reached else " (goal missed)"
    return [
        words(LABELS - 12, middle + 4.5, bar.label + mark, anchor="end"),
        box(left, top, max(right - left, 1), BAR, colour),
        line(scale.x(bar.lowest), middle, scale.x(bar.highest), middle, INK, 1),
        line(goal, top - 4, goal, top + BAR + 4, GOAL, 3),
        words(LABELS + SCALE + 10, middle + 4.5, f"{bar.times:.3g} x", weight=600),
    ]


def legend(y: float) -> list[str]:
    return [
        box(16, y - 10, 12, 10, REACHED),
        words(34, y, "goal reached", size=12),
        box(126, y - 10, 12, 10, MISSED),
        words(144, y, "goal missed", size=12),
        line(238, y - 12, 238, y + 2, GOAL, 3),
        words(248, y, "goal", size=12),
        line(296, y - 5, 322, y - 5, INK, 1),
        words(330, y, "single rounds", size=12),
        words(LABELS + SCALE, y, "times better, logarithmic", size=12, anchor="end"),
    ]


def words(
    x: float, y: float, text: str, size: int = 13, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width}"/>'
    )
