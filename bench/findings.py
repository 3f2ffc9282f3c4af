"""
All that a run of the benchmark found out, kept in a file, so that its page can be written again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .classes import CLASSES
from .instructions import Counts
from .kinds import Contestant
from .profile import Profile
from .report import Measured

__all__ = ["Findings"]


@dataclass
class Findings:
    """
    What a run found out.

    Attributes:
        programs: The program of each side, such as ``peer``: ``gearmand``.
        rounds: How often each class was measured, unless it says otherwise.
        facts: Machine and versions, as (name, value).
        measured: The classes, in the order of the page.
        skipped: Sentences on what was left out, and why.
        instructions: Instructions per job.
        profiles: Where our server's time goes, by class.

    """

    programs: dict[str, str]
    rounds: int
    facts: list[tuple[str, str]]
    measured: list[Measured] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    instructions: Counts = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        plain = {
            "programs": self.programs,
            "rounds": self.rounds,
            "facts": self.facts,
            "measured": {each.kind.name: as_plain(each) for each in self.measured},
            "skipped": self.skipped,
            "instructions": self.instructions,
            "profiles": {name: asdict(each) for name, each in self.profiles.items()},
        }
        path.write_text(json.dumps(plain, indent=1) + "\n")

    @staticmethod
    def load(path: Path) -> Findings:
        """Read what ``save`` wrote; classes that are no more are left out."""
        plain = json.loads(path.read_text())
        known = [kind for kind in CLASSES if kind.name in plain["measured"]]
        return Findings(
            plain["programs"],
            plain["rounds"],
            [(name, value) for name, value in plain["facts"]],
            [as_measured(Measured(kind), plain["measured"][kind.name]) for kind in known],
            plain["skipped"],
            plain["instructions"],
            {
                name: Profile(
                    [(percent, of) for percent, of in each["objects"]],
                    [(percent, of) for percent, of in each["symbols"]],
                )
                for name, each in plain["profiles"].items()
            },
        )


def as_plain(measured: Measured) -> list[dict[str, Any]]:
    return [
        {**asdict(by), "commands": measured.commands.get(by, []), "rounds": figures}
        for by, figures in measured.results.items()
    ]


def as_measured(measured: Measured, plain: list[dict[str, Any]]) -> Measured:
    for each in plain:
        contestant = Contestant(each["side"], each["store"])
        measured.results[contestant] = each["rounds"]
        measured.commands[contestant] = each["commands"]
    return measured
