"""``geartrain cron``: what it prints, and how it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from geartrain import Cron
from geartrain.cli import main
from tests.cli.servers import BIN
from tests.schedule.test_reading import REFUSED
from tests.schedule.vectors import VECTORS, Vector

ROOT = Path(__file__).resolve().parents[2]


class Run:
    """Runs the command in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys
        self.code: object = None
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: str) -> Run:
        self.monkeypatch.setattr(sys, "argv", ["geartrain", "cron", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        self.code = ended.value.code or 0
        self.out, self.err = self.capsys.readouterr()
        return self


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


@pytest.mark.parametrize("vector", VECTORS[::9], ids=lambda vector: vector.name)
def test_next_prints_a_list_of_instants(run: Run, vector: Vector) -> None:
    start = f"{vector.start:%Y-%m-%dT%H:%M:%SZ}"
    done = run(
        "next", vector.expression, "--tz", vector.tz, "--after", start, "--count", "5", "--json"
    )
    assert done.code == 0
    assert done.err == ""
    assert json.loads(done.out) == [f"{fire:%Y-%m-%dT%H:%M:%SZ}" for fire in vector.fires]


@pytest.mark.parametrize(
    ("command", "text"),
    [
        *(("next", text) for text in [*REFUSED][::4]),
        *(("explain", text) for text in [*REFUSED][::25]),
    ],
    ids=lambda text: text[:30],
)
def test_an_expression_that_is_refused_ends_with_two_and_one_line(
    run: Run, command: str, text: str
) -> None:
    done = run(command, text, "--json")
    assert done.code == 2
    assert done.out == ""
    assert re.fullmatch(r"geartrain: cron expression .*\n", done.err)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["0 0 * * *", "--tz", "PST"], "there is no time zone 'PST'"),
        (["TZ=UTC 0 0 * * *", "--tz", "UTC"], "and so does tz"),
        (["0 0 * * *", "--after", "yesterday"], "--after: 'yesterday' is no instant"),
        (["0 0 * * *", "--after", "2026-02-01T00:00:00"], "is no instant"),
        (["0 0 * * *", "--dst", "never"], "dst is 'never'; write vixie, skip, strict"),
        (["0 0 * * *", "--day-mode", "xor"], "day_mode is 'xor'; write cron, and, or"),
    ],
)
def test_a_wrong_option_ends_with_two_and_one_line(
    run: Run, arguments: list[str], reason: str
) -> None:
    done = run("next", *arguments)
    assert done.code == 2
    assert reason in done.err
    assert done.err.count("\n") == 1


def test_next_prints_instants_on_the_clocks_of_the_zone_as_well(run: Run) -> None:
    after = "2026-03-28T00:00:00Z"
    done = run("next", "30 2 * * *", "--tz", "Europe/Berlin", "--after", after, "--count", "2")
    assert done.out.splitlines() == [
        "2026-03-28T01:30:00Z  Sat 2026-03-28 02:30:00+01:00",
        "2026-03-29T01:00:00Z  Sun 2026-03-29 03:00:00+02:00",
    ]


def test_next_starts_now(run: Run) -> None:
    now = datetime.now(UTC)
    first = datetime.fromisoformat(json.loads(run("next", "* * * * *", "--json").out)[0])
    assert 0 < (first - now).total_seconds() < 120


def test_what_has_no_more_fires_gives_fewer_of_them(run: Run) -> None:
    text = "@at 2026-02-01T00:00:00Z"
    assert json.loads(run("next", text, "--after", "2026-01-01T00:00:00Z", "--json").out) == [
        "2026-02-01T00:00:00Z"
    ]
    assert json.loads(run("next", text, "--after", "2026-02-01T00:00:00Z", "--json").out) == []
    assert "has no fires after that" in run("next", "@reboot").out


def test_options_reach_the_expression(run: Run) -> None:
    after = ["--after", "2026-01-01T00:00:00Z", "--count", "1", "--json"]
    spread = [run("next", "H H * * *", "--name", name, *after).out for name in ("a", "b")]
    assert spread[0] != spread[1]
    assert "2026-02-13" in run("next", "0 0 13 * 5", "--day-mode", "and", *after).out
    after[1] = "2026-03-29T00:00:00Z"
    skipped = run("next", "30 2 * * *", "--tz", "Europe/Berlin", "--dst", "skip", *after)
    assert json.loads(skipped.out) == ["2026-03-30T00:30:00Z"]


def test_explain_says_it_in_words_with_remarks_and_the_next_runs(run: Run) -> None:
    after = ["--after", "2026-01-31T23:58:30Z", "--count", "1"]
    done = run("explain", "30 2 * * *", "--tz", "Europe/Berlin", *after)
    assert done.out.splitlines() == [
        "at 02:30, every day, Europe/Berlin time.",
        (
            "When clocks are changed: times that are left out are run once, right behind the gap, "
            "times that come twice are run the first time."
        ),
        "On 2026-03-29 in Europe/Berlin, 02:30 is left out and run at 03:00.",
        "On 2026-10-25 in Europe/Berlin, 02:30 comes twice and is run the first time.",
        "  2026-02-01T01:30:00Z  Sun 2026-02-01 02:30:00+01:00",
    ]


def test_explain_prints_an_object(run: Run) -> None:
    done = run("explain", "@daily", "--after", "2026-01-31T23:58:30Z", "--count", "1", "--json")
    assert json.loads(done.out) == {
        "expression": "@daily",
        "kind": "cron",
        "tz": "UTC",
        "words": "at 00:00, every day, UTC time",
        "remarks": [],
        "next": ["2026-02-01T00:00:00Z"],
    }


def test_the_command_is_installed() -> None:
    command = [str(BIN / "geartrain"), "cron", "next", "-1 * * * *", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("geartrain: cron expression '-1 * * * *': minute: '-1' is no")


# docs/reference/cron.md


@pytest.mark.parametrize(
    ("text", "spring", "autumn"),
    [
        ("30 2 * * *", ["01:00"], ["00:30"]),
        ("0,30 2 * * *", ["01:00"], ["00:00", "00:30"]),
        ("*/30 2 * * *", [], ["00:00", "00:30", "01:00", "01:30"]),
        ("0 * * * *", ["00:00", "01:00"], ["00:00", "01:00"]),
    ],
)
def test_the_reference_shows_what_happens_in_berlin(
    text: str, spring: list[str], autumn: list[str]
) -> None:
    assert f"| `{text}` |" in (ROOT / "docs" / "reference" / "cron.md").read_text()
    cron = Cron.parse(text, tz="Europe/Berlin")
    for day, hours in (("2026-03-29", spring), ("2026-10-25", autumn)):
        start = datetime.fromisoformat(f"{day}T00:00:00Z")
        until = start.replace(hour=1, minute=59)
        found = cron.fires(start - timedelta(seconds=1), until)
        assert [f"{fire:%H:%M}" for fire in found] == hours
