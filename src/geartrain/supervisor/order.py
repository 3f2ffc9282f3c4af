"""
In which order programs start, and in the reverse of which they stop.

What a program depends on comes before it; among those that do not depend on
each other ``priority`` counts, the smaller first, and then the name.
"""

from __future__ import annotations

from collections.abc import Mapping

from geartrain.supervisor.program import Program

__all__ = ["circle_of", "ranks_of"]


def circle_of(programs: Mapping[str, Program]) -> list[str]:
    """Return the names of programs that wait for each other, empty if there are none."""
    done: set[str] = set()
    for name in programs:
        found = _circle_from(name, programs, [], done)
        if found:
            return found
    return []


def _circle_from(
    name: str, programs: Mapping[str, Program], path: list[str], done: set[str]
) -> list[str]:
    if name in path:
        return [*path[path.index(name) :], name]
    if name in done or name not in programs:
        return []
    path.append(name)
    for needed in programs[name].depends_on:
        found = _circle_from(needed, programs, path, done)
        if found:
            return found
    path.pop()
    done.add(name)
    return []


def ranks_of(programs: Mapping[str, Program]) -> dict[str, tuple[int, int]]:
    """Return by name how many others a program waits for in a row, and its priority."""
    depths: dict[str, int] = {}

    def depth_of(name: str) -> int:
        if name not in depths:
            needed = [one for one in programs[name].depends_on if one in programs]
            depths[name] = 1 + max(map(depth_of, needed), default=-1)
        return depths[name]

    return {name: (depth_of(name), program.priority) for name, program in programs.items()}
