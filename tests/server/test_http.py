"""HTTP in front of the job server: byte by byte, and what gearmand gets wrong with it."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from geartrain import __version__
from geartrain.errors import UsageError
from geartrain.server.http_connection import HttpConnection
from geartrain.server.server import JobServer
from geartrain.store.memory import MemoryStore
from tests.server import peer as packets
from tests.server.peer import Peer
from tests.server.servers import ThreadServer, eventually, settings_for_tests

SERVER = b"Server: Gearman/%b\r\n" % __version__.encode()
CLOSE = b"Connection: close\r\n"
POST = b"POST /reverse HTTP/1.1\r\nContent-Length: 4\r\n\r\ntest"


class HttpServer(ThreadServer):
    """A job server that speaks HTTP on a second port."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"http_listen": ["127.0.0.1:0"], **settings})
        self.http_address = self.server.http_listeners[0].getsockname()[:2]

    def http(self, request: bytes = b"") -> Peer:
        """Return an HTTP connection that has sent a request."""
        peer = Peer(self.http_address)
        self.peers.append(peer)
        peer.send_bytes(request)
        return peer

    def worker(self, function: bytes) -> Peer:
        """Return a worker that can do a function."""
        worker = self.peer()
        worker.send(packets.CAN_DO, function)
        worker.echo()
        return worker

    def waiting(self, function: bytes) -> int:
        """Return how many jobs of a function there are."""
        with Peer(self.address) as admin:
            for line in admin.ask(b"status").splitlines():
                name, total, *_ = line.split(b"\t")
                if name == function:
                    return int(total)
        return 0

    def wait_for_jobs(self, function: bytes, count: int) -> None:
        eventually(lambda: self.waiting(function) == count, f"{count} jobs of {function!r}")


class GatedStore(MemoryStore):
    """A store whose commits wait until the test opens the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.gate = threading.Event()

    @property
    def durable(self) -> bool:
        return True

    def commit(self, *_batch: object) -> None:
        self.asked.set()
        assert self.gate.wait(packets.DEADLINE)


@pytest.fixture
def start_http() -> Iterator[Callable[..., HttpServer]]:
    servers: list[HttpServer] = []

    def start(**settings: Any) -> HttpServer:
        servers.append(HttpServer(**settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def http_server(start_http: Callable[..., HttpServer]) -> HttpServer:
    return start_http()


def assigned(worker: Peer) -> tuple[bytes, bytes, bytes, bytes]:
    """Grab a job and return its handle, function, unique key and workload."""
    worker.send(packets.GRAB_JOB_UNIQ)
    kind, body = worker.receive()
    assert kind == packets.JOB_ASSIGN_UNIQ
    handle, function, unique, workload = body.split(b"\0", 3)
    return handle, function, unique, workload


def listeners(server: HttpServer) -> int:
    """Return how many clients wait for a job; to be called in the server's thread."""
    jobs = server.server.exchange.broker.jobs.values()
    return sum(len(job.listeners or ()) for job in jobs)


def http_connections(server: HttpServer) -> int:
    """Return how many HTTP connections there are; to be called in the server's thread."""
    return sum(isinstance(one, HttpConnection) for one in server.server.connections.values())


def ok(handle: bytes, command: bytes, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nX-Gearman-Job-Handle: %b\r\nX-Gearman-Command: %b\r\n"
        b"Content-Length: %d\r\n%b%b\r\n%b" % (handle, command, len(body), SERVER, CLOSE, body)
    )


# Requests and responses.


def test_a_post_is_a_job_and_its_result_the_response(http_server: HttpServer) -> None:
    worker = http_server.worker(b"reverse")
    client = http_server.http(POST)
    http_server.wait_for_jobs(b"reverse", 1)
    handle, function, unique, workload = assigned(worker)
    assert (function, unique, workload) == (b"reverse", b"-", b"test")
    worker.send(packets.WORK_COMPLETE, handle, b"tset")
    assert client.expect_closed() == ok(handle, b"WORK_COMPLETE", b"tset")


def test_http_1_0_is_answered_in_http_1_0(http_server: HttpServer) -> None:
    worker = http_server.worker(b"now")
    client = http_server.http(b"GET /now HTTP/1.0\r\n\r\n")
    http_server.wait_for_jobs(b"now", 1)
    handle = assigned(worker)[0]
    worker.send(packets.WORK_COMPLETE, handle, b"")
    assert client.expect_closed() == (
        b"HTTP/1.0 200 OK\r\nX-Gearman-Job-Handle: %b\r\nX-Gearman-Command: WORK_COMPLETE\r\n"
        b"Content-Length: 0\r\n%b\r\n" % (handle, SERVER)
    )


