"""Entries whose fires go to other job servers."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

import pytest

from geartrain.errors import UsageError
from geartrain.schedule.dispatching import ACKNOWLEDGED, REFUSED, News, Order
from geartrain.schedule.groups import Groups
from geartrain.schedule.settings import load_scheduler_settings
from geartrain.testing.server import TestServer


def test_orders_go_to_the_servers_of_their_group() -> None:
    told: SimpleQueue[News] = SimpleQueue()
    with TestServer() as first, TestServer() as second:
        servers = {"": [first.address], "eu": [second.address]}
        groups = Groups(servers, lambda news: [told.put(one) for one in news])  # type: ignore[func-returns-value]
        groups.start()
        try:
            groups.submit([Order(1, 1, "work", "a"), Order(2, 1, "work", "b", group="eu")])
            places = {}
            for _ in range(2):
                news = told.get(timeout=10)
                assert news.kind == ACKNOWLEDGED
                places[news.order.key] = news.server
            groups.submit([Order(3, 1, "work", "c", group="us")])
            refused = told.get(timeout=10)
        finally:
            groups.stop()
        assert places == {"a": first.address, "b": second.address}
        assert refused.kind == REFUSED
        assert "no group of servers 'us'" in refused.reason


def test_settings_are_read_and_checked(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"

    def read(text: str) -> object:
        config.write_text(f"[scheduler]\n{text}\n")
        return load_scheduler_settings(config)

    settings = load_scheduler_settings(None)
    assert (settings.enabled, settings.poll, settings.lease) == (True, 1.0, 30.0)
    config.write_text('[scheduler]\nlease = "1m"\ngroups = { eu = ["a:1"] }\n')
    settings = load_scheduler_settings(config)
    assert (settings.lease, settings.groups) == (60.0, {"eu": ["a:1"]})
    for text, message in {
        "leese = 3": "did you mean 'lease'",
        "lease = 1": "lease takes 3 to 3600",
        'poll = "soon"': "poll takes seconds",
        "batch = 0": "batch takes 1 to 10000",
        'groups = "a:1"': "written \\[scheduler.groups\\]",
        'enabled = "no"': "enabled takes true or false",
        f'instance = "{"x" * 101}"': "at most 100 characters",
    }.items():
        with pytest.raises(UsageError, match=message):
            read(text)
