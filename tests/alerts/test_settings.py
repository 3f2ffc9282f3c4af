from __future__ import annotations

import tomllib
from typing import Any

import pytest

from geartrain.alerts.mail import MailChannel
from geartrain.alerts.program import ProgramChannel
from geartrain.alerts.service import ServiceChannel
from geartrain.alerts.settings import read_alerts
from geartrain.alerts.webhook import WebhookChannel
from geartrain.errors import UsageError
from geartrain.store.schedule_rows import Alert

WHOLE = """
to = ["ops"]
from = "production"
repeat = ["30m", "2h"]
every = [5, 50]
flaps = 4
flap_time = "10m"
ping = "https://ping.example.org/abc"
ping_every = "5m"

[channels.ops]
url = "mailto:ops@example.org,night@example.org"

[channels.hook]
url = "https://hooks.example.org/geartrain?x=1"
secret_file = "/etc/geartrain/hook.key"
allow = ["hooks.example.org"]

[channels.pager]
exec = ["/usr/local/bin/page", "--urgent"]

[channels.chat]
url = "json://chat.example.org/key"

[smtp]
host = "mail.example.org"
port = 587
user = "geartrain"
password_file = "/etc/geartrain/mail.password"

[rules.slow]
to = []

[groups.billing]
to = ["hook", "pager"]

[[maintenance]]
start = 2026-12-24T18:00:00Z
end = 2026-12-27T06:00:00+01:00
group = "billing"
"""


def read(text: str) -> Any:
    return read_alerts("geartrain.toml", tomllib.loads(text))


def test_every_key_is_read() -> None:
    settings = read(WHOLE)
    mail, hook, pager = (settings.channels[name] for name in ("ops", "hook", "pager"))
    assert isinstance(mail, MailChannel)
    assert mail.to == ("ops@example.org", "night@example.org")
    assert (mail.server.host, mail.server.port, mail.server.user) == (
        "mail.example.org",
        587,
        "geartrain",
    )
    assert isinstance(hook, WebhookChannel)
    assert (hook.place.host, hook.place.path) == ("hooks.example.org", "/geartrain?x=1")
    assert isinstance(pager, ProgramChannel)
    assert pager.command == ("/usr/local/bin/page", "--urgent")
    chat = settings.channels["chat"]
    assert isinstance(chat, ServiceChannel)
    assert chat.scheme == "json"
    assert (settings.ping, settings.ping_every) == ("https://ping.example.org/abc", 300)
    suppression = settings.suppression
    assert (suppression.repeat, suppression.every) == ((1_800, 7_200), (5, 50))
    assert (suppression.flaps, suppression.flap_time) == (4, 600)
    [window] = suppression.maintenance
    assert (window.end - window.start, window.group) == (59 * 3_600, "billing")
    recipients = settings.recipients
    assert recipients.of(Alert("lost", "a")) == ("ops",)
    assert recipients.of(Alert("slow", "a", "billing")) == ()
    assert recipients.of(Alert("lost", "a", "billing")) == ("hook", "pager")
    assert settings.speaking().programs == {"hook", "pager"}


def test_without_a_word_everything_goes_to_every_channel() -> None:
    settings = read('[channels.a]\nurl = "mailto:a@b.example"\n[channels.b]\nexec = "/bin/true -x"')
    assert settings.recipients.of(Alert("lost", "a")) == ("a", "b")
    assert read("").recipients.of(Alert("lost", "a")) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("repeats = []", "did you mean 'repeat'"),
        ('to = ["opps"]\n[channels.ops]\nurl = "mailto:a@b.example"', "did you mean 'ops'"),
        ('to = ["ops"]', r"add \[alerts.channels.NAME\]"),
        ("every = [0]", "whole numbers"),
        ('repeat = ["soon"]', "alerts.repeat takes seconds"),
        ("repeat = 5", "takes times such as"),
        ("flaps = 1", "at least 2"),
        ("ping_every = 0", "more than nothing"),
        ("smtp = 5", r"written \[alerts.smtp\]"),
        ('[smtp]\ntls = "startls"', "did you mean 'starttls'"),
        ('[smtp]\nuser = "x"', "password_file"),
        ('[smtp]\nport = "25"', "a whole number"),
        ("[channels.a]", "needs one of url"),
        ('[channels.a]\nurl = "mailto:a@b.example"\nexec = "x"', "needs one of url"),
        ("[channels.a]\nexec = []", "names no program"),
        ('[channels.a]\nurl = "mailto:nobody"', "names no address"),
        ('[channels.a]\nurl = "mailto:a@b%0d%0aBcc:x"', "names no address"),
        ('[channels.a]\nurl = "hooks.example.org"', "begins with https"),
        ('[channels.a]\nurl = "ftp://secret@x"', "apprise knows no ftp:// service"),
        ('[channels.a]\nurl = "slack://secret@"', "apprise knows no slack:// service, or its URL"),
        ('[channels.a]\nurl = "json://x"\nallow = ["x"]', "allow is a webhook's"),
        ('[channels.a]\nurl = "https://user:secret@x/"', "secret_file"),
        ('[channels.a]\nurl = "https://x:99999/"', "not a URL"),
        ('[rules.lost]\nfor = "5m"', "known are: to"),
        ("rules = { lost = 5 }", "has to be a table"),
        ('[[maintenance]]\nstart = "now"', "takes an instant with its offset"),
        (
            "[[maintenance]]\nstart = 2026-12-24T18:00:00Z\nend = 2026-12-24T18:00:00Z",
            "later than the start",
        ),
        ("maintenance = 5", r"\[\[alerts.maintenance\]\]"),
        ("maintenance = [5]", r"\[\[alerts.maintenance\]\]"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        read(text)
    assert str(caught.value).startswith("geartrain.toml: ")
    assert "secret@" not in str(caught.value)
