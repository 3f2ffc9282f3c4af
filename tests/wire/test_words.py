from __future__ import annotations

import pytest

from geartrain.wire.text import incomplete_command, printable, unknown_command, words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", []),
        (b" ", []),
        (b"status", [b"status"]),
        (b"show  unique   jobs", [b"show", b"unique", b"jobs"]),
        (b" maxqueue f 10 ", [b"maxqueue", b"f", b"10"]),
        # Blanks alone separate words; a name may hold a tab.
        (b"create function a\tb", [b"create", b"function", b"a\tb"]),
    ],
)
def test_runs_of_spaces_separate_words(line, expected):
    assert words(line) == expected


@pytest.mark.parametrize("name", [b"", b"resize", b"\xc3\xa9t\xc3\xa9", b"\xff\xfe", b"a b", b"%n"])
def test_names_without_control_characters_are_printed_as_they_are(name):
    assert printable(name) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a\nb\t3\t1\t0", rb"a\x0ab\x093\x091\x090"),
        (b"a\r\n.", rb"a\x0d\x0a."),
        (b"\x00\x1f\x7f", rb"\x00\x1f\x7f"),
        (b"\x1b[2J", rb"\x1b[2J"),
    ],
)
def test_control_characters_can_not_forge_columns_or_lines(name, expected):
    assert printable(name) == expected


def test_unknown_command_is_answered_without_a_space_before_the_word():
    assert unknown_command(b"foo") == b"ERR UNKNOWN_COMMAND Unknown+server+commandfoo\r\n"
    assert unknown_command(b"") == b"ERR UNKNOWN_COMMAND Unknown+server+command\r\n"
    assert unknown_command(b"a\rb") == b"ERR UNKNOWN_COMMAND Unknown+server+commanda\\x0db\r\n"


def test_incomplete_command_is_named():
    assert incomplete_command(b"maxqueue") == (
        b"ERR INVALID_ARGUMENTS "
        b"An+incomplete+set+of+arguments+was+sent+to+this+command+maxqueue\r\n"
    )
    assert incomplete_command(b"\x07").endswith(b"command+\\x07\r\n")
