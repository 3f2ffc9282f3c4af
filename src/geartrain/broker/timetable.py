"""
Jobs that something happens to when a moment comes: delayed ones, and those with a deadline.

Both kinds stand in a heap. A job that moves on earlier stays where it is and is
passed over; a heap is swept when it holds more of the past than of now.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final

from geartrain.broker.job import DELAYED, RUNNING, Job

# A heap with fewer entries than this is never swept.
_SWEEP_FROM: Final = 64


class Timetable:
    """
    Knows which job is due next.

    Attributes:
        postponed: How many jobs wait for their epoch.
        timed: How many running jobs have a deadline.

    """

    __slots__ = ("deadlines", "delayed", "held", "postponed", "timed")

    def __init__(self) -> None:
        self.delayed: list[tuple[float, int, Job]] = []
        self.deadlines: list[tuple[float, int, Job]] = []
        # Those that don't count for the time being.
        self.held: list[tuple[float, int, Job]] = []
        self.postponed = 0
        self.timed = 0

    def next(self) -> float:
        """Return when the next job is due, in seconds since 1970, or -1 for never."""
        due = -1.0
        while self.delayed:
            moment, _, job = self.delayed[0]
            if job.state == DELAYED:
                due = moment
                break
            heappop(self.delayed)
        while self.deadlines:
            end, _, job = self.deadlines[0]
            if job.state == RUNNING and job.deadline == end:
                return end if due < 0 or end < due else due
            heappop(self.deadlines)
        return due

    # Delayed jobs.

    def postpone(self, job: Job, due: float) -> None:
        """Let a job wait for a moment."""
        job.state = DELAYED
        self.postponed += 1
        heappush(self.delayed, (due, job.number, job))

    def drop_postponed(self) -> None:
        """Note that a postponed job has ended."""
        self.postponed -= 1
        if len(self.delayed) > _SWEEP_FROM + 2 * self.postponed:
            self.delayed = [entry for entry in self.delayed if entry[2].state == DELAYED]
            heapify(self.delayed)

    def take_postponed(self, now: float) -> Job | None:
        """Return a job whose epoch has come, the earliest first, or None."""
        while self.delayed and self.delayed[0][0] <= now:
            _, _, job = heappop(self.delayed)
            if job.state == DELAYED:
                self.postponed -= 1
                return job
        return None

    # Running jobs.

    def set_deadline(self, job: Job, deadline: float) -> None:
        """Give a running job time until then."""
        job.deadline = deadline
        self.timed += 1
        heappush(self.deadlines, (deadline, job.number, job))

    def clear_deadline(self, job: Job) -> None:
        """Take the deadline, if there is one, from a job that its worker is done with."""
        if job.deadline == 0:
            return
        job.deadline = 0.0
        self.timed -= 1
        if len(self.deadlines) > _SWEEP_FROM + 2 * self.timed:
            self.deadlines = [
                entry
                for entry in self.deadlines
                if entry[2].state == RUNNING and entry[2].deadline == entry[0]
            ]
            heapify(self.deadlines)

    def shift_deadlines(self, shift: float) -> None:
        """Move all deadlines by so many seconds."""
        deadlines: list[tuple[float, int, Job]] = []
        for deadline, number, job in self.deadlines:
            if job.state == RUNNING and job.deadline == deadline:
                deadlines.append((deadline + shift, number, job))
        for deadline, _, job in deadlines:
            job.deadline = deadline
        heapify(deadlines)
        self.deadlines = deadlines

    def hold_deadlines(self) -> None:
        """Let no worker's time be up until further notice."""
        self.held += self.deadlines
        self.deadlines = []

    def release_deadlines(self, shift: float) -> None:
        """Let time be up again, so many seconds later for all."""
        self.deadlines += self.held
        self.held = []
        self.shift_deadlines(shift)

    def take_overdue(self, now: float) -> Job | None:
        """Return a running job whose time is up, the earliest first, or None."""
        while self.deadlines and self.deadlines[0][0] <= now:
            deadline, _, job = heappop(self.deadlines)
            if job.state == RUNNING and job.deadline == deadline:
                return job
        return None
