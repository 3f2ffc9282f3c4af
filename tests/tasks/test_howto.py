"""The how-to page about tasks says what is true: its module is run and its dialogues are had."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tasks.running import Program

HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto" / "tasks.md"


def blocks(language: str) -> list[str]:
    """Return the page's code blocks in one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", HOWTO.read_text(), re.M | re.S)
    return [str(block) for block in found]


def test_the_dialogues_of_the_page_are_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: object
) -> None:
    address = server.address  # type: ignore[attr-defined]
    monkeypatch.setenv("GEARMAN_SERVERS", address)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shop.py").write_text(blocks("python")[0])
    with Program("worker", "shop:app", "-c", "4", cwd=tmp_path) as program:
        program.wait_for("ready: 4 at once")
        said: list[str] = []
        test = doctest.DocTestParser().get_doctest("\n".join(blocks("pycon")), {}, "page", "", 0)
        result = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(
            test, out=said.append, clear_globs=False
        )
        test.globs["app"].close()
        sys.modules.pop("shop")
        assert result.failed == 0, "".join(said)
        assert result.attempted >= 12


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(blocks("python")[0])
    tests = "from shop import *\nfrom geartrain.testing import drain\n"
    (tmp_path / "test_shop.py").write_text(tests + "\n".join(blocks("python")[-2:]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "geartrain.testing.fixtures"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
