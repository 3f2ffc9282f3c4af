"""
The simulation keeps every promise in hundreds of stories, and finds defects that are put into it.

``make sim`` runs thousands of stories.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sim.account import BrokenPromise
from sim.defects import DEFECTS
from sim.story import SharedStory, Story, tell

# A story takes about a hundredth of a second.
TOGETHER = 25
SEEDS = range(1, 201, TOGETHER)
# The shyest defect shows in the 106th story.
PATIENCE = 200


@pytest.mark.parametrize("first", SEEDS)
def test_every_promise_is_kept(first: int) -> None:
    for seed in range(first, first + TOGETHER):
        tell(seed)


@pytest.mark.parametrize("first", range(1, 81, 10))
def test_every_promise_is_kept_by_several_servers(first: int) -> None:
    for seed in range(first, first + 10):
        tell(seed, shared=True)


def tell_all(defect: Callable[[Story], None]) -> None:
    for seed in range(1, PATIENCE + 1):
        tell(seed, defect)


def test_a_seed_tells_the_same_story_each_time() -> None:
    assert tell(7) == tell(7)
    assert tell(7) != tell(8)
    assert tell(7, shared=True) == tell(7, shared=True)


def test_stories_have_something_in_them() -> None:
    runs = faults = refused = commits = 0
    for seed in range(1, 21):
        story = Story(seed)
        story.run()
        runs += sum(map(len, story.account.runs.values()))
        faults += len(story.account.faults)
        refused += sum(one.state == "refused" for one in story.account.submissions)
        commits += story.account.commits
    assert runs > 500
    assert faults > 50
    assert refused > 10
    assert commits > 500


def test_servers_are_taken_over_in_shared_stories() -> None:
    takeovers = 0
    for seed in range(1, 26):
        story = SharedStory(seed)
        story.run()
        takeovers += story.database.takeovers
    assert takeovers > 10


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: str(defect.__name__))
def test_a_planted_defect_is_found(defect: Callable[[Story], None]) -> None:
    with pytest.raises(BrokenPromise, match=r"python -m sim --seed \d+"):
        tell_all(defect)
