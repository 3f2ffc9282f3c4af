"""
Connections as TCP gives them: bytes in order, late, in any pieces, until the line is cut.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from sim.world import World


class End(Protocol):
    """Who sits at one end of a line."""

    @property
    def is_frozen(self) -> bool:
        """Whether the process is stopped; what arrives waits for it."""

    def receive(self, line: Line, data: bytes) -> None:
        """Take bytes."""

    def lose(self, line: Line) -> None:
        """The other end is gone."""


class Network:
    """
    How long things take, and which lines there are.

    Attributes:
        slowness: Longest usual delay of a piece, in seconds.

    """

    def __init__(self, world: World, slowness: float) -> None:
        self.world = world
        self.slowness = slowness
        self.lines: list[Line] = []

    def connect(self, near: End, far: End) -> Line:
        """Return a line between two ends."""
        line = Line(self, near, far)
        self.lines.append(line)
        return line

    def delay(self) -> float:
        """Return how long one piece takes."""
        random = self.world.random
        if random.random() < 0.01:
            return random.uniform(0, 20 * self.slowness)
        return random.uniform(0, self.slowness)


class Line:
    """One connection. What was sent before an end closes it still arrives, unless it is cut."""

    def __init__(self, network: Network, near: End, far: End) -> None:
        self.network = network
        self.ends = (near, far)
        self.is_open = True
        # When the last piece arrives at each end, so that pieces stay in order.
        self._last = {near: 0.0, far: 0.0}
        self._kept: dict[End, list[bytes | None]] = {near: [], far: []}

    def other(self, end: End) -> End:
        """Return who is at the other end."""
        near, far = self.ends
        return far if end is near else near

    def send(self, sender: End, data: bytes) -> None:
        """Let bytes arrive at the other end, whole or in pieces."""
        receiver = self.other(sender)
        if not self.is_open or receiver not in self._last:
            return
        random = self.network.world.random
        start = 0
        while start < len(data):
            whole = random.random() < 0.8
            stop = len(data) if whole else random.randint(start + 1, len(data))
            self._send_piece(receiver, data[start:stop])
            start = stop

    def _send_piece(self, receiver: End, piece: bytes | None) -> None:
        world = self.network.world
        arrival = max(self._last[receiver], world.now + self.network.delay())
        self._last[receiver] = arrival
        world.after(arrival - world.now, lambda: self._arrive(receiver, piece))

    def _arrive(self, receiver: End, piece: bytes | None) -> None:
        if receiver.is_frozen or self._kept[receiver]:
            self._kept[receiver].append(piece)
        else:
            self._hand_over(receiver, piece)

    def _hand_over(self, receiver: End, piece: bytes | None) -> None:
        if receiver not in self._last:
            return
        if piece is not None:
            receiver.receive(self, piece)
            return
        self.is_open = False
        del self._last[receiver]
        receiver.lose(self)

    def thaw(self, end: End) -> None:
        """Hand over what arrived while the process at this end was stopped."""
        kept, self._kept[end] = self._kept[end], []
        for piece in kept:
            self._hand_over(end, piece)

    def close(self, end: End) -> None:
        """Close the line from one end: the other hears of it after all that was sent."""
        if end not in self._last:
            return
        del self._last[end]
        other = self.other(end)
        if self.is_open and other in self._last:
            self._send_piece(other, None)

    def cut(self) -> None:
        """Cut the line: what is on its way is lost, and both ends hear of it some time later."""
        if not self.is_open:
            return
        self.is_open = False
        world = self.network.world
        for end in list(self._last):
            world.after(world.seconds(0, 1), partial(self._arrive, end, None))
