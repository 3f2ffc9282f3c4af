"""A tiny server of beanstalkd's protocol, to see the load generator speak it."""

from __future__ import annotations

import queue
import socketserver


class Connection(socketserver.StreamRequestHandler):
    """Carries out the commands of one connection; a reserve waits until there is a job."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, BeanstalkServer)
        while words := self.rfile.readline().split():
            if words[0] == b"put":
                self.wfile.write(
                    b"INSERTED %d\r\n" % server.put(self.rfile.read(int(words[4]) + 2))
                )
            elif words[0] == b"reserve":
                number, workload = server.waiting.get()
                self.wfile.write(b"RESERVED %d %d\r\n%b" % (number, len(workload) - 2, workload))
            elif words[0] == b"delete":
                self.wfile.write(b"DELETED\r\n")
            else:
                self.wfile.write(b"USING default\r\n")


class BeanstalkServer(socketserver.ThreadingUnixStreamServer):
    """Listens on a unix socket; ``copies`` is how often it gives each job away."""

    daemon_threads = True

    def __init__(self, path: str, copies: int = 1) -> None:
        self.waiting: queue.Queue[tuple[int, bytes]] = queue.Queue()
        self.copies = copies
        self.jobs = 0
        super().__init__(path, Connection)

    def put(self, workload: bytes) -> int:
        """Queue a job with the end of its line, and return its number."""
        self.jobs += 1
        for _ in range(self.copies):
            self.waiting.put((self.jobs, workload))
        return self.jobs

    def handle_error(self, request: object, client_address: object) -> None:
        """The generator leaves in the middle when it has found a fault."""
