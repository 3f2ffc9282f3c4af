"""Bytes to packets and back: the Gearman protocol without a socket."""
