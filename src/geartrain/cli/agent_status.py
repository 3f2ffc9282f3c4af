"""
``geartrain agent status``: how the agent of this machine is, as it wrote it down itself.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from geartrain.errors import UsageError
from geartrain.rfc3339 import written_seconds

if TYPE_CHECKING:
    from geartrain.agent.settings import AgentSettings

__all__ = ["show_status"]

_RECENT: Final = 10
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def show_status(settings: AgentSettings, as_json: bool) -> None:
    """Print how the agent is; exit code 1 where somebody should look after it."""
    found = status_of(settings)
    if as_json:
        print(json.dumps(found))
    else:
        print_status(found)
    sys.exit(1 if found["alarm"] or not found["running"] else 0)


def status_of(settings: AgentSettings) -> dict[str, Any]:
    """Return how the agent is, as an object; raises UsageError where there never was one."""
    from geartrain.agent.journal import Journal

    state = Path(settings.state)
    if not (state / "lock").exists():
        raise UsageError(
            f"no agent has run in {state.absolute()}; name its directory with --state or --config"
        )
    journal = Journal(state, settings.keep_for, readonly=True)
    try:
        facts = {name: journal.fact(name) for name in ("name", "contact", "offline", "alarm")}
        table = {name: journal.fact(name) for name in ("revision", "confirmed", "entries")}
        return {
            "name": facts["name"] or settings.name,
            "state": str(state.absolute()),
            "running": is_locked(state / "lock"),
            "contact": instant(facts["contact"]),
            "offline_since": instant(facts["offline"]),
            "table": int(table["revision"] or 0),
            "table_entries": int(table["entries"] or 0),
            "table_confirmed": instant(table["confirmed"]),
            "unreported": journal.unreported(),
            "alarm": facts["alarm"],
            "recent": [fire(*row) for row in journal.recent(_RECENT)],
        }
    finally:
        journal.close()


def print_status(found: dict[str, Any]) -> None:
    """Print it for people."""
    print(f"agent {found['name']}: {'running' if found['running'] else 'not running'}")
    print(f"  last heard of a job server: {found['contact'] or 'never'}")
    if found["offline_since"]:
        print(f"  cut off since {found['offline_since']}, runs its entries by itself")
    if found["table"]:
        print(
            f"  local copy: {found['table_entries']} entries, revision {found['table']}, "
            f"confirmed {found['table_confirmed']}"
        )
    else:
        print("  local copy: none")
    if found["unreported"]:
        print(f"  {found['unreported']} fires are still to be reported")
    if found["alarm"]:
        print(f"  ALARM: {found['alarm']}")
    for one in found["recent"]:
        print(f"  {one['started']}  {one['entry']}  {one['outcome']}")


def fire(
    entry: str, key: str, attempt: int, started: float, ended: float, answer: str
) -> dict[str, Any]:
    """Return one line of the journal as an object."""
    told = json.loads(answer) if answer else {}
    outcome = told.get("geartrain", "running")
    if reason := told.get("reason"):
        outcome += f": {reason}"
    return {
        "entry": entry,
        "key": key,
        "attempt": attempt,
        "started": instant(str(started)),
        "seconds": round((ended or time.time()) - started, 3),
        "outcome": outcome,
    }


def instant(text: str) -> str:
    """Return seconds since 1970 as RFC 3339; empty for none."""
    if not text or not float(text):
        return ""
    return written_seconds(float(text))


def is_locked(path: Path) -> bool:
    """Whether an agent holds its directory."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
