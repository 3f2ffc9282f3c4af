from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geartrain.client.backoff import Backoff


def test_delays_double_up_to_the_limit():
    backoff = Backoff(lambda: 1.0, first=0.1, factor=2.0, limit=0.5)
    assert [backoff.next_delay() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    assert backoff.attempts == 5


def test_chance_takes_off_half_at_most():
    assert Backoff(lambda: 0.0, first=0.1).next_delay() == 0.05


def test_success_starts_over():
    backoff = Backoff(lambda: 1.0, first=0.1)
    backoff.next_delay()
    backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() == 0.1
    assert backoff.attempts == 1


@given(st.lists(st.floats(0, 1, exclude_max=True), max_size=200))
def test_no_delay_is_zero_or_above_the_limit(chances):
    """However long a server is down, the attempts neither flood it nor stop."""
    chance = iter(chances)
    backoff = Backoff(lambda: next(chance), first=0.1, limit=5.0)
    for _ in chances:
        assert 0.05 <= backoff.next_delay() <= 5.0
