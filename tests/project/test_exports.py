"""The names of the top level are what the rooms define."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import geartrain

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", sorted(set(geartrain.__all__) - {"__version__"}))
def test_a_public_name_is_defined_where_the_table_says(name: str) -> None:
    module = import_module(geartrain._EXPORTS[name])
    assert getattr(geartrain, name) is getattr(module, name)
    assert name in module.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Wroker'"):
        geartrain.Wroker  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    stub = (ROOT / "src" / "geartrain" / "__init__.pyi").read_text()
    seen = re.findall(r"^from ([\w.]+) import (\w+) as \2$", stub, re.MULTILINE)
    assert {name: module for module, name in seen} == geartrain._EXPORTS


def test_importing_the_package_imports_no_event_loop_driver_or_framework() -> None:
    heavy = "asyncio, ssl, sqlite3, sqlalchemy, alembic, uvloop, typer, argparse, logging"
    heavy += ", msgspec, rich"
    script = (
        "import sys, geartrain\n"
        f"found = [name for name in {heavy!r}.split(', ') if name in sys.modules]\n"
        "sys.exit(', '.join(found) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0
