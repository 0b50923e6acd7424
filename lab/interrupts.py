"""Ctrl-C at any moment: short steps that must not be torn apart."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_DEFERRED = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep SIGINT and SIGTERM until the block is over, then deliver the first that came.

    Handlers are swapped rather than the mask set: a blocked signal goes to any other thread, and
    children would inherit the mask. Python interrupts the main thread only, so elsewhere there is
    nothing to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in _DEFERRED
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if came:
            signal.raise_signal(came[0])
