"""Tests of what all tables of the configuration file share."""
