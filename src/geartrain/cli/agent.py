"""
``geartrain agent``: run fires of entries on this machine.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geartrain.errors import UsageError

if TYPE_CHECKING:
    from geartrain.agent.agent import Agent
    from geartrain.agent.settings import AgentSettings

__all__ = ["agent"]


def agent(
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]MODULE:FUNCTION...",
            help="Callables to register, or the word status.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Its name.", show_default="the host's name")
    ] = None,
    servers: Annotated[
        list[str] | None,
        typer.Option("--server", "-s", help="Job server. May be repeated."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Configuration file (TOML).")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Directory for what it remembers.", show_default="geartrain-agent"),
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tags", help="What it is chosen by. May be repeated.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Programs or command lines that it runs. May be repeated."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Fires that run at once.", show_default="4")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With status: print JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Run commands and callables of entries on this machine."""
    from geartrain.agent.settings import AgentSettings, check_settings, load_agent_settings

    settings = load_agent_settings(config) if config else AgentSettings()
    given = {
        "name": name,
        "servers": servers,
        "state": None if state is None else str(state),
        "tags": tags,
        "allow": allow,
        "concurrency": concurrency,
    }
    for key, value in given.items():
        if value:
            setattr(settings, key, value)
    check_settings(settings)
    if places == ["status"]:
        from geartrain.cli.agent_status import show_status

        show_status(settings, as_json)
        return
    register(settings, places or [])
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    sys.exit(0 if run_agent(settings) else 1)


def register(settings: AgentSettings, places: list[str]) -> None:
    """Add the callables of the command line to those of the configuration."""
    for place in places:
        name, _, rest = place.rpartition("=")
        # Without a name, it is registered under its own.
        name = name or rest.rpartition(":")[2]
        if settings.apps.setdefault(name, rest) != rest:
            raise UsageError(f"{name!r} is registered as {settings.apps[name]!r} already")


def run_agent(settings: AgentSettings) -> bool:
    """Run an agent until it is stopped."""
    from geartrain.agent.agent import Agent
    from geartrain.agent.callables import find_callables

    apps = find_callables(settings.apps)
    if not apps and not settings.allow:
        logging.getLogger("geartrain.agent").warning(
            "nothing is allowed on this machine, so no command will run: see [agent] allow"
        )
    return Agent(settings, apps).run(say_ready)


def say_ready(agent: Agent) -> None:
    """Say that the agent works."""
    print(f"ready: agent {agent.settings.name}", file=sys.stderr, flush=True)
