"""A workbook's container: a zip file whose parts are XML, opened without trusting what it says of itself.

What it unpacks to is bounded before and while it is read; a document type, and with it every entity, is refused; only
the parts that are asked for are opened, so macros and what a link points to are never touched.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from xml.parsers import expat

from loopkeeper.spreadsheets.cells import Limits, Unreadable, too_large

STEP = 1 << 16
MOST_PARTS = 4096
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)

Start = Callable[[str, dict[str, str]], None]


def damaged() -> Unreadable:
    return Unreadable(
        "file-unreadable",
        "The file is no whole workbook.",
        "Open it in the spreadsheet program and save it once more as .xlsx or .csv.",
    )


def locked() -> Unreadable:
    return Unreadable("file-unreadable", "The workbook has a password.", "Save it without a password.")


class Container:
    """The parts of a workbook by name."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except DAMAGED:
            raise damaged() from None
        parts = self._zip.infolist()
        if len(parts) > MOST_PARTS:
            raise too_large("parts", str(MOST_PARTS))
        # The library reads no more of a part than its declared size, so what is declared is the bound.
        if sum(part.file_size for part in parts) > limits.unpacked:
            raise too_large("megabytes, unpacked", str(limits.unpacked // (1024 * 1024)))
        if any(part.flag_bits & 0x1 for part in parts):
            raise locked()

    def __contains__(self, name: str) -> bool:
        return name in self._zip.NameToInfo

    def pieces(self, name: str) -> Iterator[bytes]:
        """A part's bytes. Raises `Unreadable` where it is missing or damaged."""
        try:
            with self._zip.open(name) as part:
                while piece := part.read(STEP):
                    yield piece
        except (KeyError, RuntimeError, *DAMAGED):
            raise damaged() from None

    def whole(self, name: str, largest: int = 8 * 1024 * 1024) -> bytes:
        """A small part at once."""
        if name in self and self._zip.getinfo(name).file_size > largest:
            raise damaged()
        return b"".join(self.pieces(name))


class Xml:
    """An XML part read as it is unpacked: `start`, `end` and `text` are called by names without their prefixes."""

    def __init__(self, start: Start, end: Callable[[str], None], text: Callable[[str], None]) -> None:
        self._names: dict[str, str] = {}
        self._start, self._end = start, end
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._started
        parser.EndElementHandler = self._ended
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = _no_document_type
        self._parser = parser

    def feed(self, piece: bytes, *, final: bool = False) -> None:
        try:
            self._parser.Parse(piece, final)
        except expat.ExpatError:
            raise damaged() from None

    def read(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            self.feed(piece)
        self.feed(b"", final=True)

    def _started(self, name: str, attributes: dict[str, str]) -> None:
        self._start(self._local(name), attributes)

    def _ended(self, name: str) -> None:
        self._end(self._local(name))

    def _local(self, name: str) -> str:
        found = self._names.get(name)
        if found is None:
            found = self._names[name] = name.rpartition(":")[2]
        return found


def _no_document_type(*_: Any) -> None:
    raise damaged()


def ignore(*_: Any) -> None:
    """For what a reader does not ask about."""
