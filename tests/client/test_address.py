from __future__ import annotations

import pytest

from geartrain.client.address import Address, parse_address, parse_addresses
from geartrain.errors import UsageError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", Address("10.0.0.1", 4730)),
        ("queue.example:4731", Address("queue.example", 4731)),
        (" queue.example ", Address("queue.example", 4730)),
        ("[::1]", Address("::1", 4730)),
        ("[::1]:65535", Address("::1", 65535)),
        ("gearman://queue.example", Address("queue.example", 4730)),
        ("GEARMAN://queue.example:1/", Address("queue.example", 1)),
        ("gearman://[fe80::1%eth0]:4731", Address("fe80::1%eth0", 4731)),
        ("unix:/run/gearman.sock", Address("", 0, "/run/gearman.sock")),
        ("unix:///run/gearman.sock", Address("", 0, "/run/gearman.sock")),
        (("::1", 4731), Address("::1", 4731)),
        (Address("a", 1), Address("a", 1)),
    ],
)
def test_address_is_read_as_written(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "address", [Address("a", 1), Address("::1", 4730), Address("", 0, "/run/gearman.sock")]
)
def test_printed_address_is_read_back(address):
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("", "names no host"),
        (":4730", "names no host"),
        ("user@host", "names no host"),
        ("queue..example", "names no host"),
        ("q" * 64 + ".example", "names no host"),
        ((".example", 4730), "names no host"),
        ("http://host", "write gearman://host:port"),
        ("gearmans://host", "TLS is not available yet"),
        ("host:", "not a number within"),
        ("host:0", "not a number within"),
        ("host:65536", "not a number within"),
        ("host:4_730", "not a number within"),
        ("host:\uff14", "not a number within"),
        ("::1", "takes brackets"),
        ("[::1", "no closing bracket"),
        ("[::1]4730", "no closing bracket"),
        ("unix:", "names no socket"),
        (("host", "4730"), "not a pair"),
        (("host", True), "not a pair"),
        (("", 4730), "not a pair"),
        (("host", 0), "not within"),
        (4730, "neither"),
    ],
)
def test_unreadable_address_is_refused_with_advice(value, advice):
    with pytest.raises(UsageError, match=advice):
        parse_address(value)


def test_servers_come_from_the_environment_where_none_are_given(monkeypatch):
    monkeypatch.setenv("GEARMAN_SERVERS", "a, b:4731,")
    assert parse_addresses() == [Address("a", 4730), Address("b", 4731)]


def test_server_is_local_where_the_environment_names_none(monkeypatch):
    monkeypatch.delenv("GEARMAN_SERVERS", raising=False)
    assert parse_addresses() == [Address("127.0.0.1", 4730)]
    monkeypatch.setenv("GEARMAN_SERVERS", "")
    assert parse_addresses() == [Address("127.0.0.1", 4730)]


@pytest.mark.parametrize(
    "servers",
    ["a,b:1", ["a", "b:1"], ("a", "b:1"), ["a,b:1", "a"], iter([("a", 4730), Address("b", 1)])],
)
def test_several_servers_keep_their_order_and_come_once(servers):
    assert parse_addresses(servers) == [Address("a", 4730), Address("b", 1)]


def test_pair_is_one_server():
    assert parse_addresses(("a", 1)) == [Address("a", 1)]


@pytest.mark.parametrize("servers", ["", " , ", []])
def test_no_server_at_all_is_refused(servers):
    with pytest.raises(UsageError, match="no job server"):
        parse_addresses(servers)


def test_servers_that_are_no_list_are_refused():
    with pytest.raises(UsageError, match="neither an address nor a list"):
        parse_addresses(4730)
