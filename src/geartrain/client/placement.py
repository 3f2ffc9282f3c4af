"""
Which server gets a submission, and when a server that failed is tried again.

Three rules. ``ordered``: the first that answers. ``random``: the same with the
list shuffled once, so that many clients spread. ``hash``: the unique key picks
the server, so that equal keys meet on one server and are joined there; the
arithmetic is that of Perl's Gearman::Client, so that mixed fleets meet too.

No socket and no clock: who dials reports how it went, and passes the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias
from zlib import crc32

from geartrain.client.address import Address
from geartrain.client.backoff import Backoff
from geartrain.errors import UsageError

PlacementRule: TypeAlias = Literal["ordered", "random", "hash"]

RULES: Final = ("ordered", "random", "hash")

# A dead host can cost a submission the whole connect timeout, so it is tried seldom.
_LONGEST_DELAY: Final = 30.0


def hash_of_key(unique: bytes, workload: bytes) -> int:
    """Return a key's number within 0..32767; of ``-`` the workload is the key."""
    return (crc32(workload if unique == b"-" else unique) >> 16) & 0x7FFF


class Server:
    """
    What is known of one server.

    Attributes:
        address: Where it listens.
        retry_at: Don't dial it before this time, unless there is no other.
        failure: Why it could not be reached or was lost the last time; empty if it works.

    """

    def __init__(self, address: Address, random: Callable[[], float]) -> None:
        self.address = address
        self.retry_at = 0.0
        self.failure = ""
        self.backoff = Backoff(random, limit=_LONGEST_DELAY)


def candidates(servers: list[Server], now: float, insist: bool) -> list[Server]:
    """
    Return which servers to dial now, in the order given.

    Args:
        servers: The servers.
        now: The time.
        insist: Whether to try them all where each waits for its back-off to end.

    """
    ready = [server for server in servers if server.retry_at <= now]
    return servers if insist and not ready else ready


def next_attempt(servers: list[Server]) -> float:
    """Return when the first of some servers may be tried again."""
    return min(server.retry_at for server in servers)


def failures(servers: list[Server]) -> dict[str, str]:
    """Return why each of some servers that does not work does not, by address."""
    return {str(server.address): server.failure for server in servers if server.failure}


class Placement:
    """
    Puts the servers of one client in the order in which to try them.

    Args:
        addresses: The servers, at least one.
        rule: ``ordered``, ``random`` or ``hash``.
        random: Gives floats within [0, 1).

    Raises:
        UsageError: There is no such rule.

    """

    def __init__(
        self, addresses: list[Address], rule: PlacementRule, random: Callable[[], float]
    ) -> None:
        if rule not in RULES:
            raise UsageError(f"placement {rule!r} is unknown; write one of {', '.join(RULES)}")
        self.servers = [Server(address, random) for address in addresses]
        self.random = random
        self.hashed = rule == "hash"
        # The order for keyless submissions; sorted() by chance is a shuffle.
        self.preferred = list(self.servers)
        if rule == "random":
            self.preferred.sort(key=lambda _: random())
        # Where submissions go until it fails: going back to the first server as soon as it
        # might be up again would make submissions wait for its connect timeout.
        self.current: Server | None = None

    def order(self, unique: bytes, workload: bytes) -> list[Server]:
        """Return all servers, the best for this submission first."""
        if self.hashed and unique and (unique != b"-" or workload):
            first = hash_of_key(unique, workload) % len(self.servers)
            return self.servers[first:] + self.servers[:first]
        if self.current is not None and self.current is not self.preferred[0]:
            rest = [server for server in self.preferred if server is not self.current]
            return [self.current, *rest]
        return self.preferred

    def best(self, unique: bytes, workload: bytes) -> Server:
        """Return the first of `order`, which is all that most submissions ask for."""
        if self.hashed:
            return self.order(unique, workload)[0]
        return self.current or self.preferred[0]

    def servers_at(self, address: Address | None) -> list[Server]:
        """Return the server at an address, which may be any; for None all, best first."""
        if address is None:
            return self.order(b"", b"")
        known = [server for server in self.servers if server.address == address]
        return known or [Server(address, self.random)]

    def addresses(self) -> list[Address]:
        """Return the servers, the one that submissions go to first."""
        return [server.address for server in self.order(b"", b"")]

    def note_reached(self, server: Server) -> None:
        """Take note that a server accepted a connection for a submission."""
        server.retry_at = 0.0
        if not self.hashed:
            self.current = server

    def note_answer(self, server: Server) -> None:
        """Take note that a server answered, which is more than accepting a connection."""
        if server.failure:
            server.failure = ""
            server.retry_at = 0.0
            server.backoff.reset()

    def note_failure(self, server: Server, now: float, reason: str) -> None:
        """Take note that a server can't be reached, or that its connection ended."""
        server.failure = reason
        server.retry_at = now + server.backoff.next_delay()
        if self.current is server:
            self.current = None


__all__ = [
    "RULES",
    "Placement",
    "PlacementRule",
    "Server",
    "candidates",
    "failures",
    "hash_of_key",
    "next_attempt",
]
