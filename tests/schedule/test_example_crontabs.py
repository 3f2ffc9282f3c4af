"""Fifty lines as people have them: imported, written back, and run as cron runs them."""

from __future__ import annotations

import getpass
import os
import pwd
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from geartrain.client.sync import Client
from geartrain.schedule.crontab import Line, read_crontab
from geartrain.schedule.crontab_entries import Placing, entries_of
from geartrain.schedule.crontab_writing import write_crontab
from geartrain.schedule.entry import Entry, cron_of, read_entry, to_table
from geartrain.schedule.envelope import envelope_for, read_answer
from geartrain.store.schedule_rows import Fire
from tests.acceptance.job_server import DEADLINE
from tests.agent.conftest import client as client
from tests.agent.conftest import server as server
from tests.agent.conftest import start_agent as start_agent
from tests.agent.processes import AgentProcess

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "crontab"
FILES = {"shop.crontab": False, "system.crontab": True}
PLACING = Placing(
    source="web1:shop", prefix="web1/shop", target="agent:web1", user="shop", timezone="Europe/Riga"
)
# What a shell adds by itself, and what an agent tells.
OWN = re.compile(r"GEARTRAIN_|_=|PWD=|OLDPWD=|SHLVL=")
START = datetime(2026, 3, 1, tzinfo=UTC)


def example(name: str) -> tuple[str, list[Line]]:
    """Return an example's text and its lines."""
    text = (EXAMPLES / name).read_text()
    found = read_crontab(text, system=FILES[name])
    assert found.refused == []
    return text, found.lines


def test_there_are_fifty_lines() -> None:
    assert sum(len(example(name)[1]) for name in FILES) == 50


@pytest.mark.parametrize("name", FILES)
def test_what_was_imported_is_written_back_with_the_same_meaning(name: str) -> None:
    entries = entries_of(example(name)[1], PLACING)
    for entry in entries:
        assert read_entry(entry.name, to_table(entry)) == entry
    system = FILES[name]
    written = write_crontab(
        entries, system=system, timezone=PLACING.timezone, user="shop", agent="web1"
    )
    assert written.left_out == []
    again = read_crontab(written.text, system=system)
    assert (again.refused, len(again.remarks)) == ([], 1 if not system else 0)
    found = entries_of(again.lines, PLACING)
    assert by_name(found) == by_name(entries)
    assert moments(found) == moments(entries)


def by_name(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.name)


def moments(entries: list[Entry]) -> dict[str, list[datetime]]:
    """Return the next moments of each entry."""
    found = {}
    for entry in entries:
        cron = cron_of(entry)
        assert cron is not None
        found[entry.name] = list(islice(cron.fires(START), 20))
    return found


# Run: programs that only write down how they were called, by an agent and as cron calls them.

PROGRAM = """\
#!/bin/sh
{{
    echo "program ${{0##*/}}"
    for argument; do echo "argument $argument"; done
    pwd
    /usr/bin/env | LC_ALL=C /usr/bin/sort
    echo "input:"
    /bin/cat
}} > "{records}/$N.$$"
echo "${{0##*/}} was here"
"""
PROGRAMS = (
    "acme awk awstats.pl cat certbot curl date find flock goaccess logrotate mail mirror nginx "
    "notify pg_dump pg_repack php psql quotes report restic rm rotate-keys rsync run-parts scrub "
    "sleep superstition systemctl sysstat-sample tar vacuumdb wall wp"
)
DIRECTORIES = ("app", "app/log", "backup", "log", "public", "run", "etc", "uploads")


class Shop:
    """A directory in which the examples can do no harm."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "shop"
        self.programs = directory / "programs"
        self.records = directory / "records"
        for made in (self.programs, self.records, *(self.home / one for one in DIRECTORIES)):
            made.mkdir(parents=True)
        for program in PROGRAMS.split():
            path = self.programs / program
            path.write_text(PROGRAM.format(records=self.records))
            path.chmod(0o755)

    def lines(self, name: str) -> list[Line]:
        """Return the lines of an example, moved here, each with a number of its own."""
        text, found = example(name)
        rows = text.split("\n")
        for line in found:
            rows[line.number - 1] = f"N={name[:2]}{line.number}\n{rows[line.number - 1]}"
        moved = "\n".join(rows).replace("/srv/shop", str(self.home))
        moved = re.sub(r"(?m)^PATH=.*$", f"PATH={self.programs}", moved)
        return read_crontab(moved, system=FILES[name]).lines

    def take(self) -> dict[str, list[str]]:
        """Return what was written down by the lines' numbers, and forget it."""
        found: dict[str, list[str]] = {}
        for path in self.records.iterdir():
            record = [row for row in path.read_text().split("\n") if not OWN.match(row)]
            found.setdefault(path.name.partition(".")[0], []).append("\n".join(record))
            path.unlink()
        return {number: sorted(records) for number, records in found.items()}


def as_cron(line: Line) -> tuple[int, str]:
    """Run a line as cron does; return the exit status and what it wrote."""
    me = pwd.getpwuid(os.getuid())
    environment = {
        "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", "HOME": me.pw_dir,
        **dict(line.environment), "LOGNAME": me.pw_name, "USER": me.pw_name,
    }  # fmt: skip
    done = subprocess.run(
        [environment["SHELL"], "-c", line.command],
        input=line.stdin,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=environment["HOME"],
        timeout=DEADLINE,
    )
    return done.returncode, done.stdout.decode()


def as_agent(client: Client, entries: list[Entry]) -> list[tuple[int | None, str]]:
    """Have an agent run entries, several at once; return what ``as_cron`` does of each."""
    fires = [Fire(number, 1, 1_772_323_200, "web1") for number in range(1, len(entries) + 1)]
    workloads = [
        envelope_for(entry, fire).to_bytes() for entry, fire in zip(entries, fires, strict=True)
    ]
    found = []
    for result in client.map("agent:web1", workloads, timeout=DEADLINE):
        answer = read_answer(result)
        assert answer is not None
        found.append((answer.status, answer.output))
    return found


def test_an_agent_runs_them_as_cron_does(
    client: Client, start_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    shop = Shop(tmp_path)
    lines = [line for name in FILES for line in shop.lines(name)]
    # Other users would need root, and to be there.
    lines = [replace(line, user=getpass.getuser()) for line in lines]
    names = sorted({variable for line in lines for variable, _ in line.environment})
    start_agent("web1", allow=["*"], allow_environment=names)
    ends = as_agent(client, entries_of(lines, PLACING))
    by_agent = shop.take()
    assert ends == [as_cron(line) for line in lines]
    by_cron = shop.take()
    assert told(by_agent) == told(by_cron)
    # Some look whether a program, or systemd, is there before they do anything.
    assert len(by_cron) >= 45


def told(records: Mapping[str, list[str]]) -> list[str]:
    """Return records line by line, for a difference that can be read."""
    return [
        f"{number}: {row}"
        for number, some in sorted(records.items())
        for record in some
        for row in record.split("\n")
    ]
