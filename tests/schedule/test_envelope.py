"""What a job says of its fire, and what its end says of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.errors import UsageError
from geartrain.schedule.envelope import (
    ANSWERS,
    NEXT_RUN,
    RETRY,
    Answer,
    Envelope,
    fire_key,
    read_answer,
    read_envelope,
)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
names = st.from_regex(r"[A-Z_]{1,8}", fullmatch=True)
moments = st.integers(1, 4_000_000_000)
envelopes = st.builds(
    Envelope,
    entry=texts.filter(bool),
    key=texts.filter(bool),
    nominal=moments,
    previous=st.just(0) | moments,
    target=texts,
    attempt=st.integers(1, 1000),
    shard=st.none() | st.tuples(st.integers(1, 5), st.integers(5, 9)),
    payload=st.binary(max_size=30),
    command=texts,
    app=texts,
    user=texts,
    directory=texts,
    environment=st.dictionaries(names, texts, max_size=3).map(lambda found: tuple(found.items())),
    mailto=texts,
    run_timeout=st.floats(0, 1e6),
)
answers = st.builds(
    Answer,
    kind=st.sampled_from([kind for kind in ANSWERS if kind not in (RETRY, NEXT_RUN)]),
    reason=texts,
    output=texts,
    errors=texts,
    status=st.none() | st.integers(-64, 255),
    started=st.floats(0, 4e9),
    ended=st.floats(0, 4e9),
    attempt=st.integers(0, 9),
    repeated=st.booleans(),
)


def envelope(**values: Any) -> bytes:
    full = {"entry": "e", "key": "cron:1:1:60", "nominal": "1970-01-01T00:01:00Z"}
    return json.dumps({**full, **values}).encode()


@given(envelopes)
def test_an_envelope_is_read_as_it_was_written(written: Envelope) -> None:
    assert read_envelope(written.to_bytes()) == written


@given(answers)
def test_an_answer_is_read_as_it_was_written(written: Answer) -> None:
    assert read_answer(written.to_bytes()) == written


@pytest.mark.parametrize("kind", [RETRY, NEXT_RUN])
def test_an_answer_that_names_an_instant_keeps_it(kind: str) -> None:
    assert read_answer(Answer(kind=kind, at=1_769_904_000).to_bytes()) == Answer(
        kind=kind, at=1_769_904_000
    )


@pytest.mark.parametrize("result", [b"", b"done", b"{", b"[1]", b'{"result": 3}', b"\xff"])
def test_a_result_of_any_other_kind_is_no_answer(result: bytes) -> None:
    assert read_answer(result) is None


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        (b"", "not JSON"),
        (b"[]", "no object"),
        (b"[" * 100_000, "not JSON"),
        (envelope(entry=""), "entry is ''"),
        (envelope(key=3), "key is 3"),
        (envelope(nominal=60), "nominal is 60"),
        (envelope(nominal="tomorrow"), "nominal: 'tomorrow' is no instant"),
        (envelope(nominal="1969-01-01T00:00:00Z"), "later than 1970"),
        (envelope(attempt=0), "attempt is 0"),
        (envelope(attempt=True), "attempt is True"),
        (envelope(shard=[0, 3]), "shard is [0, 3]"),
        (envelope(shard=[4, 3]), "shard is [4, 3]"),
        (envelope(payload=7), "payload takes a text"),
        (envelope(payload={"base64": "?"}), "payload is not base64"),
        (envelope(environment=["A=1"]), "environment takes an object"),
        (envelope(environment={"A=B": "1"}), "'A=B' can't be"),
        (envelope(command="a\0b"), "NUL"),
        (envelope(run_timeout=-1), "run_timeout is -1"),
        (envelope(run_timeout=float("nan")), "run_timeout is nan"),
    ],
)
def test_what_is_wrong_with_an_envelope_is_named(workload: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        read_envelope(workload)


def test_an_answer_that_is_meant_to_be_one_and_is_wrong_is_refused() -> None:
    with pytest.raises(UsageError, match="it is one of done, failed, retry, next_run"):
        read_answer(b'{"geartrain": "maybe"}')
    with pytest.raises(UsageError, match="at is None"):
        read_answer(b'{"geartrain": "retry"}')


@given(st.integers(1, 2**63), st.integers(1, 2**31), moments, st.text(max_size=200))
def test_a_key_fits_a_unique_key_of_any_server(
    schedule: int, generation: int, nominal: int, target: str
) -> None:
    assert len(fire_key(schedule, generation, nominal, target).encode()) <= 64


def test_keys_of_long_targets_differ_as_the_targets_do() -> None:
    one, other = (fire_key(1, 1, 60, "host-" * 20 + name) for name in "ab")
    assert one != other
    assert fire_key(7, 2, 1_769_904_000, "host-a") == "cron:7:2:1769904000:host-a"
