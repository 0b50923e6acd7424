"""One wake is enough, and none that is late holds up an upload, with SQS as in memory."""

from collections.abc import Callable
from datetime import timedelta

from functions.upload_ports import Wakes
from tests.laws.upload_rows import HERE, THERE
from tests.twins.clock import EPOCH


class WakeLaws:
    """Subclasses have fixtures `wakes`, and `sent`: how many messages each distribution has."""

    def test_one_wake_is_enough(self, wakes: Wakes, sent: Callable[[str], int]) -> None:
        """A folder of 500 files wakes once; another distribution is woken for itself."""
        for ms in range(0, 900, 100):
            wakes.wake(HERE, 1, EPOCH + timedelta(milliseconds=ms))
        assert sent(HERE) == 1
        wakes.wake(THERE, 1, EPOCH)
        assert (sent(HERE), sent(THERE)) == (1, 1)

    def test_a_wake_that_has_come_does_not_spare_the_next(
        self, wakes: Wakes, sent: Callable[[str], int]
    ) -> None:
        """It has looked already, before these rows were written."""
        wakes.wake(HERE, 1, EPOCH)
        wakes.wake(HERE, 1, EPOCH + timedelta(seconds=1))
        wakes.wake(HERE, 1, EPOCH + timedelta(seconds=2.5))
        assert sent(HERE) == 3

    def test_a_late_wake_does_not_hold_up_an_upload(
        self, wakes: Wakes, sent: Callable[[str], int]
    ) -> None:
        """A pause of minutes is no reason for the next designer to wait as long."""
        wakes.wake(HERE, 600, EPOCH)
        wakes.wake(HERE, 1, EPOCH + timedelta(seconds=1))
        assert sent(HERE) == 2
        wakes.wake(HERE, 700, EPOCH + timedelta(seconds=1))
        assert sent(HERE) == 2

    def test_a_delay_longer_than_sqs_has_is_cut(
        self, wakes: Wakes, sent: Callable[[str], int]
    ) -> None:
        """It comes early, and whoever looks then can wake again."""
        wakes.wake(HERE, 100_000, EPOCH)
        assert sent(HERE) == 1
        wakes.wake(HERE, 900, EPOCH + timedelta(seconds=899))
        assert sent(HERE) == 1
        wakes.wake(HERE, 900, EPOCH + timedelta(seconds=900))
        assert sent(HERE) == 2
