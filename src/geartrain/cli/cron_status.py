"""
``geartrain cron status``: how the schedulers of a database do.
"""

from __future__ import annotations

import json
from typing import Any

import typer

from geartrain.cli import exit_code
from geartrain.cli.schedules import Config, Json, Store, opened
from geartrain.cli.table import print_table

__all__ = ["show_status"]


def show_status(store: Store = "", config: Config = None, as_json: Json = False) -> None:
    """
    Show schedulers, what is due, how late fires are, and what did not run.

    Ends with 1 where somebody should look.
    """
    from geartrain.schedule.observing import observe

    with opened(store, config) as schedules:
        found = observe(schedules)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        print_status(found)
    if found["troubles"]:
        raise typer.Exit(exit_code.FAILED)


def print_status(found: dict[str, Any]) -> None:
    """Print what ``observe`` has found, for people."""
    rows = [
        [
            one["name"],
            "there" if one["alive"] else "gone",
            f"{one['skew']:+.3f} s",
            one["tzdata"],
            one["started"],
        ]
        for one in found["schedulers"]
    ]
    if rows:
        print_table(["SCHEDULER", "STATUS", "CLOCK", "ZONE DATA", "STARTED"], rows)
        print()
    backlog, lag = found["backlog"], found["lag"]
    print(f"due       {counted(backlog['entries'], backlog['oldest'])}")
    print(f"underway  {pairs(backlog['fires']) or 'nothing'}")
    if lag["count"]:
        parts = f"p50 {lag['p50']:.3f} s, p99 {lag['p99']:.3f} s, at most {lag['max']:.3f} s"
        print(f"lag       {parts}, of the last {lag['count']} fires")
    print(f"claimed   {found['claimed_per_second']:g} fires a second in the last minute")
    print(f"last day  {pairs(found['last_day']) or 'nothing'}")
    for one in found["troubles"]:
        print(f"! {one}")


def counted(entries: int, oldest: float) -> str:
    """Return how many entries wait for a scheduler."""
    return f"{entries} entries, the oldest for {oldest:.1f} s" if entries else "nothing"


def pairs(counts: dict[str, int]) -> str:
    """Return counts by their names, as text."""
    return ", ".join(f"{state} {count}" for state, count in sorted(counts.items()))
