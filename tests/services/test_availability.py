"""A missing service fails the build machine, and is named elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.availability import ROOT, SERVICES, require

CONFTEST = """
from tests.services.availability import SERVICES, Service, pytest_terminal_summary

SERVICES["absent"] = Service("apt install absent-server", lambda: False)
SERVICES["present"] = Service("apt install present-server", lambda: True)
"""

SUITE = """
from tests.services.availability import require

def test_one():
    require("absent")

def test_two():
    require("absent")

def test_three():
    require("present")
"""


def run_suite(directory: Path, ci: str) -> subprocess.CompletedProcess[str]:
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_suite.py").write_text(SUITE)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", directory, "test_suite.py"],
        cwd=directory,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_suites_without_their_service_are_named_at_the_end(tmp_path: Path) -> None:
    done = run_suite(tmp_path, ci="")
    assert done.returncode == 0
    assert "suites that did not run for want of a service" in done.stdout
    assert "test_suite.py: 2 tests want absent (apt install absent-server)" in done.stdout
    assert "1 passed, 2 skipped" in done.stdout


def test_on_the_build_machine_a_missing_service_is_a_failure(tmp_path: Path) -> None:
    done = run_suite(tmp_path, ci="true")
    assert done.returncode == 1
    assert "missing service: absent (apt install absent-server)" in done.stdout
    assert "2 failed, 1 passed" in done.stdout


def test_a_service_nobody_has_described_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        require("no such service")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_tells_whether_it_is_there_and_how_to_get_it(name: str) -> None:
    assert SERVICES[name].present() in (True, False)
    assert "install" in SERVICES[name].packages
