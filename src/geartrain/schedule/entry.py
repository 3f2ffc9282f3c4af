"""
An entry: what fires when, where it runs, and what becomes of it when things go wrong.

This is the definition as a person gave it, in a table of a file, on a command line or in a
crontab; ``store.schedule_rows.Schedule`` is the same entry as it stands, with where it has got to.
Its keys are the same everywhere: TOML, JSON, and with dashes the command line's options.

``read_entry`` reads a table, ``to_table`` writes one; ``checking`` says what is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, Final

from geartrain.configuration import check_names
from geartrain.errors import UsageError
from geartrain.schedule.checking import check
from geartrain.schedule.cron import Cron
from geartrain.schedule.entry_values import AFTER, read_value, written_value

__all__ = [
    "AFTER",
    "CATCH_UP",
    "KEYS",
    "OVERLAPS",
    "PRIORITIES",
    "RULES",
    "Entry",
    "cron_of",
    "for_agents",
    "from_definition",
    "kind_of",
    "read_entry",
    "to_definition",
    "to_table",
]

CATCH_UP: Final = ("none", "last", "first", "all")
OVERLAPS: Final = ("allow", "skip", "queue_one", "queue_all", "cancel_old", "kill_old")
PRIORITIES: Final = ("low", "normal", "high")
RULES: Final = ("all_success", "all_done", "any")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One entry of the schedule. Durations are seconds, instants seconds since 1970; 0 is "none".

    Attributes:
        name: 1 to 100 ASCII letters, digits and ``_ . : @ / -``.
        when: A cron expression or macro; empty for an entry with ``after``.
        timezone: IANA name.
        day_mode, dst: See ``Cron``.

        function: The Gearman function that workers serve. Empty for a command.
        command: A shell command, which agents run. Either it or ``function`` is given.
        payload: The job's workload; a command's standard input.
        envelope: Whether the workload is JSON that names the fire (entry, key, nominal and previous
            moment, target, attempt) and holds the payload. Always so for agents.
        priority: ``low``, ``normal`` or ``high``.
        servers: A group of job servers in the configuration; the default one when empty.

        target: ``one`` (any worker), ``all`` agents, ``3`` of them, ``shards:3``, ``agent:NAME``.
        tags: What an agent must have to be a target, each of them.
        join_window: For so long after its nominal moment a fire of ``all`` is given to an agent
            that comes late.
        offline: Whether a machine that is cut off may fire it from its local copy. Always so for
            ``all`` and ``agent:``, where no other machine could; elsewhere it may then run twice.

        enabled: False keeps it from firing.
        start, end: The first and the last moment it may fire at, included.
        max_runs: After so many fires it is disabled.
        jitter: Each fire is late by a fixed part of this, the same at every start.
        window: Times of day between which it may run, ``22:00-06:00``, in its zone; always when
            empty.

        grace: How late a fire is still on time.
        catch_up: Which of the moments missed for longer than that run: none, last, first or all.
        catch_up_window: How old these may be.
        catch_up_max: How many of ``all`` run; the others become one row that counts them.

        overlap: What happens when the last fire has not ended.
        overlap_max: How many wait under ``queue_all``.

        queue_timeout: For how long it may wait for a worker.
        run_timeout: For how long it may run.
        deadline: For how long it may take in all, attempts included.
        retries: How many more attempts a failed fire has.
        retry_delay, retry_max, retry_jitter: The first pause, which doubles up to the largest one,
            each changed by up to this part of itself.
        pause_on_failure: After so many fires that failed in a row it is paused.

        after: Names of entries whose fires it waits for; its moments are theirs.
        rule: Which of them have to have ended, and how: all_success, all_done or any.

        keep, keep_for: How many ended fires are remembered at most, and for how long.
        result_size: How many bytes of a result are kept with its fire.

        user, directory, environment, mailto: A command's, as cron has them.
        group: What alerts and listings put together.
        alerts: Which alert rules it has, such as ``missed`` or ``failed:3``; the default ones when
            empty.
        description, owner, source: For people; ``source`` is the file it came from.

    """

    name: str
    when: str = ""
    timezone: str = "UTC"
    day_mode: str = "cron"
    dst: str = "vixie"

    function: str = ""
    command: str = ""
    payload: bytes = b""
    envelope: bool = False
    priority: str = "normal"
    servers: str = ""

    target: str = "one"
    tags: tuple[str, ...] = ()
    join_window: float = 0.0
    offline: bool = False

    enabled: bool = True
    start: int = 0
    end: int = 0
    max_runs: int = 0
    jitter: float = 0.0
    window: str = ""

    grace: float = 60.0
    catch_up: str = "last"
    catch_up_window: float = 86_400.0
    catch_up_max: int = 100

    overlap: str = "skip"
    overlap_max: int = 100

    queue_timeout: float = 0.0
    run_timeout: float = 0.0
    deadline: float = 0.0
    retries: int = 0
    retry_delay: float = 5.0
    retry_max: float = 3_600.0
    retry_jitter: float = 0.1
    pause_on_failure: int = 0

    after: tuple[str, ...] = ()
    rule: str = "all_success"

    keep: int = 1_000
    keep_for: float = 30 * 86_400.0
    result_size: int = 4_096

    user: str = ""
    directory: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    mailto: str = ""
    group: str = ""
    alerts: tuple[str, ...] = ()
    description: str = ""
    owner: str = ""
    source: str = ""


