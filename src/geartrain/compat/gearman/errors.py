"""
python-gearman's exceptions.

All descend from `GearmanError`, which is one of this package's own exceptions
as well, so code that knows only one of the two trees catches them.
"""

from __future__ import annotations

from geartrain.errors import GeartrainError


class GearmanError(GeartrainError):
    """Base of python-gearman's exceptions."""


class ConnectionError(GearmanError):
    """A connection to one server failed."""


class ServerUnavailable(GearmanError):
    """No server can be reached."""


class ProtocolError(GearmanError):
    """A server answered what can't be understood."""


class UnknownCommandError(GearmanError):
    """A command that the protocol does not have."""


class ExceededConnectionAttempts(GearmanError):
    """A connection ended before a job was accepted, as often as ``max_retries`` allows."""


class ExceededSubmissionAttempts(ExceededConnectionAttempts):
    """The later name of the same."""


class InvalidClientState(GearmanError):
    """The client can't do this now."""


class InvalidWorkerState(GearmanError):
    """The worker can't do this now."""


class InvalidAdminClientState(GearmanError):
    """The server refused an administration command, or did not answer in time."""


class EncodingError(GearmanError, TypeError):
    """
    Data that the encoder can't turn into bytes.

    python-gearman lets the encoder's own exception through; it is the cause of this one.
    """


__all__ = [
    "ConnectionError",
    "EncodingError",
    "ExceededConnectionAttempts",
    "ExceededSubmissionAttempts",
    "GearmanError",
    "InvalidAdminClientState",
    "InvalidClientState",
    "InvalidWorkerState",
    "ProtocolError",
    "ServerUnavailable",
    "UnknownCommandError",
]
