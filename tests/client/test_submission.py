from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from geartrain.client.submission import Submission
from geartrain.errors import UsageError
from geartrain.wire.packet import (
    NAMES,
    SUBMIT_JOB,
    SUBMIT_JOB_EPOCH,
    SUBMIT_REDUCE_JOB,
)


def test_names_and_workload_may_be_text_or_bytes():
    text = Submission("größe", "wörk", unique="schlüssel", reducer="räd")
    raw = Submission(
        "größe".encode(),
        memoryview("wörk".encode()),
        unique="schlüssel".encode(),
        reducer="räd".encode(),
    )
    assert text.arguments(0) == raw.arguments(0)
    assert Submission(b"f", bytearray(b"w")).arguments(0) == [b"f", b"", b"w"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "SUBMIT_JOB"),
        ({"background": True}, "SUBMIT_JOB_BG"),
        ({"priority": "high"}, "SUBMIT_JOB_HIGH"),
        ({"priority": "high", "background": True}, "SUBMIT_JOB_HIGH_BG"),
        ({"priority": "low"}, "SUBMIT_JOB_LOW"),
        ({"priority": "low", "background": True}, "SUBMIT_JOB_LOW_BG"),
    ],
)
def test_priority_and_background_choose_the_packet(options, name):
    submission = Submission(b"f", b"w", unique=b"u", **options)
    assert NAMES[submission.kind] == name
    assert submission.arguments(0) == [b"f", b"u", b"w"]


def test_the_unique_key_is_passed_on_untouched():
    assert Submission(b"f", b"w", unique="-").arguments(0) == [b"f", b"-", b"w"]
    assert Submission(b"f", b"w").kind == SUBMIT_JOB


@pytest.mark.parametrize(
    ("at", "epoch"),
    [
        (1_700_000_000, b"1700000000"),
        (1_700_000_000.001, b"1700000001"),
        (0, b"0"),
        (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), b"1700000000"),
        (datetime(2023, 11, 14, 23, 13, 20, tzinfo=timezone(timedelta(hours=1))), b"1700000000"),
    ],
)
def test_a_job_at_a_time_is_a_background_job(at, epoch):
    submission = Submission(b"f", b"w", at=at, unique=b"u")
    assert submission.background
    assert submission.kind == SUBMIT_JOB_EPOCH
    assert submission.arguments(0) == [b"f", b"u", epoch, b"w"]


def test_a_delay_counts_from_the_submission_and_is_never_cut_short():
    submission = Submission(b"f", b"w", delay=1.5)
    assert submission.background
    assert submission.arguments(1000.0)[2] == b"1002"
    assert submission.arguments(2000.0)[2] == b"2002"
    assert Submission(b"f", delay=0).arguments(1000.0)[2] == b"1000"


def test_a_reduce_job_carries_the_empty_argument_that_libgearman_sends():
    submission = Submission(b"f", b"w", unique=b"u", reducer=b"r")
    assert submission.kind == SUBMIT_REDUCE_JOB
    assert submission.arguments(0) == [b"f", b"u", b"r", b"", b"w"]
    background = Submission(b"f", b"w", reducer=b"r", background=True)
    assert NAMES[background.kind] == "SUBMIT_REDUCE_JOB_BACKGROUND"


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ({"function": 3}, "function is to be bytes or text, not int"),
        ({"function": b"f\0g"}, "contains a NUL"),
        ({"unique": "u\0"}, "contains a NUL"),
        ({"reducer": b"\0"}, "contains a NUL"),
        ({"workload": {"a": 1}}, "not dict; encode it first"),
        ({"workload": None}, "not NoneType; encode it first"),
        ({"priority": "urgent"}, "write high, normal or low"),
        ({"at": 1, "delay": 1}, "not both"),
        ({"delay": -1}, "not a number of seconds"),
        ({"delay": math.inf}, "not a number of seconds"),
        ({"delay": math.nan}, "not a number of seconds"),
        ({"at": -1}, "not a time after 1970"),
        ({"at": math.nan}, "not a time after 1970"),
        ({"at": datetime(2030, 1, 1)}, "has no time zone"),
        ({"at": 1, "priority": "high"}, "has normal priority"),
        ({"at": 1, "reducer": b"r"}, "can't wait for a time"),
        ({"reducer": b"r", "priority": "low"}, "has normal priority"),
        ({"reducer": b""}, "the reducer has no name"),
    ],
)
def test_what_no_packet_can_carry_is_refused_with_the_reason(words, advice):
    with pytest.raises(UsageError, match=advice):
        Submission(**{"function": b"f", **words})
