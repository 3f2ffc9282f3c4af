"""
Stories: ``scripts/*.txt`` say line by line what the fleet is told, and what it does.

Each block is lines of ``story``, a line ``----``, and what came of them. ``pytest --rewrite``
writes down what comes of them now.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.supervisor.story import Stage

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))
RULE = "----"


def performed(script: str) -> str:
    """Return the script with what comes of its lines now."""
    stage = Stage()
    blocks = []
    for block in script.strip().split("\n\n"):
        said = block.split(f"\n{RULE}")[0].splitlines()
        told = [words for line in said if not line.startswith("#") for words in stage(line)]
        plain = all(line.startswith(("#", "program")) for line in said)
        blocks.append("\n".join(said if plain else [*said, RULE, *told]))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_story_goes_as_written(path: Path, pytestconfig: pytest.Config) -> None:
    script = path.read_text()
    if pytestconfig.getoption("rewrite"):
        path.write_text(performed(script))
    else:
        assert performed(script) == script


def test_there_are_stories() -> None:
    assert len(SCRIPTS) >= 12


def test_a_story_that_goes_otherwise_is_noticed() -> None:
    script = "program web\n\nconfigure\n----\n= web:0 STOPPED -> STARTING\nspawn web:0\n"
    assert performed(script) == script
    assert performed(script.replace("spawn", "spare")) == script
