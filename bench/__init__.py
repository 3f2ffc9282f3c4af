"""
Measures the job server beside Debian's gearmand, in one run on one machine.

``python -m bench`` builds the load generator, starts each server afresh for every measurement,
takes turns between them and prints medians, ratios and goals side by side. A slow result is
reported; only a wrong one fails.
"""

from __future__ import annotations
