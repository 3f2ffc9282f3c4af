"""
An entry: what fires when, where it runs, and what becomes of it when things go wrong.

This is the definition as a person gave it, in a table of a file, on a command line or in a
crontab; ``store.schedule_rows.Schedule`` is the same entry as it stands, with where it has got to.
Its keys are the same everywhere: TOML, JSON, and with dashes the command line's options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "AFTER",
    "CATCH_UP",
    "OVERLAPS",
    "PRIORITIES",
    "RULES",
    "Entry",
]

# The kind of an entry that fires when others have ended; see ``cron`` for the other kinds.
AFTER: Final = "after"

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
