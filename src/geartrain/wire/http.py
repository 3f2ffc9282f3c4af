"""
The HTTP protocol of a job server: a request is one job, the response its result.

``POST /function`` submits the body as workload; three headers say the rest
(``X-Gearman-Unique``, ``X-Gearman-Background``, ``X-Gearman-Priority``). A
connection carries one request and is closed after its response, as gearmand
does it. There are no cookies, chunks, ranges or persistent connections here.

How a connection of the server uses this file::

    reader = HttpReader(max_workload)
    # for every piece that arrives:
    for request in reader.receive_data(piece):      # at most one, ever
        if not request.function:                    # HEAD /, is the server alive?
            write_and_close(respond_alive(request))
        else:
            reply = HttpReply(request, max_workload)
            submit(request.function, request.unique, request.workload,
                   request.priority, request.background)
    write(reader.take_interim())                    # 100 Continue, or nothing
    if reader.fault is not None:
        write_and_close(respond_fault(reader.fault))
    # for every packet the broker has for the session of that request:
    response = reply.receive_packet(kind, args)     # empty until the job is over
    if response:
        write_and_close(response)

A peer that leaves before its response is a client that left: the job goes on
only where it is in the background or somebody else waits for it.
"""

from __future__ import annotations

import re
from typing import Final

from geartrain import __version__
from geartrain.wire.packet import (
    ERROR,
    JOB_CREATED,
    NAMES,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
)

# Priorities, numbered as everywhere in the server.
HIGH: Final = 0
NORMAL: Final = 1
LOW: Final = 2

# Limits of a request's head, in bytes, lines and headers.
MAX_LINE: Final = 8 * 1024
MAX_HEAD: Final = 32 * 1024
MAX_HEADERS: Final = 100
MAX_WORKLOAD: Final = 512 * 1024 * 1024

_METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT")
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0")
# The headers that mean something here; a second one of them would be ambiguous.
_KNOWN: Final = (
    b"content-length",
    b"expect",
    b"transfer-encoding",
    b"x-gearman-background",
    b"x-gearman-priority",
    b"x-gearman-unique",
)
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110, 5.5: no control characters but the tab in a value.
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")

_REASONS: Final[dict[int, bytes]] = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Content Too Large",
    414: b"URI Too Long",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}

# What an ERROR packet is in HTTP; any other code is a fault of ours.
_ERROR_STATUS: Final[dict[bytes, int]] = {
    b"QUEUE_ERROR": 503,
    b"JOB_QUEUE_FULL": 503,
    b"ARGUMENT_TOO_LARGE": 400,
}

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

# What the next line of a reader is.
_AT_REQUEST: Final = 0
_AT_HEADER: Final = 1
_AT_WORKLOAD: Final = 2
_AT_END: Final = 3


class HttpFault:
    """
    Why a request is refused.

    Attributes:
        status: Status code of the response.
        text: What is wrong and what to send instead, one line for the peer's eyes.
        version: Version of the response's status line.
        head: Whether the response must go without a body.

    """

    __slots__ = ("head", "status", "text", "version")

    def __init__(
        self, status: int, text: str, version: bytes = b"HTTP/1.1", head: bool = False
    ) -> None:
        self.status = status
        self.text = text
        self.version = version
        self.head = head

    def __repr__(self) -> str:
        return f"HttpFault({self.status}, {self.text!r})"


class HttpRequest:
    """
    One job, as HTTP says it.

    Attributes:
        method: ``GET``, ``HEAD``, ``POST`` or ``PUT``.
        version: ``HTTP/1.0`` or ``HTTP/1.1``; the response repeats it.
        function: The path without its leading slashes, byte for byte as sent: slashes,
            query and %-escapes are part of the name. Empty for ``HEAD /`` only.
        unique: Key of the job; ``-``, the workload itself is the key, where none was sent.
        background: Answer with the handle at once.
        priority: ``HIGH``, ``NORMAL`` or ``LOW``.
        workload: The body.

    """

    __slots__ = ("background", "function", "method", "priority", "unique", "version", "workload")

    def __init__(self, method: bytes, version: bytes, function: bytes) -> None:
        self.method = method
        self.version = version
        self.function = function
        self.unique = b"-"
        self.background = False
        self.priority = NORMAL
        self.workload = b""

    @property
    def head(self) -> bool:
        """Whether the response must go without a body."""
        return self.method == b"HEAD"

    def __repr__(self) -> str:
        return f"HttpRequest({self.method!r}, {self.function!r}, {len(self.workload)} bytes)"


