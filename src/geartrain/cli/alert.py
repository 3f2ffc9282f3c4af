"""
``geartrain alert``: what fires, who has seen it, and whether messages arrive.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from geartrain.cli import exit_code
from geartrain.cli.moments import ago
from geartrain.cli.schedules import Config, Json, Store, me, opened
from geartrain.cli.table import print_table
from geartrain.configuration import hint
from geartrain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geartrain.alerts.settings import AlertSettings
    from geartrain.store.schedule_rows import Alert, Message

__all__ = ["app"]

app = typer.Typer(help="What goes wrong with schedules, and who is told.", no_args_is_help=True)

_MESSAGES: Final = 10


@app.command("ls")
def list_alerts(
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Also what has recovered.")
    ] = False,
    store: Store = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what fires, and the last messages."""
    from geartrain.alerts.book import as_alert, as_message

    with opened(store, config) as schedules:
        alerts = schedules.alerts(firing=not everything)
        messages = schedules.messages(limit=_MESSAGES)
    if as_json:
        found = {"alerts": [as_alert(one) for one in alerts]}
        print(json.dumps({**found, "messages": [as_message(one) for one in messages]}))
        return
    now = time.time()
    print_alerts(alerts, now, everything)
    if messages:
        print()
        print_messages(messages, now)


def print_alerts(alerts: Sequence[Alert], now: float, everything: bool) -> None:
    """Print a table of alerts, each with its newest event below it."""
    if not alerts:
        print("nothing has fired yet" if everything else "nothing fires")
        return
    rows = [
        (
            one.rule,
            one.subject,
            state_of(one),
            str(one.count),
            ago(one.since, now),
            ago(one.last, now),
            one.message,
        )
        for one in alerts
    ]
    head = ("rule", "subject", "state", "count", "since", "last", "what")
    print_table(head, rows, cut={"what": 20, "subject": 12})


def state_of(alert: Alert) -> str:
    """Return a word for how an alert stands."""
    if not alert.firing:
        return "recovered"
    return f"seen by {alert.acknowledged_by}" if alert.acknowledged_by else "firing"


def print_messages(messages: Sequence[Message], now: float) -> None:
    """Print a table of messages."""
    from geartrain.alerts.book import as_message

    rows = []
    for one in messages:
        state = as_message(one)["state"]
        if state == "waiting" and one.attempts:
            state = f"again {ago(one.due, now)}"
        rows.append((one.channel, one.title, ago(one.created, now), state, one.error))
    print_table(
        ("channel", "message", "made", "state", "error"), rows, cut={"error": 16, "message": 20}
    )


@app.command()
def ack(
    rule: Annotated[str, typer.Argument(help="Its rule, such as missed.")],
    subject: Annotated[str, typer.Argument(help="What it is about, such as an entry's name.")],
    store: Store = "",
    config: Config = None,
) -> None:
    """Say no more of what fires until it recovers."""
    from geartrain.alerts.book import acknowledge

    with opened(store, config) as schedules:
        acknowledge(schedules, rule, subject, me())
    print(f"{rule} {subject}: nothing more is said until it recovers")


@app.command("test")
def try_channels(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="Configuration file (TOML) with [alerts].")
    ],
    channel: Annotated[str, typer.Argument(help="Its name.", show_default="each of them")] = "",
) -> None:
    """Send a message over a channel, or over each of them."""
    from geartrain.alerts.channel import ChannelError

    settings = alert_settings(config)
    if channel and channel not in settings.channels:
        meant = hint(channel, settings.channels) if settings.channels else "there is none"
        raise UsageError(f"{config}: no channel is called {channel!r}; {meant}")
    names = [channel] if channel else list(settings.channels)
    failed = False
    for name in names:
        try:
            settings.channels[name].send(trial(settings, name))
        except ChannelError as error:
            failed = True
            print(f"{name}: not taken: {error}")
        else:
            print(f"{name}: taken")
    if not names:
        raise UsageError(f"{config} has no channel: add [alerts.channels.NAME]")
    if failed:
        raise typer.Exit(exit_code.FAILED)


def alert_settings(config: Path) -> AlertSettings:
    """Return the ``[alerts]`` of a configuration file; raises UsageError."""
    from geartrain.alerts.settings import read_alerts
    from geartrain.configuration import read_tables, table_of

    return read_alerts(config, table_of(config, read_tables(config), "alerts"))


def trial(settings: AlertSettings, channel: str) -> Message:
    """Return a message that says that it is a test, as the channel wants it."""
    from geartrain.store.schedule_rows import Alert

    now = time.time()
    text = f"{me()} tries the channel {channel!r}"
    event = Alert("test", "geartrain", message=text, since=now, last=now, due=now)
    return settings.speaking().message(channel, event, now)
