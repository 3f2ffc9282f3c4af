"""
Runs a supervisor in this process, from its configuration to its exit code.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable

from geartrain import __version__
from geartrain.supervisor.configuration import Configuration
from geartrain.supervisor.control import Control
from geartrain.supervisor.notify import notify
from geartrain.supervisor.supervisor import Supervisor

__all__ = ["run_in_foreground", "run_supervisor"]


def run_in_foreground(configuration: Configuration, level: int = logging.INFO) -> int:
    """
    Keep the processes of a configuration, and say on standard error what happens.

    Returns the exit code. Raises UsageError where that can't begin.
    """
    # Standard error may have been closed before Python began.
    out = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=level, stream=out, format=form)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    count = len(configuration.programs)

    def ready() -> None:
        out.write(
            f"geartrain {__version__} keeps {count} program{'' if count == 1 else 's'};"
            f" geartrain ctl is answered at {configuration.socket}\nready\n"
        )
        out.flush()

    return run_supervisor(configuration, ready)


def run_supervisor(configuration: Configuration, ready: Callable[[], None]) -> int:
    """
    Keep the processes of a configuration until told to stop, and return the exit code.

    Args:
        configuration: What to keep.
        ready: Called once everything is being started and the control socket answers.

    Raises:
        UsageError: The control socket can't be used.

    """
    # asyncio's own loop: it leaves child processes to us.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(_life(configuration, ready))


async def _life(configuration: Configuration, ready: Callable[[], None]) -> int:
    supervisor = Supervisor(configuration)
    control = Control(supervisor)
    bound = control.bind()
    await control.start(bound)

    def announce() -> None:
        notify("READY=1")
        ready()

    try:
        return await supervisor.run(announce)
    finally:
        notify("STOPPING=1")
        await control.close()
