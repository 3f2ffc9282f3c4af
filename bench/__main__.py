"""
The command: picks classes, takes turns between the servers, prints the table, writes the page.

It fails (exit status 1) when a server answers wrongly, never because one is slow.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from .classes import CLASSES, Class, Contestant, Run
from .load import Figures, Load, WrongResult, compile_load
from .page import page
from .report import Measured, say, table
from .servers import Server, Setup, program_path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
PAGE = HERE.parent / "docs" / "benchmarks.md"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    names = [kind.name for kind in CLASSES]
    add("--list", action="store_true", help="name the classes and stop")
    add("--class", dest="classes", action="append", choices=names, metavar="NAME", default=[],
        help="measure this class only (may be given several times)")  # fmt: skip
    add("--rounds", type=int, help="rounds of each class (3; 1 with --quick)")
    add("--quick", action="store_true", help="a tenth of the jobs, to see that everything runs")
    add("--ours", choices=["geartrain", "gearmand"], default="geartrain",
        help="gearmand here compares the peer with itself, which shows the noise")  # fmt: skip
    add("--page", type=Path, help="write the page here (a whole run writes docs/benchmarks.md)")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def programs(ours: str) -> dict[str, str]:
    """The installed programs by side. Without a peer our figures are still worth having."""
    if not program_path(ours):
        raise SystemExit(f"{ours} is not installed: run `make install` first")
    sides = {"ours": ours}
    if program_path("gearmand"):
        sides["peer"] = "gearmand"
    else:
        say("gearmand is not installed (Debian: apt install gearman-job-server): no ratios.")
    return sides


def measure(
    kind: Class, contestant: Contestant, program: str, generator: Path, quick: bool
) -> tuple[Figures, list[str]]:
    """Start a server, measure one class on it once, stop it: the figures, and what was run."""
    setup = Setup(program, contestant.store)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="run-") as folder:
        server = Server(setup, Path(folder), kind.traced)
        with server:
            load = Load(generator, {"port": server.port, "server_pid": server.pid})
            figures = kind.measure(Run(server, load, quick))
            server.check_alone()
        if kind.traced:
            figures["syncs_per_job"] = server.syncs() / figures["jobs"]
    return figures, load.commands


def rounds(
    kind: Class, sides: dict[str, str], options: argparse.Namespace, generator: Path
) -> Measured:
    """Every round measures each contestant once, so that a noisy minute hits all of them."""
    measured = Measured(kind)
    for _ in range(options.rounds):
        for contestant in kind.contestants:
            if contestant.side in sides:
                program = sides[contestant.side]
                figures, commands = measure(kind, contestant, program, generator, options.quick)
                measured.results.setdefault(contestant, []).append(figures)
                measured.commands[contestant] = commands
    return measured


def keep(measured: list[Measured]) -> None:
    """Every figure of every round, for those who want to look closer than the table."""
    plain = {
        each.kind.name: {f"{by.side} {by.store}": figures for by, figures in each.results.items()}
        for each in measured
    }
    (BUILD / "results.json").write_text(json.dumps(plain, indent=1) + "\n")


def main() -> int:
    options = arguments()
    if options.list:
        say("\n".join(f"{kind.name:18} {kind.title}" for kind in CLASSES))
        return 0
    BUILD.mkdir(exist_ok=True)
    generator = compile_load(BUILD)
    sides = programs(options.ours)
    measured: list[Measured] = []
    skipped: list[str] = []
    for kind in CLASSES:
        if options.classes and kind.name not in options.classes:
            continue
        if kind.traced and shutil.which("strace") is None:
            skipped.append(f"{kind.name}, which needs strace.")
            continue
        try:
            found = rounds(kind, sides, options, generator)
        except WrongResult as error:
            say(f"{kind.name}: {error}")
            return 1
        measured.append(found)
        say(table(found))
    keep(measured)
    whole = not options.quick and not options.classes and options.ours == "geartrain"
    if target := options.page or (PAGE if whole else None):
        target.write_text(page(measured, sides, options.rounds, BUILD, skipped))
        say(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
