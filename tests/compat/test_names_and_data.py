"""What is written down for servers, names and data, and what becomes of it."""

from __future__ import annotations

import json

import pytest

from geartrain.client.address import Address
from geartrain.compat import gearman
from geartrain.compat.gearman import errors, protocol, util
from geartrain.compat.gearman.connection_manager import GearmanConnectionManager
from geartrain.compat.gearman.job import GearmanJob, GearmanJobRequest
from geartrain.errors import GeartrainError, UsageError


@pytest.mark.parametrize(
    ("host_list", "addresses"),
    [
        (["a:1", b"b:2", "c"], ["a:1", "b:2", "c:4730"]),
        ([("a", 1), ("b", "2"), ["c", 3]], ["a:1", "b:2", "c:3"]),
        ([{"host": "a", "port": 1}, {"host": "b"}], ["a:1", "b:4730"]),
        ([{"host": "a", "port": "1", "keyfile": None, "certfile": "", "ca_certs": None}], ["a:1"]),
        ((("a", 1),), ["a:1"]),
        ("a:1, b:2", ["a:1", "b:2"]),
        ([], []),
    ],
)
def test_servers_are_written_in_many_ways(host_list, addresses):
    connections = GearmanConnectionManager(host_list).connection_list
    assert [str(connection.address) for connection in connections] == addresses


def test_servers_of_the_environment_are_taken_where_none_are_named(monkeypatch):
    monkeypatch.setenv("GEARMAN_SERVERS", "a:1,b:2")
    (first, second) = gearman.GearmanClient().connection_list
    assert (first.get_address(), second.gearman_host) == (("a", 1), "b")
    assert repr(first) == "<GearmanConnection a:1 connected=False>"


def test_a_server_with_a_certificate_is_refused_with_the_reason():
    with pytest.raises(UsageError, match="TLS is not available yet; leave out keyfile"):
        gearman.GearmanWorker([{"host": "a", "port": 1, "certfile": "x.pem"}])


def test_a_server_may_be_added():
    manager = GearmanConnectionManager(["a:1"])
    manager.add_connection(("b", 2))
    manager.add_connection(manager.connection_list[0])
    assert [one.address for one in manager.connection_list] == [
        Address("a", 1),
        Address("b", 2),
        Address("a", 1),
    ]


def test_no_server_at_all_is_unavailable():
    for connect in (
        lambda: gearman.GearmanClient([]).submit_job("f", ""),
        lambda: gearman.GearmanWorker([]).work(),
        lambda: gearman.GearmanAdminClient([]),
    ):
        with pytest.raises(errors.ServerUnavailable, match="host_list is empty"):
            connect()


def test_names_are_text_however_they_came():
    job = GearmanJob(None, b"H:1", b"f", b"u\xff", b"d")
    assert job.to_dict() == {"task": "f", "job_handle": "H:1", "unique": "u\udcff", "data": b"d"}
    worker = gearman.GearmanWorker(["a:1"])
    worker.register_task(b"x", print)
    worker.register_task("y", print)
    worker.set_client_id(b"w")
    assert (list(worker.worker_abilities), worker.worker_client_id) == (["x", "y"], "w")
    worker.unregister_task(b"y")
    worker.unregister_task("x")
    assert worker.worker_abilities == {}


def test_a_request_starts_unknown_and_can_be_reset():
    request = GearmanJobRequest(GearmanJob(None, None, "f", "u", b"d"))
    assert (request.state, request.status, request.complete) == (gearman.JOB_UNKNOWN, {}, False)
    assert (request.priority, request.max_connection_attempts) == (gearman.PRIORITY_NONE, 1)
    request.state, request.result, request.connection_attempts = gearman.JOB_COMPLETE, b"r", 1
    assert request.complete
    request.reset()
    assert (request.state, request.result, request.connection_attempts) == ("UNKNOWN", None, 0)
    assert request.gearman_job is request.job


@pytest.mark.parametrize(
    ("data", "sent"),
    [(b"\x00", b"\x00"), ("ä", "ä".encode()), (bytearray(b"x"), b"x"), (None, b"")],
)
def test_data_is_sent_as_bytes(data, sent):
    assert GearmanConnectionManager([]).encode_data(data) == sent


