"""What is up between entry and exit, and leaves nothing behind."""

from __future__ import annotations

import atexit
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import Self

from lab.interrupts import uninterrupted


class Temporary(ABC):
    """Built on entry, taken down on exit, or at the latest when the interpreter ends.

    `_build` registers each undo with `self._undo` before its step, so that an interruption at any
    moment is undone too.
    """

    def __init__(self) -> None:
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        atexit.register(self.close)
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take everything down, in reverse; again is harmless."""
        with uninterrupted():
            self._undo.close()
        atexit.unregister(self.close)

    @abstractmethod
    def _build(self) -> None:
        """Build it; what fails or is interrupted is undone by the caller."""
