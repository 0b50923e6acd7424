"""What is to be done, said in the same words before it is done and after."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol


class Step(Protocol):
    """One thing that must be so afterwards."""

    def pending(self) -> str | None:
        """Return what is to be done, as "VERB WHAT"; None if it is so already."""

    def do(self) -> None:
        """Do it."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A step that changes something, and what it is called."""

    words: str
    step: Step


def pending(steps: Iterable[Step]) -> list[Pending]:
    """Return the steps that would change something, in order."""
    return [Pending(words, step) for step in steps if (words := step.pending())]


def carry_out(plan: Iterable[Pending], say: Callable[[str], None]) -> None:
    """Do each, and say it once it is done."""
    for one in plan:
        one.step.do()
        say(one.words)
