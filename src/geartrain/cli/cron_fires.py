"""
``geartrain cron run``, ``backfill`` and ``fires``: have entries fire, and see what became of it.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from geartrain.cli import exit_code
from geartrain.cli.cron_entries import Name, print_fires
from geartrain.cli.moments import at, length, read_length, read_moment
from geartrain.cli.schedules import Config, Json, Store, me, opened
from geartrain.cli.table import shown
from geartrain.configuration import hint
from geartrain.errors import UsageError
from geartrain.schedule.by_hand import LIMIT, MOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geartrain.schedule.by_hand import Backfill
    from geartrain.store.schedule_rows import Fire
    from geartrain.store.schedule_store import ScheduleStore

__all__ = ["backfill", "list_fires", "run_entry"]

# How often is looked whether a fire that is waited for has ended, in seconds.
_LOOK: Final = 0.2
_FEW: Final = 20

Overlap = Annotated[
    str,
    typer.Option(
        help="What happens while an earlier fire has not ended, such as allow.",
        show_default="the entry's",
    ),
]


def run_entry(
    name: Name,
    overlap: Overlap = "",
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for its end, and print the result.")
    ] = False,
    timeout: Annotated[
        str, typer.Option(help="How long to wait, such as 5m.", show_default="as long as it takes")
    ] = "",
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Fire an entry now; its next moment stays as it is."""
    from geartrain.schedule.by_hand import run_now
    from geartrain.schedule.showing import as_fire

    patience = read_length("--timeout", timeout) if timeout else 0.0
    check_overlap(overlap)
    with opened(store, config) as schedules:
        fires = run_now(schedules, name, me(), overlap=overlap)
        say_if_nobody_fires(schedules)
        if wait or timeout:
            fires = wait_for(schedules, fires, patience)
        zone = zone_of(schedules, name)
    if as_json:
        print(json.dumps([as_fire(fire, name) for fire in fires], ensure_ascii=False))
    elif wait or timeout:
        print_ends(fires)
    else:
        for fire in fires:
            on = f" on {fire.target}" if fire.target else ""
            print(f"fire {fire.id} of {name}{on} at {at(fire.nominal, zone)} is {fire.state}")
        print(f"see what becomes of it: geartrain cron fires {name}")
    if wait or timeout:
        raise typer.Exit(code_of(fires))


