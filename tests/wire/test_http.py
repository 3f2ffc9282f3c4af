"""The HTTP protocol, byte for byte."""

from __future__ import annotations

import http.client
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain import __version__
from geartrain.wire import http as wire_http
from geartrain.wire.http import (
    HIGH,
    LOW,
    NORMAL,
    HttpFault,
    HttpReader,
    HttpReply,
    HttpRequest,
    respond,
    respond_alive,
    respond_error,
    respond_fault,
)
from geartrain.wire.packet import (
    ERROR,
    JOB_CREATED,
    NOOP,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_EXCEPTION,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
)

SERVER = f"Server: Gearman/{__version__}\r\n".encode()


def read(data: bytes, max_workload: int = 1000) -> HttpRequest:
    reader = HttpReader(max_workload)
    requests = reader.receive_data(data)
    assert reader.fault is None
    assert len(requests) == 1
    return requests[0]


def refusal(data: bytes, max_workload: int = 1000) -> HttpFault:
    reader = HttpReader(max_workload)
    assert reader.receive_data(data) == []
    assert reader.fault is not None
    assert reader.receive_data(b"GET /again HTTP/1.1\r\n\r\n") == []
    return reader.fault


class Wire(io.BytesIO):
    """What http.client takes for a socket."""

    def makefile(self, *_: object) -> Wire:
        return self


def parse(response: bytes, method: str = "GET") -> http.client.HTTPResponse:
    parsed = http.client.HTTPResponse(Wire(response), method=method)  # type: ignore[arg-type]
    parsed.begin()
    return parsed


# Requests.


