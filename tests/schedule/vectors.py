"""Reads ``vectors.txt``: when expressions fire, agreed upon by several programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

__all__ = ["VECTORS", "Vector"]


@dataclass
class Vector:
    """One expression and its fires; ``differ`` names programs that answer otherwise."""

    name: str
    expression: str
    tz: str
    start: datetime
    fires: list[datetime] = field(default_factory=list)
    differ: tuple[str, ...] = ()


def read(text: str) -> list[Vector]:
    found: list[Vector] = []
    for block in text.split("\n\n"):
        lines = [line.strip() for line in block.splitlines() if not line.lstrip().startswith("#")]
        if not lines:
            continue
        name, _, expression = lines[0].partition(": ")
        tz, _, start = lines[1].partition(" after ")
        vector = Vector(name, expression, tz, datetime.fromisoformat(start))
        for line in lines[2:]:
            if line.startswith("differ: "):
                vector.differ = tuple(line.removeprefix("differ: ").split(", "))
            else:
                vector.fires.append(datetime.fromisoformat(line))
        found.append(vector)
    return found


VECTORS = read((Path(__file__).parent / "vectors.txt").read_text())