def test_a_sleeping_worker_is_woken_by_a_request(http_server: HttpServer) -> None:
    worker = http_server.worker(b"reverse")
    worker.send(packets.PRE_SLEEP)
    http_server.http(POST)
    worker.expect(packets.NOOP)


def test_headers_choose_unique_key_and_priority(http_server: HttpServer) -> None:
    worker = http_server.worker(b"f")
    line = b"POST /f HTTP/1.1\r\nContent-Length: 1\r\nX-Gearman-Unique: k%b\r\n%b\r\n%b"
    http_server.http(line % (b"1", b"", b"1"))
    http_server.wait_for_jobs(b"f", 1)
    http_server.http(line % (b"2", b"X-Gearman-Priority: high\r\n", b"2"))
    http_server.wait_for_jobs(b"f", 2)
    assert assigned(worker)[2:] == (b"k2", b"2")
    assert assigned(worker)[2:] == (b"k1", b"1")


def test_a_background_request_is_answered_with_its_handle(http_server: HttpServer) -> None:
    client = http_server.http(
        b"POST /f HTTP/1.1\r\nContent-Length: 1\r\nX-Gearman-Background: true\r\n\r\nx"
    )
    response = client.expect_closed()
    handle = assigned(http_server.worker(b"f"))[0]
    assert response == ok(handle, b"JOB_CREATED", b"")


def test_a_background_job_is_on_disk_before_it_is_answered(
    start_http: Callable[..., HttpServer],
) -> None:
    store = GatedStore()
    server = start_http(store=store)
    client = server.http(b"POST /f HTTP/1.1\r\nX-Gearman-Background: true\r\n\r\n")
    # A peer that has said everything may say so; what it waits for still comes.
    client.end()
    assert store.asked.wait(packets.DEADLINE)
    server.peer().echo()
    assert select.select([client.socket], [], [], 0)[0] == []
    store.gate.set()
    assert b"X-Gearman-Command: JOB_CREATED\r\n" in client.expect_closed()
    server.wait_for_jobs(b"f", 1)


def test_requests_for_the_same_unique_key_share_one_job(http_server: HttpServer) -> None:
    worker = http_server.worker(b"reverse")
    clients = [http_server.http(POST), http_server.http(POST)]
    eventually(lambda: http_server.call(listeners, http_server) == 2, "both wait")
    handle = assigned(worker)[0]
    worker.send(packets.WORK_COMPLETE, handle, b"tset")
    for client in clients:
        assert client.expect_closed() == ok(handle, b"WORK_COMPLETE", b"tset")


def test_a_request_may_come_byte_by_byte(http_server: HttpServer) -> None:
    worker = http_server.worker(b"reverse")
    client = http_server.http()
    for byte in POST:
        client.send_bytes(bytes([byte]))
    http_server.wait_for_jobs(b"reverse", 1)
    assert assigned(worker)[3] == b"test"


def test_a_large_workload_and_a_large_result_pass(http_server: HttpServer) -> None:
    worker = http_server.worker(b"f")
    workload = bytes(range(256)) * 4096 * 3
    client = http_server.http(
        b"PUT /f HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(workload), workload)
    )
    http_server.wait_for_jobs(b"f", 1)
    handle, _, _, received = assigned(worker)
    assert received == workload
    worker.send(packets.WORK_COMPLETE, handle, workload * 2)
    assert client.expect_closed() == ok(handle, b"WORK_COMPLETE", workload * 2)


