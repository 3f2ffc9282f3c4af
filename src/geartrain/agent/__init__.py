"""Agents: workers that run fires of entries on their machine, even when it is cut off."""
