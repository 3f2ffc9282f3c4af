"""
Submissions that have no server: not yet, or not any more.

Holds the rules for both clients: who waits on for a server, who has waited
long enough, and who may be placed again after a connection was lost. Finding
and dialing a server is left to the caller, as is the clock.
"""

from __future__ import annotations

from collections import deque

from geartrain.client.job import JobRecord
from geartrain.client.placement import Placement, Server, failures, next_attempt
from geartrain.client.question import Question
from geartrain.client.session import Event
from geartrain.errors import ConnectionLost


class Unplaced:
    """
    The submissions of one client that look for a server, oldest first.

    Args:
        placement: The servers.
        patience: Seconds during which a submission waits for servers that can't be reached.
        may_resend: Whether a unique key allows sending a submission again.

    """

    def __init__(self, placement: Placement, patience: float, may_resend: bool) -> None:
        self.placement = placement
        self.patience = patience
        self.may_resend = may_resend
        self.records: deque[JobRecord] = deque()

    def __len__(self) -> int:
        return len(self.records)

    def best_server(self, record: JobRecord) -> Server:
        """Return the server that a submission should go to."""
        return self.placement.best(*record.key())

    def next_attempt(self) -> float:
        """Return when to look for a server again; now for those that have not tried any."""
        patience_ends = min(record.give_up_at for record in self.records)
        return min(patience_ends, next_attempt(self.placement.servers))

    def insists(self, now: float) -> bool:
        """Return whether to try even servers that have just failed: for a first or last time."""
        return any(record.give_up_at <= now for record in self.records)

    def add(self, record: JobRecord) -> None:
        """Let a submission look for a server."""
        self.records.append(record)

    def remove(self, record: JobRecord) -> bool:
        """Take a submission out; return whether it was there."""
        if record not in self.records:
            return False
        self.records.remove(record)
        return True

    def drop_forgotten(self) -> None:
        """Take out those that nobody waits for any more."""
        if any(record.forgotten for record in self.records):
            self.records = deque(record for record in self.records if not record.forgotten)

    def note_unreachable(self, record: JobRecord, now: float) -> None:
        """Let a submission wait on, or fail it: none of its servers can be reached now."""
        if record.give_up_at == 0:
            record.give_up_at = now + self.patience
        if now < record.give_up_at:
            self.records.append(record)
        else:
            record.fail_unplaced(failures(self.placement.servers))

    def take_losses(
        self, server: Server, events: list[Event], cause: Exception | None, now: float
    ) -> None:
        """Sort out what was under way on a connection that ended: place again, or fail."""
        address = str(server.address)
        for event in events:
            owner = event.request.owner
            if isinstance(owner, JobRecord):
                if owner.lose(event.kind, address, self.may_resend, cause):
                    self.add_again(owner, now)
            elif isinstance(owner, Question):
                lost = ConnectionLost(address)
                lost.__cause__ = cause
                owner.fail(lost)

    def add_again(self, record: JobRecord, now: float) -> None:
        """Let a submission look for another server, unless it has done so for too long."""
        if record.give_up_at == 0:
            # The next server is tried even for those who have no patience.
            record.give_up_at = now + self.patience
        elif now >= record.give_up_at:
            record.fail_unplaced(failures(self.placement.servers))
            return
        self.records.append(record)

    def fail_all(self, reason: str) -> None:
        """Fail all of them, because the client closes."""
        while self.records:
            record = self.records.popleft()
            record.fail_unplaced({record.address or "any server": reason})


def take_events(events: list[Event]) -> None:
    """Tell the owners of requests what happened to them."""
    for event in events:
        owner = event.request.owner
        if isinstance(owner, JobRecord | Question):
            owner.receive(event)


__all__ = ["Unplaced", "take_events"]
