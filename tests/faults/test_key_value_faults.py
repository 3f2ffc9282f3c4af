"""Servers whose jobs are in Redis, and Redis itself, are killed while clients submit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.killing import kill_again_and_again
from tests.services.availability import require
from tests.services.key_value import RedisServer

# Redis is killed in each third.
ROUNDS = 6


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    require("redis")
    directory = tmp_path / "redis"
    directory.mkdir()
    server = RedisServer(directory)
    server.start()
    yield server
    server.kill()


@pytest.mark.timeout(120)
def test_no_acknowledged_job_is_lost_when_server_and_redis_are_killed(
    redis: RedisServer, tmp_path: Path
) -> None:
    def kill_redis(number: int) -> None:
        if number % 3 == 2:
            redis.kill()
            redis.start()

    verdict = kill_again_and_again("geartrain", tmp_path, ROUNDS, 1, redis.url(), kill_redis)
    assert verdict.lost == []
    assert verdict.refused_but_run == []
    assert verdict.unexplained == []
    assert verdict.kills == ROUNDS
    assert verdict.acked > 20 * ROUNDS
