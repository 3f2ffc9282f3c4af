"""Faults under load, judged by what clients and workers wrote down themselves."""

from __future__ import annotations
