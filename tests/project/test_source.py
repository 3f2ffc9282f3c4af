"""The source text itself: names and calls the project does without."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
# Names that python-gearman gave its modules, carried as they are.
CARRIED = {"src/geartrain/compat/gearman/util.py"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "base", "core", "misc"}
# What would let a payload choose code.
UNSAFE_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill"}
# But for the one module that users have to ask for by name and by a permission.
ASKED_FOR = {"src/geartrain/tasks/pickle_codec.py"}
UNSAFE_CALLS = {"eval", "exec", "__import__"}
# A room's modules stay short enough to be read in one sitting. The broker is the exception, and
# is to fit in one head by its order instead.
LONGEST = 600
LONGER = {"broker.py": 1000}


def name(path: Path) -> str:
    """Return a path as a test is called."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_is_called_after_what_it_is(path: Path) -> None:
    assert path.stem not in VAGUE or name(path) in CARRIED
    assert path.parent.name not in VAGUE


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGER.get(path.name, LONGEST)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_payload_chooses_code(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    } | {
        (node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not imported & UNSAFE_MODULES or name(path) in ASKED_FOR
    assert not called & UNSAFE_CALLS


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_sql_is_not_put_together_from_values(path: Path) -> None:
    text = path.read_text()
    statements = re.findall(r"""f["'](?:INSERT|UPDATE|DELETE|SELECT)[^\n]*""", text)
    # A table's name, which is checked, is all that may be put in.
    assert [one for one in statements if re.search(r"\{(?!\w*table\w*\}|\w*name\w*\})", one)] == []
