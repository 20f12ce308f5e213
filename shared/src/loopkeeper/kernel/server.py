"""How uvicorn runs inside a program that stops itself: it must not take the signals."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import uvicorn


class Server(uvicorn.Server):
    """Ends when asked by `leave`, after answering what is under way; Ctrl-C and SIGTERM are the program's to take."""

    def leave(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
