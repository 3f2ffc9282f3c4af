"""
What the tests need from outside the project, and what happens when it is not there.

A fixture says ``require("php")`` before it starts PHP. Where PHP is missing, the test fails on
the build machine (``CI=true``): a suite that silently stopped running there would look like a
green one. On a developer's machine it is skipped, and the run ends with a section that names
every suite which did not run and the packages that would make it run.

``tests/conftest.py`` imports `pytest_terminal_summary`, and so switches the section on. Nothing
is installed from here; ``tests/services/install.sh`` does that.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Libraries that are not installed system-wide, put there by install.sh.
PEERS = ROOT / ".cache" / "peers"

MISSING = "missing service: "


class Service:
    """
    Something outside the project that some tests talk to.

    Args:
        packages: What to install to have it, as a person would type it.
        present: Tells whether it is there; asked once a run.

    """

    def __init__(self, packages: str, present: Callable[[], bool]) -> None:
        self.packages = packages
        self.present = functools.cache(present)


def find_program(name: str) -> str | None:
    """Return the path of a program, also from the directories of root's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def program(*names: str) -> Callable[[], bool]:
    return lambda: all(find_program(name) for name in names)


def command(*argv: str) -> Callable[[], bool]:
    """Present when the command exists and ends with success."""
    return lambda: (
        bool(find_program(argv[0])) and not subprocess.run(argv, capture_output=True).returncode
    )


def peer(*path: str) -> Callable[[], bool]:
    return lambda: PEERS.joinpath(*path).exists()


def both(one: Callable[[], bool], other: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: one() and other()


BY_SCRIPT = "run tests/services/install.sh"

SERVICES = {
    "gearmand": Service("apt install gearman-job-server", program("gearmand")),
    "gearman-tools": Service("apt install gearman-tools", program("gearman", "gearadmin")),
    "php": Service(
        "apt install php-cli php-gearman",
        command("php", "-r", "exit((int) !extension_loaded('gearman'));"),
    ),
    "perl": Service(
        "apt install libgearman-client-perl", command("perl", "-MGearman::Client", "-e", "1")
    ),
    "node": Service(
        f"apt install nodejs npm, then {BY_SCRIPT} for gearmanode",
        both(program("node"), peer("node", "node_modules", "gearmanode")),
    ),
    "c": Service(
        "apt install gcc libgearman-dev",
        both(program("gcc"), Path("/usr/include/libgearman/gearman.h").exists),
    ),
    "pygearman": Service(BY_SCRIPT, peer("python", "gearman")),
    "gear": Service(BY_SCRIPT, peer("python", "gear")),
    "django-6": Service(
        f"install a Python from 3.12 on, then {BY_SCRIPT}", peer("django", "bin", "python")
    ),
    "geartrain": Service("make install", lambda: find_spec("geartrain") is not None),
    "geartrain_aio": Service("make install", lambda: find_spec("geartrain") is not None),
    "netcat": Service("apt install netcat-openbsd", program("nc")),
    "galera": Service(
        "apt install mariadb-server galera-4 rsync",
        both(program("mariadbd", "rsync"), Path("/usr/lib/galera/libgalera_smm.so").exists),
    ),
    "mariadb": Service("apt install mariadb-server", program("mariadbd", "mariadb-install-db")),
    "postgresql": Service(
        "apt install postgresql",
        lambda: (
            any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or bool(find_program("initdb"))
        ),
    ),
    "redis": Service("apt install redis-server", program("redis-server")),
    "memcached": Service("apt install memcached", program("memcached")),
    # The wheel carries pyright itself and only needs a node to run it.
    "pyright": Service(
        "apt install nodejs, make .venv/.developer",
        both(program("node"), lambda: find_spec("pyright") is not None),
    ),
    "systemd": Service("apt install systemd", program("systemd-analyze")),
    "openssl": Service("apt install openssl", program("openssl")),
    "strace": Service("apt install strace", program("strace")),
}


def require(name: str) -> None:
    """
    Let the test go on only where the service is present.

    Raises:
        KeyError: No service of that name is known here.
        Failed: It is missing on the build machine.
        Skipped: It is missing anywhere else.

    """
    service = SERVICES[name]
    if service.present():
        return
    message = f"{MISSING}{name} ({service.packages})"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the suites that did not run, so that nobody takes them for green."""
    # Read from the reports, not remembered here: reports also come from other processes.
    skipped: Counter[tuple[str, str]] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        _, found, service = reason.partition(MISSING)
        if found:
            skipped[report.nodeid.partition("::")[0], service] += 1
    if not skipped:
        return
    terminalreporter.section("suites that did not run for want of a service")
    for (suite, service), count in sorted(skipped.items()):
        terminalreporter.line(f"{suite}: {count} tests want {service}")
