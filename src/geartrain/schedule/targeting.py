"""
Where a fire goes: to any worker, or to which of the agents that are alive.

A target is part of a fire's key: an agent's name, a shard such as ``1/3``, or nothing where whoever
comes first may have it. Who gets a shard is decided when it is submitted, so that the shard of an
agent that is gone goes to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from geartrain.schedule.entry import Entry, for_agents
from geartrain.schedule.envelope import ANY_AGENT, agent_function
from geartrain.schedule.spreading import number_for
from geartrain.store.schedule_rows import Agent, Fire

__all__ = ["NOBODY", "by_agent", "candidates", "function_of", "shard_of", "targets_of"]

# Why a fire was missed.
NOBODY: Final = "no agent was alive that could run it"
_AGENT: Final = "agent:"
_SHARDS: Final = "shards:"
_RANKS: Final = 2**62


def candidates(entry: Entry, agents: Sequence[Agent]) -> list[Agent]:
    """Return the agents that have each of an entry's tags."""
    wanted = set(entry.tags)
    return [agent for agent in agents if wanted <= set(agent.tags)]


def targets_of(
    entry: Entry, schedule: int, moment: int, agents: Sequence[Agent]
) -> tuple[str, ...]:
    """
    Return the targets that the fires of a moment have, as of the agents alive now.

    None where there is nobody: such a fire was missed.
    """
    if entry.target == "one":
        return ("",)
    if entry.target.startswith(_AGENT):
        return (entry.target.removeprefix(_AGENT),)
    if entry.target.startswith(_SHARDS):
        total = int(entry.target.removeprefix(_SHARDS))
        return tuple(f"{index}/{total}" for index in range(1, total + 1))
    names = _shuffled(candidates(entry, agents), f"{schedule}\0{moment}")
    return tuple(sorted(names if entry.target == "all" else names[: int(entry.target)]))


def by_agent(entry: Entry) -> bool:
    """Whether each target of an entry goes on by itself: one may have ended, another not."""
    return entry.target in ("one", "all") or not entry.target.isdigit()


def shard_of(entry: Entry, target: str) -> tuple[int, int] | None:
    """Return which shard of how many a target is; None for an entry without shards."""
    if not entry.target.startswith(_SHARDS):
        return None
    index, _, total = target.partition("/")
    return int(index), int(total)


def function_of(entry: Entry, fire: Fire, agents: Sequence[Agent]) -> str:
    """
    Return the function that a fire is submitted for; empty while no agent can have it.

    Args:
        entry: The fire's entry.
        fire: What is to be submitted; a later attempt goes to another agent if there is one.
        agents: Those alive.

    """
    if not for_agents(entry):
        return entry.function
    shard = shard_of(entry, fire.target)
    if entry.target != "one" and shard is None:
        return agent_function(fire.target)
    if shard is None and not entry.tags:
        return ANY_AGENT
    names = _shuffled(candidates(entry, agents), f"{fire.schedule}\0{fire.nominal}")
    if not names:
        return ""
    # Shards go round, so that no agent has two of them before each has one.
    place = max(fire.attempt - 1, 0) + (shard[0] if shard else 0)
    return agent_function(names[place % len(names)])


def _shuffled(agents: Sequence[Agent], seed: str) -> list[str]:
    """Return names in an order that another moment has another of, and everybody the same."""
    names = [agent.name for agent in agents]
    return sorted(names, key=lambda name: (number_for(f"{seed}\0{name}", _RANKS), name))
