"""
Gets the programs that classes need: with apt where this is Debian and we are root, else not at all.

What stays missing leaves its classes, or their ratios, out; nothing fails for it. No system
service is started by an installation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .report import say
from .servers import program_path

__all__ = ["PACKAGES", "install_programs"]

# Debian's package of each program.
PACKAGES = {
    "gearmand": "gearman-job-server",
    "beanstalkd": "beanstalkd",
    "redis-server": "redis-server",
    "memcached": "memcached",
    "mariadbd": "mariadb-server",
    "pg_ctlcluster": "postgresql",
    "strace": "strace",
    "valgrind": "valgrind",
    "perf": "linux-perf",
}
POLICY = Path("/usr/sbin/policy-rc.d")


def install_programs() -> None:
    """Install what is missing, if we may; otherwise say how."""
    packages = [package for program, package in PACKAGES.items() if not program_path(program)]
    if not packages:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get") or not Path("/etc/debian_version").exists():
        say(f"missing; what needs it is left out: apt install {' '.join(packages)}")
        return
    say(f"installing {' '.join(packages)}")
    with services_kept_stopped():
        for package in packages:  # one by one: a package that a release lacks stops no other
            if not apt_get("install", "-y", "--no-install-recommends", package):
                apt_get("update")
                if not apt_get("install", "-y", "--no-install-recommends", package):
                    say(f"apt could not install {package}: what needs it is left out")


def apt_get(*words: str) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["apt-get", "-qq", *words], env=environment, capture_output=True)
    return done.returncode == 0


@contextmanager
def services_kept_stopped() -> Iterator[None]:
    """Debian starts a service at the end of its installation unless this file says no."""
    before = POLICY.read_bytes() if POLICY.exists() else None
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
        if before is not None:
            POLICY.write_bytes(before)
            POLICY.chmod(0o755)