class HttpReader:
    """
    Reads the one request of a connection.

    Args:
        max_workload: Largest body taken, in bytes. A larger one is refused at the
            header, before a byte of it is kept.

    Attributes:
        fault: Why the request is refused, or None. Once it is set nothing more comes
            out of the reader.

    """

    def __init__(self, max_workload: int = MAX_WORKLOAD) -> None:
        self.max_workload = max_workload
        self.fault: HttpFault | None = None
        self.state = _AT_REQUEST
        self.pending = bytearray()
        # Where the search for the end of a line goes on.
        self.searched = 0
        self.head_size = 0
        self.header_count = 0
        self.headers: dict[bytes, bytes] = {}
        self.request = HttpRequest(b"", b"HTTP/1.1", b"")
        self.length = 0
        self.interim = b""

    def receive_data(self, data: bytes) -> list[HttpRequest]:
        """
        Take what arrived and return the request if it is now complete.

        Bytes after the request are dropped: the connection ends with its response.
        """
        if self.state == _AT_END:
            return []
        self.pending += data
        while self.state < _AT_WORKLOAD:
            end = self.pending.find(b"\n", self.searched)
            if end < 0:
                self.searched = len(self.pending)
                if self.searched > MAX_LINE:
                    self.refuse_long_line()
                return []
            self.receive_line(end)
        if self.state == _AT_END or len(self.pending) < self.length:
            return []
        del self.pending[self.length :]
        self.request.workload = bytes(self.pending)
        self.pending.clear()
        self.state = _AT_END
        return [self.request]

    def take_interim(self) -> bytes:
        """Return what has to be written before the body arrives: ``100 Continue``, or nothing."""
        interim = self.interim
        self.interim = b""
        return interim

    def receive_line(self, end: int) -> None:
        """Take the line that ends at index ``end`` out of what is pending and read it."""
        if end > MAX_LINE:
            self.refuse_long_line()
            return
        line = bytes(self.pending[:end])
        del self.pending[: end + 1]
        self.searched = 0
        self.head_size += end + 1
        if self.head_size > MAX_HEAD:
            self.refuse(431, f"the headers take more than {MAX_HEAD} bytes")
            return
        if line.endswith(b"\r"):
            line = line[:-1]
        if self.state == _AT_REQUEST:
            # RFC 9112, 2.2: an empty line before the request is no error.
            if line:
                self.receive_request_line(line)
        elif line:
            self.receive_header(line)
        else:
            self.finish_head()

    def receive_request_line(self, line: bytes) -> None:
        """Read ``METHOD /function HTTP/1.x``."""
        words = line.split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/"):
            self.refuse(400, "the first line is not of the form: POST /function HTTP/1.1")
            return
        method, target, version = words
        if version not in _VERSIONS:
            self.refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
            return
        function = target.lstrip(b"/")
        self.request = HttpRequest(method, version, function)
        if method not in _METHODS:
            self.refuse(405, "the method is one of GET, HEAD, POST, PUT")
        elif not target.startswith(b"/") or _CONTROL.search(target) or b"\t" in target:
            self.refuse(400, "the path is not of the form: /function")
        elif not function and method != b"HEAD":
            self.refuse(404, "the path names no function, as in: POST /function HTTP/1.1")
        else:
            self.state = _AT_HEADER

    def receive_header(self, line: bytes) -> None:
        """Read ``Name: value`` and keep it if it means something here."""
        self.header_count += 1
        if self.header_count > MAX_HEADERS:
            self.refuse(431, f"there are more than {MAX_HEADERS} headers")
            return
        name, colon, value = line.partition(b":")
        # A folded line or a blank before the colon is how requests are smuggled (RFC 9112, 5).
        if not colon or _TOKEN.fullmatch(name) is None or _CONTROL.search(value):
            self.refuse(400, "a header is not of the form: Name: value")
            return
        key = name.lower()
        if key not in _KNOWN:
            return
        if key in self.headers:
            self.refuse(400, f"the header {key.decode()} is there twice")
            return
        self.headers[key] = value.strip(b" \t")

    def finish_head(self) -> None:
        """Read what the headers say together, and turn to the body."""
        headers = self.headers
        if b"transfer-encoding" in headers:
            self.refuse(501, "transfer codings are not implemented; send a Content-Length")
            return
        self.read_length(headers.get(b"content-length", b"0"))
        if self.fault is not None:
            return
        expected = headers.get(b"expect")
        if expected is not None and expected.lower() != b"100-continue":
            self.refuse(417, "the only expectation met here is 100-continue")
            return
        if expected is not None and self.length and self.request.version == b"HTTP/1.1":
            self.interim = _CONTINUE
        request = self.request
        request.unique = headers.get(b"x-gearman-unique") or b"-"
        request.background = headers.get(b"x-gearman-background", b"").lower() == b"true"
        priority = headers.get(b"x-gearman-priority", b"").lower()
        request.priority = HIGH if priority == b"high" else LOW if priority == b"low" else NORMAL
        self.state = _AT_WORKLOAD

    def read_length(self, value: bytes) -> None:
        """Read the Content-Length."""
        if _DIGITS.fullmatch(value) is None:
            # More digits than any size has are still a size; anything else is none.
            status = 413 if value.isdigit() else 400
            self.refuse(status, "the Content-Length is no number of bytes that could be taken")
            return
        self.length = int(value)
        if self.length > self.max_workload:
            self.refuse(413, f"the body is larger than {self.max_workload} bytes")
        elif self.length and self.request.method not in (b"POST", b"PUT"):
            self.refuse(400, "only POST and PUT carry a body")

    def refuse_long_line(self) -> None:
        """Refuse a line that is too long, with the status of the line it is."""
        if self.state == _AT_REQUEST:
            self.refuse(414, f"the first line is longer than {MAX_LINE} bytes")
        else:
            self.refuse(431, f"a header is longer than {MAX_LINE} bytes")

    def refuse(self, status: int, text: str) -> None:
        """Stop reading, and say why."""
        request = self.request
        self.fault = HttpFault(status, text, request.version, request.head)
        self.pending.clear()
        self.state = _AT_END


