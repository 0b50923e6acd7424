"""The laws of the wakes, kept on the emulator's DynamoDB and SQS."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from functions.adapters.wakes import SqsWakes
from functions.domain.errors import QueueError
from tests.integration.functions.uploads.lost_writes import LostAnswers, Overtaken
from tests.laws.upload_rows import HERE
from tests.laws.wakes import WakeLaws
from tests.twins.clock import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.region import Region

pytestmark = pytest.mark.emulator


class TestSqsWakes(WakeLaws):
    """Wakes in DynamoDB and SQS."""

    @pytest.fixture
    def url(self, region: Region) -> str:
        """Make the queue of wakes and return its URL."""
        url: str = region.client("sqs").create_queue(QueueName="holdstill-wakes")["QueueUrl"]
        return url

    @pytest.fixture
    def calls(self) -> list[dict[str, Any]]:
        """Return what SQS was asked to send."""
        return []

    @pytest.fixture
    def wakes(self, region: Region, table: str, url: str, calls: list[dict[str, Any]]) -> SqsWakes:
        """Return the port, whose every call of SQS is known."""
        queue = region.client("sqs")
        queue.meta.events.register(
            "provide-client-params.sqs.SendMessage", lambda params, **_: calls.append(params)
        )
        return SqsWakes(region.client("dynamodb"), table, queue, url)

    @pytest.fixture
    def sent(self, calls: list[dict[str, Any]]) -> Callable[[str], int]:
        """Return how many messages were sent of a distribution."""

        def count(distribution: str) -> int:
            return [json.loads(call["MessageBody"])["distribution"] for call in calls].count(
                distribution
            )

        return count

    def test_a_message_tells_of_a_distribution(
        self, wakes: SqsWakes, region: Region, url: str, calls: list[dict[str, Any]]
    ) -> None:
        """It is delayed by SQS, and says which version it is of."""
        wakes.wake(HERE, 0, EPOCH)
        answer = region.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)
        assert json.loads(answer["Messages"][0]["Body"]) == {"v": 1, "distribution": HERE}
        wakes.wake(HERE, 30, EPOCH)
        assert [call["DelaySeconds"] for call in calls] == [0, 30]

    def test_a_message_that_was_not_sent_is_not_counted_on(
        self, wakes: SqsWakes, region: Region, table: str, sent: Callable[[str], int]
    ) -> None:
        """The next upload wakes for itself."""
        broken = SqsWakes(region.client("dynamodb"), table, wakes.queue, "http://127.0.0.1/gone")
        with pytest.raises(QueueError, match="wake not sent"):
            broken.wake(HERE, 60, EPOCH)
        before = sent(HERE)
        wakes.wake(HERE, 120, EPOCH + timedelta(seconds=1))
        assert sent(HERE) == before + 1

    def test_a_repeated_row_does_not_spare_the_message(
        self, wakes: SqsWakes, region: Region, table: str, sent: Callable[[str], int]
    ) -> None:
        """When the answer to the row's write is lost, the row there is our own."""
        client: Any = LostAnswers(region.client("dynamodb"))
        SqsWakes(client, table, wakes.queue, wakes.url).wake(HERE, 1, EPOCH)
        assert sent(HERE) == 1

    @pytest.mark.parametrize(("delay_s", "messages"), [(1, 1), (60, 2)])
    def test_of_two_that_look_at_once_the_first_to_come_counts(
        self,
        wakes: SqsWakes,
        sent: Callable[[str], int],
        delay_s: int,
        messages: int,
    ) -> None:
        """A folder is uploaded: many collectors see parts of it at the same time."""
        client: Any = Overtaken(wakes.client, lambda: wakes.wake(HERE, delay_s, EPOCH))
        slower = SqsWakes(client, wakes.name, wakes.queue, wakes.url)
        slower.wake(HERE, 1, EPOCH + timedelta(milliseconds=1))
        assert sent(HERE) == messages
