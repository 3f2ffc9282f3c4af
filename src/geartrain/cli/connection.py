"""
One blocking connection to a job server, for commands that do one thing at a time.

It sends bytes and hands out packets in the order they came, and knows nothing
of what they mean. Nothing is retried here.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from typing import Final

from geartrain.client.address import Address
from geartrain.client.dialing import CONNECT_TIMEOUT, dial, explain
from geartrain.errors import ConnectionFailed, ConnectionLost, ProtocolError
from geartrain.wire.packet import RESPONSE, TEXT, WRONG_MAGIC, Packet
from geartrain.wire.reader import PacketReader

_PIECE: Final = 256 * 1024
# How long a server may take to notice that we have said all we had to say.
_LINGER: Final = 1.0


def dial_first(
    addresses: list[Address], timeout: float = CONNECT_TIMEOUT
) -> tuple[socket.socket, Address]:
    """
    Return a socket connected to the first server that accepts, and its address.

    Raises:
        ConnectionFailed: None does; it says what happened at each.

    """
    failures: dict[str, str] = {}
    for address in addresses:
        try:
            return dial(address, timeout), address
        except OSError as error:
            failures[str(address)] = explain(error)
    raise ConnectionFailed(failures)


class Connection:
    """
    A connection that speaks packets.

    Args:
        sock: The connected socket; the connection closes it.
        address: Where it leads, for messages.
        timeout: Longest silence of the server that ``next_packet`` bears, in seconds;
            None for any.

    Attributes:
        inbox: Packets received and not yet handed out.

    """

    def __init__(self, sock: socket.socket, address: Address, timeout: float | None = None) -> None:
        self.sock = sock
        self.address = address
        self.sock.settimeout(timeout)
        self.reader = PacketReader(RESPONSE)
        self.inbox: deque[Packet] = deque()

    def send(self, data: bytes) -> None:
        """
        Send all of ``data``.

        Raises:
            ConnectionLost: The server has gone away.
            TimeoutError: It doesn't read what is sent.

        """
        try:
            self.sock.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost(
                str(self.address), f"lost the connection to {self.address} ({explain(error)})"
            ) from error

    def next_packet(self) -> Packet:
        """
        Return the next packet, waiting for it if need be.

        Raises:
            ConnectionLost: The server has gone away.
            ProtocolError: It is no job server.
            TimeoutError: Nothing came for as long as the timeout says.

        """
        while not self.inbox:
            self.fill()
        return self.inbox.popleft()

    def fill(self) -> None:
        """Wait for bytes and put the packets they complete into the inbox."""
        try:
            data = self.sock.recv(_PIECE)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost(
                str(self.address), f"lost the connection to {self.address} ({explain(error)})"
            ) from error
        if not data:
            raise ConnectionLost(str(self.address), f"{self.address} closed the connection")
        packets = self.reader.receive_data(data)
        if self.reader.fault is not None or any(
            packet.type in (TEXT, WRONG_MAGIC) for packet in packets
        ):
            raise ProtocolError(
                f"what answers at {self.address} does not speak the Gearman protocol; "
                "is the port right?"
            )
        self.inbox.extend(packets)

    def finish(self) -> None:
        """Close so that the server receives all that was sent, whatever it has sent meanwhile."""
        # Closing with unread bytes resets the connection, and a reset overtakes a result.
        with contextlib.suppress(OSError):
            self.sock.settimeout(_LINGER)
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(_PIECE):
                pass
        self.close()

    def close(self) -> None:
        """Close at once. Safe to call twice."""
        self.sock.close()


__all__ = ["Connection", "dial_first"]
