"""Programs that start at the moments of a cron expression."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from geartrain.errors import UsageError
from geartrain.supervisor.alarm import Alarm
from geartrain.supervisor.configuration import load_configuration
from geartrain.supervisor.difference import differences
from geartrain.supervisor.program import NEVER, Program
from tests.supervisor.running import Start, ctl, eventually, shell

NIGHT = Program("night", ("backup",), autostart=False, schedule="15 3 * * *")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# When; with a clock of the test's.


def test_a_moment_comes_once_and_is_awaited() -> None:
    alarm = Alarm(NIGHT, at("2026-11-22 03:14:30"))
    assert alarm.next == at("2026-11-22 03:15")
    assert alarm.seconds_left(at("2026-11-22 03:14:30")) == 30
    assert alarm.look(at("2026-11-22 03:14:59.999")) is None
    assert alarm.look(at("2026-11-22 03:15:00.001")) == at("2026-11-22 03:15")
    assert alarm.look(at("2026-11-22 03:15:00.002")) is None
    assert alarm.next == at("2026-11-23 03:15")


def test_the_moment_at_which_it_begins_does_not_count() -> None:
    alarm = Alarm(NIGHT, at("2026-11-22 03:15"))
    assert alarm.next == at("2026-11-23 03:15")


def test_moments_are_those_of_the_time_zone() -> None:
    alarm = Alarm(replace(NIGHT, timezone="Europe/Vilnius"), at("2026-11-22 00:00"))
    assert alarm.next == at("2026-11-22 01:15")
    in_summer = Alarm(
        replace(NIGHT, schedule="CRON_TZ=Europe/Vilnius 15 3 * * *"), at("2026-07-01")
    )
    assert in_summer.next == at("2026-07-01 00:15")


def test_of_the_moments_that_a_machine_slept_through_the_last_one_comes() -> None:
    alarm = Alarm(replace(NIGHT, schedule="@every 1s"), at("2026-11-22"))
    assert alarm.look(at("2026-11-22 08:00:00.5")) == at("2026-11-22 08:00")
    assert alarm.next == at("2026-11-22 08:00:01")


def test_a_clock_that_is_set_back_brings_moments_again_only_by_hours() -> None:
    alarm = Alarm(NIGHT, at("2026-11-22 03:00"))
    assert alarm.look(at("2026-11-22 03:15"))
    for minutes in (1, 100, 179):
        assert alarm.look(at("2026-11-22 03:15") - timedelta(minutes=minutes)) is None
        assert alarm.next == at("2026-11-23 03:15")
    assert alarm.look(at("2026-11-20 12:00")) is None
    assert alarm.next == at("2026-11-21 03:15")


def test_what_comes_once_comes_once() -> None:
    alarm = Alarm(replace(NIGHT, schedule="@at 2026-11-22T03:15:00Z"), at("2026-11-22"))
    assert alarm.look(at("2026-11-22 04:00")) == at("2026-11-22 03:15")
    assert alarm.next is None
    assert alarm.seconds_left(at("2026-11-22 04:00")) is None
    assert alarm.look(at("2026-11-23")) is None


# What a file may say.


def program_of(path: Path, text: str) -> Program:
    file = path / "geartrain.toml"
    file.write_text(f"[programs.night]\ncommand = 'backup'\nschedule = '15 3 * * *'\n{text}")
    return load_configuration(file).programs["night"]


def test_a_program_with_a_schedule_is_not_kept_running(tmp_path: Path) -> None:
    program = program_of(tmp_path, "timezone = 'Europe/Vilnius'")
    assert (program.schedule, program.timezone) == ("15 3 * * *", "Europe/Vilnius")
    assert (program.autostart, program.autorestart, program.startsecs) == (False, NEVER, 0)
    program = program_of(tmp_path, "autostart = true\nautorestart = false\nstartsecs = 0")
    assert program.autostart


@pytest.mark.parametrize(
    "text",
    [
        "autorestart = true",
        "autorestart = 'unexpected'",
        "startsecs = 3",
        "ready = 'gearman'",
        "autoscale = { min = 1, max = 2, target_wait = 3 }",
        "watch = ['.']",
        "max_memory = '1MB'",
        "max_age = '1h'",
        "max_jobs = 3",
    ],
)
def test_keys_of_what_is_kept_running_do_not_go_with_it(tmp_path: Path, text: str) -> None:
    key = text.partition(" ")[0]
    with pytest.raises(
        UsageError, match=f"night.{key} does not go with schedule: .*; leave it out"
    ):
        program_of(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("schedule = '61 * * * *'", "programs.night: schedule: cron expression '61 "),
        ("schedule = '@reboot'", "schedule: @reboot is no moment; write autostart = true"),
        ("schedule = '@manually'", "schedule: @manually is no moment; write autostart = false"),
        ("schedule = '@daily'\ntimezone = 'Mars'", "there is no time zone 'Mars'; write an IANA"),
        ("timezone = 'UTC'", "programs.night.timezone is that of a schedule; give one"),
        (
            "schedule = '@daily'\n[programs.day]\ncommand = 'x'\ndepends_on = 'night'",
            "programs.day.depends_on names 'night', which has a schedule and is not kept running",
        ),
    ],
)
def test_what_can_not_be_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "geartrain.toml"
    file.write_text(f"[programs.night]\ncommand = 'backup'\n{text}\n")
    with pytest.raises(UsageError) as raised:
        load_configuration(file)
    assert complaint in str(raised.value)


def test_what_changes_is_shown() -> None:
    def shown(old: Program | None, new: Program) -> list[str]:
        (found,) = differences({} if old is None else {"night": old}, {"night": new})
        return found.lines()

    zoned = replace(NIGHT, timezone="Europe/Vilnius")
    assert shown(None, zoned)[1:] == [
        "    command: backup",
        "    starts at: 15 3 * * * (Europe/Vilnius)",
    ]
    assert shown(NIGHT, replace(zoned, schedule="@daily", command=("copy",))) == [
        "~ night",
        "    command: backup -> copy",
        "    schedule: 15 3 * * * -> @daily",
        "    timezone: none -> Europe/Vilnius",
    ]
    assert shown(replace(NIGHT, autostart=True, schedule=""), NIGHT)[1:] == [
        "    autostart: True -> False",
        "    schedule: none -> 15 3 * * *",
        "    stops 1 process",
    ]


# A supervisor.


def test_a_program_is_started_at_its_moments_unless_it_still_runs(up: Start) -> None:
    programs: dict[str, dict[str, Any]] = {
        "quick": {"command": shell("echo done >> runs"), "schedule": "* * * * * *"},
        "slow": {"command": ["sleep", "1000"], "schedule": "* * * * * *"},
        "night": {"command": "true", "schedule": "15 3 * * *", "timezone": "Europe/Vilnius"},
    }
    manager = up(**programs)
    manager.wait_for("slow:0 is not started at this moment: it still runs")
    manager.wait_for("quick:0 RUNNING -> EXITED")
    runs = manager.directory / "runs"
    eventually(lambda: runs.read_text().splitlines()[:2] == ["done", "done"], "it runs twice")
    row = manager.row("night")
    assert (row["state"], row["wanted"]) == ("STOPPED", False)
    assert datetime.fromisoformat(row["next_start"]).strftime("%H:%M:%S") == "03:15:00"
    shown = ctl(manager, "status", "night").stdout
    assert f"starts {row['next_start'].replace('T', ' ')}\n" in shown
    pid = manager.pid("slow:0")
    programs["slow"]["schedule"] = "0 0 1 1 *"
    programs["night"]["schedule"] = "30 4 * * *"
    manager.write(programs)
    lines = itertools.chain.from_iterable(
        one["lines"] for one in manager.ask("reload")["differences"]
    )
    assert list(lines) == [
        "~ night",
        "    schedule: 15 3 * * * -> 30 4 * * *",
        "~ slow",
        "    schedule: * * * * * * -> 0 0 1 1 *",
    ]
    assert "T04:30:00" in manager.row("night")["next_start"]
    # It may end by itself.
    assert manager.pid("slow:0") == pid
    assert json.loads(ctl(manager, "start", "night", "--json").stdout)[0]["starts"] == 1
    assert manager.stop() == 0