def backfill(
    name: Name,
    start: Annotated[
        str, typer.Argument(metavar="FROM", help="First moment: an instant, or 2d for that ago.")
    ],
    end: Annotated[str, typer.Argument(metavar="TO", help="Last moment.")] = "now",
    mode: Annotated[
        str, typer.Option(help="Fire again what has run: none, failed, completed.", metavar="MODE")
    ] = "none",
    reverse: Annotated[bool, typer.Option("--reverse", help="The newest first.")] = False,
    overlap: Overlap = "",
    most: Annotated[int, typer.Option(help="How many moments at most.", min=1, max=LIMIT)] = MOST,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be.")] = False,
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Fire the moments of a time that has passed, one after the other."""
    from geartrain.schedule.by_hand import MODES, plan_backfill
    from geartrain.schedule.by_hand import backfill as carry_out
    from geartrain.schedule.showing import as_fire

    if mode not in MODES:
        raise UsageError(f"--mode is {mode!r}; {hint(mode, MODES)}")
    check_overlap(overlap)
    since = read_moment("FROM", start, ahead=False)
    until = read_moment("TO", end, ahead=False)
    with opened(store, config) as schedules:
        plan = plan_backfill(
            schedules, name, since, until, mode=mode, reverse=reverse, overlap=overlap,
            most=LIMIT if dry_run else most,
        )  # fmt: skip
        fires = plan.fires if dry_run else carry_out(schedules, plan, me())
        if not dry_run:
            say_if_nobody_fires(schedules)
    if as_json:
        facts = {
            "entry": name,
            "dry_run": dry_run,
            "serial": plan.serial,
            "fires": [as_fire(fire, name) for fire in fires],
            "left_alone": len(plan.kept),
        }
        print(json.dumps(facts, ensure_ascii=False))
        return
    print_backfill(name, plan, fires, dry_run, mode)


def list_fires(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="An entry; all of them by default.")
    ] = "",
    state: Annotated[
        list[str] | None, typer.Option(help="Only those in a state. May be repeated.")
    ] = None,
    since: Annotated[
        str, typer.Option(help="From a moment on: an instant, or 2d for that ago.")
    ] = "",
    until: Annotated[str, typer.Option(help="Up to a moment.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = _FEW,
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List what entries have fired, newest first, and what became of it."""
    from geartrain.schedule.desk import find
    from geartrain.schedule.showing import as_fire
    from geartrain.store.schedule_rows import STATES

    for one in state or ():
        if one not in STATES:
            raise UsageError(f"--state is {one!r}; {hint(one, STATES)}")
    with opened(store, config) as schedules:
        row = find(schedules, name) if name else None
        fires = schedules.fires(
            schedule=row.id if row else 0,
            states=state or (),
            since=read_moment("--since", since, ahead=False) if since else 0,
            until=read_moment("--until", until, ahead=False) if until else 0,
            limit=limit,
        )
        ids = sorted({fire.schedule for fire in fires})
        names = {one.id: (one.name, one.timezone) for one in schedules.schedules(ids=ids)}
        now = schedules.now()
    if as_json:
        rows = [as_fire(fire, names.get(fire.schedule, ("", ""))[0]) for fire in fires]
        print(json.dumps(rows, ensure_ascii=False))
    elif fires:
        print_fires(fires, row.timezone if row else "UTC", now, None if row else names)
    else:
        print("nothing has fired" + (" in that time or state" if since or until or state else ""))


def check_overlap(overlap: str) -> None:
    """Raise UsageError for a rule that nobody knows."""
    from geartrain.schedule.entry import OVERLAPS

    if overlap and overlap not in OVERLAPS:
        raise UsageError(f"--overlap is {overlap!r}; {hint(overlap, OVERLAPS)}")


def say_if_nobody_fires(schedules: ScheduleStore) -> None:
    """Say on standard error that no scheduler is at work, where that is so."""
    now = schedules.now()
    if not any(one.expires > now for one in schedules.instances()):
        print(
            f"geartrain: no scheduler is at work on {schedules.name}; geartrain serve is one",
            file=sys.stderr,
        )


def zone_of(schedules: ScheduleStore, name: str) -> str:
    """Return an entry's zone."""
    row = schedules.schedule(name)
    return row.timezone if row else "UTC"


def wait_for(schedules: ScheduleStore, fires: Sequence[Fire], patience: float) -> list[Fire]:
    """Return fires once all of them have ended, or as they are when patience has."""
    from geartrain.store.schedule_rows import FINAL

    deadline = time.monotonic() + patience if patience else None
    while True:
        found = [schedules.fire(fire.id) or fire for fire in fires]
        if all(fire.state in FINAL for fire in found):
            return found
        if deadline is not None and time.monotonic() >= deadline:
            return found
        time.sleep(_LOOK)


def print_ends(fires: Sequence[Fire]) -> None:
    """Print results, and on standard error what there is to say of those without."""
    from geartrain.schedule.showing import run_time
    from geartrain.store.schedule_rows import DONE

    for fire in fires:
        on = f" on {fire.target}" if fire.target else ""
        ran = run_time(fire)
        took = "" if ran is None else f" after {length(max(ran, 0))}"
        reason = f": {fire.reason}" if fire.reason and fire.state != DONE else ""
        print(shown(f"{fire.state}{on}{took}{reason}"), file=sys.stderr, flush=True)
        if fire.result:
            sys.stdout.flush()
            sys.stdout.buffer.write(fire.result)
            if (sys.stdout.isatty() or len(fires) > 1) and not fire.result.endswith(b"\n"):
                print(flush=True)


def code_of(fires: Sequence[Fire]) -> int:
    """Return the exit code for fires that were waited for."""
    from geartrain.store.schedule_rows import DONE, FINAL

    if any(fire.state not in FINAL for fire in fires):
        return exit_code.TIMED_OUT
    return exit_code.DONE if all(fire.state == DONE for fire in fires) else exit_code.FAILED


def print_backfill(
    name: str, plan: Backfill, fires: Sequence[Fire], dry_run: bool, mode: str
) -> None:
    """Say what a backfill does, or would do."""
    zone = plan.row.timezone
    shown_fires = fires if len(fires) <= _FEW else fires[:_FEW]
    for fire in shown_fires:
        print(f"  {at(fire.nominal, zone)}" + (f"  on {fire.target}" if fire.target else ""))
    if len(fires) > len(shown_fires):
        print(f"  ... and {len(fires) - len(shown_fires)} more")
    how = "one after the other" if plan.serial else "all at once"
    would = "would be fired" if dry_run else "will be fired"
    print(f"{len(fires)} moments of {name} {would}, {how}")
    if plan.kept:
        states: dict[str, int] = {}
        for _, state in plan.kept:
            states[state] = states.get(state, 0) + 1
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        more = {"none": "--mode failed or completed", "failed": "--mode completed"}.get(mode, "")
        hint_more = f"; {more} fires more" if more else ""
        print(f"{len(plan.kept)} are left alone: {counts}{hint_more}")