def test_a_get_submits_a_job_without_workload():
    request = read(b"GET /reverse HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert request.method == b"GET"
    assert request.function == b"reverse"
    assert request.workload == b""
    assert request.unique == b"-"
    assert request.priority == NORMAL
    assert not request.background
    assert not request.head
    assert request.version == b"HTTP/1.1"


@pytest.mark.parametrize("method", [b"POST", b"PUT"])
def test_a_post_or_put_submits_its_body(method):
    request = read(method + b" /reverse HTTP/1.0\r\nContent-Length: 4\r\n\r\nte\0t")
    assert request.method == method
    assert request.workload == b"te\0t"
    assert request.version == b"HTTP/1.0"


def test_the_headers_say_unique_background_and_priority():
    request = read(
        b"POST /f HTTP/1.1\r\n"
        b"X-Gearman-Unique: photo 1\r\n"
        b"x-gearman-background:TRUE\r\n"
        b"X-GEARMAN-PRIORITY:  High \r\n"
        b"\r\n"
    )
    assert request.unique == b"photo 1"
    assert request.background
    assert request.priority == HIGH


def test_low_is_a_priority_and_other_words_are_ignored_as_gearmand_does():
    assert read(b"GET /f HTTP/1.1\r\nX-Gearman-Priority: low\r\n\r\n").priority == LOW
    request = read(
        b"GET /f HTTP/1.1\r\nX-Gearman-Priority: urgent\r\nX-Gearman-Background: yes\r\n\r\n"
    )
    assert request.priority == NORMAL
    assert not request.background


def test_an_empty_unique_is_the_default_one():
    assert read(b"GET /f HTTP/1.1\r\nX-Gearman-Unique: \r\n\r\n").unique == b"-"


def test_the_path_is_the_function_byte_for_byte():
    assert read(b"GET //a/b%20c?d=e HTTP/1.1\r\n\r\n").function == b"a/b%20c?d=e"
    assert read(b"GET /caf\xc3\xa9 HTTP/1.1\r\n\r\n").function == b"caf\xc3\xa9"


def test_lines_may_end_with_a_bare_newline_and_empty_ones_may_come_first():
    assert read(b"\r\n\nPOST /f HTTP/1.0\nContent-Length: 1\n\nx").workload == b"x"


def test_bytes_after_the_request_are_dropped():
    reader = HttpReader()
    first = b"POST /f HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"
    assert len(reader.receive_data(first + b"GET /g HTTP/1.1\r\n\r\n")) == 1
    assert reader.receive_data(b"GET /h HTTP/1.1\r\n\r\n") == []
    assert reader.fault is None


def test_head_of_the_root_asks_whether_the_server_is_there():
    request = read(b"HEAD / HTTP/1.1\r\n\r\n")
    assert request.head
    assert request.function == b""


def test_head_of_a_function_runs_it():
    request = read(b"HEAD /f HTTP/1.1\r\n\r\n")
    assert request.head
    assert request.function == b"f"


def test_a_body_that_waits_for_100_continue_is_told_to_come():
    reader = HttpReader()
    head = b"POST /f HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
    assert reader.receive_data(head) == []
    assert reader.take_interim() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert reader.take_interim() == b""
    assert reader.receive_data(b"ab")[0].workload == b"ab"


@pytest.mark.parametrize(
    "head",
    [
        b"POST /f HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        b"POST /f HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
    ],
)
def test_nothing_is_said_in_between_to_http_1_0_or_without_a_body(head):
    reader = HttpReader()
    reader.receive_data(head)
    assert reader.fault is None
    assert reader.take_interim() == b""


# Refusals.


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /f\r\n", 400),
        (b"GET  /f HTTP/1.1\r\n", 400),
        (b"GET /f HTTP/1.1 \r\n", 400),
        (b"GET /f SPDY/1.1\r\n", 400),
        (b"\0REQ\0\0\0\x10\0\0\0\0\n", 400),
        (b"GET f HTTP/1.1\r\n", 400),
        (b"GET http://host/f HTTP/1.1\r\n", 400),
        (b"GET /a\x01b HTTP/1.1\r\n", 400),
        (b"GET /a\tb HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\n", 404),
        (b"POST // HTTP/1.1\r\n", 404),
        (b"TRACE /f HTTP/1.1\r\n", 405),
        (b"get /f HTTP/1.1\r\n", 405),
        (b"DELETE /f HTTP/1.1\r\n", 405),
        (b"GET /f HTTP/2.0\r\n", 505),
        (b"GET /f HTTP/0.9\r\n", 505),
    ],
)
def test_a_wrong_first_line_is_refused(data, status):
    assert refusal(data).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 1\r\nContent-Length: 1", 400),
        (b"Content-Length: -1", 400),
        (b"Content-Length: +1", 400),
        (b"Content-Length: 1_0", 400),
        (b"Content-Length: 0x10", 400),
        (b"Content-Length: 1, 1", 400),
        (b"Content-Length:", 400),
        (b"Content-Length: \xd9\xa1", 400),
        (b"Content-Length: 1001", 413),
        (b"Content-Length: " + b"9" * 400, 413),
        (b"Transfer-Encoding: chunked", 501),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 4", 501),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
        (b"Expect: miracles", 417),
        (b"X-Gearman-Unique: a\r\nX-Gearman-Unique: b", 400),
        (b"No colon", 400),
        (b"Blank : before the colon", 400),
        (b": no name", 400),
        (b"A: folded\r\n line", 400),
        (b"A: nul\0", 400),
        (b"A: return\rinside", 400),
    ],
)
def test_a_wrong_header_is_refused(headers, status):
    assert refusal(b"POST /f HTTP/1.1\r\n" + headers + b"\r\n\r\n").status == status


