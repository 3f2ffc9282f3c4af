"""The reference page of the Django integration names all there is."""

from __future__ import annotations

import ast
import re

import pytest

from geartrain.integrations.django.project import DEFAULTS
from tests.services.availability import ROOT

SOURCES = ROOT / "src" / "geartrain" / "integrations" / "django"
PAGE = (ROOT / "docs" / "reference" / "django.md").read_text()


@pytest.mark.parametrize("key", DEFAULTS)
def test_a_setting_is_on_the_page(key):
    assert f"| `{key}` |" in PAGE


def test_the_job_log_s_fields_are_on_the_page():
    # Read, because Django's models can't be imported here without a project.
    tree = ast.parse((SOURCES / "models.py").read_text())
    (model,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    fields = [
        node.targets[0].id
        for node in model.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    assert "handle" in fields
    assert [field for field in fields if f"`{field}`" not in PAGE] == []


@pytest.mark.parametrize("path", sorted((SOURCES / "management" / "commands").glob("geartrain*")))
def test_a_command_s_options_are_on_the_page(path):
    (row,) = (line for line in PAGE.splitlines() if f"manage.py {path.stem}`" in line)
    options = re.findall(r'add_argument\(\s*"(--[\w-]+)"', path.read_text())
    assert options
    assert [option for option in options if f"`{option}" not in row] == []
