"""
Tasks one after the other, each with the result of the one before.

A chain travels with its first job: under ``*next`` the arguments name what is to
be called with the result. The worker that ran a task submits the next one before
it reports the end of its own, so that no crash breaks the chain; where it comes
twice to that, a unique key of the job's handle joins the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import msgspec

from geartrain.client.submission import Submission
from geartrain.errors import UsageError
from geartrain.tasks.arguments import NEXT, POSITIONS, ArgumentsError
from geartrain.tasks.codec import Codec
from geartrain.tasks.handle import TaskHandle

if TYPE_CHECKING:
    from geartrain.tasks.task import RemoteTask

R = TypeVar("R")
S = TypeVar("S")

# Steps that one workload may name.
MOST_STEPS: Final = 1000


class Signature(Generic[R]):
    """A call that is not made yet: a task, and arguments of which the first may be missing."""

    def __init__(
        self, task: RemoteTask[Any, R], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs

    def __or__(self, other: Signature[S]) -> Chain[S]:
        return Chain([self, other])

    def __repr__(self) -> str:
        return f"<Signature of {self.task.name!r}>"


class Chain(Generic[R]):
    """
    Signatures joined by ``|``.

    ::

        chain = fetch.s("https://example.org") | parse.s() | store.s(table="pages")
        chain.delay()          # the workers hand on from step to step
        chain.call()           # step by step from here; returns the last result
    """

    def __init__(self, steps: list[Signature[Any]]) -> None:
        self.steps = steps

    def __or__(self, other: Signature[S]) -> Chain[S]:
        return Chain([*self.steps, other])

    def call(self) -> R:
        """Call one task after the other from here, and return the last one's result."""
        first, *others = self.steps
        result = first.task.call(*first.args, **first.kwargs)
        for step in others:
            result = step.task.call(result, *step.args, **step.kwargs)
        return cast(R, result)

    async def acall(self) -> R:
        """Call as `call` does, on an event loop."""
        first, *others = self.steps
        result = await first.task.acall(*first.args, **first.kwargs)
        for step in others:
            result = await step.task.acall(result, *step.args, **step.kwargs)
        return cast(R, result)

    def delay(self) -> TaskHandle[Any]:
        """
        Submit the chain; its workers hand on from step to step.

        Returns:
            The handle of the first job. Those of the later ones are known to the workers
            only; let the last task store what is wanted.

        Raises:
            UsageError: A step that is not the last has the raw codec, which carries no chain.

        """
        first, *others = self.steps
        for step in self.steps[:-1]:
            if step.task.codec.name == "raw" or step.task.streams:
                raise UsageError(f"{step.task.name!r} can't hand on: it is raw, or it streams")
        following = [self.following(step) for step in others]
        submission = first.task.submission(first.args, first.kwargs, True, following)
        return first.task.send_background(submission)

    def following(self, step: Signature[Any]) -> dict[str, Any]:
        """Return a step as it travels: checked now, with a stand-in for the result."""
        step.task.arguments.bind((None, *step.args), step.kwargs)
        return {
            "function": step.task.name,
            "args": list(step.args),
            "kwargs": step.kwargs,
            "codec": step.task.codec.name,
        }


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """A step as it arrives at a worker."""

    function: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    codec: str = ""


def read_steps(following: Any) -> list[Step]:
    """Return the steps that came with a job. Raises ArgumentsError where they are none."""
    try:
        steps = msgspec.convert(following, list[Step])
    except msgspec.ValidationError as error:
        raise ArgumentsError(f"{NEXT!r} is no list of steps: {error}") from error
    if len(steps) > MOST_STEPS:
        raise ArgumentsError(f"{len(steps)} steps are more than the {MOST_STEPS} of a chain")
    return steps


def next_submission(
    steps: list[Step], result: Any, handle: str, find: Callable[[str], Codec]
) -> Submission:
    """
    Return the submission of the first step, with the rest of them.

    Args:
        steps: What is left of the chain.
        result: What the first one is called with.
        handle: The job that has ended; the key of the next is made of it.
        find: Returns the codec of a name.

    """
    step, *others = steps
    codec = find(step.codec)
    if codec.name == "raw":
        return Submission(step.function, codec.dumps(result), unique=handle, background=True)
    named: dict[str, Any] = {**step.kwargs, POSITIONS: [result, *step.args]}
    if others:
        named[NEXT] = others
    return Submission(step.function, codec.dumps(named), unique=handle, background=True)


__all__ = ["Chain", "Signature", "Step", "next_submission", "read_steps"]
