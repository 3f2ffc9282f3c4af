"""
Network namespaces: a server's, the way from it to the database, and that of everybody else.

All are the caller's own: it runs in a new network, mount and process namespace (`ENTER`), so that
whatever it makes is gone when it ends. Packets are dropped on the way, by a route in between:
neither side is refused, hears that the other is gone, or sees its cable pulled.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# What a command begins with that runs in namespaces of its own, and ends when its parent does.
ENTER = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
INSIDE = "GEARTRAIN_TESTS_IN_NAMESPACES"
# Where the database is, and where the server is seen from it.
DATABASE, SERVER = "10.77.1.1", "10.77.2.1"
# Where clients and the other servers are, and where the server is seen from them.
CLIENTS, SERVED = "10.77.3.1", "10.77.3.2"
# What a command begins with that runs where the server is.
AWAY = ("ip", "netns", "exec", "away")


def are_available() -> bool:
    """Return whether namespaces can be made: by root, with iproute2, where the kernel lets it."""
    if os.geteuid() != 0:
        return False
    tried = subprocess.run([*ENTER, "ip", "link", "set", "lo", "up"], capture_output=True)
    return tried.returncode == 0


def entered(module: str) -> int | None:
    """
    Run a module's command line once more, in namespaces.

    Returns the status to end with, or None in there, where the module has to do its work.
    """
    if INSIDE in os.environ:
        return None
    if not are_available():
        print("not run: network namespaces want root and iproute2")  # noqa: T201
        return 0
    command = [*ENTER, sys.executable, "-m", module, *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, INSIDE: "1"}).returncode


def ip(*words: str) -> None:
    """Run ``ip``; fails with what it printed."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def link(here: str, address: str, there: str, other: str, *, at: str, to: str = "") -> None:
    """Connect two namespaces; an empty name is the caller's."""
    ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", at)
    if to:
        ip("link", "set", here, "netns", to)
    for name, where, place in ((here, address, to), (there, other, at)):
        within = ["-n", place] if place else []
        ip(*within, "addr", "add", f"{where}/24", "dev", name)
        ip(*within, "link", "set", name, "up")


def lay() -> None:
    """Make the namespaces and connect them; the caller is where database and clients are."""
    Path("/run/netns").mkdir(parents=True, exist_ok=True)
    # Names of namespaces are files: these are seen by nobody else.
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run/netns"], check=True)
    ip("link", "set", "lo", "up")
    for name in ("way", "away"):
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
    link("db", DATABASE, "db-way", "10.77.1.2", at="way")
    link("server", SERVER, "server-way", "10.77.2.2", at="way", to="away")
    link("clients", CLIENTS, "served", SERVED, at="away")
    forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    subprocess.run(["ip", "netns", "exec", "way", "sh", "-c", forward], check=True)
    ip("route", "add", "10.77.2.0/24", "via", "10.77.1.2")
    ip("-n", "away", "route", "add", "10.77.1.0/24", "via", "10.77.2.2")


def cut() -> None:
    """Drop all packets between the server and the database, in both directions."""
    for address in (DATABASE, SERVER):
        ip("-n", "way", "route", "add", "blackhole", f"{address}/32")


def mend() -> None:
    """Let packets through again."""
    for address in (DATABASE, SERVER):
        ip("-n", "way", "route", "del", "blackhole", f"{address}/32")
