"""
A Galera cluster of MariaDB for the tests: nodes that hold the same data, each on ports of its own.

Nodes run as the mysql user, because the transfer of the data to a node that joins fails as root.
"""

from __future__ import annotations

import atexit
import functools
import random
import socket
from collections.abc import Sequence

import pymysql

from tests.services.availability import require
from tests.services.instance import run_as
from tests.services.mariadb import PASSWORD, Mariadb

PROVIDER = "/usr/lib/galera/libgalera_smm.so"


def port_group() -> int:
    """
    Return a port that is free together with the two that follow it.

    Not one of those that the system gives to connections: a node would find its own taken.
    """
    while True:
        first = random.randrange(20_000, 32_000)
        try:
            for port in (first, first + 1, first + 2):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


class Node(Mariadb):
    """
    One node of a cluster.

    Args:
        number: From 1.
        settings: As for `Mariadb`.

    """

    def __init__(self, number: int, **settings: object) -> None:
        super().__init__(**settings)
        self.number = number
        # For the group, for write sets to catch up with, and for all data.
        self.group = port_group()
        self.others: Sequence[Node] = ()
        self.first_of_all = False

    def options(self) -> dict[str, object]:
        here = "127.0.0.1"
        provider = (
            f"base_host={here};base_port={self.group};gmcast.listen_addr=tcp://{here}:{self.group};"
            f"ist.recv_addr={here}:{self.group + 1};ist.recv_bind={here}:{self.group + 1};"
            # A node that is gone is noticed within a second or two.
            "evs.keepalive_period=PT0.3S;evs.suspect_timeout=PT1S;evs.inactive_timeout=PT2S;"
            "evs.inactive_check_period=PT0.2S;evs.install_timeout=PT2S;"
            "gcache.size=16M;gcache.page_size=16M;pc.recovery=no;socket.checksum=1"
        )
        addresses = ",".join(f"{here}:{node.group}" for node in self.others)
        return {
            **super().options(),
            "binlog_format": "ROW",
            "innodb_autoinc_lock_mode": 2,
            "wsrep_on": "ON",
            "wsrep_provider": PROVIDER,
            "wsrep_provider_options": provider,
            "wsrep_cluster_name": "geartrain-tests",
            "wsrep_cluster_address": f"gcomm://{'' if self.first_of_all else addresses}",
            "wsrep_node_name": f"node{self.number}",
            "wsrep_node_address": f"{here}:{self.group}",
            "wsrep_sst_method": "rsync",
            "wsrep_sst_receive_address": f"{here}:{self.group + 2}",
        }

    def create_empty(self) -> None:
        """Make place for what another node will send."""
        run_as(self.user, "mkdir", self.data)
        self.first.touch()

    def answers(self) -> bool:
        """Return whether the node is part of the cluster and has all data."""
        try:
            with self.connect() as connection, connection.cursor() as cursor:
                cursor.execute(
                    "SHOW STATUS WHERE Variable_name IN "
                    "('wsrep_local_state_comment', 'wsrep_ready')"
                )
                found = dict(cursor.fetchall())
                return found == {"wsrep_local_state_comment": "Synced", "wsrep_ready": "ON"}
        except pymysql.Error:
            return False


class Galera:
    """
    A cluster of three nodes.

    Args:
        size: How many nodes, if not three.
        settings: As for `Mariadb`, of all nodes.

    Attributes:
        nodes: Its nodes; each can be killed, paused and started again.

    """

    def __init__(self, size: int = 3, **settings: object) -> None:
        self.nodes = [Node(number, **settings) for number in range(1, size + 1)]
        for node in self.nodes:
            node.others = self.nodes

    def create(self) -> None:
        """Make the first node's files; the others copy them."""
        first, *others = self.nodes
        first.create()
        for node in others:
            node.create_empty()

    def start(self) -> None:
        """Start all nodes, the first as the one to begin with."""
        first, *others = self.nodes
        first.first_of_all = True
        first.start()
        first.first_of_all = False
        for node in others:
            node.start(wait=False)
        # The first, too: it takes no statements while another joins.
        for node in self.nodes:
            node.wait_until(node.answers)

    def url(self, database: str, address: str = "127.0.0.1") -> str:
        """Return a URL that names all nodes."""
        hosts = ",".join(f"{address}:{node.port}" for node in self.nodes)
        return f"mariadb://gear:{PASSWORD}@{hosts}/{database}"

    def new_database(self) -> str:
        """Create an empty database, and return its name."""
        return self.nodes[0].new_database()

    def remove(self) -> None:
        """End it at once, and remove its files."""
        for node in self.nodes:
            node.remove()


@functools.cache
def shared_galera() -> Galera:
    """Return one cluster for all tests that do not harm it; each uses a database of its own."""
    require("galera")
    cluster = Galera()
    atexit.register(cluster.remove)
    cluster.create()
    cluster.start()
    return cluster
