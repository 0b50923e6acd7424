"""`holdstill invalidate`, on a Holdstill in memory."""

from collections.abc import Callable
from dataclasses import replace

from click.testing import CliRunner, Result

from cli.app import main
from functions.domain.batch import BatchState
from functions.domain.invalidation_record import Contents, Record
from tests.twins.clock import TwinClock
from tests.twins.deployed import TwinListing, deployed
from tests.twins.uploads import TwinTable

KEYS = ("docs/index.html", "img/a b.png", "img/b.png", "index.html")


class Steps(TwinClock):
    """A clock at whose every wait the next thing happens."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Callable[[], None]] = []

    def sleep(self, seconds: float) -> None:
        """Let time pass, and the next thing happen."""
        super().sleep(seconds)
        if self.steps:
            self.steps.pop(0)()


class World:
    """A deployed Holdstill, and the command on it."""

    def __init__(self) -> None:
        self.table = TwinTable()
        self.clock = Steps()
        self.listing = TwinListing({"example-static": KEYS})

    def run(self, *arguments: str, typed: str = "", charset: str = "utf-8") -> Result:
        """Run the command."""
        here = deployed(self.table, self.clock, self.listing)
        return CliRunner(charset=charset).invoke(
            main, ["invalidate", *arguments], input=typed, obj=lambda *_: here
        )

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was ever written or sent."""
        return not (any(self.table.waiting.values()) or self.table.messages or self.table.due)

    def texts(self, distribution: str) -> list[str]:
        """Return the paths that wait on a distribution."""
        return sorted(row.path.text for row in self.table.waiting[distribution].values())

    def batch(self, distribution: str) -> None:
        """Put all that waits on a distribution into a batch that is about to be asked for."""
        causes = tuple(self.table.waiting[distribution].values())
        paths = tuple(row.path.text for row in causes)
        record = Record(distribution, "b1", len(paths), 0, self.clock.wall(), BatchState.ASKED)
        self.table.records[distribution, "b1"] = record
        self.table.contents[distribution, "b1"] = Contents(paths, causes)

    def answer(self, distribution: str) -> None:
        """Let CloudFront answer for it, and its rows be deleted."""
        self.change(
            distribution,
            state=BatchState.ANSWERED,
            invalidation_id=f"I{distribution}",
            created_at=self.clock.wall(),
            settled=True,
        )
        self.table.waiting[distribution].clear()

    def complete(self, distribution: str) -> None:
        """Let it be seen completed."""
        self.change(distribution, completed_at=self.clock.wall())

    def change(self, distribution: str, **changes: object) -> None:
        """Change the batch's record."""
        name = (distribution, "b1")
        self.table.records[name] = replace(self.table.records[name], **changes)  # type: ignore[arg-type]