_KINDS: Final = {field.name: str(field.type) for field in fields(Entry) if field.name != "name"}
# What a table may say: the attributes, and the name that crontab's readers expect.
KEYS: Final = (*_KINDS, "cron")


def read_entry(name: str, table: Mapping[str, Any]) -> Entry:
    """
    Read an entry from a table of TOML or JSON, and check it.

    A zone before the expression (``CRON_TZ=``) becomes its ``timezone``.

    Args:
        name: The entry's name.
        table: Its keys; ``cron`` is another name of ``when``.

    Raises:
        UsageError: A key is unknown, a value is wrong, or they do not go together.
        CronError: The expression can't be read, or would never fire.

    """
    where = f"entry {name}"
    check_names(where, "key of an entry", table, KEYS)
    values = dict(table)
    if "cron" in values:
        if "when" in values:
            raise UsageError(f"{where}: it has both cron and when; keep one of them")
        values["when"] = values.pop("cron")
    entry = _built(name, values)
    check(entry)
    if entry.after:
        # Read for its zone, since windows are in it.
        Cron.parse("@manually", tz=entry.timezone)
        return entry
    # Given by the table or not makes a difference: two zones are one too many.
    cron = _parsed(entry, entry.timezone if "timezone" in values else None)
    return replace(entry, when=cron.text, timezone=cron.tz)


def to_table(entry: Entry) -> dict[str, Any]:
    """Return an entry as a table, without its name and without what is as the defaults are."""
    return {
        key: written_value(key, getattr(entry, key))
        for key in _KINDS
        if getattr(entry, key) != getattr(_DEFAULTS, key)
    }


def to_definition(entry: Entry) -> str:
    """Return an entry as the JSON that the store keeps."""
    return json.dumps({"name": entry.name, **to_table(entry)}, separators=(",", ":"))


@lru_cache(maxsize=20_000)
def from_definition(text: str) -> Entry:
    """
    Return the entry that ``to_definition`` wrote.

    It was checked when it was saved and is not checked again; a key that a later version wrote and
    this one does not know is left out.
    """
    values = json.loads(text)
    return _built(values["name"], {key: values[key] for key in values if key in _KINDS})


@lru_cache(maxsize=20_000)
def cron_of(entry: Entry) -> Cron | None:
    """Return an entry's expression; None for one that has ``after``. Raises CronError."""
    return None if entry.after else _parsed(entry, entry.timezone)


def kind_of(entry: Entry) -> str:
    """Return the kind of an entry: ``cron.CALENDAR`` and so on, or ``AFTER``."""
    cron = cron_of(entry)
    return AFTER if cron is None else cron.kind


def for_agents(entry: Entry) -> bool:
    """Whether agents run it; otherwise any worker that serves its function does."""
    return bool(entry.command or entry.tags) or entry.target != "one"


def _built(name: str, values: Mapping[str, Any]) -> Entry:
    where = f"entry {name}"
    return Entry(
        name=name,
        **{key: read_value(where, key, _KINDS[key], value) for key, value in values.items()},
    )


def _parsed(entry: Entry, timezone: str | None) -> Cron:
    return Cron.parse(
        entry.when, tz=timezone, key=entry.name, day_mode=entry.day_mode, dst=entry.dst
    )


_DEFAULTS: Final = Entry(name="default")
