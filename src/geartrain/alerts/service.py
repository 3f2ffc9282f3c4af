"""
Messages handed to one of the services that the apprise library knows, by a URL of its own.

The library is imported when a channel needs it, and none is needed without one. Nothing of a URL
but its scheme is ever shown: services keep their keys in any part of it, even the host's.
"""

from __future__ import annotations

import logging
import re
from threading import Thread
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from geartrain.alerts.channel import ChannelError
from geartrain.errors import UsageError
from geartrain.store.schedule_rows import Message

if TYPE_CHECKING:
    from apprise import Apprise, AppriseResult

__all__ = ["ServiceChannel", "is_service"]

_PATIENCE: Final = 25.0
# Parts of a URL that are shorter are words of any text.
_SHORTEST_SECRET: Final = 4
# Who would write parts of URLs to the log, as they are.
_TALKATIVE: Final = ("apprise", "urllib3", "oauthlib", "requests_oauthlib")


def is_service(url: str) -> bool:
    """Whether a URL is one of the library's, and none of those that are served without it."""
    scheme, found, _ = url.partition("://")
    return bool(found and scheme) and scheme.lower() not in ("mailto", "http", "https")


class ServiceChannel:
    """
    Has the apprise library take plain text to a service.

    Args:
        url: Such as ``ntfy://...``, as the library documents it.

    Raises:
        UsageError: The library is not installed, or does not know what the URL says.

    """

    for_programs = False

    def __init__(self, url: str) -> None:
        self.scheme = url.partition("://")[0]
        self.secrets = _secrets(url)
        self.service = _opened(url, self.scheme)
        self._sending: Thread | None = None

    def send(self, message: Message) -> None:
        """Have the service take a message; raises ChannelError unless it does in time."""
        if self._sending is not None and self._sending.is_alive():
            raise ChannelError(f"{self.scheme}:// has not answered to the message before yet")
        answers: list[AppriseResult | Exception] = []

        def work() -> None:
            try:
                answers.append(self._notify(message))
            except Exception as error:
                answers.append(error)

        # Each service has time limits of its own, or none: the thread is left behind.
        self._sending = Thread(target=work, name="geartrain-service", daemon=True)
        self._sending.start()
        self._sending.join(_PATIENCE)
        if not answers:
            raise ChannelError(f"{self.scheme}:// took longer than {_PATIENCE:.0f} seconds")
        if not answers[0] or isinstance(answers[0], Exception):
            raise ChannelError(f"{self.scheme}:// did not take it{self._why(answers[0])}")

    def _notify(self, message: Message) -> AppriseResult:
        from apprise import NotifyFormat, NotifyType

        return self.service.notify(
            message.body,
            title=message.title,
            notify_type=NotifyType.WARNING,
            body_format=NotifyFormat.TEXT,
        )

    def _why(self, answer: AppriseResult | Exception) -> str:
        """Return what the library said last, without what the URL holds."""
        if isinstance(answer, Exception):
            said = [f"{type(answer).__name__}: {answer}"]
        else:
            said = [line.message for one in answer for attempt in one for line in attempt]
        text = " ".join(said[-1].split()) if said else ""
        for secret in self.secrets:
            # Hosts, for one, are said in small letters.
            text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
        return f": {text[:200]}" if text else ""


def _opened(url: str, scheme: str) -> Apprise:
    """Return the library's object of one service; raises UsageError."""
    try:
        import apprise
    except ImportError:
        raise UsageError(
            f"{scheme}:// needs the apprise library: install geartrain with its extra apprise "
            "(pip install 'geartrain[apprise]'); mailto:, https:// and exec need none"
        ) from None
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # What went wrong comes with the result, and is told without secrets.
    logging.getLogger("apprise").addHandler(logging.NullHandler())
    logging.getLogger("apprise").propagate = False
    service = apprise.Apprise(
        asset=apprise.AppriseAsset(
            # Its own limit needs threads that keep a process from ending.
            service_timeout=0,
            async_mode=False,
            http_redirects=False,
            app_id="geartrain",
            app_desc="geartrain",
        )
    )
    if not service.add(url) or len(service) != 1:
        raise UsageError(
            f"apprise knows no {scheme}:// service, or its URL lacks something: "
            "write it as the library's page about the service says"
        )
    return service


def _secrets(url: str) -> list[str]:
    """Return the parts of a URL that nobody is to see, longest first."""
    found = set()
    for part in re.split(r"[/?&=:@,#]", url.partition("://")[2]):
        plain = unquote(part)
        found |= {part, plain, plain.replace("+", " "), quote(plain, safe="")}
    return sorted((one for one in found if len(one) >= _SHORTEST_SECRET), key=len, reverse=True)
