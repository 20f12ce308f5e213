"""Which letters do the bytes of a text file mean? What is sure decides; one-byte alphabets are never guessed.

A byte order mark decides; else UTF-8 without a fault; else UTF-16 where every second byte is zero; else the encoding
that is declared. Detectors are not asked: they take Spanish in Windows letters for Polish.
"""

from __future__ import annotations

import codecs
import re

MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# Marks where bytes are no letters of the encoding; no line that has it is read.
LOST = "\ufffd"
SNIFFED = 4096
STEP = 1 << 18


def encoding_of_start(start: bytes, declared: str = "utf-8") -> str:
    """The encoding as far as the first bytes tell, for a body that arrives in pieces."""
    for mark, encoding in MARKS:
        if start.startswith(mark):
            return encoding
    return _utf_16(start[:SNIFFED]) or declared


def encoding_of(content: bytes, declared: str = "utf-8") -> str:
    """The encoding of a whole file."""
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return encoding
    wide = _utf_16(content[:SNIFFED])
    if wide:
        return wide
    return "utf-8" if _is_utf_8(content) else declared


def decoder(encoding: str) -> codecs.IncrementalDecoder:
    """A decoder that puts `LOST` where bytes are no letters. Raises `LookupError` for an unknown encoding."""
    return codecs.getincrementaldecoder(encoding)("replace")


def _utf_16(start: bytes) -> str:
    """UTF-16 without its mark, told by the noughts of its first line: Western text has one in every second byte."""
    if b"\0" not in start:
        return ""
    for encoding in ("utf-16-le", "utf-16-be"):
        line = re.split("[\r\n]", start.decode(encoding, "replace").lstrip(), maxsplit=1)[0]
        western = sum("\x20" <= character <= "\xff" or character == "\t" for character in line)
        if len(line) >= 2 and western * 10 >= len(line) * 9:
            return encoding
    return ""


def _is_utf_8(content: bytes) -> bool:
    strict = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        for start in range(0, len(content), STEP):
            strict.decode(content[start : start + STEP], final=start + STEP >= len(content))
    except UnicodeDecodeError:
        return False
    return True
