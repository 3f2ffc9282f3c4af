"""
What can be set on a job server, and what holds when nothing is set.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from geartrain.wire.reader import MAX_PACKET

DEFAULT_LISTEN = "127.0.0.1:4730"
DEFAULT_STORE = "sqlite:///geartrain.db"


@dataclass
class Settings:
    """
    Settings of one job server.

    Attributes:
        listen: Addresses: ``HOST:PORT``, ``[IPV6]:PORT``, ``unix:PATH``; port 0 takes a free one.
        http_listen: Addresses of the HTTP protocol, none by default.
        store: URL of the queue store; ``memory:`` for none.
        store_file: File with that URL, in place of ``store``; for one that holds a password.
        store_reader: URL of a copy of a shared store's database, which is asked for counts.
        store_table: Name under which gearmand's table is imported and stays readable.
        compat: ``2.0`` serves a worker's functions by priority across all of them;
            ``1.1`` one function after the other.
        round_robin: With ``compat`` 1.1, take turns among a worker's functions.
        job_retries: How often a job may come back without a result until it is given
            up; -1 for any number of times.
        exceptions: Whether clients get exceptions without asking.
        handle_prefix: Start of handles; empty for ``H:`` and the host's name.
        max_packet: Largest packet, in bytes.
        backlog: Connections that may wait to be accepted.
        keepalive_idle: Seconds of silence before TCP asks whether a peer is there; 0
            leaves it to the system.
        keepalive_interval: Seconds between such questions; 0 leaves it to the system.
        keepalive_count: Unanswered questions until the peer counts as gone; 0 leaves it
            to the system.
        partial_timeout: Seconds in which a packet that has begun has to make progress.
        store_timeout: Seconds that a submission waits for the store until it is refused; where
            thousands come in at a time, that one commit of them may take, and the more for a job
            of many megabytes.
        stalled_timeout: Seconds for which a peer may leave its results unread.
        output_limit: Bytes that may wait for one peer; one packet may go beyond.
        grace: Seconds that running jobs get to finish when the server stops.
        allow_shutdown: Whether ``shutdown`` from this machine stops the server.
        name: What this server is called among those that share its store; empty for the
            host's name and the port.
        advertise: ``HOST:PORT`` at which the other servers reach this one; empty for the
            first TCP address it listens on.
        lease: Seconds without a sign of life after which the other servers take over what
            this one holds.

    """

    listen: list[str] = field(default_factory=lambda: [DEFAULT_LISTEN])
    http_listen: list[str] = field(default_factory=list)
    store: str = DEFAULT_STORE
    store_file: str = ""
    store_reader: str = ""
    store_table: str = "gearman_queue"
    compat: str = "2.0"
    round_robin: bool = False
    job_retries: int = -1
    exceptions: bool = False
    handle_prefix: str = ""
    max_packet: int = MAX_PACKET
    backlog: int = 4096
    keepalive_idle: int = 60
    keepalive_interval: int = 15
    keepalive_count: int = 4
    partial_timeout: float = 60.0
    store_timeout: float = 0.9
    stalled_timeout: float = 60.0
    output_limit: int = 32 * 1024 * 1024
    grace: float = 5.0
    allow_shutdown: bool = True
    name: str = ""
    advertise: str = ""
    lease: float = 3.0
