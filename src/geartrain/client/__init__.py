"""Clients: submit jobs, follow them, ask the server."""
