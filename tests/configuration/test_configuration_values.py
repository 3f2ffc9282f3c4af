"""Lengths of time and sizes, as people write them into the configuration file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.configuration import bytes_of, read_tables, seconds_of, written_table
from geartrain.errors import UsageError


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(0, 0), (1.5, 1.5), ("250ms", 0.25), ("90s", 90), ("1h30m", 5400), ("2 d", 172_800)],
)
def test_a_length_of_time_is_a_number_or_a_text_with_units(written: object, seconds: float) -> None:
    assert seconds_of(written) == seconds


@pytest.mark.parametrize(
    ("written", "size"),
    [(0, 0), ("1B", 1), ("500MB", 500_000_000), ("64KiB", 65536), ("1.5gib", 1_610_612_736)],
)
def test_a_size_is_a_number_or_a_text_with_units(written: object, size: int) -> None:
    assert bytes_of(written) == size


@pytest.mark.parametrize(
    "written", ["", "10", "ten", "5 parsecs", "1h!", -1, True, None, [], float("nan"), 1e300]
)
def test_anything_else_is_refused_with_an_example(written: object) -> None:
    with pytest.raises(UsageError, match=r"such as '90s'.*, not "):
        seconds_of(written)
    with pytest.raises(UsageError, match=r"such as '64KiB'.*, not "):
        bytes_of(written)


def test_a_command_leaves_the_tables_of_others_alone(tmp_path: Path) -> None:
    path = tmp_path / "geartrain.toml"
    path.write_text("[server]\n[supervisor]\n[programs.resize]\n")
    assert list(read_tables(path)) == ["server", "supervisor", "programs"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    TEXTS | st.integers(-(2**62), 2**62) | st.booleans() | st.floats(allow_nan=False, width=32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@given(TEXTS, st.dictionaries(TEXTS, VALUES, max_size=4))
def test_a_table_that_was_written_is_read_as_it_was(name: str, keys: dict[str, object]) -> None:
    text = written_table(("schedule", name), keys)
    assert tomllib.loads(text) == {"schedule": {name: keys}}
