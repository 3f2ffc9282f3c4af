"""
Defects that job servers have had, planted into the simulated one to see them found.

Each is one that gearmand 1.1.20 shows. A simulation that does not notice them would
not notice ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from geartrain.broker.commands import Restore
from geartrain.broker.job import WAITING, Job
from geartrain.errors import StoreDamaged
from sim.disk import Commit, Row
from sim.machine import Process
from sim.network import Line
from sim.story import Story


def plant_process(story: Story, kind: type[Process]) -> None:
    """Have the story's machine run another kind of process."""
    story.machine.new_process = lambda: kind(story.machine)  # type: ignore[method-assign]


def listened_jobs(process: Process, line: Line) -> list[Job]:
    """Return the waiting jobs whose results a connection waits for."""
    peer = process.peers.get(line)
    if peer is None:
        return []
    session = process.exchange.broker.sessions[peer.session]
    return [job for job in session.listening.values() if job.state == WAITING]


def forgets_joined_jobs(story: Story) -> None:
    """A background job is dropped when a foreground client that had joined it leaves."""

    class Forgetful(Process):
        def lose(self, line: Line) -> None:
            for job in listened_jobs(self, line):
                job.obligation = False
            super().lose(line)

    plant_process(story, Forgetful)


def joins_the_dead(story: Story) -> None:
    """The unique key of a job that was dropped goes on to be joined."""

    class Haunted(Process):
        def lose(self, line: Line) -> None:
            jobs = listened_jobs(self, line)
            super().lose(line)
            for job in jobs:
                if job.state != WAITING and job.unique not in (b"", b"-"):
                    function = self.exchange.broker.functions[job.function]
                    function.uniques.setdefault(job.unique, job)

    plant_process(story, Haunted)


def stores_by_key(story: Story) -> None:
    """The store knows a job by function and key, also where the key is empty or ``-``."""
    apply = story.disk.apply

    def colliding(commit: Commit) -> None:
        for row in commit.adds.values():
            for number, other in list(story.disk.rows.items()):
                if row[3] in (b"", b"-") and other[2:4] == row[2:4]:
                    del story.disk.rows[number]
        apply(commit)

    story.disk.apply = colliding  # type: ignore[method-assign]


def stumbles_over_empty_workloads(story: Story) -> None:
    """A stored job without a workload makes the next start fail."""
    replay = story.disk.replay

    def stumbling() -> list[Job]:
        jobs = replay()
        if not all(job.workload for job in jobs):
            raise StoreDamaged("column 3 is of the wrong type")
        return jobs

    story.disk.replay = stumbling  # type: ignore[method-assign]


def forgets_when(story: Story) -> None:
    """After a restart every job is urgent, and none is delayed."""
    plant_reading(story, lambda row: (*row[:5], 0, 0, *row[7:]))


def cuts_at_nul(story: Story) -> None:
    """After a restart workloads end at their first NUL."""

    def cut(row: Row) -> Row:
        assert isinstance(row[4], bytes)
        return (*row[:4], row[4].partition(b"\0")[0], *row[5:])

    plant_reading(story, cut)


def plant_reading(story: Story, misread: Callable[[Row], Row]) -> None:
    """Have rows read back as something else."""
    job_of = story.disk.job_of
    story.disk.job_of = lambda row: job_of(misread(row))  # type: ignore[method-assign]


def repeats_what_it_cannot_strike_out(story: Story) -> None:
    """A job that is done while the store fails is run again."""

    class Repeating(Process):
        def committed(self, worked: bool) -> None:
            commit = self.commit
            super().committed(worked)
            if worked or commit is None:
                return
            for number in commit.dones:
                row = self.rows().get(number)
                if row is not None and row[1] not in self.exchange.broker.jobs:
                    self.exchange.step(self.now(), Restore(self.machine.disk.job_of(row)))
            self.finish_pass()

    plant_process(story, Repeating)


def waits_for_the_store(story: Story) -> None:
    """Nobody is served while a commit is under way."""

    class Waiting(Process):
        def receive(self, line: Line, data: bytes) -> None:
            if self.commit is not None:
                self.later(0.01, lambda: self.receive(line, data))
            else:
                super().receive(line, data)

    plant_process(story, Waiting)


def counts_from_one(story: Story) -> None:
    """Handles are counted from 1 again after each start."""
    story.machine.handle_prefix = lambda generation: b"H:sim"  # type: ignore[method-assign]


DEFECTS: Final[tuple[Callable[[Story], None], ...]] = (
    forgets_joined_jobs,
    joins_the_dead,
    stores_by_key,
    stumbles_over_empty_workloads,
    forgets_when,
    cuts_at_nul,
    repeats_what_it_cannot_strike_out,
    waits_for_the_store,
    counts_from_one,
)
