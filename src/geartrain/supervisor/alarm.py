"""
When a program with a schedule is started next.

Reads no clock: whoever asks says what time it is. Moments are those of the schedule's own
evaluator; what becomes of them is the fleet's business.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from geartrain.errors import CronError, UsageError
from geartrain.schedule.cron import MANUALLY, REBOOT, Cron
from geartrain.schedule.instant import SECOND
from geartrain.supervisor.program import Program

__all__ = ["Alarm", "check_schedule"]

# A clock set back by more than this was wrong before, and moments come again.
_BACK: Final = timedelta(hours=3)


class Alarm:
    """
    The moments of one program's schedule.

    Args:
        program: The program.
        now: The time, aware; only later moments count.

    Attributes:
        schedule, timezone: What the program said.
        next: The next moment, in UTC; None where there is none any more.

    """

    __slots__ = ("cron", "latest", "next", "schedule", "timezone")

    def __init__(self, program: Program, now: datetime) -> None:
        self.schedule = program.schedule
        self.timezone = program.timezone
        self.cron = cron_of(program)
        # The latest time that was seen.
        self.latest = now
        self.next = self.cron.next(now)

    def is_of(self, program: Program) -> bool:
        """Whether a program still has this schedule."""
        return (self.schedule, self.timezone) == (program.schedule, program.timezone)

    def seconds_left(self, now: datetime) -> float | None:
        """Return the seconds until the next moment; None where there is none."""
        return None if self.next is None else max(0.0, (self.next - now).total_seconds())

    def look(self, now: datetime) -> datetime | None:
        """
        Return a moment that has come since the last look, or None.

        Of several, as after the machine was asleep, it is the last. One that was seen does not
        come again because the clock is set back, unless that is by hours.
        """
        if now < self.latest - _BACK:
            self.latest = now
            self.next = self.cron.next(now)
        self.latest = max(self.latest, now)
        if self.next is None or now < self.next:
            return None
        found = self.next
        last = self.cron.previous(now.replace(microsecond=0) + SECOND)
        self.next = self.cron.next(now)
        return found if last is None else max(found, last)


def cron_of(program: Program) -> Cron:
    """Return when a program is to be started; raises CronError."""
    return Cron.parse(program.schedule, tz=program.timezone or None, key=program.name)


def check_schedule(program: Program) -> None:
    """Raise UsageError where nothing would ever be started by a program's schedule."""
    try:
        kind = cron_of(program).kind
    except CronError as error:
        raise UsageError(f"schedule: {error}") from None
    if kind == REBOOT:
        raise UsageError("schedule: @reboot is no moment; write autostart = true in its place")
    if kind == MANUALLY:
        raise UsageError("schedule: @manually is no moment; write autostart = false in its place")
