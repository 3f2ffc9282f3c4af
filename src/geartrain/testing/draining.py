"""Runs what is queued, here and now, until nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from geartrain.client.address import Address, parse_addresses
from geartrain.client.dialing import dial
from geartrain.tasks.running import TaskHandler
from geartrain.tasks.worker import option_of
from geartrain.worker.execution import run_assignment
from geartrain.worker.links import Link, LinkGroup
from geartrain.worker.session import ATTEMPTS, Slots, WorkerSession

if TYPE_CHECKING:
    from geartrain.tasks.app import App

# Seconds to wait for the server's next word.
_PATIENCE: Final = 10.0
_READ_SIZE: Final = 64 * 1024


def drain(app: App) -> int:
    """
    Run an app's queued jobs in the calling thread until its servers have no more.

    Jobs that other jobs submit meanwhile are run too; those at a later time are not.

    Returns:
        How many jobs ran.

    Raises:
        OSError: A server can't be reached, or does not answer.

    """
    count = 0
    # Until one round finds nothing: a job may submit the next to another server.
    while ran := sum(_drain_one(app, address) for address in parse_addresses(app.servers)):
        count += ran
    return count


def _drain_one(app: App, address: Address) -> int:
    handlers = {name.encode(): TaskHandler(task) for name, task in app.tasks.items()}
    abilities = dict.fromkeys(handlers, 0)
    options = [b"exceptions", ATTEMPTS, *map(option_of, app.tasks.values())]
    group = LinkGroup(
        Slots(1),
        lambda slots: WorkerSession(slots, b"drain", abilities, options),
        lambda link: None,
    )
    link = Link(group, address, backoff=None)  # type: ignore[arg-type] # never dialled again
    connection = dial(address, _PATIENCE, None)
    count = 0
    try:
        group.connect(link, connection)
        # A blocking socket: there is nothing else to do while the server answers.
        connection.settimeout(_PATIENCE)
        while link.session is not None and not link.session.asleep:
            data = connection.recv(_READ_SIZE)
            if not data:
                raise ConnectionError(f"{address} closed the connection")
            for assignment in group.receive(link, data):
                run_assignment(group, handlers, assignment)
                count += 1
        return count
    finally:
        group.close(link)


__all__ = ["drain"]