def test_the_largest_workload_is_taken():
    body = b"x" * 1000
    assert read(b"POST /f HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + body).workload == body


def test_a_get_carries_no_body():
    assert refusal(b"GET /f HTTP/1.1\r\nContent-Length: 1\r\n\r\n").status == 400
    assert read(b"GET /f HTTP/1.1\r\nContent-Length: 0\r\n\r\n").workload == b""


def test_a_first_line_without_an_end_is_refused():
    assert refusal(b"GET /" + b"f" * wire_http.MAX_LINE).status == 414


def test_a_first_line_that_is_too_long_is_refused():
    assert refusal(b"GET /" + b"f" * wire_http.MAX_LINE + b" HTTP/1.1\r\n").status == 414


def test_a_header_that_is_too_long_is_refused_with_and_without_its_end():
    head = b"GET /f HTTP/1.1\r\nA: " + b"f" * wire_http.MAX_LINE
    assert refusal(head).status == 431
    assert refusal(head + b"\r\n").status == 431


def test_too_many_headers_are_refused():
    head = b"GET /f HTTP/1.1\r\n"
    most = b"A: b\r\n" * wire_http.MAX_HEADERS
    assert read(head + most + b"\r\n").function == b"f"
    assert refusal(head + most + b"A: b\r\n").status == 431


def test_headers_that_are_too_large_together_are_refused():
    line = b"A: " + b"b" * 4000 + b"\r\n"
    count = wire_http.MAX_HEAD // len(line) + 1
    assert refusal(b"GET /f HTTP/1.1\r\n" + line * count).status == 431


def test_a_refusal_keeps_no_bytes():
    reader = HttpReader()
    reader.receive_data(b"GET /" + b"f" * wire_http.MAX_LINE)
    assert len(reader.pending) == 0


def test_a_fault_and_a_request_show_themselves_in_a_log():
    assert repr(HttpFault(404, "no")) == "HttpFault(404, 'no')"
    assert repr(read(b"GET /f HTTP/1.1\r\n\r\n")) == "HttpRequest(b'GET', b'f', 0 bytes)"


# Responses.


def test_the_result_is_answered_as_gearmand_answers_it():
    request = read(b"GET /f HTTP/1.1\r\n\r\n")
    assert respond(request, b"H:lap:1", WORK_COMPLETE, b"result") == (
        b"HTTP/1.1 200 OK\r\n"
        b"X-Gearman-Job-Handle: H:lap:1\r\n"
        b"X-Gearman-Command: WORK_COMPLETE\r\n"
        b"Content-Length: 6\r\n" + SERVER + b"Connection: close\r\n"
        b"\r\n"
        b"result"
    )


def test_http_1_0_is_answered_in_http_1_0_without_connection_close():
    request = read(b"GET /f HTTP/1.0\r\n\r\n")
    assert respond(request, b"H:lap:1", WORK_COMPLETE, b"") == (
        b"HTTP/1.0 200 OK\r\n"
        b"X-Gearman-Job-Handle: H:lap:1\r\n"
        b"X-Gearman-Command: WORK_COMPLETE\r\n"
        b"Content-Length: 0\r\n" + SERVER + b"\r\n"
    )


def test_head_is_answered_with_the_length_and_without_the_body():
    request = read(b"HEAD /f HTTP/1.1\r\n\r\n")
    response = respond(request, b"H:lap:1", WORK_COMPLETE, b"result")
    assert b"Content-Length: 6\r\n" in response
    assert response.endswith(b"\r\n\r\n")


def test_head_of_the_root_is_answered_without_a_handle():
    request = read(b"HEAD / HTTP/1.1\r\n\r\n")
    assert respond_alive(request) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + SERVER + b"Connection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (b"QUEUE_ERROR", b"503 Service Unavailable"),
        (b"JOB_QUEUE_FULL", b"503 Service Unavailable"),
        (b"ARGUMENT_TOO_LARGE", b"400 Bad Request"),
        (b"INVALID_COMMAND", b"500 Internal Server Error"),
    ],
)
def test_an_error_packet_has_a_status_of_its_own(code, status):
    request = read(b"GET /f HTTP/1.1\r\n\r\n")
    response = respond_error(request, code, b"words")
    assert response.startswith(b"HTTP/1.1 " + status + b"\r\nX-Gearman-Command: ERROR\r\n")
    assert response.endswith(b"\r\n\r\n" + code + b": words\n")


