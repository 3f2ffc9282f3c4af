"""
Which policy a function has.

What is configured wins over what workers declare. Of the configured policies
the one with exactly the function's name counts, else the first whose pattern
fits; policies are not mixed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from geartrain.broker.function import Function
from geartrain.broker.policing import Policing
from geartrain.broker.policy import RESULT_FUNCTION, Policy

__all__ = ["MAX_DECLARED", "Rulebook"]

# Functions for which workers may have declared policies.
MAX_DECLARED: Final = 16_384


class Rulebook:
    """
    The policies of all functions.

    Args:
        configured: In the order in which their patterns are tried.

    """

    __slots__ = ("declared", "exact", "patterns")

    def __init__(self, configured: list[Policy]) -> None:
        self.exact: dict[bytes, Policy] = {}
        self.patterns: list[tuple[str, Policy]] = []
        self.declared: dict[bytes, Policy] = {}
        self.configure(configured)

    def configure(self, configured: list[Policy]) -> None:
        """Take these for the configured policies, in the place of those before."""
        self.exact = {}
        self.patterns = []
        for policy in configured:
            self.exact.setdefault(policy.pattern, policy)
            # Bytes of any encoding fit as they are.
            self.patterns.append((policy.pattern.decode("latin-1"), policy))

    def configured(self, name: bytes) -> Policy | None:
        """Return the configured policy of a function, None where there is none."""
        if not self.patterns:
            return None
        found = self.exact.get(name)
        if found is not None:
            return found
        text = name.decode("latin-1")
        for pattern, policy in self.patterns:
            if fnmatchcase(text, pattern):
                return policy
        return None

    def enter(self, function: Function) -> None:
        """Give a new function its policy, if it has one."""
        policing = self.policing(function.name)
        function.policing = policing
        if policing is not None and policing.policy.maxqueue:
            function.limits = (policing.policy.maxqueue,) * 3

    def policing(self, name: bytes) -> Policing | None:
        """Return new books for keeping a function's policy, None where it has none."""
        if name == RESULT_FUNCTION:
            return Policing(Policy(name), True)
        policy = self.policy(name)
        return None if policy is None else Policing(policy, False)

    def policy(self, name: bytes) -> Policy | None:
        """Return the policy that holds for a function, None where there is none."""
        policy = self.configured(name)
        if policy is None and self.declared:
            policy = self.declared.get(name)
        return policy
