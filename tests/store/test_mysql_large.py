"""What a driver is given instead of the text of a large statement."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geartrain.store.mysql_large import LARGE, LargeStatement, has_large

PARTS = st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(memoryview), max_size=6)


@given(PARTS, st.lists(st.integers(1, 30)))
def test_packets_cut_from_it_are_its_text(
    parts: list[bytes | memoryview], sizes: list[int]
) -> None:
    """However the driver cuts it, odd places included, the same text is sent."""
    text = b"".join(part.hex().encode() if isinstance(part, memoryview) else part for part in parts)
    rest = LargeStatement(parts)
    assert len(rest) == len(text)
    sent = b""
    for size in [*sizes, len(text)]:
        sent += rest[:size]
        rest = rest[size:]
        assert sent == text[: len(sent)]
        assert len(rest) == max(0, len(text) - len(sent))
    assert sent == text
    assert not rest


def test_small_parameters_go_as_ever() -> None:
    assert not has_large([1, b"x" * LARGE, "x" * (LARGE + 1), 2.0])
    assert has_large([1, b"x" * (LARGE + 1)])