def test_a_refused_method_is_told_which_ones_there_are():
    response = respond_fault(refusal(b"TRACE /f HTTP/1.1\r\n"))
    assert response.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: GET, HEAD, POST, PUT\r\n" in response


def test_a_refused_head_is_answered_without_a_body():
    response = respond_fault(refusal(b"HEAD /f HTTP/1.0\r\nContent-Length: 1\r\n\r\n"))
    assert response.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert response.endswith(b"\r\n\r\n")


def test_every_refusal_is_a_response_http_clients_read():
    for status in wire_http._REASONS:
        parsed = parse(respond_fault(HttpFault(status, "why")))
        assert parsed.status == status
        assert parsed.read() == b"why\n"


# A job's packets, collected into one response.


def reply(data: bytes = b"GET /f HTTP/1.1\r\n\r\n", max_body: int = 1000) -> HttpReply:
    return HttpReply(read(data), max_body)


def test_pieces_of_data_are_put_in_front_of_the_result():
    job = reply()
    assert job.receive_packet(JOB_CREATED, [b"H:lap:1"]) == b""
    assert job.receive_packet(WORK_DATA, [b"H:lap:1", b"one "]) == b""
    assert job.receive_packet(WORK_STATUS, [b"H:lap:1", b"1", b"2"]) == b""
    assert job.receive_packet(WORK_WARNING, [b"H:lap:1", b"careful"]) == b""
    assert job.receive_packet(NOOP, []) == b""
    assert job.receive_packet(WORK_DATA, [b"H:lap:1", b"two "]) == b""
    parsed = parse(job.receive_packet(WORK_COMPLETE, [b"H:lap:1", b"three"]))
    assert parsed.status == 200
    assert parsed.headers["X-Gearman-Job-Handle"] == "H:lap:1"
    assert parsed.headers["X-Gearman-Command"] == "WORK_COMPLETE"
    assert parsed.read() == b"one two three"


def test_a_background_job_is_answered_with_its_handle_at_once():
    job = reply(b"GET /f HTTP/1.1\r\nX-Gearman-Background: true\r\n\r\n")
    parsed = parse(job.receive_packet(JOB_CREATED, [b"H:lap:1"]))
    assert parsed.status == 200
    assert parsed.headers["X-Gearman-Job-Handle"] == "H:lap:1"
    assert parsed.headers["X-Gearman-Command"] == "JOB_CREATED"
    assert parsed.read() == b""


def test_a_failed_job_keeps_status_200_and_says_so_in_its_header():
    job = reply()
    job.receive_packet(JOB_CREATED, [b"H:lap:1"])
    job.receive_packet(WORK_DATA, [b"H:lap:1", b"output before it failed"])
    parsed = parse(job.receive_packet(WORK_FAIL, [b"H:lap:1"]))
    assert parsed.status == 200
    assert parsed.headers["X-Gearman-Job-Handle"] == "H:lap:1"
    assert parsed.headers["X-Gearman-Command"] == "WORK_FAIL"
    assert parsed.read() == b"output before it failed"


def test_an_exception_is_the_body():
    job = reply()
    job.receive_packet(JOB_CREATED, [b"H:lap:1"])
    parsed = parse(job.receive_packet(WORK_EXCEPTION, [b"H:lap:1", b"ValueError"]))
    assert parsed.headers["X-Gearman-Command"] == "WORK_EXCEPTION"
    assert parsed.read() == b"ValueError"


def test_a_full_queue_is_a_503():
    parsed = parse(reply().receive_packet(ERROR, [b"QUEUE_ERROR", b"Job queue is full"]))
    assert parsed.status == 503
    assert parsed.read() == b"QUEUE_ERROR: Job queue is full\n"