def test_data_comes_out_as_bytes_unless_text_is_asked_for(monkeypatch):
    manager = GearmanConnectionManager([])
    assert manager.decode_data(b"\xc3\xa4\xff") == b"\xc3\xa4\xff"
    monkeypatch.setattr(gearman, "DATA", "text")
    assert manager.decode_data(b"\xc3\xa4\xff") == "ä\udcff"
    assert manager.encode_data("ä\udcff") == b"\xc3\xa4\xff"
    monkeypatch.undo()
    manager.data_encoder = gearman.TextDataEncoder
    assert manager.decode_data(b"x") == "x"


def test_data_that_has_no_bytes_is_a_type_error_that_says_what_to_do():
    manager = GearmanConnectionManager([])
    with pytest.raises(TypeError, match=r"not reversed; .* data\[::-1\]"):
        manager.encode_data(reversed("abc"))
    manager.data_encoder = json
    with pytest.raises(errors.EncodingError):
        manager.encode_data("x")


def test_an_encoder_that_gives_neither_bytes_nor_text_is_named():
    class Wrong(gearman.DataEncoder):
        @classmethod
        def encode(cls, encodable_object):
            return 7

    manager = GearmanConnectionManager([])
    manager.data_encoder = Wrong
    with pytest.raises(errors.EncodingError, match=r"Wrong.* returned int"):
        manager.encode_data("x")


@pytest.mark.parametrize("name", errors.__all__)
def test_every_exception_is_of_both_trees(name):
    error = getattr(errors, name)
    assert issubclass(error, errors.GearmanError)
    assert issubclass(error, GeartrainError)


def test_packets_put_together_by_hand_come_apart_again():
    packed = protocol.pack_binary_command(
        protocol.GEARMAN_COMMAND_SUBMIT_JOB, {"task": "f", "unique": "u", "data": b"a\0b"}
    )
    assert packed == bytes.fromhex("00524551 00000007 00000007 66 00 75 00 610062")
    number, arguments, length = protocol.parse_binary_command(packed + b"more", is_response=False)
    assert protocol.get_command_name(number) == "GEARMAN_COMMAND_SUBMIT_JOB"
    assert arguments == {"task": b"f", "unique": b"u", "data": b"a\0b"}
    assert length == len(packed)
    assert protocol.parse_binary_command(packed[:-1], is_response=False) == (None, None, 0)
    assert protocol.parse_binary_command(packed[:5]) == (None, None, 0)


def test_every_packet_has_a_number_a_name_and_arguments():
    for number, names in protocol.GEARMAN_PARAMS_FOR_COMMAND.items():
        assert getattr(protocol, protocol.get_command_name(number)) == number
        packed = protocol.pack_binary_command(number, dict.fromkeys(names, b"x"), True)
        assert protocol.parse_binary_command(packed) == (
            number,
            dict.fromkeys(names, b"x"),
            len(packed),
        )
    with pytest.raises(AttributeError, match="GEARMAN_COMMAND_NONE"):
        protocol.GEARMAN_COMMAND_NONE  # noqa: B018


@pytest.mark.parametrize(
    ("number", "arguments"),
    [(99, {}), (1, {}), (1, {"task": b"f", "more": b""}), (23, {"task": b"\0", "timeout": b"1"})],
)
def test_packets_that_are_none_are_refused(number, arguments):
    with pytest.raises(errors.ProtocolError):
        protocol.pack_binary_command(number, arguments)


@pytest.mark.parametrize("data", [b"\0RES", b"\0XXX", b"\0REQ\0\0\0\x63"])
def test_bytes_that_are_no_packet_are_refused(data):
    with pytest.raises(errors.ProtocolError):
        protocol.parse_binary_command(data.ljust(12, b"\0"), is_response=False)


def test_the_packet_that_submits_depends_on_priority_and_background():
    number = protocol.submit_cmd_for_background_priority(True, gearman.PRIORITY_HIGH)
    assert number == protocol.GEARMAN_COMMAND_SUBMIT_JOB_HIGH_BG


def test_small_tools():
    assert util.unlist([1]) == 1
    assert util.unlist([]) is None
    with pytest.raises(ValueError, match="2 are there"):
        util.unlist([1, 2])
    assert util.disambiguate_server_parameter("h") == ("h", 4730)
    endless, over = util.Stopwatch(None), util.Stopwatch(0.0)
    assert (endless.get_time_remaining(), endless.has_time_remaining()) == (None, True)
    assert (over.get_time_remaining(), over.has_time_remaining()) == (0.0, False)
