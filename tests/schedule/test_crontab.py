"""A crontab as cron reads it: what is a line, what is refused, and what a command gets."""

from __future__ import annotations

import pytest

from geartrain.schedule.crontab import Crontab, Line, read_crontab
from geartrain.schedule.crontab_text import (
    join_command,
    read_assignment,
    split_command,
    write_assignment,
)


def only(text: str, system: bool = False) -> Line:
    """Return the one line of a crontab that has nothing wrong with it."""
    found = read_crontab(text + "\n", system=system)
    assert found.refused == []
    (line,) = found.lines
    return line


def refused(text: str, system: bool = False) -> str:
    """Return why the one line of a crontab is refused."""
    found = read_crontab(text + "\n", system=system)
    assert found.lines == []
    (note,) = found.refused
    assert "\n" not in note.reason
    return note.reason


def remarks(text: str, system: bool = False) -> str:
    return "; ".join(note.reason for note in read_crontab(text + "\n", system=system).remarks)


# Fields.


@pytest.mark.parametrize(
    ("text", "when", "command"),
    [
        ("0 3 * * * backup", "0 3 * * *", "backup"),
        ("  0\t3  * * *\tbackup now ", "0 3 * * *", "backup now "),
        ("*/5 8-18 1,15 JAN-mar mon-FRI x", "*/5 8-18 1,15 JAN-mar mon-FRI", "x"),
        ("0 0 * * 7 x", "0 0 * * 7", "x"),
        ("0~59 1~5 * * * x", "0~59 1~5 * * *", "x"),
        ("~ 4 * * * x", "~ 4 * * *", "x"),
        ("0-59/10 */2 1-31/2 * * x", "0-59/10 */2 1-31/2 * *", "x"),
        ("@daily x", "@daily", "x"),
        ("@reboot\tx y", "@reboot", "x y"),
    ],
)
def test_fields_and_macros_are_read_as_cron_reads_them(text: str, when: str, command: str) -> None:
    line = only(text)
    assert (line.when, line.command) == (when, command)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 3 * * *", "neither an assignment nor 5 fields and a command"),
        ("0 3 * * *  ", "no command"),
        ("@daily", "no command"),
        ("@daily  ", "no command"),
        ("61 3 * * * x", "minute: 61 is not within 0-59"),
        ("0 3 * * monday x", "day of week"),
        ("0 0 * * 5-1 x", "runs backwards"),
        ("0 0 30 2 * x", "never fire"),
        ("* * * * * * x", "field too many"),
        ("@every 5m x", "cron has no @every"),
        ("@Daily x", "cron has no @Daily"),
        ("0 0 L * * x", "cron has no L"),
        ("0 0 * * 5L x", "cron has no 5L"),
        ("5/10 * * * * x", "cron has no 5/10"),
        ("H 3 * * * x", "cron has no H"),
        ("0 0 ? * * x", "cron has no ?"),
        ("0 3 * * * %input", "empty before the first %"),
        ("=5", "no name before the ="),
        ("0 3 * * * caf\udce9", "not UTF-8"),
        ("0 3 * * * a\0b", "NUL"),
        ("RANDOM_DELAY=soon", "number of minutes"),
        ('NAME="open', "neither an assignment"),
        ('NAME="a" b', "neither an assignment"),
    ],
)
def test_what_cron_would_not_run_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert reason in refused(text)


def test_a_bad_line_does_not_stop_those_after_it() -> None:
    found = read_crontab("0 3 * * * one\nnonsense\n\n# c\n61 * * * * two\n0 4 * * * three\n")
    assert [(line.number, line.command) for line in found.lines] == [(1, "one"), (6, "three")]
    assert [(note.number, note.text) for note in found.refused] == [
        (2, "nonsense"),
        (5, "61 * * * * two"),
    ]


def test_a_dash_before_the_fields_keeps_cron_from_logging() -> None:
    assert only("-*/5 * * * * root x", system=True).quiet
    assert only("-@daily root x", system=True).when == "@daily"
    assert not only("*/5 * * * * x").quiet


def test_the_system_format_has_a_column_of_users() -> None:
    line = only("17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly", system=True)
    assert (line.user, line.command) == ("root", "cd / && run-parts --report /etc/cron.hourly")
    assert only("@daily www-data x", system=True).user == "www-data"


def test_the_wrong_format_is_noticed() -> None:
    assert "without a column of them" in refused("0 3 * * * /usr/bin/backup now", system=True)
    assert "no command" in refused("0 3 * * * backup", system=True)
    assert "is it a crontab with a column of users" in remarks("0 3 * * * root backup")


# Assignments.


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("A=b", ("A", "b")),
        ("A = b c  ", ("A", "b c")),
        ("  A\t=\tb", ("A", "b")),
        ('A=" b "', ("A", " b ")),
        ("A=' \"b'", ("A", ' "b')),
        ('"A"="b"', ("A", "b")),
        ("'A B' = b", ("A B", "b")),
        ('A=b "c"', ("A", 'b "c"')),
        ('A=""', ("A", "")),
        ("A=", ("A", "")),
        ("A=b=c", ("A", "b=c")),
        ("A=b # c", ("A", "b # c")),
        ("A=$HOME/bin", ("A", "$HOME/bin")),
        ("A B=c", None),
        ('A="b', None),
        ('A="b" c', None),
        ("* * * * * A=b", None),
        ("@daily A=b x", None),
        ("A", None),
    ],
)
def test_assignments_are_read_as_cron_reads_them(text: str, pair: tuple[str, str] | None) -> None:
    assert read_assignment(text) == pair


