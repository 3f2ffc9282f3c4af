"""
When a server may trust its lease, and when it has to renew it. Pure: no clock, no store.

A server that shares its store holds a lease, by the database's clock, and others
leave its jobs alone as long as that lasts. The database never counts from before
it was asked, so the lease lasts at least ``duration`` seconds from the moment the
renewal was sent. That moment, by a clock that goes on while the process is stopped
and the machine asleep, is all that is believed here.
"""

from __future__ import annotations

from typing import Final

# Parts of the lease: when it is renewed, when a renewal that failed is tried again, and how much
# of its end is not trusted, for clocks that don't run alike and for what is on its way.
_RENEW: Final = 3.0
_AGAIN: Final = 12.0
_MARGIN: Final = 10.0


class Lease:
    """
    One lease.

    Args:
        duration: Seconds that it lasts from each renewal.

    Attributes:
        lost: Another server has taken over what this one held.

    """

    __slots__ = ("duration", "failed", "lost", "sent")

    def __init__(self, duration: float) -> None:
        self.duration = duration
        # When the last renewal that succeeded was sent, and when the last one that did not.
        self.sent = -1.0
        self.failed = -1.0
        # A server that has not joined yet holds nothing.
        self.lost = True

    def join(self, sent: float) -> None:
        """Start anew; ``sent`` is when the store was asked."""
        self.sent = sent
        self.failed = -1.0
        self.lost = False

    def renewed(self, sent: float) -> None:
        """A renewal that was sent at this time succeeded; answers may come out of order."""
        if sent > self.sent:
            self.sent = sent

    def not_renewed(self, now: float) -> None:
        """A renewal failed, and nobody knows whose the jobs are."""
        self.failed = now

    def lose(self) -> None:
        """The store says that another server has taken over."""
        self.lost = True

    def ends(self) -> float:
        """Return when the lease stops being trusted."""
        return self.sent + self.duration - self.duration / _MARGIN

    def in_doubt(self, now: float) -> bool:
        """Return whether another server may have taken over by now. A lost lease is no doubt."""
        return not self.lost and now >= self.ends()

    def renewal_due(self) -> float:
        """Return when to renew: each third, and soon after one that failed."""
        due = self.sent + self.duration / _RENEW
        again = self.failed + self.duration / _AGAIN
        return again if self.failed > self.sent and again > due else due


__all__ = ["Lease"]
