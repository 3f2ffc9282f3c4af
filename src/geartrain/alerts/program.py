"""Messages handed to a program, on its standard input."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Final

from geartrain.alerts.channel import ChannelError
from geartrain.store.schedule_rows import Message

__all__ = ["ProgramChannel"]

_PATIENCE: Final = 25.0


class ProgramChannel:
    """
    Runs a program for each message: the title is in ``GEARTRAIN_TITLE``, JSON on standard input.

    Args:
        command: The program and its arguments; no shell reads them.

    """

    for_programs = True

    def __init__(self, command: tuple[str, ...]) -> None:
        self.command = command

    def send(self, message: Message) -> None:
        """Run the program; raises ChannelError unless it ends with 0 in time."""
        environment = {**os.environ, "GEARTRAIN_TITLE": message.title.replace("\0", "")}
        name = self.command[0]
        try:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise ChannelError(f"{name} can't be run: {error.strerror}", final=True) from error
        with process:
            try:
                _, said = process.communicate(message.body.encode(), timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                # Its children, too.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise ChannelError(f"{name} took longer than {_PATIENCE:.0f} seconds") from None
        if process.returncode:
            lines = said.decode("utf-8", "replace").strip().splitlines()
            why = f": {lines[-1][:200]}" if lines else ""
            raise ChannelError(f"{name} ended with {process.returncode}{why}")
