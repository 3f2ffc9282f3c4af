"""
The command: picks classes, takes turns between the servers, prints the table, writes the page.

It fails (exit status 1) when a server answers wrongly, never because one is slow.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from .classes import CLASSES
from .findings import Findings
from .install import install_programs
from .instructions import count_instructions
from .kinds import Class, Contestant, Run
from .load import Figures, Load, WrongResult, compile_load
from .machine import cores_kept_awake, facts
from .page import PICTURE, page, picture
from .profile import can_profile, profile
from .report import Measured, rows, say, table
from .servers import Server, Setup, program_path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
DOCS = HERE.parent / "docs"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("classes", nargs="*", type=class_named, metavar="CLASS",
        help="measure these only, and print; without any, all, and write the page")  # fmt: skip
    add("--list", action="store_true", help="name the classes and stop")
    add("--rounds", type=int, help="rounds of each class (3; 1 with --quick)")
    add("--quick", action="store_true", help="a tenth of the jobs, to see that everything runs")
    add("--ours", choices=["geartrain", "gearmand"], default="geartrain",
        help="gearmand here compares the peer with itself, which shows the noise")  # fmt: skip
    add("--page", type=Path, metavar="FOLDER",
        help="write page and plot there (a whole run, not quick, writes them to docs)")  # fmt: skip
    add("--render", type=Path, metavar="FILE", nargs="?", const=BUILD / "results.json",
        help="measure nothing: write the page from what an earlier run kept")  # fmt: skip
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def class_named(name: str) -> Class:
    for kind in CLASSES:
        if kind.name == name:
            return kind
    raise argparse.ArgumentTypeError(f"no class {name}: see --list")


def programs(ours: str) -> dict[str, str]:
    """The installed programs by side. Without a peer our figures are still worth having."""
    if not program_path(ours):
        raise SystemExit(f"{ours} is not installed: run `make install` first")
    sides = {"ours": ours, "peer": "gearmand", "beanstalkd": "beanstalkd"}
    return {side: program for side, program in sides.items() if program_path(program)}


class Bench:
    """
    Runs classes and gathers what they find.

    Attributes:
        found: All that was found out so far.

    """

    def __init__(self, options: argparse.Namespace) -> None:
        BUILD.mkdir(exist_ok=True)
        install_programs()
        self.options = options
        self.generator = compile_load(BUILD)
        sides = programs(options.ours)
        self.found = Findings(sides, options.rounds, facts(sorted(set(sides.values())), BUILD))

    def run(self, kinds: Sequence[Class]) -> None:
        for kind in kinds:
            if missing := self.missing(kind):
                self.skip(f"{kind.name}: {missing}.")
                continue
            measured = self.rounds(kind)
            self.found.measured.append(measured)
            say(table(measured))

    def missing(self, kind: Class) -> str:
        """Why a class can't be measured, or nothing."""
        if kind.needs and shutil.which(kind.needs) is None:
            return f"it needs {kind.needs}"
        if kind.alone and self.options.ours != "geartrain":
            return "it has no gearmand"
        return ""

    def skip(self, sentence: str) -> None:
        if sentence not in self.found.skipped:
            say(f"left out: {sentence}\n")
            self.found.skipped.append(sentence)

    def rounds(self, kind: Class) -> Measured:
        """Every round measures each contestant once, so that a noisy minute hits all of them."""
        measured = Measured(kind)
        for _ in range(min(self.options.rounds, kind.rounds)):
            for contestant in kind.contestants:
                if self.is_here(kind, contestant):
                    with nullcontext() if kind.asleep else cores_kept_awake():
                        figures, commands = self.measure(kind, contestant)
                    measured.results.setdefault(contestant, []).append(figures)
                    measured.commands[contestant] = commands
        return measured

    def is_here(self, kind: Class, contestant: Contestant) -> bool:
        if kind.lacks is None:
            return contestant.side in self.found.programs
        if problem := kind.lacks(contestant):
            self.skip(f"{kind.name} of {contestant.side}, {contestant.store}: {problem}.")
        return not problem

    def measure(self, kind: Class, contestant: Contestant) -> tuple[Figures, list[str]]:
        """Measure one class on one contestant once: the figures, and what was run."""
        with tempfile.TemporaryDirectory(dir=BUILD, prefix="run-") as name:
            folder, quick = Path(name), self.options.quick
            if kind.alone is not None:
                return kind.alone(contestant, self.generator, folder, quick)
            assert kind.measure is not None
            setup = Setup(self.found.programs[contestant.side], contestant.store)
            server = Server(setup, folder, kind.needs)
            with server:
                load = Load(self.generator, target(server))
                figures = kind.measure(Run(server, load, quick))
                server.check_alone()
            if kind.needs == "strace":
                figures["syncs_per_job"] = server.syncs() / figures["jobs"]
            return figures, load.commands

    # What a page has beyond the classes.

    def count(self) -> None:
        """Count instructions, where valgrind is installed."""
        if shutil.which("valgrind") is None:
            self.skip("instructions per job, which need valgrind.")
            return
        sides = self.found.programs
        names = [sides[side] for side in ("ours", "peer") if side in sides]
        say("counting instructions")
        self.found.instructions = count_instructions(names, self.generator, BUILD)

    def look_into_missed(self) -> None:
        """Profile the classes whose goals are missed."""
        missed = [
            each.kind
            for each in self.found.measured
            if each.kind.measure and any(row.missed for row in rows(each.kind, each.results))
        ]
        if missed and not can_profile():
            self.skip("profiles of the goals not reached, which need perf.")
            return
        for kind in missed:
            say(f"profiling {kind.name}")
            self.found.profiles[kind.name] = profile(kind, self.generator, self.options.quick)


def target(server: Server) -> dict[str, object]:
    """What tells the generator where a server is; gearman is its default protocol."""
    other = {} if server.setup.protocol == "gearman" else {"protocol": server.setup.protocol}
    return {"port": server.port, "server_pid": server.pid, **other}


def write(found: Findings, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "benchmarks.md").write_text(page(found))
    (folder / PICTURE).write_text(picture(found))
    say(f"wrote {folder / 'benchmarks.md'} and {folder / PICTURE}")


def main() -> int:
    options = arguments()
    if options.list:
        say("\n".join(f"{kind.name:18} {kind.title}" for kind in CLASSES))
        return 0
    if options.render:
        write(Findings.load(options.render), options.page or DOCS)
        return 0
    begun = time.monotonic()
    whole = not options.quick and not options.classes and options.ours == "geartrain"
    bench = Bench(options)
    try:
        bench.run(options.classes or CLASSES)
        if options.page or whole:
            bench.count()
            bench.look_into_missed()
    except WrongResult as error:
        say(f"{error}")
        return 1
    bench.found.save(BUILD / ("results.json" if whole else "partial.json"))
    if target_folder := options.page or (DOCS if whole else None):
        write(bench.found, target_folder)
    say(f"{(time.monotonic() - begun) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
