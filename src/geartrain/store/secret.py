"""
URLs with passwords, and how they are shown: without.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

__all__ = ["masked_url", "without_secrets"]

MASK: Final = "***"
# Between the colon behind the user and the last @ before the path.
PASSWORD: Final = re.compile(r"(?<=://)([^/@:]*):([^/]*)@")
PARAMETER: Final = re.compile(r"((?:password|passwd|sslpassword)=)[^&\s]*", re.IGNORECASE)


def masked_url(url: str) -> str:
    """Return a URL whose password is replaced by three asterisks."""
    return PARAMETER.sub(rf"\g<1>{MASK}", PASSWORD.sub(rf"\g<1>:{MASK}@", url))


def without_secrets(text: str, url: str) -> str:
    """Return a text, such as a driver's message, without the password that a URL has."""
    found = PASSWORD.search(url)
    secrets = [found.group(2)] if found else []
    secrets += [part.group(0).partition("=")[2] for part in PARAMETER.finditer(url)]
    for secret in secrets:
        for form in {secret, unquote(secret)}:
            if form:
                text = text.replace(form, MASK)
    return text
