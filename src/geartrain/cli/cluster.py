"""
``geartrain cluster``: who shares a store, for how long each may be silent, who holds how much.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from geartrain.cli import exit_code
from geartrain.cli.job import Json, Server, run

if TYPE_CHECKING:
    from geartrain.client.admin import AdminClient
    from geartrain.client.admin_replies import ClusterMember

__all__ = ["cluster"]

_HEAD = ("", "server", "address", "number", "lease", "jobs")


def cluster(server: Server = None, as_json: Json = False) -> None:
    """Show the servers that share a store: their leases, and how many jobs each holds."""

    def ask(admin: AdminClient) -> int:
        members = admin.cluster()
        if as_json:
            rows = [{**member._asdict(), "state": state_of(member)} for member in members]
            print(json.dumps(rows))
        else:
            show(members)
        return exit_code.DONE

    run(server, ask)


def state_of(member: ClusterMember) -> str:
    """Return ``alone``, ``serving``, or ``gone`` for one that is about to be taken over."""
    if member.number == 0:
        return "alone"
    return "serving" if member.lease > 0 else "gone"


def show(members: list[ClusterMember]) -> None:
    """Print a table; a star marks the server that was asked."""
    rows = [
        (
            "*" if member.here else "",
            member.name,
            member.address,
            str(member.number),
            f"{member.lease:.1f} s" if state_of(member) == "serving" else state_of(member),
            str(member.jobs),
        )
        for member in members
    ]
    widths = [max(len(row[column]) for row in [_HEAD, *rows]) for column in range(len(_HEAD))]
    for row in [_HEAD, *rows]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
