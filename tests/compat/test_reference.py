"""The reference page names all there is."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from geartrain.compat import gearman
from geartrain.compat.gearman import errors
from geartrain.compat.gearman.connection_manager import GearmanConnectionManager
from tests.compat.script import ROOT

PAGE = (ROOT / "docs" / "reference" / "python-gearman.md").read_text()
CLASSES = [
    gearman.GearmanClient,
    gearman.GearmanWorker,
    gearman.GearmanAdminClient,
    gearman.GearmanJobRequest,
]
# Said of all three, or used by no program.
ELSEWHERE = {"TaskFailed", "ServerUnavailable", "initialize_request", "reset", "send_job_request"}


@pytest.mark.parametrize("name", [*gearman.__all__, *errors.__all__])
def test_a_public_name_is_on_the_page(name):
    # The base and a later name of one that is there.
    assert f"`{name}`" in PAGE or name in ("GearmanError", "ExceededSubmissionAttempts")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (owner, name)
        for owner in CLASSES
        for name in dir(owner)
        if not name.startswith("_")
        and name not in ELSEWHERE
        and not hasattr(GearmanConnectionManager, name)
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_method_is_on_the_page(owner, name):
    assert f"`{name}" in PAGE


@pytest.mark.parametrize("path", sorted((ROOT / "compat/gearman/src").rglob("*.py")))
def test_a_module_that_is_passed_on_is_on_the_page_and_says_what_it_offers(path: Path):
    for line in path.read_text().partition("_MODULES")[2].partition(")")[0].splitlines():
        name = line.strip(' ",')
        if name.isidentifier():
            assert f"`gearman.{name}`" in PAGE
            assert import_module(f"geartrain.compat.gearman.{name}").__all__
