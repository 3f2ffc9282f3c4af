"""``geartrain import crontab``: entries that do what a crontab did, and stay in step with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from geartrain.cli.table import print_table
from geartrain.errors import UsageError
from geartrain.schedule.local_zone import machine_zone
from tests.cli.commands import Command

CRONTAB = """\
MAILTO=ops@example.org
# Backs up
15 2 * * * /usr/local/bin/backup --full
*/5 * * * * cd /srv && php artisan schedule:run
"""
PLACE = ("--agent", "web1", "--user", "ops", "--timezone", "Europe/Berlin")


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("GEARTRAIN_STORE", f"sqlite:///{tmp_path / 'queue.db'}")
    return Command(monkeypatch, capsys)


def imported(run: Command, text: str, *options: str) -> Command:
    return run("import", "crontab", "-", *PLACE, *options, stdin=text.encode())


def names(run: Command) -> list[str]:
    return [row["name"] for row in run.json("cron", "ls")]


def test_lines_become_entries_of_this_machine(run: Command) -> None:
    imported(run, CRONTAB)
    assert (run.code, run.err) == (0, "")
    assert run.out.endswith("web1:crontab of ops: 2 added\n")
    assert names(run) == ["web1/ops/backup-full", "web1/ops/php-artisan-schedule:run"]
    assert run.json("cron", "show", "web1/ops/backup-full")["entry"] == {
        "when": "15 2 * * *",
        "timezone": "Europe/Berlin",
        "command": "/usr/local/bin/backup --full",
        "target": "agent:web1",
        "catch_up": "none",
        "overlap": "allow",
        "user": "ops",
        "mailto": "ops@example.org",
        "description": "Backs up",
        "source": "web1:crontab of ops",
    }


def test_it_only_shows_what_would_be_if_asked(run: Command) -> None:
    imported(run, CRONTAB, "--dry-run")
    assert run.out.endswith("web1:crontab of ops: would add 2\n")
    assert names(run) == []


def test_what_is_there_is_left_alone_until_it_is_to_be_replaced(run: Command) -> None:
    imported(run, CRONTAB)
    changed = CRONTAB.replace("15 2", "45 2").replace("*/5 * * * * cd", "#") + "@daily new\n"
    imported(run, changed)
    assert run.out == (
        "+ web1/ops/new: @daily Europe/Berlin  new\n"
        "web1:crontab of ops: 1 added\n"
        "2 of its entries differ from the file; --replace makes them follow it\n"
    )
    imported(run, changed, "--replace")
    assert '~ web1/ops/backup-full\n  when: "15 2 * * *" -> "45 2 * * *"\n' in run.out
    assert "- web1/ops/php-artisan-schedule:run: " in run.out
    assert run.out.endswith("web1:crontab of ops: 1 changed, 1 removed, 1 as they are\n")
    imported(run, changed, "--replace")
    assert run.out == "web1:crontab of ops: nothing to do, 2 as they are\n"


def test_other_machines_entries_are_others(run: Command) -> None:
    imported(run, CRONTAB)
    run("import", "crontab", "-", "--agent", "web2", "--user", "ops", "--replace", stdin=b"")
    assert run.code == 0
    assert len(names(run)) == 2


def test_a_bad_line_is_left_out_with_its_reason_and_the_code_tells(run: Command) -> None:
    imported(run, CRONTAB + "61 * * * * x\nPATH=$PATH\n")
    assert run.code == 1
    assert run.out.endswith("2 added\n")
    assert run.err == (
        "geartrain: standard input:6: cron expands no variables: PATH has the $ in it\n"
        "geartrain: standard input:5: left out: minute: 61 is not within 0-59\n"
        "    61 * * * * x\n"
    )
    found = run.json("import", "crontab", "-", *PLACE, stdin=b"61 * * * * x\n")
    assert found[0]["refused"] == [
        {"line": 1, "text": "61 * * * * x", "reason": "minute: 61 is not within 0-59"}
    ]


def test_targets_and_tags_take_the_place_of_the_machine(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "cleanup"
    file.write_text("@hourly root tmpreaper 7d /tmp\n")
    run.ok("import", "crontab", str(file), "--system", "--target", "all", "--tags", "web,db")
    (row,) = run.json("cron", "ls")
    assert row["name"] == "cleanup/tmpreaper-7d-tmp"
    assert (row["entry"]["target"], row["entry"]["tags"]) == ("all", ["web", "db"])
    assert (row["entry"]["user"], row["entry"]["source"]) == ("root", str(file))


def test_several_files_are_several_sources(run: Command, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("@daily true\n")
    files = [str(tmp_path / name) for name in ("one", "two")]
    run.ok("import", "crontab", *files, *PLACE)
    assert names(run) == ["web1/one/true", "web1/two/true"]
    assert "--source names one file" in run.refused(2, "import", "crontab", *files, "--source", "x")


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--timezone", "PST"), 2, "there is no time zone 'PST'"),
        (("--target", "everywhere"), 2, "target is 'everywhere'"),
        (("--overlap", "no"), 2, "overlap is 'no'"),
        (("/no/such/file",), 2, "can't read /no/such/file"),
    ],
)
def test_what_can_not_be_is_refused_and_nothing_is_added(
    run: Command, options: tuple[str, ...], code: int, reason: str
) -> None:
    said = run.refused(code, "import", "crontab", "-", *options, stdin=CRONTAB.encode())
    assert reason in said
    assert names(run) == []


def test_what_was_imported_is_exported_and_does_not_differ(run: Command, tmp_path: Path) -> None:
    imported(run, CRONTAB)
    out = run.ok("cron", "export", "--agent", "web1", "--timezone", "Europe/Berlin")
    imported(run, out, "--replace")
    assert run.out.endswith("nothing to do, 2 as they are\n")
    run("cron", "diff", "-", *PLACE, stdin=out.encode())
    assert (run.code, run.out) == (0, "nothing to do, 2 as they are\n")
    run("cron", "diff", "-", *PLACE, stdin=out.replace("15 2", "16 2").encode())
    assert run.code == 1
    assert "would change 1" in run.out


# The machine's zone.


def test_the_machines_zone_is_what_localtime_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    localtime, timezone = tmp_path / "localtime", tmp_path / "timezone"
    assert machine_zone(localtime, timezone) == "UTC"
    localtime.symlink_to("/usr/share/zoneinfo/Europe/Vilnius")
    assert machine_zone(localtime, timezone) == "Europe/Vilnius"
    localtime.unlink()
    localtime.symlink_to("../usr/share/zoneinfo/Etc/UTC")
    assert machine_zone(localtime, timezone) == "UTC"
    monkeypatch.setenv("TZ", ":America/New_York")
    assert machine_zone(localtime, timezone) == "America/New_York"


def test_a_zone_without_a_name_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    localtime, timezone = tmp_path / "localtime", tmp_path / "timezone"
    localtime.write_bytes(b"TZif2")
    with pytest.raises(UsageError, match="give --timezone"):
        machine_zone(localtime, timezone)
    timezone.write_text("Europe/Riga\n")
    assert machine_zone(localtime, timezone) == "Europe/Riga"


# Tables.


def test_columns_are_cut_in_their_order_until_a_line_fits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [("a" * 20, "b" * 20, "c\n", ""), ("a", "b", "c", "")]
    print_table(("ONE", "TWO", "THREE", "NONE"), rows, cut={"TWO": 6, "ONE": 4}, width=30)
    assert capsys.readouterr().out.splitlines() == [
        "ONE" + " " * 14 + "TWO     THREE",
        "a" * 14 + "…  bbbbb…  c\\n",
        "a" + " " * 16 + "b       c",
    ]
    print_table(("ONE", "TWO", "THREE", "NONE"), rows, cut={"TWO": 6, "ONE": 4})
    assert "a" * 20 + "  " + "b" * 20 in capsys.readouterr().out
