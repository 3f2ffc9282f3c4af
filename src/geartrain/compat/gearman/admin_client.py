"""python-gearman's administration client, over this package's own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from geartrain.client.admin import AdminClient
from geartrain.client.sync import Client
from geartrain.compat.gearman.connection_manager import GearmanConnectionManager
from geartrain.compat.gearman.errors import (
    InvalidAdminClientState,
    ProtocolError,
    ServerUnavailable,
)
from geartrain.compat.gearman.util import as_bytes
from geartrain.errors import ConnectionFailed, ConnectionLost, JobTimeout, ServerError
from geartrain.errors import ProtocolError as PeerProtocolError

Result = TypeVar("Result")

DEFAULT_ADMIN_CLIENT_TIMEOUT: Final = 10.0
_ECHO_SIZE: Final = 16
_OK: Final = "OK"


class GearmanAdminClient(GearmanConnectionManager):
    """
    Asks one server about itself, and tells it what to do.

    All methods raise `ServerUnavailable` where the server can't be reached or does not answer
    in time, and `InvalidAdminClientState` where it refuses.

    Args:
        host_list: The servers, of which the first is asked.
        poll_timeout: Seconds to wait for an answer.

    """

    def __init__(
        self, host_list: Any = None, poll_timeout: float = DEFAULT_ADMIN_CLIENT_TIMEOUT
    ) -> None:
        super().__init__(host_list=host_list)
        self.poll_timeout = poll_timeout
        if not self.connection_list:
            raise ServerUnavailable("Found no valid connections in list: host_list is empty")
        self.current_connection = self.connection_list[0]
        self._admin = AdminClient(
            self.current_connection.address,
            timeout=poll_timeout,
            connect_timeout=self.connect_timeout,
        )
        self._client: Client | None = None

    def shutdown(self) -> None:
        """Close the connections."""
        self._admin.close()
        if self._client is not None:
            self._client.close()
            self._client = None

    # What the server does.

    def get_status(self) -> tuple[dict[str, Any], ...]:
        """Return each function: ``task``, ``queued``, ``running``, ``workers``."""
        return tuple(
            {
                "task": one.function,
                "queued": one.total,
                "running": one.running,
                "workers": one.workers,
            }
            for one in self._ask(self._admin.status)
        )

    def get_workers(self) -> tuple[dict[str, Any], ...]:
        """Return each connection: ``file_descriptor``, ``ip``, ``client_id``, ``tasks``."""
        return tuple(
            {
                "file_descriptor": str(one.descriptor),
                "ip": one.address,
                "client_id": one.client_id,
                "tasks": tuple(one.functions),
            }
            for one in self._ask(self._admin.workers)
        )

    def get_jobs(self) -> tuple[dict[str, Any], ...]:
        """Return each job: ``handle``, ``queued``, ``canceled``, ``enabled``, as pygearman does."""
        return tuple(
            {
                "handle": one.handle,
                "queued": one.retries,
                "canceled": int(one.ignored),
                "enabled": int(one.queued),
            }
            for one in self._ask(self._admin.show_jobs)
        )

    def get_unique_jobs(self) -> tuple[dict[str, Any], ...]:
        """Return the key of each job: ``unique``."""
        return tuple({"unique": key} for key in self._ask(self._admin.show_unique_jobs))

    def get_version(self) -> str:
        """Return the server's version."""
        return self._ask(self._admin.version)

    def get_pid(self) -> int:
        """Return the server's process id."""
        return self._ask(self._admin.getpid)

    def ping_server(self) -> float:
        """Have the server echo some bytes; return the seconds it took."""
        sent = os.urandom(_ECHO_SIZE)
        started = time.monotonic()
        client = self._echo_client()
        received = self._ask(lambda: client.echo(sent, timeout=self.poll_timeout))
        if received != sent:
            raise ProtocolError(f"Echo string mismatch: got {received!r}, expected {sent!r}")
        return time.monotonic() - started

    # What it is told.

    def send_maxqueue(self, task: Any, max_size: int) -> str:
        """Limit how many jobs a function may have; 0 for no limit."""
        self._ask(lambda: self._admin.maxqueue(as_bytes(task), int(max_size)))
        return _OK

    def send_shutdown(self, graceful: bool = True) -> str:
        """Stop the server; ``graceful`` lets it finish its jobs first."""
        self._ask(lambda: self._admin.shutdown(graceful=graceful))
        return _OK

    def cancel_job(self, handle: Any) -> str:
        """Cancel a waiting job."""
        self._ask(lambda: self._admin.cancel_job(as_bytes(handle)))
        return _OK

    def _echo_client(self) -> Client:
        if self._client is None:
            self._client = Client(
                self.current_connection.address, connect_timeout=self.connect_timeout, patience=0
            )
        return self._client

    def _ask(self, command: Callable[[], Result]) -> Result:
        try:
            return command()
        except ConnectionFailed as error:
            raise ServerUnavailable(
                f"Found no valid connections in list: {self.connection_list!r}"
            ) from error
        except (ConnectionLost, JobTimeout) as error:
            raise ServerUnavailable(str(error)) from error
        except ServerError as error:
            raise InvalidAdminClientState(str(error)) from error
        except PeerProtocolError as error:
            raise ProtocolError(str(error)) from error


__all__ = ["DEFAULT_ADMIN_CLIENT_TIMEOUT", "GearmanAdminClient"]
