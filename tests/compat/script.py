"""
Programs as they were written for python-gearman, run unchanged: `import gearman` and all.

They find the module by the path of the distribution that provides it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.acceptance.job_server import DEADLINE, JobServer

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
DISTRIBUTION = ROOT / "compat" / "gearman" / "src"


def environment(place: Path = DISTRIBUTION, **more: str) -> dict[str, str]:
    """Return the environment of a program that finds `gearman` in ``place``."""
    places = [str(place), os.environ.get("PYTHONPATH", "")]
    # Warnings are errors here as in the tests themselves.
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
        "PYTHONWARNINGS": "error::DeprecationWarning",
        **more,
    }


class Script:
    """A running script; what it prints is read when it has ended."""

    def __init__(
        self, name: str, job_server: JobServer, *arguments: str, place: Path, **more: str
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, SCRIPTS / name, f"127.0.0.1:{job_server.port}", *arguments],
            env=environment(place, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self) -> list[str]:
        """Wait for its end, which has to be a good one, and return what it printed."""
        said, errors = self.process.communicate(timeout=DEADLINE)
        assert self.process.returncode == 0, errors
        return said.splitlines()

    def kill(self) -> str:
        """End it, and return what it printed on standard error."""
        self.process.kill()
        return self.process.communicate()[1]
