"""This package's tasks inside frameworks; each room needs its framework installed."""
