"""The world of the uploads, with its rows and its queue in MiniStack, by the shipped adapters.

CloudFront, the buckets and the clock are twins. Each call of boto3 is two steps of the world:
before it is sent, and when it has been carried out and nobody has seen its answer.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from functions.adapters.account_table import AccountTable
from functions.adapters.batch_rows import BatchRows
from functions.adapters.batches_table import BatchesTable
from functions.adapters.leases_table import LeasesTable
from functions.adapters.uploads_table import UploadsTable
from functions.adapters.wakes import SqsWakes
from functions.domain.batch import BatchState, Made, Refused, Unanswered, caller_reference
from functions.domain.invalidation_record import Aside, Contents, Record
from functions.domain.sites import Sites
from functions.domain.waiting import Waiting
from tests.integration.functions.stepped_clients import SteppedClients
from tests.twins.clock import EPOCH, TwinClock
from tests.twins.upload_parts import TimedCloudFront
from tests.twins.upload_world import TwinUploadWorld


@dataclass
class EmulatedTable:
    """The ports on a new table, and a look at its rows, which is no step: as of `TwinTable`."""

    clients: SteppedClients
    name: str
    clock: TwinClock
    distributions: Sequence[str]
    messages: list[tuple[datetime, str]] = field(default_factory=list)
    """What SQS has taken: when it is due, by the clock of the test, and what it tells of."""
    _read: dict[tuple[str, str], Contents] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {"pk": "HASH", "sk": "RANGE"}
        self.clients.look.create_table(
            TableName=self.name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in names],
            KeySchema=[{"AttributeName": one, "KeyType": kind} for one, kind in names.items()],
        )
        self.clients.sent = self._sent
        client, queue = self.clients.dynamodb, self.clients.queue
        self.uploads = UploadsTable(client, self.name)
        self.batches = BatchesTable(client, self.name)
        self.account = AccountTable(client, self.name)
        self.leases = LeasesTable(client, self.name, "DISTRIBUTION")
        self.wakes = SqsWakes(client, self.name, queue, self.clients.url)
        self._batches = BatchesTable(self.clients.look, self.name)
        self._uploads = UploadsTable(self.clients.look, self.name)

    def delivered(self, now: datetime) -> list[str]:
        """Return the distributions of which messages are due, and forget those messages."""
        come = [name for at, name in sorted(self.messages) if at <= now]
        self.messages = [message for message in self.messages if message[0] > now]
        return come

    @property
    def waiting(self) -> dict[str, Sequence[Waiting]]:
        """All rows that wait."""
        return {name: self._uploads.waiting(name) for name in self.distributions}

    @property
    def open(self) -> list[Record]:
        """All open records."""
        return [record for name in self.distributions for record in self._batches.open(name)]

    @property
    def records(self) -> list[Record]:
        """All records."""
        return [record for name in self.distributions for record in self._batches.history(name)]

    @property
    def indexed(self) -> set[str]:
        """The batches that are found by when CloudFront made them."""
        since = EPOCH - timedelta(days=1)
        return {
            one.batch_id
            for name in self.distributions
            for one in self._batches.answered_since(name, since)
        }

    @property
    def contents(self) -> dict[tuple[str, str], Contents]:
        """The contents of all records; read once each, for they never change."""
        for one in self.records:
            name = (one.distribution, one.batch_id)
            self._read[name] = self._read.get(name) or self._batches.contents(one)
        return self._read

    @property
    def asides(self) -> dict[tuple[str, str], Aside]:
        """What was set aside."""
        asides = [one for name in self.distributions for one in self._batches.aside(name)]
        return {(one.distribution, one.path): one for one in asides}

    @property
    def used(self) -> dict[str, Counter[str]]:
        """The paths used in the month in which everything happens."""
        used = AccountTable(self.clients.look, self.name).used(EPOCH)
        return {f"{EPOCH:%Y-%m}": Counter(used)}

    def set_aside(self, *paths: str) -> None:
        """Set paths of the first distribution aside, as answers of long ago did."""
        for path in paths:
            at = EPOCH - timedelta(days=1)
            one = Aside(self.distributions[0], path, "bad-paths: once", at, ())
            put = BatchRows(self.name).set_aside(one)["Put"]
            self.clients.look.put_item(TableName=self.name, Item=put["Item"])

    def _sent(self, message: Mapping[str, Any]) -> None:
        due_at = self.clock.wall() + timedelta(seconds=message["DelaySeconds"])
        self.messages.append((due_at, json.loads(message["MessageBody"])["distribution"]))


class AskedCloudFront(TimedCloudFront):
    """Remembers what it was asked for, each time."""

    def __init__(self, clock: TwinClock, steps: Callable[[str], None]) -> None:
        super().__init__(clock, steps)
        self.controls = self.controls.changed({"completion_s": 5})
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def create(
        self, distribution: str, reference: str, paths: Sequence[str]
    ) -> Made | Refused | Unanswered:
        """As in the port."""
        self.asked.append((reference, tuple(paths)))
        return super().create(distribution, reference, paths)


class EmulatedWorld(TwinUploadWorld):
    """A world on a table of its own."""

    def __init__(self, sites: Sites, clients: SteppedClients, name: str) -> None:
        super().__init__(sites)
        self.clients = clients
        self.rows = EmulatedTable(clients, name, self.clock, tuple(sites.distributions))
        self.asking = AskedCloudFront(self.clock, self._step)
        self.table, self.cloudfront = self.rows, self.asking  # type: ignore[assignment]
        self._living: list[int] = []
        self._begun = count()
        clients.steps = self._step

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way, waits, or is open: in the order of what it costs."""
        if self._messages or self.rows.messages or self.rows.open:
            return False
        return not any(self.rows.waiting.values())

    @property
    def left_behind(self) -> tuple[object, ...]:
        """What the process would leave if it died now: where two are equal, so is all that follows.

        How much was written and asked for, when, and which invocations there are.
        """
        done = (self.clients.changes, self.asking.calls.total())
        return (*done, self.clock.now_ns(), *self._living)

    def check(self, *, stopped: int = 0) -> None:
        """As of the twins; and CloudFront and the rows tell the same story."""
        super().check(stopped=stopped)
        contents = self.rows.contents
        stored = {caller_reference(*name): one.paths for name, one in contents.items()}
        assert all(stored[reference] == paths for reference, paths in self.asking.asked)
        made = {one.id: one for name in self.sites.distributions for one in self.asking.made(name)}
        answered = [one for one in self.rows.records if one.state is BatchState.ANSWERED]
        assert {one.batch_id for one in answered} == self.rows.indexed
        assert sorted(str(one.invalidation_id) for one in answered) == sorted(made)
        for one in answered:
            assert one.created_at == made[str(one.invalidation_id)].created_at
            assert one.settled
            assert one.completed_at

    def _lives_through(self, invocation: Callable[..., None], *arguments: object) -> bool:
        self._living.append(next(self._begun))
        try:
            return super()._lives_through(invocation, *arguments)
        finally:
            self._living.pop()
