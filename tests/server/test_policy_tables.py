"""What a person may write about a function's policy, and what is said of what can't be."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geartrain.broker.policy import Policy
from geartrain.broker.rulebook import Rulebook
from geartrain.errors import UsageError
from geartrain.server.configuration import load_settings
from geartrain.server.policies import KEYS, declared_policy, load_policies, policy_of

ROOT = Path(__file__).resolve().parents[2]


def made(**keys: Any) -> Policy:
    return policy_of("here", "f", keys)


def problem(**keys: Any) -> str:
    with pytest.raises(UsageError) as caught:
        made(**keys)
    return str(caught.value)


def test_a_table_is_read_from_the_file_beside_others(tmp_path: Path) -> None:
    path = tmp_path / "geartrain.toml"
    path.write_text(
        """
        [server]
        grace = 3

        [functions."billing.*"]
        retries     = 5
        backoff     = "exp(5s, 1h)"
        timeout     = "10m"
        concurrency = 4
        unique      = "queued"

        [functions.resize]
        rate = "10/s"

        [programs.resize]
        command = "true"
        """
    )
    billing, resize = load_policies(path)
    assert load_settings(path).grace == 3
    assert (billing.pattern, billing.attempts, billing.timeout) == (b"billing.*", 6, 600.0)
    assert (billing.first, billing.factor, billing.longest) == (5.0, 2.0, 3600.0)
    assert (billing.concurrency, billing.queued_only) == (4, True)
    assert (resize.pattern, resize.interval, resize.burst) == (b"resize", 0.1, 10)


def test_a_file_without_policies_has_none(tmp_path: Path) -> None:
    path = tmp_path / "geartrain.toml"
    path.write_text("[server]\n")
    assert load_policies(path) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("functions = 5", "functions has to be a table"),
        ("[functions]\nf = 5", 'f has to be a table, written [functions."NAME"]'),
        ("[functions.f]\nretires = 5", "'retires' is no key of a function's policy; did you mean"),
        ("[function.f]", "'function' is no table; did you mean 'functions'?"),
        ('[functions."geartrain:result"]', "the server answers this function itself"),
        ("[functions.f]\ntimeout = 'soon'", 'toml: [functions."f"]: timeout takes seconds, or'),
    ],
)
def test_a_mistake_is_told_with_file_and_table(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "geartrain.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_policies(path)
    assert said in str(caught.value)


def test_nothing_set_is_nothing_kept() -> None:
    policy = made()
    assert (policy.attempts, policy.poison, policy.dead_letters) == (0, 0, False)
    assert not policy.is_limited()


def test_limits_of_attempts_bring_dead_letters_with_them() -> None:
    policy = made(retries=2)
    assert (policy.attempts, policy.poison, policy.dead_letters) == (3, 3, True)
    assert (policy.first, policy.longest, policy.jitter) == (5.0, 3600.0, 0.2)
    assert made(retries=0).attempts == 1
    assert made(max_attempts=2, dead_letters=False, poison=0).dead_letters is False
    policy = made(poison=2)
    assert (policy.attempts, policy.dead_letters) == (0, True)
    assert made(dead_letters=True).dead_letters


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("exp(5s, 1h)", (5.0, 2.0, 3600.0)),
        (" exp( 500ms ,2m, 3 ) ", (0.5, 3.0, 120.0)),
        ("exp(1h, 5s)", (3600.0, 2.0, 3600.0)),
        ("10s", (10.0, 1.0, 10.0)),
        (2.5, (2.5, 1.0, 2.5)),
        (0, (0.0, 1.0, 0.0)),
    ],
)
def test_backoff(value: Any, wanted: tuple[float, float, float]) -> None:
    policy = made(backoff=value)
    assert (policy.first, policy.factor, policy.longest) == wanted


@pytest.mark.parametrize(
    ("value", "interval", "burst"),
    [
        ("10/s", 0.1, 10),
        ("100/m", 0.6, 1),
        ("5/10s", 2.0, 1),
        ("1 / 500ms", 0.5, 2),
        ("1/h", 3600.0, 1),
    ],
)
def test_rate(value: str, interval: float, burst: int) -> None:
    policy = made(rate=value)
    assert policy.interval == pytest.approx(interval)
    assert policy.burst == burst


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"retries": 1, "max_attempts": 2}, "retries and max_attempts say the same"),
        ({"max_attempts": 0}, "max_attempts takes 1 or more: the first attempt counts"),
        ({"retries": -1}, "retries takes 0 to 1000000000, not -1"),
        ({"retries": True}, "retries takes a whole number, not True"),
        ({"jitter": 2}, "jitter takes 0 to 1.0, not 2"),
        ({"jitter": float("nan")}, "jitter takes 0 to 1.0, not nan"),
        ({"backoff": "exp(5s)"}, "backoff takes a time or exp(FIRST, LONGEST), not 'exp(5s)'"),
        ({"backoff": "exp(5s, 1h, 0.5)"}, "takes a factor of 1 to 100"),
        ({"backoff": "exp(5s, 1h, 1.2.3)"}, "takes a factor of 1 to 100"),
        ({"backoff": "exp(a, b)"}, "backoff takes seconds"),
        ({"backoff": "never"}, "backoff takes seconds"),
        ({"timeout": -1}, "timeout takes seconds"),
        ({"timeout": "11000d"}, "timeout takes at most ten years"),
        ({"rate": 5}, "rate takes a text such as '10/s', '100/m' or '5/10s', not 5"),
        ({"rate": "fast"}, "rate takes a text such as"),
        ({"rate": "0/s"}, "rate takes more than none"),
        ({"rate": "1/0s"}, "rate takes more than none"),
        ({"rate": "9999999/s"}, "at most 100000/s"),
        ({"burst": 0}, "burst takes 1 or more, not 0"),
        ({"key_separator": ""}, "key_separator takes at least one character"),
        ({"unique": "always"}, "unique takes 'queued' or 'running', not 'always'"),
        ({"dead_letters": "yes"}, "dead_letters takes true or false, not 'yes'"),
    ],
)
def test_a_value_that_can_not_be_is_told(keys: dict[str, Any], said: str) -> None:
    assert said in problem(**keys)


@given(
    st.dictionaries(
        st.sampled_from([*KEYS, "function", "retires"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.sampled_from(["exp(1s, 1h)", "10/s", "1h", "queued", "\ud800", "exp(" + " " * 3000])
        | st.lists(st.integers(), max_size=2),
    )
)
def test_whatever_is_declared_is_a_policy_or_refused_in_words(said: dict[str, Any]) -> None:
    text = json.dumps({"function": "f", **said}).encode()
    with suppress(UsageError):
        policy = declared_policy(text)
        assert policy.pattern
        assert policy.delay(b"H:1", 3) >= 0


# Which policy counts.


def rules(*patterns: bytes) -> Rulebook:
    return Rulebook([Policy(pattern) for pattern in patterns])


def chosen(book: Rulebook, name: bytes) -> bytes | None:
    policy = book.configured(name)
    return None if policy is None else policy.pattern


def test_the_name_itself_counts_before_patterns_and_of_these_the_first() -> None:
    book = rules(b"*", b"billing.*", b"billing.pay")
    assert chosen(book, b"billing.pay") == b"billing.pay"
    assert chosen(book, b"billing.refund") == b"*"
    assert chosen(rules(b"billing.*", b"*"), b"billing.refund") == b"billing.*"
    assert chosen(rules(b"billing.*"), b"Billing.refund") is None
    assert chosen(rules(b"f?[ab]"), b"fxb") == b"f?[ab]"


def test_a_name_may_be_any_bytes() -> None:
    assert chosen(rules(b"\xff*"), b"\xff\xfe") == b"\xff*"
    assert chosen(rules("größe*".encode()), "größer".encode()) == "größe*".encode()


def test_what_is_declared_counts_where_nothing_is_configured() -> None:
    book = rules(b"f")
    book.declared[b"g"] = Policy(b"g", attempts=3)
    policing = book.policing(b"g")
    assert policing is not None
    assert policing.policy.attempts == 3
    assert book.policing(b"h") is None
    assert Rulebook([]).policing(b"h") is None


# The docs.


def test_every_key_is_documented_and_nothing_else() -> None:
    text = (ROOT / "docs" / "reference" / "policies.md").read_text()
    rows = [line.split("|")[1].strip().strip("`") for line in text.splitlines() if "| `" in line]
    assert set(rows) >= set(KEYS)
    assert {row for row in rows if row.isidentifier()} == set(KEYS)
