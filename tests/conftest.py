"""
Options of the whole suite.

Property tests run with few examples by default. A long run is::

    pytest tests/broker tests/wire --hypothesis-profile=long --timeout=0

and ``pytest tests/broker/test_scripts.py --rewrite`` writes down what the
broker does now as what the scripts expect; read the diff before keeping it.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A hook: it names the suites that did not run for want of a service.
from tests.services.availability import pytest_terminal_summary as pytest_terminal_summary

# A slow machine is no defect, and a property test has no deadline of its own: pytest has one.
# The build machine judges a change, so it tries the same examples each time; whoever develops
# tries others each time, and a long run is for looking.
settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize=os.environ.get("CI") == "true",
)
settings.register_profile(
    "long",
    settings.get_profile("default"),
    max_examples=5_000,
    stateful_step_count=100,
    derandomize=False,
)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite", action="store_true", help="write what the broker does into its scripts"
    )
