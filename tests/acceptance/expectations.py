"""Which server a test is asked of, where the two are known to differ."""

from __future__ import annotations

import pytest


def repaired(defect: str) -> pytest.MarkDecorator:
    """
    Ask a test of geartrain alone, because gearmand 1.1.20 has this defect.

    What gearmand does instead is asserted in ``test_repaired_defects.py`` where it can be shown
    without waiting for something that never comes.
    """
    assert defect
    return pytest.mark.parametrize("job_server", ["geartrain"], indirect=True)
