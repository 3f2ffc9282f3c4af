"""
Stories: ``scripts/*.txt`` say line by line what the broker is told, and what it does.

A script starts with remarks (``#``) and the broker's settings, if it has any; then come blocks.
Each block is lines of ``story``, a line ``----``, and what came of them. ``pytest --rewrite``
writes down what comes of them now.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from geartrain.broker.policy import Policy
from tests.broker.story import Stage, policy

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))
RULE = "----"
# What may stand behind "broker" in the first block of a script.
SETTINGS = {
    "durable": {"durable": True},
    "shared": {"durable": True, "shared": True},
    "compat=1.1": {"per_function": True, "round_robin": False},
    "retries=1": {"job_retries": 1},
    "retries=3": {"job_retries": 3},
}


def stage_of(line: str, policies: list[Policy]) -> Stage:
    """Return a broker with the settings of a line ``broker SETTING ...``."""
    settings: dict[str, object] = {"policies": policies}
    for word in line.split()[1:]:
        settings.update(SETTINGS[word])
    return Stage(**settings)


def performed(script: str) -> str:
    """Return the script with what comes of its lines now."""
    stage = Stage()
    policies: list[Policy] = []
    blocks = []
    for block in script.strip().split("\n\n"):
        said = block.split(f"\n{RULE}")[0].splitlines()
        told: list[str] = []
        for line in said:
            if line.startswith("broker"):
                stage = stage_of(line, policies)
            elif line.startswith("functions."):
                # A table of the configuration, before the broker is made.
                name, *keys = line.removeprefix("functions.").split()
                policies.append(policy(name, *keys))
            elif not line.startswith("#"):
                told += stage(line)
        plain = all(line.startswith(("#", "broker", "functions.")) for line in said)
        blocks.append("\n".join(said if plain else [*said, RULE, *told]))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_story_goes_as_written(path, pytestconfig):
    script = path.read_text()
    if pytestconfig.getoption("rewrite"):
        path.write_text(performed(script))
    else:
        assert performed(script) == script


def test_there_are_stories():
    assert len(SCRIPTS) >= 12


def test_story_that_goes_otherwise_is_noticed():
    script = "1 submit_job f\n----\n1 <- JOB_CREATED H:t:1\n\n1 echo_req a\n----\n1 <- ECHO_RES a\n"
    assert performed(script) == script
    assert performed(script.replace("ECHO_RES a", "ECHO_RES b")) == script
