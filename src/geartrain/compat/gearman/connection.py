"""One server, as python-gearman's clients and workers list it."""

from __future__ import annotations

from geartrain.client.address import Address


class GearmanConnection:
    """
    One server of a client or a worker.

    Attributes:
        address: Where it listens.
        gearman_host: Its host, or the path of its unix socket.
        gearman_port: Its port; 0 for a unix socket.

    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.gearman_host = address.path or address.host
        self.gearman_port = address.port

    @property
    def connected(self) -> bool:
        """Whether a connection to it stands."""
        return False

    def get_address(self) -> tuple[str, int]:
        """Return host and port."""
        return self.gearman_host, self.gearman_port

    def __repr__(self) -> str:
        return f"<GearmanConnection {self.address} connected={self.connected}>"


__all__ = ["GearmanConnection"]
