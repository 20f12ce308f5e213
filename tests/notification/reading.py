"""How hard is a text to read? The Flesch-Kincaid grade, with syllables counted by rule: some thirty lines need no library,
and what it counts can be read."""

from __future__ import annotations

import re

SENTENCE = re.compile(r"[.!?]+(?:\s|$)")
WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
GROUPS = re.compile(r"[aeiouy]+")


def grade(text: str) -> float:
    """0.39 words a sentence + 11.8 syllables a word - 15.59 (Kincaid 1975). Numbers are not words."""
    words = WORD.findall(text)
    sentences = max(1, len([part for part in SENTENCE.split(text) if WORD.search(part)]))
    spoken = sum(syllables(word) for word in words)
    return 0.39 * len(words) / sentences + 11.8 * spoken / len(words) - 15.59


def syllables(word: str) -> int:
    """Groups of vowels, without a silent e at the end; never none."""
    plain = re.sub(r"[^a-z]", "", word.lower())
    count = len(GROUPS.findall(plain))
    if plain.endswith("e") and not plain.endswith(("le", "ee")) and count > 1:
        count -= 1
    if plain.endswith("ed") and not plain.endswith(("ted", "ded")) and count > 1:
        count -= 1
    return max(1, count)
