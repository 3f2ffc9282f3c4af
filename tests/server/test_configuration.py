"""The configuration file: what it may say, and what it is told when it says something else."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from geartrain.errors import UsageError
from geartrain.server.configuration import check, load_settings
from geartrain.server.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "geartrain.toml"


def complaint(path: Path, text: str) -> str:
    """Return what a file is told that says this; it has to be one line that names the file."""
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_settings(path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_an_empty_file_sets_nothing(path: Path) -> None:
    path.write_text("")
    assert load_settings(path) == Settings()


def test_every_setting_can_be_set(path: Path) -> None:
    wanted = Settings(
        listen=["127.0.0.1:0", "unix:/run/geartrain.sock"],
        http_listen=["[::1]:8080"],
        store="memory:",
        store_file="/etc/geartrain/store",
        store_reader="postgresql://h/db",
        store_table="queue",
        compat="1.1",
        round_robin=True,
        job_retries=3,
        exceptions=True,
        handle_prefix="H:here",
        max_packet=4096,
        backlog=7,
        keepalive_idle=1,
        keepalive_interval=2,
        keepalive_count=3,
        partial_timeout=1.5,
        store_timeout=0.25,
        stalled_timeout=2.0,
        output_limit=65536,
        grace=0.0,
        allow_shutdown=False,
        name="one",
        advertise="one.example.org:4730",
        lease=1.0,
    )
    for field in fields(Settings):
        assert getattr(wanted, field.name) != getattr(Settings(), field.name), field.name
    lines = [f"{field.name} = {toml(getattr(wanted, field.name))}" for field in fields(Settings)]
    path.write_text("[server]\n" + "\n".join(lines))
    assert load_settings(path) == wanted


def toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def test_one_address_needs_no_list(path: Path) -> None:
    path.write_text('[server]\nlisten = "127.0.0.1:4731"')
    assert load_settings(path).listen == ["127.0.0.1:4731"]


def test_a_whole_number_is_a_number_of_seconds(path: Path) -> None:
    path.write_text("[server]\ngrace = 3")
    assert load_settings(path).grace == 3.0


# Names.


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[sever]", "'sever' is no table; did you mean 'server'?"),
        ("[server]\nlissten = 'x'", "'lissten' is no key of [server]; did you mean 'listen'?"),
        (
            "[server]\nmax-packet = 1",
            "'max-packet' is no key of [server]; did you mean 'max_packet'?",
        ),
        (
            "[server]\njob_retry = 1",
            "'job_retry' is no key of [server]; did you mean 'job_retries'?",
        ),
        ("grace = 1", "'grace' is no table; known are: server"),
        ("[server.tls]\nx = 1", "'tls' is no key of [server]; "),
    ],
)
def test_a_name_that_nobody_knows_is_told_the_nearest(path: Path, text: str, told: str) -> None:
    assert complaint(path, text).startswith(told)


def test_a_name_that_is_like_no_other_is_told_all_of_them(path: Path) -> None:
    told = complaint(path, "[server]\nxyzzy = 1")
    assert told.startswith("'xyzzy' is no key of [server]; known are: listen, ")
    assert all(field.name in told for field in fields(Settings))


# Types.


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_packet = '1M'", "max_packet takes a whole number, not '1M'"),
        ("max_packet = 4096.0", "max_packet takes a whole number, not 4096.0"),
        ("max_packet = true", "max_packet takes a whole number, not True"),
        ("grace = '5s'", "grace takes a number, not '5s'"),
        ("grace = true", "grace takes a number, not True"),
        ("grace = 2026-01-01", "grace takes a number, not datetime.date(2026, 1, 1)"),
        ("exceptions = 1", "exceptions takes true or false, not 1"),
        ("exceptions = 'yes'", "exceptions takes true or false, not 'yes'"),
        ("store = 1", "store takes a text, not 1"),
        ("compat = 2.0", "compat takes a text, not 2.0"),
        ("listen = 4730", "listen takes a text or a list of texts, not 4730"),
        ("listen = [4730]", "listen takes a text or a list of texts, not [4730]"),
    ],
)
def test_a_value_of_another_type_is_refused(path: Path, text: str, told: str) -> None:
    assert complaint(path, f"[server]\n{text}") == told


def test_server_has_to_be_a_table(path: Path) -> None:
    assert complaint(path, "server = 3") == "server has to be a table, written [server]"


# Ranges.


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("compat = '3.0'", "compat takes 2.0 or 1.1, not '3.0'"),
        ("job_retries = -2", "job_retries takes -1 to 255, not -2"),
        ("job_retries = 256", "job_retries takes -1 to 255, not 256"),
        ("max_packet = 1023", "max_packet takes 1024 to 2147483647, not 1023"),
        ("max_packet = 2147483648", "max_packet takes 1024 to 2147483647, not 2147483648"),
        ("backlog = 0", "backlog takes 1 to 2147483647, not 0"),
        ("keepalive_idle = 32768", "keepalive_idle takes 0 to 32767, not 32768"),
        ("keepalive_interval = -1", "keepalive_interval takes 0 to 32767, not -1"),
        ("keepalive_count = 128", "keepalive_count takes 0 to 127, not 128"),
        ("partial_timeout = 0", "partial_timeout takes 0.001 to 86400, not 0.0"),
        ("store_timeout = -1", "store_timeout takes 0.001 to 86400, not -1.0"),
        ("stalled_timeout = nan", "stalled_timeout takes 0.001 to 86400, not nan"),
        ("stalled_timeout = inf", "stalled_timeout takes 0.001 to 86400, not inf"),
        ("output_limit = 0", "output_limit takes 1024 to 1099511627776, not 0"),
        ("grace = -0.5", "grace takes 0 to 86400, not -0.5"),
        ("grace = nan", "grace takes 0 to 86400, not nan"),
        ("grace = inf", "grace takes 0 to 86400, not inf"),
        ("listen = []", "listen takes at least one address, such as 127.0.0.1:4730"),
    ],
)
def test_a_value_that_no_server_can_run_with_is_refused(path: Path, text: str, told: str) -> None:
    assert complaint(path, f"[server]\n{text}") == told


def test_the_defaults_are_in_range() -> None:
    check(Settings())


# Files.


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(UsageError, match=r"can't read .*: No such file or directory"):
        load_settings(path)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"can't read .*: Is a directory"):
        load_settings(tmp_path)


@pytest.mark.parametrize("data", [b"[server", b"listen", b"\xff\xfe[server]", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_told_where(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"geartrain.toml is not valid TOML: \S"):
        load_settings(path)
