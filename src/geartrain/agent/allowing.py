"""
What an agent may run: programs, command lines, users and variables that its machine's owner named.

Whoever can submit a job at a job server can send an agent a command, so nothing is run that is not
allowed, and each refusal names the setting that would allow it.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

from geartrain.errors import UsageError

__all__ = ["ANYTHING", "check_command", "check_environment", "words_of"]

ANYTHING: Final = "*"
# What has a meaning to the shell beyond one program and its arguments.
_SPECIAL: Final = frozenset(";&|<>$`(){}\\\n\r!#")
_SPECIAL_IN_QUOTES: Final = frozenset("$`\\")


def check_command(command: str, allow: Sequence[str], path: str, directory: str) -> None:
    """
    Raise UsageError unless a command may be run.

    A command that is one program with arguments may be run where the program's path matches a
    pattern of ``allow``. Anything else, such as a pipe, has to be there word by word.

    Args:
        command: The command line, as a shell would read it.
        allow: Patterns of absolute paths (``/usr/local/bin/*``), whole command lines, or ``*``.
        path: Where programs are looked for, as in PATH.
        directory: What relative paths start from.

    """
    if ANYTHING in allow or command.strip() in allow:
        return
    words = words_of(command)
    if words is None:
        raise UsageError(
            f"{_shown(command)} is more than one program with arguments, so the whole line has to "
            "be in [agent] allow"
        )
    program = _resolved(words[0], path, directory)
    if program is None:
        raise UsageError(
            f"there is no program {words[0]!r} in {path}; write its whole path, "
            "and allow that in [agent] allow"
        )
    if not any(_matches(program, pattern) for pattern in allow):
        raise UsageError(
            f"{program} is not allowed on this machine; add it, or a pattern such as "
            f"{os.path.dirname(program)}/*, to [agent] allow"
        )


def check_environment(
    environment: Sequence[tuple[str, str]], given: dict[str, str], allow: Sequence[str]
) -> None:
    """
    Raise UsageError for a variable that an entry may not set.

    PATH, LD_PRELOAD and their like decide what an allowed program does.

    Args:
        environment: What the entry sets.
        given: What it would have anyway; to set that again is no harm.
        allow: Names, or patterns of them such as ``LC_*``.

    """
    for name, value in environment:
        if given.get(name) == value or any(fnmatchcase(name, pattern) for pattern in allow):
            continue
        raise UsageError(
            f"the variable {name} may not be set on this machine; add it to "
            "[agent] allow_environment"
        )


def words_of(command: str) -> list[str] | None:
    """Return program and arguments; None for a command line that is more than that."""
    quote = ""
    for letter in command:
        if quote:
            if letter == quote:
                quote = ""
            elif quote == '"' and letter in _SPECIAL_IN_QUOTES:
                return None
        elif letter in "'\"":
            quote = letter
        elif letter in _SPECIAL:
            return None
    if quote:
        return None
    words = shlex.split(command)
    # A first word with "=" in it sets a variable.
    return words if words and "=" not in words[0] else None


def _resolved(word: str, path: str, directory: str) -> str | None:
    """Return the absolute path of a program as the shell would find it."""
    if "/" in word:
        found = shutil.which(os.path.join(directory, word))
    else:
        found = shutil.which(word, path=path)
    # After a link, `..` leads elsewhere than it says.
    if found is None or ".." in found.split("/") or not found.startswith("/"):
        return None
    return os.path.normpath(found)


def _matches(program: str, pattern: str) -> bool:
    return pattern.startswith("/") and PurePosixPath(program).match(pattern)


def _shown(command: str) -> str:
    return repr(command if len(command) <= 60 else command[:57] + "...")
