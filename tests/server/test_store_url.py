"""Where the URL of a store may be written down, and who is told that others can read it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from geartrain.errors import UsageError
from geartrain.server.configuration import load_settings
from geartrain.server.settings import Settings
from geartrain.server.store_url import store_url

URL = "postgresql://gear:secret@h/db"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.write_text(f"{URL}\n")
    path.chmod(0o600)
    return path


def test_url_comes_from_the_setting() -> None:
    assert store_url(Settings(store="memory:")) == "memory:"


def test_url_comes_from_the_file(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert store_url(Settings(store="memory:", store_file=str(path))) == URL
    assert caplog.messages == []


def test_file_that_others_can_read_is_warned_about(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.chmod(0o644)
    store_url(Settings(store_file=str(path)))
    (message,) = caplog.messages
    assert "can be read by every user" in message
    assert "secret" not in message


def test_url_without_a_password_may_be_read_by_all(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("sqlite:///q.db")
    path.chmod(0o644)
    store_url(Settings(store_file=str(path)))
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "has to hold one URL"), (b"a b", "has to hold one URL"), (b"\xff", "it is no text")],
)
def test_file_without_a_url_is_refused(path: Path, data: bytes, said: str) -> None:
    path.write_bytes(data)
    with pytest.raises(UsageError, match=said):
        store_url(Settings(store_file=str(path)))


def test_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        store_url(Settings(store_file=str(tmp_path / "nowhere")))


def test_password_in_a_configuration_file_that_others_can_read_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "geartrain.toml"
    path.write_text(f"[server]\nstore = '{URL}'\n")
    for mode, warned in ((0o600, 0), (0o644, 1)):
        path.chmod(mode)
        with caplog.at_level(logging.WARNING):
            load_settings(path)
        assert len(caplog.messages) == warned
    assert "secret" not in caplog.text
