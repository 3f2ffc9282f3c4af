"""Which command lines are one program with arguments, and which of these may run."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geartrain.agent.allowing import check_command, check_environment, words_of
from geartrain.errors import UsageError

PATH = "/usr/bin:/bin"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("backup", ["backup"]),
        ("  /usr/bin/backup --all 'a b' \"c d\"", ["/usr/bin/backup", "--all", "a b", "c d"]),
        ("echo '$(id); `id` | x > y'", ["echo", "$(id); `id` | x > y"]),
        ("ls ~/*.txt", ["ls", "~/*.txt"]),
        ("", None),
        ("   ", None),
        ("a; b", None),
        ("a & b", None),
        ("a && b", None),
        ("a | b", None),
        ("a > b", None),
        ("a < b", None),
        ("a $(b)", None),
        ('a "$(b)"', None),
        ('a "`b`"', None),
        ("a `b`", None),
        ("a $B", None),
        ("a\nb", None),
        ("a \\\nb", None),
        ("(a)", None),
        ("{ a; }", None),
        ("! a", None),
        ("a # b", None),
        ("LD_PRELOAD=x a", None),
        ("'a", None),
    ],
)
def test_a_command_line_is_one_program_with_arguments_or_more_than_that(
    command: str, words: list[str] | None
) -> None:
    assert words_of(command) == words


@settings(max_examples=60)
@given(st.text("ab'\" \t;&|<>$`(){}\\\n!#*?[]~=-", max_size=12))
def test_what_counts_as_one_program_is_one_program_to_the_shell(rest: str) -> None:
    """However a line is written, the shell starts nothing but its first word."""
    command = f"/bin/false-program {rest}"
    if words_of(command) is None:
        return
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, cwd="/", stdin=subprocess.DEVNULL
    )
    # It is not there, so the shell says so, and nothing else has run or been written.
    assert done.returncode == 127
    assert done.stdout == b""
    assert done.stderr.count(b"not found") == 1


def test_a_pattern_s_star_does_not_reach_into_directories(tmp_path: Path) -> None:
    inner = tmp_path / "inner" / "tool"
    inner.parent.mkdir()
    for tool in (inner, tmp_path / "tool"):
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
    allow = [f"{tmp_path}/*"]
    check_command(f"{tmp_path}/tool", allow, PATH, "/")
    check_command("./tool", allow, PATH, str(tmp_path))
    for command in (f"{inner}", f"{tmp_path}/inner/../inner/tool", "inner/tool"):
        with pytest.raises(UsageError, match=r"\[agent\] allow"):
            check_command(command, allow, PATH, str(tmp_path))


def test_a_program_is_what_the_entry_s_path_finds_first(tmp_path: Path) -> None:
    tool = tmp_path / "ls"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    found = os.path.normpath("/usr/bin/ls")
    check_command("ls -l", [found], PATH, "/")
    with pytest.raises(UsageError, match="is not allowed"):
        check_command("ls -l", [found], f"{tmp_path}:{PATH}", "/")


def test_a_line_that_is_allowed_as_a_whole_may_be_anything() -> None:
    line = "find /tmp -mtime +3 | xargs rm"
    check_command(f" {line} ", [line], PATH, "/")
    with pytest.raises(UsageError, match="whole line"):
        check_command(f"{line}; id", [line], PATH, "/")
    # A line is no pattern, and a pattern no line.
    with pytest.raises(UsageError, match="whole line"):
        check_command("echo a; echo b", ["echo *"], PATH, "/")


def test_everything_may_run_where_that_is_said() -> None:
    check_command("anything | at all", ["*"], PATH, "/")


def test_a_variable_may_be_set_to_what_it_is() -> None:
    check_environment([("SHELL", "/bin/sh")], {"SHELL": "/bin/sh"}, [])
    with pytest.raises(UsageError, match="SHELL"):
        check_environment([("SHELL", "/bin/bash")], {"SHELL": "/bin/sh"}, [])


@given(st.lists(st.text(st.characters(codec="ascii"), min_size=1), min_size=1))
def test_words_are_what_the_shell_s_rules_make_of_them(arguments: list[str]) -> None:
    line = shlex.join(["program", *arguments])
    if words_of(line) is not None:
        assert words_of(line) == ["program", *arguments]
