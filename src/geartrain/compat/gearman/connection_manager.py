"""
What python-gearman's clients and workers share: a list of servers, and an encoder for data.

Nothing connects here. Names of functions, handles and keys are taken as text or
bytes and handed out as text; data goes through the encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from geartrain.client.address import Address, parse_addresses
from geartrain.compat.gearman.connection import GearmanConnection
from geartrain.compat.gearman.errors import EncodingError
from geartrain.compat.gearman.job import GearmanJob, GearmanJobRequest
from geartrain.compat.gearman.util import read_address


class DataEncoder:
    """
    Turns data into bytes and back. The default one sends bytes and text, and nothing else.

    What comes back is bytes, or text where ``gearman.DATA`` is ``"text"``. A subclass that
    overrides `decode` gets bytes in any case; `encode` may return bytes or text.
    """

    @classmethod
    def encode(cls, encodable_object: Any) -> Any:
        """Return data as it is sent: text as UTF-8, None as nothing."""
        if encodable_object is None:
            return b""
        if isinstance(encodable_object, bytes | str | bytearray | memoryview):
            return encodable_object
        raise TypeError(
            f"data is to be bytes or text, not {type(encodable_object).__name__}; return or "
            "submit for instance data[::-1] in the place of reversed(data), or set data_encoder "
            "to an encoder for such objects"
        )

    @classmethod
    def decode(cls, decodable_string: bytes) -> Any:
        """Return data as it is handed out."""
        from geartrain.compat import gearman

        if gearman.DATA == "text":
            return decodable_string.decode("utf-8", "surrogateescape")
        return decodable_string


class TextDataEncoder(DataEncoder):
    """Hands data out as text, whatever ``gearman.DATA`` says."""

    @classmethod
    def decode(cls, decodable_string: bytes) -> Any:
        """Return data as text."""
        return decodable_string.decode("utf-8", "surrogateescape")


class GearmanConnectionManager:
    """
    A list of servers.

    Args:
        host_list: Servers, each as ``"host"``, ``"host:port"``, ``(host, port)`` or a dict with
            ``host`` and ``port``. None means those of ``GEARMAN_SERVERS``, or one on this machine.

    Attributes:
        connection_list: The servers.
        data_encoder: Turns data into bytes and back.
        job_class: Class of jobs.
        job_request_class: Class of a client's requests.
        connect_timeout: Seconds for one attempt to connect.
        patience: Seconds without any server before `ServerUnavailable` is raised. At 0, as
            in python-gearman, one attempt is made; None for ever.

    """

    data_encoder: Any = DataEncoder
    job_class: Any = GearmanJob
    job_request_class: Any = GearmanJobRequest
    # Accepted and not used: bytes of the protocol are read and written elsewhere.
    command_handler_class: Any = None
    connection_class: Any = GearmanConnection
    connect_timeout: float = 5.0
    patience: float | None = 0.0

    def __init__(self, host_list: Any = None) -> None:
        self.connection_list: list[Any] = []
        for address in read_addresses(host_list):
            self.add_connection(address)

    def add_connection(self, hostport_or_connection: Any) -> Any:
        """Add a server, as an item of ``host_list`` or as a connection; return the connection."""
        if isinstance(hostport_or_connection, GearmanConnection):
            hostport_or_connection = hostport_or_connection.address
        connection = self._new_connection(read_address(hostport_or_connection))
        self.connection_list.append(connection)
        return connection

    def _new_connection(self, address: Address) -> GearmanConnection:
        return GearmanConnection(address)

    def shutdown(self) -> None:
        """Close all connections."""

    def poll_connections_until_stopped(
        self,
        submitted_connections: Collection[Any],
        callback_fxn: Callable[[bool], Any],
        timeout: float | None = None,
    ) -> bool:
        """
        Take in what servers send until ``callback_fxn(any_activity)`` returns false.

        Args:
            submitted_connections: Of no effect: all of them are served.
            callback_fxn: Called each time something has come, and when the time is over.
            timeout: Seconds for all of it; None for no end.

        Returns:
            False where the callback ended it, True where the time did.

        Raises:
            ServerUnavailable: No server can be reached.

        """
        raise NotImplementedError

    # Data.

    def encode_data(self, data: Any) -> bytes:
        """Return data as it is sent, or raise `EncodingError`, which is a TypeError."""
        try:
            encoded = self.data_encoder.encode(data)
        except Exception as error:
            raise EncodingError(f"{type(data).__name__} can't be encoded: {error}") from error
        if isinstance(encoded, str):
            return encoded.encode("utf-8", "surrogateescape")
        if isinstance(encoded, bytes | bytearray | memoryview):
            return bytes(encoded)
        raise EncodingError(
            f"{self.data_encoder!r} returned {type(encoded).__name__}; encode() is to return "
            "bytes or text"
        )

    def decode_data(self, data: bytes) -> Any:
        """Return data as it is handed out."""
        return self.data_encoder.decode(data)


def read_addresses(host_list: Any) -> list[Address]:
    """Return the addresses that a ``host_list`` stands for."""
    if host_list is None:
        return parse_addresses(None)
    if isinstance(host_list, str):
        # python-gearman took the letters for hosts.
        return parse_addresses(host_list)
    if not isinstance(host_list, Iterable):
        return parse_addresses(host_list)
    return [read_address(item) for item in host_list]


__all__ = [
    "DataEncoder",
    "GearmanConnectionManager",
    "TextDataEncoder",
    "read_addresses",
]
