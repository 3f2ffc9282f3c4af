"""Each channel against what it talks to: an SMTP server, a web server, a program."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from geartrain.alerts.channel import ChannelError
from geartrain.alerts.mail import MailChannel, MailServer
from geartrain.alerts.ping import Ping
from geartrain.alerts.program import ProgramChannel
from geartrain.alerts.service import ServiceChannel
from geartrain.alerts.webhook import WebhookChannel
from geartrain.errors import UsageError
from geartrain.store.schedule_rows import Message

MESSAGE = Message(
    "ops", "[geartrain] nächtlich: missed", "it did not run\n.\nat all\n", id=7, created=1e9
)


# Mail.


class Mailbox:
    """An SMTP server's mailbox; addresses that begin with ``no`` are refused."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.to: list[list[str]] = []

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("no"):
            return "550 nobody of this name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.to.append(envelope.rcpt_tos)
        return "250 taken"


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture
def mailbox(free_port: int) -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port)
    controller.start()
    yield box, free_port
    controller.stop()


def test_a_mail_arrives_as_it_was_written(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    server = MailServer("127.0.0.1", port, "geartrain@example.org")
    MailChannel(server, ("ops@example.org", "night@example.org")).send(MESSAGE)
    [mail] = box.mails
    assert box.to == [["ops@example.org", "night@example.org"]]
    assert mail["Subject"] == MESSAGE.title
    assert mail["From"] == "geartrain@example.org"
    assert mail["To"] == "ops@example.org, night@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().replace("\r\n", "\n") == MESSAGE.body


def test_an_address_that_is_refused_leaves_the_others_their_mail(
    mailbox: tuple[Mailbox, int],
) -> None:
    box, port = mailbox
    channel = MailChannel(MailServer("127.0.0.1", port), ("ops@example.org", "nobody@example.org"))
    with pytest.raises(ChannelError, match=r"refused nobody@example\.org") as caught:
        channel.send(MESSAGE)
    # Sent again, the others would get it twice.
    assert caught.value.final
    assert len(box.mails) == 1


def test_a_mail_that_everybody_is_refused_for_is_tried_again(mailbox: tuple[Mailbox, int]) -> None:
    _, port = mailbox
    channel = MailChannel(MailServer("127.0.0.1", port), ("nobody@example.org",))
    with pytest.raises(ChannelError, match="refused every address") as caught:
        channel.send(MESSAGE)
    assert not caught.value.final


def test_starttls_that_is_asked_for_has_to_be_offered(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    channel = MailChannel(MailServer("127.0.0.1", port, tls="starttls"), ("ops@example.org",))
    with pytest.raises(ChannelError, match="STARTTLS"):
        channel.send(MESSAGE)
    assert box.mails == []


def test_nobody_listening_is_said_with_the_address(free_port: int) -> None:
    channel = MailChannel(MailServer("127.0.0.1", free_port), ("ops@example.org",))
    with pytest.raises(ChannelError, match=f"127.0.0.1:{free_port} can't be reached"):
        channel.send(MESSAGE)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    key, cert = folder / "key.pem", folder / "cert.pem"
    name = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    request = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext {name}"
    subprocess.run(
        ["openssl", *request.split(), "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    return key, cert


@pytest.fixture
def safe_mailbox(
    free_port: int, certificate: tuple[Path, Path]
) -> Iterator[tuple[Mailbox, int, Path]]:
    """A mailbox behind STARTTLS and a password."""
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    box = Mailbox()

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and data.password == b"s3cret"
        return AuthResult(success=right, handled=False)

    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=free_port,
        tls_context=context,
        require_starttls=True,
        authenticator=check,
        auth_required=True,
    )
    controller.start()
    yield box, free_port, cert
    controller.stop()


def test_a_password_is_read_from_its_file_and_sent_encrypted(
    safe_mailbox: tuple[Mailbox, int, Path], tmp_path: Path
) -> None:
    box, port, cert = safe_mailbox
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    server = MailServer(
        "127.0.0.1", port, user="geartrain", password_file=str(password), ca_file=str(cert)
    )
    channel = MailChannel(server, ("ops@example.org",))
    channel.send(MESSAGE)
    assert len(box.mails) == 1
    password.write_text("wrong\n")
    with pytest.raises(ChannelError, match="535") as caught:
        channel.send(MESSAGE)
    assert "wrong" not in str(caught.value)
    password.unlink()
    with pytest.raises(ChannelError, match="password_file"):
        channel.send(MESSAGE)


def test_a_certificate_nobody_vouches_for_is_refused(
    safe_mailbox: tuple[Mailbox, int, Path],
) -> None:
    box, port, _ = safe_mailbox
    channel = MailChannel(MailServer("127.0.0.1", port), ("ops@example.org",))
    with pytest.raises(ChannelError, match="certificate verify failed"):
        channel.send(MESSAGE)
    assert box.mails == []


# Webhooks.


class Hook(BaseHTTPRequestHandler):
    """Takes what is posted; answers what ``answer`` says."""

    def do_POST(self) -> None:
        server: Any = self.server
        length = int(self.headers["Content-Length"])
        server.posts.append((self.path, dict(self.headers), self.rfile.read(length)))
        assert server.goes_on.wait(15)
        self.send_response(server.answer)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(b"so it is\n")
        server.posted.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.posts, server.answer, server.posted, server.goes_on = [], 200, Event(), Event()
    server.goes_on.set()
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.goes_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def url(hook: Any) -> str:
    return f"http://127.0.0.1:{hook.server_port}/in?x=1"


FOR_PROGRAMS = Message("hook", "a title", json.dumps({"alerts": []}), id=3)


def test_a_message_is_posted_with_a_signature_that_can_be_checked(
    hook: Any, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"key\n")
    WebhookChannel(url(hook), str(secret), ("127.0.0.1",)).send(FOR_PROGRAMS)
    [(path, headers, body)] = hook.posts
    assert (path, body) == ("/in?x=1", b'{"alerts": []}')
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == "geartrain-alert-3"
    stamp = headers["X-Geartrain-Timestamp"].encode()
    right = hmac.new(b"key", stamp + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Geartrain-Signature"] == f"sha256={right}"


def test_ones_own_network_is_refused_unless_it_is_allowed(hook: Any) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1"):
        channel = WebhookChannel(f"http://{host}:{hook.server_port}/")
        with pytest.raises(ChannelError, match="set allow = ") as caught:
            channel.send(FOR_PROGRAMS)
        assert caught.value.final
    assert hook.posts == []


@pytest.mark.parametrize(("answer", "final"), [(404, True), (500, False), (429, False)])
def test_a_refusal_is_told_with_what_was_answered(hook: Any, answer: int, final: bool) -> None:
    hook.answer = answer
    with pytest.raises(ChannelError, match=f"answered {answer}: so it is") as caught:
        WebhookChannel(url(hook), allow=("127.0.0.1",)).send(FOR_PROGRAMS)
    assert caught.value.final == final


def test_a_redirection_is_not_followed(hook: Any) -> None:
    hook.answer = 307
    with pytest.raises(ChannelError, match="answered 307"):
        WebhookChannel(url(hook), allow=("127.0.0.1",)).send(FOR_PROGRAMS)
    assert len(hook.posts) == 1


def test_a_host_that_is_gone_is_tried_again(free_port: int) -> None:
    channel = WebhookChannel(f"http://127.0.0.1:{free_port}/", allow=("127.0.0.1",))
    with pytest.raises(ChannelError, match="can't be reached") as caught:
        channel.send(FOR_PROGRAMS)
    assert not caught.value.final


def test_the_ping_is_posted_as_long_as_all_is_well(hook: Any) -> None:
    well = [True]
    ping = Ping(url(hook), 0.01, lambda: well[0], ("127.0.0.1",))
    ping.start()
    assert hook.posted.wait(10)
    well[0] = False
    ping.stop()
    ping.stop()
    assert {path for path, _, _ in hook.posts} == {"/in?x=1"}


def test_nothing_is_pinged_while_something_is_wrong(hook: Any) -> None:
    asked = Event()

    def well() -> bool:
        asked.set()
        return False

    ping = Ping(url(hook), 30, well, ("127.0.0.1",))
    ping.start()
    assert asked.wait(10)
    ping.stop()
    assert hook.posts == []


# Programs.


def test_a_program_reads_the_message_and_knows_its_title(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    script = f'printf "%s\\n" "$GEARTRAIN_TITLE" > {taken}; cat >> {taken}'
    ProgramChannel(("/bin/sh", "-c", script)).send(FOR_PROGRAMS)
    assert taken.read_text() == 'a title\n{"alerts": []}'


def test_a_program_that_fails_is_told_with_its_last_line() -> None:
    channel = ProgramChannel(("/bin/sh", "-c", "cat >/dev/null; echo one; echo two >&2; exit 3"))
    with pytest.raises(ChannelError, match="ended with 3: two") as caught:
        channel.send(FOR_PROGRAMS)
    assert not caught.value.final


def test_a_program_that_does_not_read_is_no_trouble() -> None:
    big = Message("pager", "a title", "x" * 1_000_000)
    ProgramChannel(("/bin/true",)).send(big)


def test_a_program_that_is_not_there_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="can't be run") as caught:
        ProgramChannel((str(tmp_path / "nothing"),)).send(FOR_PROGRAMS)
    assert caught.value.final


def test_a_program_that_hangs_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geartrain.alerts.program._PATIENCE", 0.3)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    # The child holds the pipe open as long as it lives.
    channel = ProgramChannel(("/bin/sh", "-c", f"sleep 600 > {pipe} & sleep 600"))
    with pytest.raises(ChannelError, match="took longer"):
        channel.send(FOR_PROGRAMS)
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)


# Services of the apprise library.


def service_url(hook: Any) -> str:
    return f"json://keeper:pass%20word@127.0.0.1:{hook.server_port}/path-key/in?+X-Key=headerkey"


def test_a_service_takes_the_title_and_the_text(
    hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ServiceChannel(service_url(hook)).send(MESSAGE)
    [(path, headers, body)] = hook.posts
    assert path == "/path-key/in"
    assert headers["X-Key"] == "headerkey"
    found = json.loads(body)
    assert found["title"] == MESSAGE.title
    assert found["message"].rstrip() == MESSAGE.body.rstrip()
    for secret in ("path-key", "headerkey", "word"):
        assert secret not in caplog.text


def test_a_service_that_refuses_is_told_without_what_its_url_holds(
    hook: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.answer = 500
    with pytest.raises(ChannelError, match=r"^json:// did not take it: .*error=500") as caught:
        ServiceChannel(service_url(hook)).send(MESSAGE)
    assert not caught.value.final
    captured = capfd.readouterr()
    told = f"{caught.value} {caplog.text} {captured.out} {captured.err}"
    for secret in ("path-key", "headerkey", "pass%20word", "pass word"):
        assert secret not in told


def test_what_a_service_raises_is_told_without_what_its_url_holds(
    hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = ServiceChannel(service_url(hook))

    def break_down(*_: object, **__: object) -> None:
        raise OSError(f"no way to {service_url(hook)} for PASS word")

    monkeypatch.setattr(channel.service, "notify", break_down)
    with pytest.raises(ChannelError, match=r"OSError: no way to json://\*\*\*") as caught:
        channel.send(MESSAGE)
    for secret in ("path-key", "headerkey", "pass"):
        assert secret not in str(caught.value).lower()


def test_a_service_that_hangs_is_left_and_not_asked_twice(
    hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geartrain.alerts.service._PATIENCE", 0.2)
    hook.goes_on.clear()
    channel = ServiceChannel(service_url(hook))
    with pytest.raises(ChannelError, match="took longer"):
        channel.send(MESSAGE)
    with pytest.raises(ChannelError, match="has not answered"):
        channel.send(MESSAGE)
    assert len(hook.posts) == 1
    hook.goes_on.set()
    assert channel._sending is not None
    channel._sending.join(10)
    monkeypatch.undo()
    channel.send(MESSAGE)
    assert len(hook.posts) == 2


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UsageError, match=r"pip install 'geartrain\[apprise\]'") as caught:
        ServiceChannel("ntfy://secrettopic")
    assert "secrettopic" not in str(caught.value)
