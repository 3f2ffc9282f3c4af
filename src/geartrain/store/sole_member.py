"""
A store that one server uses at a time, as servers see it that share a store.

So the lease of such a store is kept in the same way: while it is in doubt the
server holds back what is stored, and when another has taken the store, it drops
what it held and waits until the store is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from socket import gethostname
from time import monotonic

from geartrain.store.shared_store import Adoption, Member

__all__ = ["SoleMember"]


class SoleMember:
    """
    What ``SharedStore`` asks about other servers, where there are none.

    Args:
        server: What the server is called.
        address: ``HOST:PORT`` at which it is reached.
        lease: For how many seconds after a renewal the store is this server's for sure.

    Attributes:
        handle_prefix: Start of the handles that this server gives out.

    """

    def __init__(self, server: str, address: str, lease: float) -> None:
        self.handle_prefix = b""
        self._name = server or gethostname()
        self._address = address
        self._lease_lasts = lease
        self._generation = 0
        # Until when the lease lasts, as far as it is known, by ``time.monotonic``.
        self._held_until = 0.0

    @property
    def lease(self) -> float:
        """For how many seconds no other server can take the store after a renewal."""
        return self._lease_lasts

    def adopt(self) -> Sequence[Adoption]:
        """Return nothing: what there is, is this server's."""
        return ()

    def find(self, handle: bytes) -> Member | None:
        """Return this server: there is nobody else to ask."""
        return self._member()

    def members(self, counting: bool = True) -> Sequence[Member]:
        """Return this server."""
        return (self._member(),)

    def _member(self) -> Member:
        left = self._held_until - monotonic()
        return Member(self._generation, self._name, self._address, left)