class HttpReply:
    """
    Collects what the server has to say of one job until the response can be written.

    The length of a response comes before its body, so WORK_DATA has to be kept
    until the job ends. WORK_STATUS and WORK_WARNING have no place in HTTP and
    are dropped.

    Args:
        request: The request to answer.
        max_body: Most bytes of WORK_DATA and result that are kept together; with more
            the response is a 502.

    """

    def __init__(self, request: HttpRequest, max_body: int = MAX_WORKLOAD) -> None:
        self.request = request
        self.max_body = max_body
        self.handle = b""
        self.pieces: list[bytes] = []
        self.size = 0

    def receive_packet(self, kind: int, args: list[bytes]) -> bytes:
        """
        Take one packet of the job and return the response, or nothing before the job is over.

        Args:
            kind: JOB_CREATED, any WORK_* or ERROR; other packets are ignored.
            args: Its arguments, as in ``wire.packet.ARGUMENTS``.

        """
        if kind == ERROR:
            return respond_error(self.request, args[0], args[1])
        if kind == JOB_CREATED:
            self.handle = args[0]
            if self.request.background:
                return respond(self.request, self.handle, JOB_CREATED, b"")
        elif kind == WORK_DATA:
            self.keep(args[1])
        elif kind in (WORK_COMPLETE, WORK_EXCEPTION):
            self.keep(args[1])
            return self.finish(kind)
        elif kind == WORK_FAIL:
            return self.finish(kind)
        return b""

    def keep(self, piece: bytes) -> None:
        """Keep a piece of the body, unless there is too much of it already."""
        self.size += len(piece)
        if self.size > self.max_body:
            self.pieces.clear()
        else:
            self.pieces.append(piece)

    def finish(self, kind: int) -> bytes:
        """Return the response of a job that is over."""
        if self.size > self.max_body:
            text = f"the job sent more than {self.max_body} bytes"
            return respond_fault(HttpFault(502, text, self.request.version, self.request.head))
        return respond(self.request, self.handle, kind, b"".join(self.pieces))


def respond(request: HttpRequest, handle: bytes, kind: int, body: bytes) -> bytes:
    """
    Return the response for a job: always 200, the ending is in ``X-Gearman-Command``.

    Args:
        request: The request to answer.
        handle: The job's handle.
        kind: WORK_COMPLETE, WORK_FAIL, WORK_EXCEPTION, or JOB_CREATED in the background.
        body: Result, or what came of it before the job failed.

    """
    headers = b"X-Gearman-Job-Handle: %b\r\nX-Gearman-Command: %b\r\n" % (
        handle,
        NAMES[kind].encode(),
    )
    return _response(request.version, 200, headers, body, request.head)


def respond_alive(request: HttpRequest) -> bytes:
    """Return the response to ``HEAD /``: the server is there, and nothing else."""
    return _response(request.version, 200, b"", b"", True)


def respond_error(request: HttpRequest, code: bytes, text: bytes) -> bytes:
    """
    Return the response for an ERROR packet: the job was refused and will not run.

    Args:
        request: The request to answer.
        code: The packet's code; a full queue is a 503, a key too long a 400.
        text: What the packet says about it.

    """
    status = _ERROR_STATUS.get(code, 500)
    headers = b"X-Gearman-Command: ERROR\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return _response(request.version, status, headers, code + b": " + text + b"\n", request.head)


def respond_fault(fault: HttpFault) -> bytes:
    """Return the response to a request that was refused."""
    headers = b"Content-Type: text/plain; charset=utf-8\r\n"
    if fault.status == 405:
        headers += b"Allow: GET, HEAD, POST, PUT\r\n"
    return _response(fault.version, fault.status, headers, fault.text.encode() + b"\n", fault.head)


def _response(version: bytes, status: int, headers: bytes, body: bytes, head: bool) -> bytes:
    # The order of the headers is gearmand's.
    return b"%b %d %b\r\n%bContent-Length: %d\r\nServer: Gearman/%b\r\n%b\r\n%b" % (
        version,
        status,
        _REASONS[status],
        headers,
        len(body),
        __version__.encode(),
        b"Connection: close\r\n" if version == b"HTTP/1.1" else b"",
        b"" if head else body,
    )


__all__ = [
    "HIGH",
    "LOW",
    "MAX_HEAD",
    "MAX_HEADERS",
    "MAX_LINE",
    "MAX_WORKLOAD",
    "NORMAL",
    "HttpFault",
    "HttpReader",
    "HttpReply",
    "HttpRequest",
    "respond",
    "respond_alive",
    "respond_error",
    "respond_fault",
]
