"""
Why a goal is not reached, and what was tried: written by people, printed beside the figures.
"""

from __future__ import annotations

__all__ = ["REMARKS"]

# By class and metric.
REMARKS: dict[tuple[str, str], str] = {}
