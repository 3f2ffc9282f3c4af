"""Handles: never used twice, short enough for every client."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from geartrain.errors import UsageError
from geartrain.server.naming import new_handle_prefix
from geartrain.server.server import GENERATION_SHIFT
from tests.server.peer import SUBMIT_JOB_BG
from tests.server.servers import ThreadServer
from tests.server.stores import ToldStore


def test_servers_that_follow_each_other_give_other_handles(
    start_server: Callable[..., ThreadServer],
) -> None:
    store = ToldStore()
    handles = []
    for _ in range(5):
        server = start_server(store)
        handles += [server.peer().submit(SUBMIT_JOB_BG, b"f") for _ in range(3)]
        server.stop()
    assert len(set(handles)) == 15


def test_servers_that_start_in_the_same_second_give_other_handles() -> None:
    prefixes = {new_handle_prefix("H:same") for _ in range(100)}
    assert len(prefixes) == 100


def test_a_handle_starts_with_the_host_s_name_as_in_gearmand(job_server: ThreadServer) -> None:
    handle = job_server.peer().submit(SUBMIT_JOB_BG, b"f")
    first, _, start, count = handle.split(b":")
    assert (first, count) == (b"H", b"1")
    assert start.isalnum()


@pytest.mark.parametrize("wanted", ["H:" + "x" * 28, "x" * 30, ""])
def test_the_last_handle_of_a_generation_fits_where_gearmand_s_do(wanted: str) -> None:
    """Clients have 64 bytes for it, the last of which is a NUL."""
    assert len(new_handle_prefix(wanted)) + len(f":{1 << GENERATION_SHIFT}") <= 63


@pytest.mark.parametrize("wanted", ["x" * 31, "H:h\xf6st", "H:\n", "H:\0"])
def test_a_prefix_that_makes_no_good_handle_is_refused(wanted: str) -> None:
    with pytest.raises(UsageError, match="has to be at most 30 ASCII characters"):
        new_handle_prefix(wanted)


def test_a_blank_in_the_prefix_would_break_lines() -> None:
    assert new_handle_prefix("H:my host").startswith(b"H:my_host:")
