"""What agents and schedulers say to each other, and whom they believe."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.errors import UsageError
from geartrain.schedule.envelope import Answer
from geartrain.schedule.greeting import (
    Greeting,
    Reply,
    Report,
    Standing,
    Table,
    check_agent_name,
    read_greeting,
    read_reply,
    read_table,
)

KEY = b"a key that both sides have"
REPORT = Report(
    schedule=3,
    generation=2,
    nominal=1_769_904_000,
    target="host-a",
    key="cron:3:2:1769904000:host-a",
    answer=Answer(reason="", status=0, started=1_769_904_000.5, ended=1_769_904_001.25),
)
GREETING = Greeting(
    agent="host-a",
    tags=("web", "eu"),
    version="0.1.0",
    table=7,
    started=1_769_900_000.0,
    nonce="n1",
    reports=(REPORT,),
)
TABLE = Table(
    agent="host-a",
    revision=8,
    made=1_769_904_002.5,
    entries=(Standing(schedule=3, generation=2, definition='{"name": "é"}', last_nominal=60),),
)


def tampered(data: bytes, **values: Any) -> bytes:
    return json.dumps({**json.loads(data), **values}).encode()


@pytest.mark.parametrize("key", [KEY, b""])
def test_a_greeting_arrives_as_it_was_sent(key: bytes) -> None:
    assert read_greeting(GREETING.to_bytes(key), key) == GREETING


@pytest.mark.parametrize("key", [KEY, b""])
def test_a_reply_arrives_as_it_was_sent(key: bytes) -> None:
    reply = Reply(
        agent="host-a", nonce="n1", now=12.5, revision=8, accepted=(REPORT.key,), table={"a": 1}
    )
    assert read_reply(reply.to_bytes(key), key, GREETING) == reply


def test_a_table_arrives_as_it_was_signed() -> None:
    assert read_table(json.loads(json.dumps(TABLE.to_object(KEY))), KEY, "host-a") == TABLE


@pytest.mark.parametrize(
    "data",
    [
        GREETING.to_bytes(b""),
        GREETING.to_bytes(b"another key"),
        tampered(GREETING.to_bytes(KEY), agent="host-b"),
        tampered(GREETING.to_bytes(KEY), signature="ä"),
        tampered(GREETING.to_bytes(KEY), signature=None),
    ],
)
def test_a_greeting_that_is_not_signed_with_the_key_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="key_file"):
        read_greeting(data, KEY)


def test_a_reply_is_refused_that_is_forged_or_answers_another_greeting() -> None:
    reply = Reply(agent="host-a", nonce="n1", revision=8)
    with pytest.raises(UsageError, match="key_file"):
        read_reply(tampered(reply.to_bytes(KEY), revision=9), KEY, GREETING)
    with pytest.raises(UsageError, match="another greeting"):
        read_reply(replace(reply, nonce="n0").to_bytes(KEY), KEY, GREETING)
    with pytest.raises(UsageError, match="refused the greeting: no"):
        read_reply(Reply(agent="host-a", error="no").to_bytes(b""), KEY, GREETING)


@pytest.mark.parametrize(
    ("key", "agent", "change"),
    [
        (b"", "host-a", {}),
        (b"another", "host-a", {}),
        (KEY, "host-b", {}),
        (KEY, "host-a", {"revision": 9}),
        (KEY, "host-a", {"entries": []}),
    ],
)
def test_no_table_is_believed_that_is_not_signed_or_not_ours(
    key: bytes, agent: str, change: dict[str, Any]
) -> None:
    found = {**TABLE.to_object(KEY), **change}
    with pytest.raises(UsageError, match="table of entries"):
        read_table(found, key, agent)


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda a: json.dumps(a).encode(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["agent", "tags", "reports", "answer", "table", "nominal", "x"]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=10,
        ),
    )
)
def test_whatever_arrives_is_read_or_refused(data: bytes) -> None:
    for read in (lambda: read_greeting(data, b""), lambda: read_reply(data, b"", GREETING)):
        # Anything but UsageError fails the test.
        with contextlib.suppress(UsageError):
            read()


@pytest.mark.parametrize("name", ["", "a b", "-a", "a:b", "a" * 64, "ä"])
def test_a_name_that_would_break_keys_or_listings_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="can't be an agent's name"):
        check_agent_name(name)
