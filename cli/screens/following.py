"""How far what was asked for has come, a line for each step of each distribution."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from cli.screens.console import output
from cli.spelling import counted
from functions.domain.asked_progress import Progress as Step
from functions.domain.asked_progress import Stage


class Progress:
    """Lines that stay, and on a terminal a spinner below them that says what is waited for."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status

    def changed(self, distribution: str, waited_s: float, steps: Sequence[Step]) -> None:
        """Say where a distribution's rows are, so many seconds after they were asked for."""
        said = ", ".join(_said(steps))
        self._console.print(f"  +{waited_s:.1f} s  {distribution}  {said}")

    def now(self, stages: Mapping[Stage, int], waited_s: float) -> None:
        """Say what is waited for."""
        said = ", ".join(f"{number:,} {stage.value}" for stage, number in stages.items())
        self._status.update(f"{waited_s:.0f} s: {said}")


@contextmanager
def progress() -> Iterator[Progress]:
    """Show it for as long as the context lasts."""
    console = output()
    spinner = "dots" if console.encoding.startswith("utf") else "line"  # which is ASCII
    with console.status("", spinner=spinner) as status:
        yield Progress(console, status)


def _said(steps: Sequence[Step]) -> Iterator[str]:
    """Yield the stages, the first one first, each with the invalidations that have come so far."""
    order = list(Stage)
    for stage in sorted({step.stage for step in steps}, key=order.index):
        here = [step for step in steps if step.stage is stage]
        names = dict.fromkeys(
            step.record.invalidation_id
            for step in here
            if step.record and step.record.invalidation_id
        )
        which = f" ({', '.join(names)})" if names else ""
        some = f"{counted(len(here), 'row')} " if len(here) < len(steps) else ""
        yield f"{some}{stage.value}{which}"