def test_a_job_that_sends_too_much_is_a_502_and_is_not_kept():
    job = reply(max_body=10)
    job.receive_packet(JOB_CREATED, [b"H:lap:1"])
    job.receive_packet(WORK_DATA, [b"H:lap:1", b"123456"])
    job.receive_packet(WORK_DATA, [b"H:lap:1", b"789012"])
    assert job.pieces == []
    parsed = parse(job.receive_packet(WORK_COMPLETE, [b"H:lap:1", b""]))
    assert parsed.status == 502


# The machine's own requests.

values = st.text("abcdefgh-123 .:/", min_size=1, max_size=20).map(str.strip).filter(bool)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, HttpRequest]:
    """Bytes of a correct request, and what has to come out of them."""
    body = draw(st.binary(max_size=200))
    request = HttpRequest(b"POST", draw(st.sampled_from([b"HTTP/1.0", b"HTTP/1.1"])), b"")
    request.function = draw(st.text("abc%?=&.", min_size=1, max_size=20)).encode()
    request.unique = draw(values).encode()
    request.background = draw(st.booleans())
    request.priority = draw(st.sampled_from([HIGH, NORMAL, LOW]))
    request.workload = body
    lines = [
        b"X-Gearman-Unique: " + request.unique,
        b"X-Gearman-Priority: " + (b"high", b"normal", b"low")[request.priority],
        b"Content-Length: %d" % len(body),
        b"User-Agent: " + draw(values).encode(),
    ]
    if request.background:
        lines.append(b"X-Gearman-Background: true")
    head = [b"POST /" + request.function + b" " + request.version, *draw(st.permutations(lines))]
    end = draw(st.sampled_from([b"\r\n", b"\n"]))
    return end.join([*head, b"", b""]) + body, request


# Not ``__slots__``, which the compiled class does not have.
ATTRIBUTES = ("method", "version", "function", "unique", "background", "priority", "workload")


def facts(request: HttpRequest) -> list[object]:
    return [getattr(request, name) for name in ATTRIBUTES]


@given(streams(), st.data())
def test_requests_survive_any_cut(sent, data):
    """However the network cuts the stream, the same request comes out, once."""
    stream, request = sent
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = HttpReader()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += reader.receive_data(stream[start:end])
    assert reader.fault is None
    assert [facts(one) for one in received] == [facts(request)]


@given(st.binary(max_size=300), st.data())
def test_any_bytes_give_the_same_answer_however_they_are_cut(noise, data):
    """Nonsense is refused, taken or waited for; never an exception, never depending on cuts."""
    stream = data.draw(st.sampled_from([b"", b"POST /f HTTP/1.1\r\n", b"GET /"])) + noise
    cut = data.draw(st.integers(0, len(stream)))
    whole, parts = HttpReader(), HttpReader()
    once = whole.receive_data(stream)
    twice = parts.receive_data(stream[:cut]) + parts.receive_data(stream[cut:])
    assert [facts(one) for one in once] == [facts(one) for one in twice]
    assert repr(whole.fault) == repr(parts.fault)


@given(st.lists(st.binary(max_size=50)), st.binary(max_size=50), st.booleans())
def test_any_result_is_read_back_by_an_http_client(pieces, result, head):
    """What http.client reads from the response is what the worker sent."""
    method = b"HEAD" if head else b"GET"
    job = HttpReply(read(method + b" /f HTTP/1.1\r\n\r\n"), 100_000)
    job.receive_packet(JOB_CREATED, [b"H:lap:1"])
    for piece in pieces:
        assert job.receive_packet(WORK_DATA, [b"H:lap:1", piece]) == b""
    response = job.receive_packet(WORK_COMPLETE, [b"H:lap:1", result])
    parsed = parse(response, method.decode())
    body = b"".join(pieces) + result
    assert parsed.headers["Content-Length"] == str(len(body))
    assert parsed.read() == (b"" if head else body)
