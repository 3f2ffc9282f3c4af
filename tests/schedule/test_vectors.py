"""When expressions fire, as agreed upon by several programs or argued from cron's code."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

import pytest

from geartrain.schedule.cron import Cron
from tests.schedule.vectors import VECTORS, Vector


def test_no_vector_was_lost() -> None:
    assert len(VECTORS) == 67
    assert all(len(vector.fires) == 5 for vector in VECTORS)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_an_expression_fires_when_it_should(vector: Vector) -> None:
    cron = Cron.parse(vector.expression, tz=vector.tz)
    assert list(islice(cron.fires(vector.start), 5)) == vector.fires


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_the_same_fires_are_found_backwards(vector: Vector) -> None:
    cron = Cron.parse(vector.expression, tz=vector.tz)
    found = [vector.fires[-1] + timedelta(seconds=1)]
    for _ in vector.fires:
        earlier = cron.previous(found[-1])
        assert earlier is not None
        found.append(earlier)
    assert found[:0:-1] == vector.fires
