"""
Mails what a command wrote to its entry's ``mailto``, as cron does, by a program of the machine's.

A mail that can't be sent is logged, and is no failure of the fire: that has its output, too.
"""

from __future__ import annotations

import logging
import socket
import subprocess
from email.errors import MessageError
from email.message import EmailMessage
from typing import Final

from geartrain.agent.command import CommandEnd
from geartrain.schedule.envelope import Envelope, text_of

__all__ = ["Mailer", "mail_of"]

logger = logging.getLogger("geartrain.agent")

# Seconds that the program gets.
_PATIENCE: Final = 60.0


class Mailer:
    """
    Hands mails over.

    Args:
        program: Such as ``/usr/sbin/sendmail``; it gets them on its standard input.

    """

    def __init__(self, program: str) -> None:
        self.program = program

    def __call__(self, envelope: Envelope, end: CommandEnd) -> None:
        """Mail what a command wrote, if it wrote anything and somebody is to get it."""
        if not envelope.mailto or not (end.output or end.errors):
            return
        try:
            mail = mail_of(envelope, end, socket.gethostname())
            subprocess.run(
                [self.program, "-i", "-t"],
                input=mail.as_bytes(),
                capture_output=True,
                timeout=_PATIENCE,
                check=True,
                cwd="/",
            )
        except (OSError, ValueError, MessageError, subprocess.SubprocessError) as error:
            logger.error("no mail of %s to %s: %s", envelope.entry, envelope.mailto, error)


def mail_of(envelope: Envelope, end: CommandEnd, host: str) -> EmailMessage:
    """Return the mail. Raises ValueError where an address or name would break its head."""
    mail = EmailMessage()
    mail["To"] = envelope.mailto
    mail["Subject"] = f"geartrain <{host}> {envelope.entry}"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Geartrain-Key"] = envelope.key
    mail["X-Geartrain-Nominal"] = text_of(envelope.nominal)
    text = end.output + end.errors
    if end.reason:
        text = f"{text.rstrip()}\n\n{end.reason}\n"
    mail.set_content(text)
    return mail
