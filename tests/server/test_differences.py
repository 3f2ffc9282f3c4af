"""Each difference from gearmand that the docs name has a test, and each one tested is named."""

from __future__ import annotations

import re
from pathlib import Path

from tests.server.test_against_gearmand import DIFFERENT

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "differences.md"


def rows() -> list[list[str]]:
    """Return the cells of each difference."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] != "gearmand"]


def test_every_difference_names_a_test_that_is_there() -> None:
    assert len(rows()) > 40
    for _, _, shown in rows():
        conversations = re.findall(r"\*([^*]+)\*", shown)
        assert set(conversations) <= set(DIFFERENT), shown
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown)
        for path, name in tests:
            assert f"def {name}(" in (ROOT / path).read_text(), shown
        assert conversations or tests, shown


def test_every_conversation_that_differs_is_among_the_differences() -> None:
    named = set(re.findall(r"\*([^*]+)\*", PAGE.read_text()))
    assert set(DIFFERENT) <= named
