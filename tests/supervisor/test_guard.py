"""The guard: what it does to the processes of a supervisor that is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from geartrain.supervisor.guard import Charge
from tests.supervisor.running import DEADLINE

# A leader and another of its group; each says what it hears.
GROUP = """
hear() { trap "echo $1 heard; exit" TERM; echo $1 listens; while :; do sleep 0.01; done; }
hear other & hear leader
"""


@pytest.fixture
def guard() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "geartrain.supervisor.guard"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["sh", "-c", GROUP], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        said = sorted(process.stdout.readline() for _ in range(2))
        assert said == ["leader listens\n", "other listens\n"]
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def let_go(guard: subprocess.Popen[bytes], *charges: Charge, more: bytes = b"") -> None:
    guard.communicate(b"".join(charge.line() for charge in charges) + more, timeout=DEADLINE)


def said(leader: subprocess.Popen[str]) -> list[str]:
    """Return what the group said until nobody of it was left."""
    return sorted(leader.communicate(timeout=DEADLINE)[0].split("\n")[:-1])


def test_the_whole_group_is_asked_where_that_is_wanted(
    guard: subprocess.Popen[bytes], leader: subprocess.Popen[str]
) -> None:
    let_go(guard, Charge(leader.pid, 15, 5.0, in_all=True, kill_all=True, armed=False))
    assert said(leader) == ["leader heard", "other heard"]


def test_what_the_kernel_has_signalled_is_not_signalled_again(
    guard: subprocess.Popen[bytes], leader: subprocess.Popen[str]
) -> None:
    let_go(guard, Charge(leader.pid, 15, 0.1, in_all=True, kill_all=True, armed=True))
    assert said(leader) == ["other heard"]
    assert leader.returncode == -9


def test_the_others_are_killed_with_their_leader(
    guard: subprocess.Popen[bytes], leader: subprocess.Popen[str]
) -> None:
    let_go(guard, Charge(leader.pid, 15, 5.0, in_all=False, kill_all=True, armed=False))
    assert said(leader) == ["leader heard"]


def test_what_has_ended_is_left_alone(
    guard: subprocess.Popen[bytes], leader: subprocess.Popen[str]
) -> None:
    charge = Charge(leader.pid, 15, 0.0, in_all=True, kill_all=True, armed=False)
    let_go(guard, charge, more=b"-%d\n" % leader.pid)
    assert leader.poll() is None


def test_a_line_says_what_it_was_made_from() -> None:
    charge = Charge(4711, 3, 0.25, in_all=True, kill_all=False, armed=True)
    assert charge.line() == b"+4711 3 0.25 1 0 1\n"
    assert vars(Charge.parse("4711 3 0.25 1 0 1")) == vars(charge)
