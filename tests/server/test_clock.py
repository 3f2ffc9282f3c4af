"""Time passes evenly, whatever somebody does to the system's clock."""

from __future__ import annotations

from geartrain.server.clock import SteadyClock


class Clocks:
    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.steady = 50.0
        self.clock = SteadyClock(lambda: self.wall, lambda: self.steady)

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def test_time_goes_on_with_the_system_s_clock() -> None:
    clocks = Clocks()
    assert clocks.clock.now() == 1_000_000
    clocks.wait(10)
    assert clocks.clock.now() == 1_000_010
    assert clocks.clock.follow() == 0


def test_a_clock_that_is_set_is_followed_when_asked() -> None:
    clocks = Clocks()
    clocks.wall += 3600
    clocks.wait(1)
    assert clocks.clock.now() == 1_000_001
    assert clocks.clock.follow() == 3600
    assert clocks.clock.now() == 1_003_601
    assert clocks.clock.follow() == 0
    clocks.wall -= 7200
    assert clocks.clock.follow() == -7200
    assert clocks.clock.now() == 996_401


def test_a_clock_that_runs_a_little_fast_is_followed_without_a_word() -> None:
    clocks = Clocks()
    for _ in range(100):
        clocks.wait(1)
        clocks.wall += 0.01
        assert clocks.clock.follow() == 0
    assert round(clocks.clock.now(), 3) == 1_000_101
