"""``geartrain cron``: what it does to the store, what it prints, and how it refuses."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from geartrain.cli.cron_editing import edit_entry
from geartrain.cli.cron_fires import code_of, print_ends
from geartrain.schedule.entry import KEYS
from geartrain.store.schedule_rows import DONE, PENDING, WAITING, Fire
from geartrain.store.schedule_sql import open_schedules
from geartrain.store.schedule_store import ScheduleStore
from tests.cli.commands import Command

INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found = f"sqlite:///{tmp_path / 'queue.db'}"
    monkeypatch.setenv("GEARTRAIN_STORE", found)
    return found


@pytest.fixture
def store(url: str) -> Iterator[ScheduleStore]:
    found = open_schedules(url)
    found.open()
    yield found
    found.close()


@pytest.fixture
def cron(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


ADD = ("cron", "add", "nightly", "15 2 * * *", "--function", "report")
BERLIN = ("--timezone", "Europe/Berlin")


# How the schedulers do.


def test_status_says_what_somebody_should_look_at(cron: Command, store: ScheduleStore) -> None:
    bad = cron("cron", "status")
    assert bad.code == 1
    assert "no scheduler is there" in bad.out
    store.join("jobs-1", "jobs-1.example", 60.0, "2026a")
    cron.ok(*ADD)
    said = cron.ok("cron", "status")
    assert re.search(rf"jobs-1 +there +\+0.000 s +2026a +{INSTANT}", said)
    assert "due       nothing" in said
    found = cron.json("cron", "status", "--json")
    assert set(found) == {
        *("now", "schedulers", "backlog", "lag", "claimed_per_second", "last_day", "troubles")
    }
    assert found["troubles"] == []


# Where the store is.


def test_without_a_store_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GEARTRAIN_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    said = Command(monkeypatch, capsys).refused(2, "cron", "ls")
    assert "name the scheduler's database by --store" in said
    assert list(tmp_path.iterdir()) == []


def test_the_schedulers_store_comes_before_the_servers(cron: Command, tmp_path: Path) -> None:
    config = tmp_path / "geartrain.toml"
    own = f"sqlite:///{tmp_path / 'own.db'}"
    config.write_text(f'[server]\nstore = "memory:"\n[scheduler]\nstore = "{own}"\n')
    cron.ok(*ADD, "--config", str(config))
    assert "nightly" in cron.ok("cron", "ls", "--store", own)
    assert "no entries yet" in cron.ok("cron", "ls")


@pytest.mark.parametrize(
    ("where", "code", "reason"),
    [
        ("memory:", 2, "keeps no schedules"),
        ("redis://127.0.0.1", 2, "keeps no schedules"),
        ("postgresql://127.0.0.1:1/none", 3, "127.0.0.1"),
    ],
)
def test_a_store_that_keeps_no_schedules_or_is_away_is_said(
    cron: Command, where: str, code: int, reason: str
) -> None:
    assert reason in cron.refused(code, "cron", "ls", "--store", where)


# Adding and changing.


def test_add_says_when_it_fires_and_what_clocks_do_to_it(cron: Command) -> None:
    said = cron.ok(*ADD, *BERLIN).splitlines()
    assert said[0] == "added nightly: report, at 02:15, every day, Europe/Berlin time."
    assert any("02:15 is left out and run at 03:00" in line for line in said)
    moments = [
        line for line in said if re.match(r"  \w{3} \d{4}-\d\d-\d\d 0[23]:\d\d CES?T  in ", line)
    ]
    assert len(moments) == 5


def test_add_prints_the_entry_as_json(cron: Command) -> None:
    found = cron.json(*ADD, "--retries", "3", "--retry-delay", "1m", "--tags", "a,b")
    assert found["name"] == "nightly"
    assert found["entry"] == {
        "when": "15 2 * * *",
        "function": "report",
        "tags": ["a", "b"],
        "retries": 3,
        "retry_delay": "1m",
    }
    assert re.fullmatch(INSTANT, found["next_fire"])
    assert found["next"][0] == found["next_fire"]
    assert len(found["next"]) == 5


def test_each_key_of_an_entry_is_an_option(cron: Command) -> None:
    cron("cron", "add", "--help")
    for key in set(KEYS) - {"cron"}:
        assert f"--{key.replace('_', '-')}" in cron.out.replace("\n", "")


def test_a_command_has_its_input_and_its_variables(cron: Command) -> None:
    found = cron.json(
        "cron", "add", "mail", "@daily", "--command", "mail ann", "--payload", "-",
        "--environment", "LANG=C", "--environment", "A=b=c", stdin=b"Hello\n",
    )  # fmt: skip
    assert found["entry"]["payload"] == "Hello\n"
    assert found["entry"]["environment"] == {"LANG": "C", "A": "b=c"}
    binary = cron.json(
        "cron", "add", "other", "@daily", "--function", "f", "--payload", "-", stdin=b"\xff"
    )
    assert binary["entry"]["payload"] == {"base64": "/w=="}


def test_add_only_shows_what_would_be_if_asked(cron: Command) -> None:
    assert cron.ok(*ADD, "--dry-run").startswith("would be added nightly")
    assert "no entries yet" in cron.ok("cron", "ls")


def test_what_is_legal_and_hardly_meant_is_said(cron: Command) -> None:
    cron(*ADD, "--mailto", "ann")
    assert cron.code == 0
    assert "mailto is for commands" in cron.err


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("x", "0 0 30 2 *", "--function", "f"), 2, "never fire"),
        (("x", "@daily"), 2, "it runs nothing"),
        (("x", "--function", "f"), 2, "it never fires"),
        (("x", "@daily", "--when", "@daily", "--function", "f"), 2, "given twice"),
        (("x", "@daily", "--function", "f", "--overlap", "skp"), 2, "did you mean 'skip'"),
        (("x", "@daily", "--function", "f", "--retries", "many"), 2, "retries takes a whole"),
        (("x", "@daily", "--function", "f", "--environment", "A"), 2, "takes NAME=VALUE"),
        (("x", "@daily", "--function", "f", "--payload", "@/no/such"), 2, "can't read /no/such"),
        (("x", "--after", "y", "--function", "f"), 2, "there is no entry 'y'"),
        (("nightly", "@daily", "--function", "f"), 5, "there is one already"),
    ],
)
def test_an_entry_that_can_not_be_is_refused_in_a_line(
    cron: Command, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    cron.ok(*ADD)
    assert reason in cron.refused(code, "cron", "add", *arguments)


def test_edit_shows_what_it_changes(cron: Command) -> None:
    cron.ok(*ADD, "--jitter", "30s")
    said = cron.ok("cron", "edit", "nightly", "--when", "0 4 * * *", "--unset", "jitter")
    assert '  when: "15 2 * * *" -> "0 4 * * *"\n  jitter: "30s" -> default\n' in said
    assert "it fires from now on" in said
    found = cron.json("cron", "edit", "nightly", "--retries", "2")
    assert (found["revision"], found["generation"]) == (3, 2)


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("nightli", "--retries", "1"), 4, "did you mean nightly?"),
        (("nightly", "--retries", "1", "--revision", "7"), 5, "its revision is 1 by now, not 7"),
        (("nightly", "--unset", "retrys"), 2, "did you mean 'retries'"),
        (("nightly",), 2, "nothing to change"),
        (("nightly", "--function", ""), 2, "it runs nothing"),
    ],
)
def test_a_change_that_can_not_be_is_refused_in_a_line(
    cron: Command, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    cron.ok(*ADD)
    assert reason in cron.refused(code, "cron", "edit", *arguments)


def test_edit_without_options_opens_an_editor(
    cron: Command, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cron.ok(*ADD)
    seen = tmp_path / "seen"
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\ncp "$1" {seen}\nsed -i "s/15 2/15 4/" "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.setattr("geartrain.cli.cron_editing.sys.stdin", Terminal())
    edit_entry(name="nightly", unset=None, revision=0, store=url, config=None, as_json=False)
    assert tomllib.loads(seen.read_text())["schedule"]["nightly"]["when"] == "15 2 * * *"
    cron.capsys.readouterr()
    assert cron.json("cron", "show", "nightly")["entry"]["when"] == "15 4 * * *"


class Terminal:
    """Standard input that says it is a terminal."""

    def isatty(self) -> bool:
        return True


# Looking.


def test_ls_prints_a_table(cron: Command) -> None:
    assert "no entries yet; add one: geartrain cron add" in cron.ok("cron", "ls")
    cron.ok(*ADD, *BERLIN)
    cron.ok("cron", "add", "b", "@daily", "--command", "true", "--target", "agent:web1")
    cron.ok("cron", "pause", "b")
    head, one, other = cron.ok("cron", "ls").splitlines()
    assert head.split() == ["NAME", "WHEN", "ZONE", "RUNS", "ON", "NEXT", "STATUS"]
    assert re.split(r"\s\s+", one) == ["b", "@daily", "true", "web1", "paused"]
    assert re.split(r"\s\s+", other)[:4] == ["nightly", "15 2 * * *", "Berlin", "report"]
    assert re.search(r"in \d+[hms]", other)


def test_ls_chooses(cron: Command) -> None:
    cron.ok(*ADD)
    cron.ok("cron", "add", "a/x", "@daily", "--function", "f", "--group", "g")
    assert [row["name"] for row in cron.json("cron", "ls")] == ["a/x", "nightly"]
    assert [row["name"] for row in cron.json("cron", "ls", "a/*")] == ["a/x"]
    assert [row["name"] for row in cron.json("cron", "ls", "--group", "g")] == ["a/x"]
    assert cron.json("cron", "ls", "--source", "file") == []
    assert "no such entries" in cron.ok("cron", "ls", "zzz")
    assert cron.ok("cron", "ls", "--limit", "1").endswith("... and more; --limit 1 was reached\n")


def test_show_prints_an_entry_whole(cron: Command, store: ScheduleStore) -> None:
    cron.ok(*ADD, *BERLIN, "--environment", "A=1", "--command", "x", "--function", "")
    row = store.schedule("nightly")
    assert row is not None
    nominal = 1_772_327_700
    begun = nominal + 1.5
    fire = Fire(row.id, 1, nominal, state=DONE, submitted=begun, started=begun, ended=begun + 60)
    store.insert([fire], "ann")
    said = cron.ok("cron", "show", "nightly")
    assert "environment  A=1\n" in said
    assert "fires        at 02:15, every day, Europe/Berlin time\n" in said
    assert re.search(r"1\s+2026-03-01 02:15 CET  done   1.5s  1m\n", said)
    found = cron.json("cron", "show", "nightly")
    assert found["words"] == "at 02:15, every day, Europe/Berlin time"
    assert found["fires"][0]["lag"] == 1.5
    assert found["fires"][0]["run_time"] == 60


@pytest.mark.parametrize("command", ["show", "pause", "resume", "rm", "run", "fires"])
def test_a_name_that_is_not_there_ends_with_four(cron: Command, command: str) -> None:
    assert "there is no entry nope" in cron.refused(4, "cron", command, "nope")


# Pausing, resuming, removing.


def test_pause_and_resume_take_patterns(cron: Command) -> None:
    for name in ("a/x", "a/y", "b"):
        cron.ok("cron", "add", name, "@daily", "--function", "f")
    said = cron.ok("cron", "pause", "a/*", "--why", "moving", "--until", "2h")
    assert [line.split(" until")[0] for line in said.splitlines()] == ["paused a/x", "paused a/y"]
    rows = {row["name"]: row for row in cron.json("cron", "ls")}
    assert rows["b"]["status"] == "active"
    assert rows["a/x"]["paused"]["why"] == "moving"
    assert re.fullmatch(INSTANT, rows["a/x"]["paused"]["until"])
    assert re.search(r"paused (now|\d+s ago) by ", cron.ok("cron", "show", "a/x"))
    assert cron.ok("cron", "resume", "a/*").startswith("resumed a/x, next ")
    assert "there is no entry a/*" in cron.refused(4, "cron", "resume", "a/*")
    assert "it is not paused" in cron.refused(5, "cron", "resume", "b")
    assert "--until" in cron.refused(2, "cron", "pause", "b", "--until", "soon")


def test_rm_removes_all_or_none_of_what_is_not_there(cron: Command) -> None:
    cron.ok(*ADD)
    assert "there is no entry nope" in cron.refused(4, "cron", "rm", "nightly", "nope")
    assert cron.ok("cron", "rm", "nightly") == "removed nightly\n"
    assert "no entries yet" in cron.ok("cron", "ls")


# Firing.


def test_run_fires_now_and_says_if_nobody_is_there(cron: Command, store: ScheduleStore) -> None:
    cron.ok(*ADD)
    cron("cron", "run", "nightly")
    assert cron.code == 0
    assert "is pending" in cron.out
    assert "no scheduler is at work" in cron.err
    store.join("one", "host", 30, "2026a")
    cron.ok("cron", "fires")
    assert "has not ended; --overlap allow" in cron.refused(5, "cron", "run", "nightly")


def test_run_waits_for_the_end_and_prints_the_result(cron: Command, store: ScheduleStore) -> None:
    me = store.join("one", "host", 30, "2026a")
    cron.ok(*ADD)
    cron("cron", "run", "nightly", "--timeout", "10ms")
    assert (cron.code, cron.err) == (6, "pending\n")
    assert "--timeout takes seconds" in cron.refused(2, "cron", "run", "nightly", "--timeout", "x")
    (fire,) = store.take(me, 10)
    now = store.now()
    store.mark(
        me, [replace(fire, state=DONE, started=now - 2, ended=now, result=b"all good\n")], [], merge
    )
    found = store.fire(fire.id)
    assert found is not None
    print_ends([found])
    assert code_of([found]) == 0
    assert cron.capsys.readouterr().err == "done after 2s\n"


def merge(known: object, event: object, now: float) -> object:
    raise AssertionError("there was nothing to say")


def test_backfill_shows_first(cron: Command, store: ScheduleStore) -> None:
    cron.ok("cron", "add", "nightly", "0 * * * *", "--function", "f")
    span = ("2026-03-01T00:00:00Z", "2026-03-01T02:00:00Z")
    said = cron.ok("cron", "backfill", "nightly", *span, "--dry-run")
    assert said == (
        "  Sun 2026-03-01 00:00 UTC\n  Sun 2026-03-01 01:00 UTC\n  Sun 2026-03-01 02:00 UTC\n"
        "3 moments of nightly would be fired, one after the other\n"
    )
    assert store.fires() == []
    found = cron.json("cron", "backfill", "nightly", *span, "--reverse", "--overlap", "allow")
    assert [fire["nominal"][11:16] for fire in sorted(found["fires"], key=lambda one: one["due"])]
    assert {fire.state for fire in store.fires()} == {PENDING}
    said = cron("cron", "backfill", "nightly", *span).out
    assert "0 moments of nightly will be fired" in said
    assert "3 are left alone: 3 pending; --mode failed or completed fires more" in said


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("nightly", "soon"), 2, "FROM: 'soon' is no instant"),
        (("nightly", "2d", "--mode", "fail"), 2, "did you mean 'failed'"),
        (("nightly", "2d", "--overlap", "all"), 2, "--overlap is 'all'; did you mean 'allow'"),
        (("nightly", "2d", "3d"), 2, "FROM has to be before TO"),
        (("nope", "2d"), 4, "there is no entry nope"),
    ],
)
def test_a_backfill_that_can_not_be_is_refused_in_a_line(
    cron: Command, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    cron.ok(*ADD)
    assert reason in cron.refused(code, "cron", "backfill", *arguments)


def test_fires_are_listed_newest_first(cron: Command, store: ScheduleStore) -> None:
    assert cron.ok("cron", "fires") == "nothing has fired\n"
    cron.ok(*ADD)
    row = store.schedule("nightly")
    assert row is not None
    start = 1_772_323_200
    for number, state in enumerate((DONE, WAITING, DONE)):
        store.insert([Fire(row.id, 1, start + 60 * number, state=state)], "ann")
    rows = cron.json("cron", "fires", "nightly")
    assert [one["nominal"][14:16] for one in rows] == ["02", "01", "00"]
    assert [one["entry"] for one in rows] == ["nightly"] * 3
    assert len(cron.json("cron", "fires", "--state", "done")) == 2
    assert len(cron.json("cron", "fires", "-n", "1")) == 1
    assert len(cron.json("cron", "fires", "--since", "2026-03-01T00:01:00Z")) == 2
    assert len(cron.json("cron", "fires", "--until", "2026-03-01T00:00:00Z")) == 1
    assert cron.ok("cron", "fires").splitlines()[0].split() == ["ID", "ENTRY", "MOMENT", "STATE"]
    assert "did you mean 'done'" in cron.refused(2, "cron", "fires", "--state", "don")
    cron.ok("cron", "rm", "nightly")
    assert "(removed)" in cron.ok("cron", "fires")


# Files.


def test_apply_shows_the_difference_and_makes_it_so(cron: Command, tmp_path: Path) -> None:
    file = tmp_path / "entries.toml"
    file.write_text('[schedule.a]\nwhen = "@daily"\nfunction = "f"\n')
    assert cron.ok("cron", "apply", str(file), "--dry-run") == "+ a: @daily  f\nwould add 1\n"
    assert "no entries yet" in cron.ok("cron", "ls")
    assert cron.ok("cron", "apply", str(file)) == "+ a: @daily  f\n1 added\n"
    assert cron.ok("cron", "diff", str(file)) == "nothing to do, 1 as they are\n"
    file.write_text('[schedule.a]\nwhen = "@hourly"\nfunction = "f"\n')
    cron("cron", "diff", str(file))
    assert (cron.code, cron.out) == (1, '~ a\n  when: "@daily" -> "@hourly"\nwould change 1\n')
    file.write_text("")
    found = cron.json("cron", "apply", str(file))
    assert (found["applied"], found["removed"]) == (True, ["a"])
    assert cron.code == 0


def test_apply_leaves_what_is_not_its_own(cron: Command, tmp_path: Path) -> None:
    cron.ok(*ADD)
    file = tmp_path / "entries.toml"
    file.write_text('[schedule.nightly]\nwhen = "@daily"\nfunction = "f"\n')
    assert "--adopt takes it over" in cron.refused(5, "cron", "apply", str(file))
    cron.ok("cron", "apply", str(file), "--adopt")
    assert cron.json("cron", "show", "nightly")["entry"]["source"] == str(file)


def test_export_as_toml_is_what_apply_reads(cron: Command, tmp_path: Path) -> None:
    cron.ok(*ADD, *BERLIN, "--retries", "3", "--description", 'says "hi" ☺')
    cron.ok("cron", "add", "a/b", "@daily", "--command", "cat", "--payload", "x\ny\n")
    file = tmp_path / "entries.toml"
    file.write_text(cron.ok("cron", "export", "--toml"))
    before = cron.json("cron", "export")
    cron.ok("cron", "apply", str(file), "--adopt")
    after = cron.json("cron", "export")
    assert [{**one, "source": str(file)} for one in before] == after


def test_export_as_a_crontab_says_what_it_leaves_out(cron: Command) -> None:
    cron.ok(*ADD)
    cron.ok(
        "cron", "add", "b", "@daily", "--command", "true", "--user", "ops", "--mailto", "ops",
        "--target", "agent:web1", "--overlap", "allow", "--catch-up", "none",
    )  # fmt: skip
    cron("cron", "export", "--agent", "web1", "--timezone", "UTC")
    assert cron.code == 1
    assert cron.out == (
        "# geartrain: 1 entries for the crontab of ops on web1, UTC\n\n"
        "# geartrain: nightly is left out: it runs a function and no command\n"
        "@daily true\n"
    )
    assert cron.err == "geartrain: nightly is left out: it runs a function and no command\n"
    cron("cron", "export", "b", "--agent", "web1", "--timezone", "UTC", "--system")
    assert (cron.code, cron.err) == (0, "")
    assert cron.out.endswith("@daily ops true\n")
    cron.ok("cron", "pause", "b")
    cron("cron", "export", "b", "--agent", "web1", "--timezone", "UTC")
    assert (cron.code, cron.err) == (1, "geartrain: b is left out: it is paused or disabled\n")
    assert "there is no entry c*" in cron.refused(4, "cron", "export", "c*")
    assert "choose one" in cron.refused(2, "cron", "export", "--toml", "--json")


def test_everything_that_is_printed_as_json_is_json(cron: Command) -> None:
    cron.ok(*ADD)
    for arguments in (
        ("ls",), ("show", "nightly"), ("fires",), ("export",), ("pause", "nightly"),
        ("resume", "nightly"), ("run", "nightly"), ("backfill", "nightly", "2d"),
        ("edit", "nightly", "--retries", "1"), ("rm", "nightly"),
    ):  # fmt: skip
        cron("cron", *arguments, "--json")
        assert cron.code == 0
        json.loads(cron.out)
