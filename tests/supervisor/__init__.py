"""Tests of the supervisor: its states and fleet, and real processes."""
