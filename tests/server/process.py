"""
Runs a job server for a test, by the code that ``geartrain serve`` runs it with.

Its only argument is a JSON object; standard output gets one line when it accepts: the addresses.
Standard error gets the log. A failure to start is one line there and exit code 2.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
from typing import Any

from geartrain.errors import GeartrainError
from geartrain.server import running
from geartrain.server.server import JobServer, new_server
from tests.server.servers import settings_for_tests


def main(words: dict[str, Any]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if words["nofile"] is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (words["nofile"], words["nofile"]))
    if words["event_loop"] == "asyncio":
        running.new_event_loop = lambda: (asyncio.new_event_loop(), "asyncio")
    if words["handed_over"]:
        hand_over(words["handed_over"])
    server: JobServer = new_server(settings_for_tests(**words["settings"]))

    def ready() -> None:
        names = [listener.getsockname() for listener in server.listeners]
        sys.stdout.write(json.dumps(names) + "\n")
        sys.stdout.flush()

    running.run_server(server, ready=ready)
    return 0


def hand_over(descriptors: list[int]) -> None:
    """Put sockets where systemd puts them, and say so as it does."""
    # Out of the way first: one of them may be where another belongs.
    for place, descriptor in enumerate([os.dup(number) for number in descriptors], 3):
        os.dup2(descriptor, place)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(descriptors))


if __name__ == "__main__":
    try:
        sys.exit(main(json.loads(sys.argv[1])))
    except GeartrainError as error:
        sys.stderr.write(f"geartrain: {error}\n")
        sys.exit(2)
