from __future__ import annotations

import random

import pytest

from geartrain.client.address import Address
from geartrain.client.placement import (
    Placement,
    candidates,
    failures,
    hash_of_key,
    next_attempt,
)
from geartrain.errors import UsageError

ADDRESSES = [Address(host) for host in ("a", "b", "c")]


def make(rule, chance=lambda: 0.0):
    return Placement(ADDRESSES, rule, chance)


def hosts(servers):
    return "".join(server.address.host for server in servers)


def test_hash_is_that_of_perls_client():
    # CRC-32's check value is cbf43926; Perl takes (crc >> 16) & 0x7fff.
    assert hash_of_key(b"123456789", b"") == 0xCBF4 & 0x7FFF
    assert hash_of_key(b"-", b"123456789") == 0xCBF4 & 0x7FFF


def test_hash_starts_with_the_server_of_the_key_and_goes_round():
    placement = make("hash")
    first = hash_of_key(b"photo-1", b"") % 3
    assert hosts(placement.order(b"photo-1", b"")) == "abcabc"[first : first + 3]
    keys = [b"photo-%d" % number for number in range(50)]
    assert {hosts(placement.order(key, b""))[0] for key in keys} == {"a", "b", "c"}


def test_hash_of_the_workload_where_that_is_the_key():
    placement = make("hash")
    assert placement.order(b"-", b"photo-1") == placement.order(b"photo-1", b"")


@pytest.mark.parametrize("unique", [b"", b"-"])
def test_hash_without_a_key_takes_the_order_given(unique):
    assert hosts(make("hash").order(unique, b"")) == "abc"


def test_ordered_stays_where_it_is_until_that_server_fails():
    placement = make("ordered")
    a, b, _ = placement.servers
    assert hosts(placement.order(b"", b"")) == "abc"
    placement.note_failure(a, 0.0, "connection refused")
    placement.note_reached(b)
    assert hosts(placement.order(b"", b"")) == "bac"
    placement.note_failure(b, 0.0, "connection closed")
    assert hosts(placement.order(b"", b"")) == "abc"


def test_random_takes_one_by_chance_and_keeps_to_it():
    chance = random.Random(1)
    firsts = set()
    for _ in range(50):
        placement = make("random", chance.random)
        order = hosts(placement.order(b"", b""))
        assert sorted(order) == ["a", "b", "c"]
        assert hosts(placement.order(b"", b"")) == order
        firsts.add(order[0])
    assert firsts == {"a", "b", "c"}


def test_a_server_that_failed_is_left_alone_for_a_while():
    placement = make("ordered", lambda: 1.0)
    a, b, c = placement.servers
    placement.note_failure(a, 10.0, "timed out")
    assert hosts(candidates(placement.servers, 10.0, insist=False)) == "bc"
    assert hosts(candidates(placement.servers, 10.1, insist=False)) == "abc"
    placement.note_failure(b, 10.0, "timed out")
    placement.note_failure(c, 10.0, "timed out")
    assert candidates(placement.servers, 10.0, insist=False) == []
    assert hosts(candidates(placement.servers, 10.0, insist=True)) == "abc"
    assert next_attempt(placement.servers) == pytest.approx(10.1)
    assert failures(placement.servers) == dict.fromkeys(["a:4730", "b:4730", "c:4730"], "timed out")


def test_the_pause_grows_until_the_server_answers():
    placement = make("ordered", lambda: 1.0)
    server = placement.servers[0]
    pauses = []
    for _ in range(3):
        placement.note_failure(server, 0.0, "timed out")
        pauses.append(server.retry_at)
        # A connection alone is no sign of health.
        placement.note_reached(server)
    assert pauses == [0.1, 0.2, 0.4]
    placement.note_answer(server)
    assert failures([server]) == {}
    placement.note_failure(server, 0.0, "timed out")
    assert server.retry_at == 0.1


def test_a_server_may_be_asked_that_takes_no_submissions():
    placement = make("ordered")
    assert placement.servers_at(Address("b")) == [placement.servers[1]]
    (stranger,) = placement.servers_at(Address("z"))
    assert stranger.address == Address("z")
    assert placement.servers_at(None) == placement.servers
    assert placement.addresses() == ADDRESSES


def test_an_unknown_rule_is_refused():
    with pytest.raises(UsageError, match="write one of ordered, random, hash"):
        make("nearest")