def test_a_client_that_waits_for_100_continue_is_told_to_send_its_body(
    http_server: HttpServer,
) -> None:
    worker = http_server.worker(b"f")
    client = http_server.http(
        b"POST /f HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    )
    client.expect_bytes(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.send_bytes(b"body")
    http_server.wait_for_jobs(b"f", 1)
    assert assigned(worker)[3] == b"body"


# What gearmand gets wrong.


def test_pieces_of_a_result_do_not_overwrite_the_header(http_server: HttpServer) -> None:
    worker = http_server.worker(b"f")
    client = http_server.http(b"GET /f HTTP/1.1\r\n\r\n")
    http_server.wait_for_jobs(b"f", 1)
    handle = assigned(worker)[0]
    worker.send(packets.WORK_STATUS, handle, b"1", b"2")
    worker.send(packets.WORK_WARNING, handle, b"careful")
    worker.send(packets.WORK_DATA, handle, b"one, ")
    worker.send(packets.WORK_DATA, handle, b"two, ")
    worker.send(packets.WORK_COMPLETE, handle, b"three")
    assert client.expect_closed() == ok(handle, b"WORK_COMPLETE", b"one, two, three")


def test_a_head_of_the_root_names_no_job_of_an_earlier_request(http_server: HttpServer) -> None:
    worker = http_server.worker(b"reverse")
    http_server.http(POST)
    http_server.wait_for_jobs(b"reverse", 1)
    worker.send(packets.WORK_COMPLETE, assigned(worker)[0], b"tset")
    assert http_server.http(b"HEAD / HTTP/1.1\r\n\r\n").expect_closed() == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%b%b\r\n" % (SERVER, CLOSE)
    )


def test_a_failed_job_keeps_its_whole_handle(http_server: HttpServer) -> None:
    worker = http_server.worker(b"f")
    client = http_server.http(b"GET /f HTTP/1.1\r\n\r\n")
    http_server.wait_for_jobs(b"f", 1)
    handle = assigned(worker)[0]
    worker.send(packets.WORK_FAIL, handle)
    assert client.expect_closed() == ok(handle, b"WORK_FAIL", b"")


def test_an_exception_is_a_response(start_http: Callable[..., HttpServer]) -> None:
    server = start_http(exceptions=True)
    worker = server.worker(b"f")
    client = server.http(b"GET /f HTTP/1.1\r\n\r\n")
    server.wait_for_jobs(b"f", 1)
    handle = assigned(worker)[0]
    worker.send(packets.WORK_EXCEPTION, handle, b"no such file")
    assert client.expect_closed() == ok(handle, b"WORK_EXCEPTION", b"no such file")


def test_a_full_queue_is_a_503(http_server: HttpServer) -> None:
    admin = http_server.peer()
    assert admin.ask(b"create function f") == b"OK\r\n"
    assert admin.ask(b"maxqueue f 1") == b"OK\r\n"
    line = b"POST /f HTTP/1.1\r\nX-Gearman-Unique: %b\r\nX-Gearman-Background: true\r\n\r\n"
    assert http_server.http(line % b"1").expect_closed().startswith(b"HTTP/1.1 200 ")
    refusal = http_server.http(line % b"2").expect_closed()
    assert refusal.startswith(b"HTTP/1.1 503 ")
    assert b"\r\n\r\nQUEUE_ERROR: " in refusal


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"TRACE /f HTTP/1.1\r\n\r\n", b"405"),
        (b"DELETE /f HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /f HTTP/2.0\r\n\r\n", b"505"),
        (b"GET /f\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"\0REQ\0\0\0\x10\0\0\0\0\n", b"400"),
        (b"POST /f HTTP/1.1\r\nX-Gearman-Unique: " + b"k" * 65 + b"\r\n\r\n", b"400"),
    ],
)
def test_what_is_wrong_is_said_and_not_just_cut_off(
    http_server: HttpServer, request_: bytes, status: bytes
) -> None:
    assert http_server.http(request_).expect_closed().split()[1] == status


# Clients that leave.


def test_a_client_that_leaves_abandons_its_job(http_server: HttpServer) -> None:
    client = http_server.http(POST)
    http_server.wait_for_jobs(b"reverse", 1)
    client.close()
    http_server.wait_for_jobs(b"reverse", 0)


def test_a_client_that_leaves_a_job_of_others_does_not_stop_it(http_server: HttpServer) -> None:
    worker = http_server.worker(b"reverse")
    client = http_server.http(POST)
    http_server.wait_for_jobs(b"reverse", 1)
    other = http_server.peer()
    handle = other.submit(packets.SUBMIT_JOB, b"reverse", b"-", b"test")
    client.close()
    eventually(lambda: http_server.call(listeners, http_server) == 1, "one waits")
    assert assigned(worker)[0] == handle
    worker.send(packets.WORK_COMPLETE, handle, b"tset")
    other.expect(packets.WORK_COMPLETE, handle, b"tset")


