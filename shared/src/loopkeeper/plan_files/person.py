"""The id of a person whom a file names by name alone."""

from __future__ import annotations

import re
import unicodedata

LONGEST_PERSON = 100


def person_id(name: str) -> str:
    """The id of a person of whom a file has only the name: the same for the same name, in any letters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()
    return "-".join(re.findall("[a-z0-9]+", plain))[:LONGEST_PERSON]
