"""
Templates in the texts of a program's table: ``%(process_num)02d`` and the like.

The form is supervisord's, which is Python's: a name in brackets, a width if
need be, and ``s`` or ``d``, which may be left out. ``%%`` is a percent sign.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from geartrain.configuration import hint
from geartrain.errors import UsageError
from geartrain.supervisor.program import Launch, Program

__all__ = ["expand", "launch_of", "variables_of"]

_MARK: Final = re.compile(r"%(?:%|\((\w+)\)(\d*)([sd]?)|.?)", re.DOTALL)


def expand(text: str, variables: Mapping[str, str | int]) -> str:
    """
    Return a text with its templates filled in.

    Raises:
        UsageError: It names what nobody knows, or has a lone percent sign.

    """

    def fill(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        name, width, kind = match.groups()
        if name is None:
            raise UsageError(f"{text!r} has a lone percent sign; write %% or %(process_num)s")
        if name not in variables:
            known = [one for one in variables if not one.startswith("ENV_")]
            if name.startswith("ENV_"):
                raise UsageError(f"{text!r}: the environment has no {name[4:]}")
            raise UsageError(f"{text!r}: nobody knows %({name})s; {hint(name, known)}")
        value = variables[name]
        try:
            return f"{int(value) if kind == 'd' else value:{width}}"
        except ValueError:
            raise UsageError(f"{text!r}: {value!r} is no number; write %({name})s") from None

    return _MARK.sub(fill, text)


def variables_of(
    program: Program, number: int, surroundings: Mapping[str, str]
) -> dict[str, str | int]:
    """
    Return what templates of a program's process may name.

    Args:
        program: The program.
        number: Which of its processes.
        surroundings: What they may name beside: ``here``, ``host_node_name``, ``ENV_...``.

    """
    return {
        **surroundings,
        "program_name": program.name,
        "group_name": program.name,
        "process_num": number,
        "numprocs": program.numprocs,
        "max_jobs": program.max_jobs,
    }


def launch_of(program: Program, number: int, surroundings: Mapping[str, str]) -> Launch:
    """Return what a program's process is started with; raises UsageError."""
    variables = variables_of(program, number, surroundings)
    return Launch(
        argv=tuple(expand(one, variables) for one in program.command),
        environment={key: expand(value, variables) for key, value in program.environment.items()},
        directory=expand(program.directory, variables),
        user=program.user,
        umask=program.umask,
        redirect_stderr=program.redirect_stderr,
    )
