"""From a crontab to entries and back: names that stay, and a meaning that stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.schedule.crontab import read_crontab
from geartrain.schedule.crontab_entries import Placing, entries_of, slug_of, with_names
from geartrain.schedule.crontab_text import (
    join_command,
    read_assignment,
    split_command,
    write_assignment,
)
from geartrain.schedule.crontab_writing import write_crontab
from geartrain.schedule.entry import Entry, read_entry, to_table

PLACING = Placing(source="web1:ops", prefix="web1/ops", target="agent:web1", user="ops")


def entries(text: str, *, system: bool = False, placing: Placing = PLACING) -> list[Entry]:
    return entries_of(read_crontab(text, system=system).lines, placing)


def written(*given: Entry, system: bool = False, timezone: str = "UTC") -> str:
    found = write_crontab(given, system=system, timezone=timezone, user="ops", agent="web1")
    return found.text


def names(text: str) -> list[str]:
    return [one.name for one in entries(text)]


# Entries.


def test_a_line_becomes_an_entry_that_does_what_cron_did() -> None:
    (entry,) = entries(
        "HOME=/srv\nMAILTO=a@example.org\nCRON_TZ=Europe/Berlin\nRANDOM_DELAY=2\n"
        "# Says hello\n0 9 * * 1-5 mail bob%Hello\n"
    )
    assert entry == Entry(
        name="web1/ops/mail-bob",
        when="0 9 * * 1-5",
        timezone="Europe/Berlin",
        command="mail bob",
        payload=b"Hello\n",
        target="agent:web1",
        user="ops",
        directory="/srv",
        environment=(("HOME", "/srv"),),
        mailto="a@example.org",
        jitter=120,
        overlap="allow",
        catch_up="none",
        description="Says hello",
        source="web1:ops",
    )
    assert read_entry(entry.name, to_table(entry)) == entry


def test_cron_mails_to_the_user_unless_it_is_told_otherwise() -> None:
    text = "0 1 * * * root a\n0 1 * * * bob b\nMAILTO=\n0 1 * * * root c\n"
    assert [one.mailto for one in entries(text, system=True)] == ["root", "bob", ""]


@pytest.mark.parametrize(
    ("command", "slug"),
    [
        ("/usr/local/bin/backup.sh --full", "backup.sh-full"),
        ("cd /srv/shop && php artisan schedule:run >> /dev/null 2>&1", "php-artisan-schedule:run"),
        ("pg_dump shop | gzip > /backup/shop.gz", "pg_dump-shop"),
        ("test -x /usr/sbin/anacron || { cd / && run-parts /etc/cron.daily; }",
         "run-parts-cron.daily"),
        ("LANG=C find /tmp -mtime +7 -delete", "find-tmp-mtime-7-delete"),
        ("cd /tmp", "cd-tmp"),
        ("cd /srv; ./clean; date", "clean"),
        ("[ -x /clean ] && if [ ! -d /run ]; then /clean --all; fi", "clean-all"),
        (":", "3f7cf1"),
        ("x " + "y" * 60, "x-yyyyyyyyyyyyyyyyyyyyyyy-de6e02"),
    ],
)  # fmt: skip
def test_a_command_is_told_by_its_name(command: str, slug: str) -> None:
    assert slug_of(command) == slug


def test_names_stay_when_lines_move() -> None:
    lines = ["0 1 * * * a\n", "0 2 * * * b\n", "0 3 * * * a\n", "0 4 * * * a x\n"]
    found = {one.when: one.name for one in entries("".join(lines))}
    assert sorted(found.values()) == ["web1/ops/a", "web1/ops/a-2", "web1/ops/a-x", "web1/ops/b"]
    assert {one.when: one.name for one in entries("".join(reversed(lines)))} == found


def test_an_entry_that_is_known_keeps_its_name() -> None:
    known = entries("0 3 * * * a\n")
    new = entries_of(read_crontab("0 1 * * * a\n0 3 * * * a\n").lines, PLACING, known)
    assert [(one.when, one.name) for one in new] == [
        ("0 1 * * *", "web1/ops/a-2"),
        ("0 3 * * *", "web1/ops/a"),
    ]
    changed = entries_of(read_crontab("30 3 * * * a\n").lines, PLACING, known)
    assert [one.name for one in changed] == ["web1/ops/a"]


def test_names_that_somebody_has_given_are_kept_for_what_they_run() -> None:
    known = [replace(one, name="nightly") for one in entries("0 3 * * * a\n")]
    assert [one.name for one in with_names(entries("0 4 * * * a\n"), "x", known)] == ["nightly"]


def test_names_are_not_longer_than_names_may_be() -> None:
    placing = replace(PLACING, prefix="host/" + "p" * 200)
    (entry,) = entries("0 1 * * * " + "c" * 200 + "\n", placing=placing)
    assert len(entry.name) <= 100
    assert read_entry(entry.name, to_table(entry)) == entry


# Back to text.


def test_what_has_the_same_environment_is_put_together() -> None:
    text = (
        "PATH=/bin\n0 1 * * * a\nMAILTO=x@example.org\n0 2 * * * b\n"
        "MAILTO=ops\nCRON_TZ=Europe/Berlin\n0 3 * * * c\n"
    )
    assert written(*entries(text)) == (
        "PATH=/bin\n0 1 * * * a\n\n"
        "MAILTO=x@example.org\n0 2 * * * b\n\n"
        "CRON_TZ=Europe/Berlin\nMAILTO=ops\n0 3 * * * c\n"
    )


def test_the_system_format_names_the_user() -> None:
    (entry,) = entries("0 1 * * * bob a\n", system=True)
    assert written(entry, system=True) == "0 1 * * * bob a\n"
    found = write_crontab([entry], system=False, timezone="UTC", user="ops", agent="web1")
    assert found.left_out == [("web1/ops/a", "it runs as bob, not as ops")]


def native(**keys: object) -> Entry:
    """Return an entry as somebody adds one: a command at three, with our defaults."""
    table = {"when": "0 3 * * *", "command": "a", "user": "ops", "target": "agent:web1"}
    return read_entry("nightly", table | {"overlap": "allow", "catch_up": "none"} | keys)


@pytest.mark.parametrize(
    ("keys", "when"),
    [
        ({"when": "0 0 3 * * *"}, "0 3 * * *"),
        ({"when": "5/20 3 ? * *"}, "5,25,45 3 * * *"),
        ({"when": "H H * * H"}, "38 8 * * 2"),
        ({"when": "0 0 */2 * 1"}, "0 0 */2 * 1"),
    ],
)
def test_what_is_only_written_otherwise_is_written_as_cron_does(
    keys: dict[str, object], when: str
) -> None:
    assert f"\n{when} a\n" in written(native(mailto="x", **keys))


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"command": "", "function": "report", "user": ""}, "it runs a function and no command"),
        ({"when": "@every 90s"}, "cron has no @every"),
        ({"when": "@at 2026-02-01T00:00:00Z"}, "cron has no @at"),
        ({"when": "0 0 L * *"}, "cron has no L"),
        ({"when": "30 0 0 * * *"}, "cron has 5 fields, not 6"),
        ({"day_mode": "and"}, "other rules for days"),
        ({"dst": "skip"}, "other rules for days"),
        ({"enabled": False}, "it is paused or disabled"),
        ({"jitter": "90s"}, "no whole number of minutes"),
        ({"directory": "/srv"}, "its directory is not its HOME"),
        ({"command": "a\nb"}, "several lines"),
        ({"when": "", "after": ["other"]}, "it runs after other"),
        ({"user": "bob"}, "it runs as bob, not as ops"),
    ],
)
def test_what_a_crontab_can_not_run_is_a_comment_with_the_reason(
    keys: dict[str, object], reason: str
) -> None:
    found = write_crontab([native(**keys)], system=False, timezone="UTC", user="ops", agent="web1")
    assert len(found.left_out) == 1
    assert reason in found.left_out[0][1]
    assert found.text == f"# geartrain: nightly is left out: {found.left_out[0][1]}\n"


def test_what_cron_knows_nothing_of_is_said_above_the_line() -> None:
    text = written(native(overlap="skip", retries=3, run_timeout="1h", tags=["db"], mailto="ops"))
    assert text == (
        '# geartrain: nightly has overlap = "skip", run_timeout = 3600, retries = 3, '
        'tags = ["db"], retry_delay = 5; cron knows none of it\n'
        "0 3 * * * a\n"
    )


def test_a_variable_that_a_crontab_can_not_take_back_is_no_line() -> None:
    one, other = native(environment={"A": "1"}), native(environment={"B": "1"})
    found = write_crontab([one, other], system=False, timezone="UTC", user="ops", agent="web1")
    assert found.left_out == [
        ("nightly", "A would be set for it, by lines that others need; export its source alone")
    ]


def test_another_machines_entry_says_so() -> None:
    assert 'target = "agent:db1"' in written(native(target="agent:db1", mailto="ops"))


# Laws.

LETTERS = st.text(st.sampled_from("ab \t%\\'\"=#$*@\x7fé;-"), max_size=12)


@given(LETTERS)
def test_a_command_that_was_read_is_written_with_the_same_meaning(text: str) -> None:
    command, stdin = split_command(text)
    assert split_command(join_command(command, stdin)) == (command, stdin)


@given(LETTERS, st.binary(max_size=8) | LETTERS.map(lambda text: text.encode() + b"\n"))
def test_a_command_is_written_as_what_it_is_or_not_at_all(command: str, payload: bytes) -> None:
    try:
        text = join_command(command, payload)
    except ValueError:
        return
    assert split_command(text) == (command, payload)
    assert "\n" not in text


@given(LETTERS, LETTERS)
def test_an_assignment_is_written_as_what_it_is_or_not_at_all(name: str, value: str) -> None:
    try:
        line = write_assignment(name, value)
    except ValueError:
        return
    assert read_assignment(line) == (name, value)


TIMES = st.sampled_from(
    ["*/5 * * * *", "0 3 * * *", "15 4 1,15 * 5", "@daily", "@reboot", "0~30 3 * jan-mar mon"]
)
COMMANDS = st.text(st.sampled_from("ab %\\/&|>é"), min_size=1, max_size=10).map(
    lambda text: "run" + text
)
ASSIGNMENTS = st.one_of(
    st.sampled_from(["CRON_TZ=Europe/Berlin", "CRON_TZ=UTC", "RANDOM_DELAY=3", "RANDOM_DELAY=0"]),
    st.sampled_from(["", "a@example.org", "ops", "a,b"]).map(lambda to: f'MAILTO="{to}"'),
    st.tuples(st.sampled_from("ABC"), st.sampled_from(["x", " y ", "'z'", '"', "", "a b"])).map(
        lambda pair: write_assignment(*pair)
    ),
    st.just("HOME=/srv"),
)
COMMENTS = st.sampled_from(["", "# why", "#", "# 0 1 * * * off"])


@given(
    st.lists(
        st.one_of(
            ASSIGNMENTS,
            COMMENTS,
            st.tuples(TIMES, st.sampled_from(["root", "ops"]), COMMANDS),
        ),
        max_size=14,
    ),
    st.booleans(),
)
def test_a_crontab_that_was_imported_is_exported_with_the_same_meaning(
    parts: list[str | tuple[str, str, str]], system: bool
) -> None:
    text = "".join(
        (part if isinstance(part, str) else " ".join(part if system else part[::2])) + "\n"
        for part in parts
    )
    first = entries(text, system=system)
    found = write_crontab(first, system=system, timezone="UTC", user="ops", agent="web1")
    assert found.left_out == []
    again = read_crontab(found.text, system=system)
    assert (again.refused, "geartrain:" in found.text) == ([], False)
    second = entries_of(again.lines, PLACING)
    assert sorted(map(meaning, second), key=str) == sorted(map(meaning, first), key=str)


def meaning(entry: Entry) -> dict[str, object]:
    """Return what an entry is, whatever its variables' order."""
    return to_table(replace(entry, environment=tuple(sorted(entry.environment)))) | {
        "name": entry.name
    }
