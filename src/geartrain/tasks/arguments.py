"""
A task's arguments as one workload.

On the wire they are an object by name, ``{"url": "x", "size": 64}``, or a list
by position, ``["x", 64]``; no bytes are no arguments. What can't be said by name
stands under ``*``. Values become what the annotations say, or are refused.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from geartrain.errors import CodecError, UsageError
from geartrain.tasks.codec import Codec, RawCodec

# Keys that no parameter can be called.
POSITIONS: Final = "*"
NEXT: Final = "*next"

_EMPTY: Final = inspect.Parameter.empty


class ArgumentsError(Exception):
    """The arguments that came with a job do not fit the task's parameters."""


class Arguments:
    """
    The parameters of one task.

    Args:
        name: Name of the task, for messages.
        function: What it runs.

    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function
        self.signature = inspect.signature(function)
        self.parameters = self.signature.parameters
        # Read when first needed: names in annotations may be defined later in the module.
        self.hints: dict[str, Any] | None = None

    def annotation(self, name: str) -> Any:
        """
        Return what an argument has to be; ``return`` asks for the result's type.

        Raises:
            UsageError: An annotation can't be looked up.

        """
        if self.hints is None:
            try:
                self.hints = typing.get_type_hints(self.function, include_extras=True)
            except Exception as error:
                raise UsageError(
                    f"the annotations of task {self.name!r} can't be looked up ({error}); its "
                    "types have to be importable at run time, not under TYPE_CHECKING alone"
                ) from error
        return self.hints.get(name, Any)

    def encode(
        self,
        codec: Codec,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        following: Sequence[Any] = (),
    ) -> bytes:
        """
        Return a call as a workload.

        Args:
            codec: Writes the values.
            args: By position.
            kwargs: By name.
            following: What is to be called with the result, as chains write it.

        Raises:
            TypeError: They don't fit the parameters, as in a plain call.
            CodecError: A value can't be written.

        """
        bound = self.bind(args, kwargs)
        if isinstance(codec, RawCodec):
            if following:
                raise UsageError(f"task {self.name!r} has the raw codec, which carries no chain")
            return codec.dumps(self.only_value(bound))
        named = dict(bound.kwargs)
        if bound.args and self.needs_positions(bound):
            named[POSITIONS] = list(bound.args)
        else:
            named.update(zip(self.parameters, bound.args, strict=False))
        if following:
            named[NEXT] = list(following)
        try:
            return codec.dumps(named)
        except CodecError as error:
            raise CodecError(f"arguments of task {self.name!r}: {error}") from error

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        """Return arguments by their parameters. Raises TypeError, as a plain call does."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None
        if any(name.startswith("*") for name in kwargs):
            raise TypeError(f"{self.name}(): an argument's name can't start with '*'")
        return bound

    def needs_positions(self, bound: inspect.BoundArguments) -> bool:
        """Return whether some arguments have no name to be sent by."""
        return any(
            self.parameters[name].kind
            in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
            for name in bound.arguments
        )

    def only_value(self, bound: inspect.BoundArguments) -> Any:
        """Return the one argument that the raw codec can carry."""
        values = [*bound.args, *bound.kwargs.values()]
        if len(values) > 1:
            raise UsageError(
                f"task {self.name!r} has the raw codec, which carries one argument, not "
                f"{len(values)}"
            )
        return values[0] if values else None

    def decode(self, codec: Codec, workload: bytes) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
        """
        Return a workload as a call: arguments by position, by name, and what follows.

        Raises:
            CodecError: The workload can't be read.
            ArgumentsError: It can, but does not fit the parameters.

        """
        if isinstance(codec, RawCodec):
            taken = [workload] if self.parameters else []
            return self.convert(codec, self.bind_sent(taken, {})), {}, ()
        value = codec.loads(workload) if workload else {}
        if isinstance(value, list | tuple):
            value = {POSITIONS: value}
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise ArgumentsError(
                f"{self.name}() takes an object of arguments by name, or a list of them by "
                f"position, not {type(value).__name__}"
            )
        named = dict(value)
        positions = named.pop(POSITIONS, ())
        following = named.pop(NEXT, ())
        if not isinstance(positions, list | tuple):
            raise ArgumentsError(f"{self.name}(): {POSITIONS!r} is to be a list")
        bound = self.bind_sent(positions, named)
        args = self.convert(codec, bound)
        return args, bound.kwargs, following

    def bind_sent(self, args: Sequence[Any], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        try:
            return self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentsError(f"{self.name}(): {error}") from None

    def convert(self, codec: Codec, bound: inspect.BoundArguments) -> tuple[Any, ...]:
        """Make of each argument what its annotation says; return those by position."""
        for name, value in bound.arguments.items():
            kind = self.annotation(name)
            how = self.parameters[name].kind
            try:
                if how is inspect.Parameter.VAR_POSITIONAL:
                    made: Any = tuple(codec.convert(one, kind) for one in value)
                elif how is inspect.Parameter.VAR_KEYWORD:
                    made = {key: codec.convert(one, kind) for key, one in value.items()}
                else:
                    made = codec.convert(value, kind)
            except CodecError as error:
                raise ArgumentsError(f"{self.name}(): argument {name!r}: {error}") from error
            bound.arguments[name] = made
        return bound.args


__all__ = ["NEXT", "POSITIONS", "Arguments", "ArgumentsError"]
