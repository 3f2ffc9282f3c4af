"""The example project: it runs, and type checkers see what it says and refuse what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.services.availability import require
from tests.tasks.running import Program

ROOT = Path(__file__).resolve().parents[2]
SHOP = ROOT / "examples" / "shop"
# Where this run has the package from: its sources or the installation.
PATH = {**os.environ, "MYPYPATH": os.environ.get("PYTHONPATH", "")}


def test_mypy_and_pyright_agree_with_the_example() -> None:
    require("pyright")
    mypy = subprocess.Popen(
        [sys.executable, "-m", "mypy", "--strict", "."],
        cwd=SHOP,
        env=PATH,
        stdout=subprocess.PIPE,
        text=True,
    )
    pyright = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "."],
        cwd=SHOP,
        env=PATH,
        capture_output=True,
        text=True,
    )
    assert mypy.communicate()[0].startswith("Success: no issues found in 3 source files")
    assert pyright.returncode == 0, pyright.stdout


def test_each_mistake_of_the_example_is_one() -> None:
    """The checkers report a mark that suppresses nothing, so all that is left is that there are."""
    text = (SHOP / "mistakes.py").read_text()
    assert text.count("# type: ignore[") >= 9
    assert "reportUnnecessaryTypeIgnoreComment=true" in text


def test_the_example_runs(tmp_path: Path) -> None:
    arguments = ("dev", "tasks", "--listen", "127.0.0.1:0")
    with Program(*arguments, cwd=SHOP, TMPDIR=str(tmp_path)) as program:
        program.wait_for("ready: 2 at once")
        found = re.search(r"server on (\S+),", program.read_log())
        assert found is not None
        done = subprocess.run(
            [sys.executable, "orders.py"],
            cwd=SHOP,
            env={**os.environ, "GEARMAN_SERVERS": found[1]},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said = done.stdout.splitlines()
        assert said[:2] == ["Bill(order=7, total=900)", "900 cents from card 1234"]
        assert said[-3:] == ["7", "8", "9"]
        assert "To: Main Street" in said