def test_a_client_that_leaves_in_the_middle_of_its_request_submits_nothing(
    http_server: HttpServer,
) -> None:
    client = http_server.http(POST[:-1])
    client.close()
    eventually(lambda: not http_server.call(http_connections, http_server), "it is gone")
    assert http_server.waiting(b"reverse") == 0


def test_a_worker_that_finishes_after_the_client_left_is_not_disturbed(
    http_server: HttpServer,
) -> None:
    worker = http_server.worker(b"reverse")
    client = http_server.http(POST)
    http_server.wait_for_jobs(b"reverse", 1)
    handle = assigned(worker)[0]
    client.reset()
    eventually(lambda: not http_server.call(http_connections, http_server), "it is gone")
    worker.send(packets.WORK_COMPLETE, handle, b"tset")
    worker.expect_silence()


# Limits.


def test_a_body_that_is_too_large_is_refused_before_it_comes(
    start_http: Callable[..., HttpServer],
) -> None:
    server = start_http(max_packet=4096)
    client = server.http(b"POST /f HTTP/1.1\r\nContent-Length: 4097\r\n\r\n")
    assert client.expect_closed().startswith(b"HTTP/1.1 413 ")


def test_a_refused_peer_that_goes_on_sending_still_reads_why(http_server: HttpServer) -> None:
    client = http_server.http(b"DELETE /f HTTP/1.1\r\n")
    client.socket.settimeout(packets.DEADLINE)
    for _ in range(64):
        client.send_bytes(b"x" * 65536)
    assert client.expect_closed().startswith(b"HTTP/1.1 405 ")


def test_a_refused_peer_that_never_stops_is_dropped(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geartrain.server.http_connection.LINGER", 0.05)
    client = http_server.http(b"DELETE /f HTTP/1.1\r\n")
    assert client.expect_closed().startswith(b"HTTP/1.1 405 ")
    eventually(lambda: not http_server.call(http_connections, http_server), "it is gone")


@pytest.mark.parametrize(
    "begun", [b"", b"POST /f HT", b"POST /f HTTP/1.1\r\nContent-Length: 9\r\n"]
)
def test_a_peer_that_does_not_bring_its_request_forward_is_dropped(
    start_http: Callable[..., HttpServer], begun: bytes
) -> None:
    server = start_http(partial_timeout=0.05)
    assert server.http(begun).expect_closed() == b""
    assert server.waiting(b"f") == 0


def test_a_peer_that_waits_for_its_job_is_not_dropped(
    start_http: Callable[..., HttpServer],
) -> None:
    server = start_http(partial_timeout=0.05)
    worker = server.worker(b"reverse")
    client = server.http(POST)
    server.wait_for_jobs(b"reverse", 1)
    # The one that brings nothing is dropped while the other one waits.
    assert server.http(b"POST").expect_closed() == b""
    handle = assigned(worker)[0]
    worker.send(packets.WORK_COMPLETE, handle, b"tset")
    assert client.expect_closed() == ok(handle, b"WORK_COMPLETE", b"tset")


def test_a_peer_that_never_reads_its_response_is_dropped(
    start_http: Callable[..., HttpServer],
) -> None:
    server = start_http(stalled_timeout=0.05)
    worker = server.worker(b"f")
    client = server.http()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.send_bytes(b"GET /f HTTP/1.1\r\n\r\n")
    server.wait_for_jobs(b"f", 1)
    worker.send(packets.WORK_COMPLETE, assigned(worker)[0], b"x" * (16 << 20))
    worker.echo()
    eventually(lambda: not server.call(http_connections, server), "it is gone")


def test_http_peers_are_among_the_connections_that_workers_lists(http_server: HttpServer) -> None:
    http_server.http(POST)
    http_server.wait_for_jobs(b"reverse", 1)
    assert len(http_server.peer().ask(b"workers").splitlines()) == 2


# Addresses.


def test_a_busy_http_port_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = settings_for_tests(http_listen=[f"127.0.0.1:{port}"])
        server = JobServer(settings, MemoryStore())
        with pytest.raises(UsageError, match="the port is in use"):
            server.bind()
    assert server.listeners == []


def test_http_beyond_this_machine_is_warned_about(
    start_http: Callable[..., HttpServer], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "geartrain.warning"):
        server = start_http(http_listen=["0.0.0.0:0"])
    port = server.http_address[1]
    assert f"WARNING: 0.0.0.0:{port} is open to other machines" in caplog.text