def test_an_assignment_holds_for_the_lines_below_it() -> None:
    found = read_crontab(
        "0 1 * * * a\nPATH=/bin\nMAILTO=x@example.org\n0 2 * * * b\n"
        "PATH=/usr/bin\nMAILTO=''\nCRON_TZ=Europe/Berlin\nRANDOM_DELAY=5\n0 3 * * * c\n"
    )
    a, b, c = found.lines
    assert (a.environment, a.mailto, a.timezone, a.delay) == ((), None, "", 0)
    assert (b.environment, b.mailto) == ((("PATH", "/bin"),), "x@example.org")
    assert (c.environment, c.mailto) == ((("PATH", "/usr/bin"),), "")
    assert (c.timezone, c.delay) == ("Europe/Berlin", 5)


def test_lines_below_a_zone_that_is_not_known_are_refused() -> None:
    found = read_crontab("CRON_TZ=PST\n0 1 * * * a\nCRON_TZ=UTC\n0 2 * * * b\n")
    assert [line.command for line in found.lines] == ["b"]
    assert "'PST'" in found.refused[0].reason
    assert found.refused[1].reason == "its zone is not known, because of line 1"


def test_what_cron_sets_itself_is_left_out() -> None:
    assert only("LOGNAME=bob\nUSER=bob\n0 1 * * * a").environment == ()
    assert "cron sets LOGNAME itself" in remarks("LOGNAME=bob\n0 1 * * * a")


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("PATH=$PATH:/opt/bin\n0 1 * * * a", "cron expands no variables"),
        ("MAILTO=root # me\n0 1 * * * a", "no comments behind values"),
        ("0 1 * * * a \\", "no lines that go on"),
        ("*/90 * * * * a", "larger than the range"),
        ("0 1 * * * a\r", "carriage return"),
    ],
)
def test_what_is_probably_not_meant_is_said(text: str, remark: str) -> None:
    assert remark in remarks(text)


def test_a_last_line_without_a_newline_is_read_and_noted() -> None:
    found = read_crontab("0 1 * * * a")
    assert [line.command for line in found.lines] == ["a"]
    assert "no newline" in found.remarks[0].reason


def test_carriage_returns_are_no_part_of_commands() -> None:
    assert only("A=b\r\n0 1 * * * a\r").command == "a"
    assert read_crontab("\r\n\r\n") == Crontab()


# Comments.


def test_the_comment_right_above_a_line_describes_it() -> None:
    assert only("# Backs up\n#  the shop\n0 1 * * * a").comment == "Backs up the shop"


@pytest.mark.parametrize(
    "text",
    [
        "# Backs up\n\n0 1 * * * a",
        "# Backs up\nA=b\n0 1 * * * a",
        "# m h  dom mon dow   command\n0 1 * * * a",
        "#0 5 * * * off\n0 1 * * * a",
        "# @daily off\n0 1 * * * a",
        "# geartrain: a has retries = 3\n0 1 * * * a",
        "# caf\udce9\n0 1 * * * a",
    ],
)
def test_other_comments_do_not(text: str) -> None:
    assert read_crontab(text + "\n").lines[0].comment == ""


# Per cent signs: as cronie's do_command.c has them.


@pytest.mark.parametrize(
    ("text", "command", "stdin"),
    [
        ("cat", "cat", b""),
        ("cat%", "cat", b""),
        ("cat%a", "cat", b"a\n"),
        ("cat%a%b", "cat", b"a\nb\n"),
        ("cat%a%", "cat", b"a\n"),
        ("cat%%a%%", "cat", b"\na\n\n"),
        (r"date +\%F", "date +%F", b""),
        (r"date +\%F%x", "date +%F", b"x\n"),
        (r"cat%100\% sure", "cat", b"100% sure\n"),
        (r"echo \n \\ \a", r"echo \n \\ \a", b""),
        # A backslash that is escaped escapes nothing in a command, and does in the input.
        (r"echo \\%x", r"echo \\", b"x\n"),
        (r"cat%a\\%b", "cat", b"a\\%b\n"),
        (r"cat%a\b\\c", "cat", rb"a\b\\c" + b"\n"),
        ("cat%a\\", "cat", b"a\\\n"),
        ("cat%\\", "cat", b"\\"),
        ("cat%é", "cat", "é\n".encode()),
    ],
)
def test_per_cent_signs_are_read_as_cron_reads_them(text: str, command: str, stdin: bytes) -> None:
    assert split_command(text) == (command, stdin)
    again = join_command(command, stdin)
    assert split_command(again) == (command, stdin)


@pytest.mark.parametrize(
    ("command", "payload", "reason"),
    [
        ("a\nb", b"", "several lines"),
        (r"date +\%F", b"", r"\%"),
        ("cat", b"no newline", "no newline at its end"),
        ("cat", b"a\\\nb\n", "a backslash before a newline"),
        ("cat", b"\xff\n", "not UTF-8"),
    ],
)
def test_what_a_crontab_has_no_way_to_say_is_refused(
    command: str, payload: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason.replace("\\", "\\\\")):
        join_command(command, payload)


@pytest.mark.parametrize("value", ["a\nb", " 'a\"", "\0"])
def test_a_value_that_no_assignment_has_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="A"):
        write_assignment("A", value)
