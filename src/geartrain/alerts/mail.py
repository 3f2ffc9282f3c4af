"""Messages by e-mail, handed to an SMTP server."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Final

from geartrain.alerts.channel import ChannelError
from geartrain.store.schedule_rows import Message

__all__ = ["MailChannel", "MailServer"]

_PATIENCE: Final = 20.0
_TLS_PORT: Final = 465


@dataclass(frozen=True, slots=True)
class MailServer:
    """
    Where mail is handed in.

    Attributes:
        tls: ``starttls`` (the server has to offer it), ``implicit`` (from the first byte; the
            default at port 465), ``none``, or empty: STARTTLS where it is offered.
        user: Empty to send without logging in; the password is read from ``password_file`` when a
            message is sent, so that it can be changed while this runs.
        ca_file: Certificates to trust instead of the system's.

    """

    host: str = "localhost"
    port: int = 25
    sender: str = ""
    tls: str = ""
    user: str = ""
    password_file: str = ""
    ca_file: str = ""


class MailChannel:
    """
    Sends plain text to some addresses.

    Args:
        server: Who takes it.
        to: The addresses.

    """

    for_programs = False

    def __init__(self, server: MailServer, to: tuple[str, ...]) -> None:
        self.server = server
        self.to = to

    def send(self, message: Message) -> None:
        """Hand a message in; raises ChannelError."""
        server = self.server
        mail = EmailMessage()
        mail["Subject"] = message.title
        mail["From"] = server.sender or f"geartrain@{server.host}"
        mail["To"] = ", ".join(self.to)
        mail["Date"] = formatdate(message.created, localtime=False)
        # The same whenever it is sent again, so that a mailbox can tell a repetition.
        mail["Message-ID"] = make_msgid(f"alert-{message.id}-{message.created:.0f}", "geartrain")
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.body)
        where = f"{server.host}:{server.port}"
        try:
            with self._connect() as connection:
                self._log_in(connection)
                refused = connection.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            raise ChannelError(f"{where} refused every address: {error.recipients}") from error
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
            raise ChannelError(f"{where} said {error.smtp_code} {text}") from error
        except (smtplib.SMTPException, ssl.SSLError) as error:
            raise ChannelError(f"{where}: {error}") from error
        except OSError as error:
            raise ChannelError(f"{where} can't be reached: {error.strerror or error}") from error
        if refused:
            raise ChannelError(f"{where} refused {', '.join(sorted(refused))}", final=True)

    def _connect(self) -> smtplib.SMTP:
        server = self.server
        context = ssl.create_default_context(cafile=server.ca_file or None)
        if server.tls == "implicit" or (not server.tls and server.port == _TLS_PORT):
            return smtplib.SMTP_SSL(server.host, server.port, timeout=_PATIENCE, context=context)
        connection = smtplib.SMTP(server.host, server.port, timeout=_PATIENCE)
        try:
            connection.ehlo()
            if server.tls == "starttls" or (not server.tls and connection.has_extn("starttls")):
                connection.starttls(context=context)
                connection.ehlo()
        except BaseException:
            connection.close()
            raise
        return connection

    def _log_in(self, connection: smtplib.SMTP) -> None:
        if not self.server.user:
            return
        try:
            password = Path(self.server.password_file).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ChannelError(f"can't read alerts.smtp.password_file: {error}") from None
        connection.login(self.server.user, password)
