"""However many ask, the account makes no more calls than it may, in DynamoDB as in memory."""

from datetime import timedelta

from functions.domain.invalidation_limits import CALL_EVERY_S, CALLS_AT_ONCE, CALLS_KNOWN_S
from functions.upload_ports import Account
from tests.twins.clock import EPOCH


class AccountLaws:
    """Subclasses have a fixture `account`: an empty table's."""

    def test_calls_are_claimed_within_the_accounts_rate(self, account: Account) -> None:
        """Whoever asks, and however often."""
        claimed, now = [], EPOCH
        while now < EPOCH + timedelta(seconds=60):
            at = account.claim_call(now)
            if at == now:
                claimed.append(now)
            else:
                assert at > now
            now += timedelta(seconds=0.5)
        assert CALLS_AT_ONCE <= len(claimed) <= 60 / CALL_EVERY_S + CALLS_AT_ONCE
        for first, later in zip(claimed, claimed[CALLS_AT_ONCE:], strict=False):
            assert (later - first).total_seconds() >= CALL_EVERY_S

    def test_a_claim_that_must_wait_claims_nothing(self, account: Account) -> None:
        """Asking costs nothing, and the instant that was told is good."""
        while account.claim_call(EPOCH) == EPOCH:
            pass
        at = account.claim_call(EPOCH)
        assert account.claim_call(EPOCH) == at > EPOCH
        assert account.claim_call(at) == at

    def test_a_long_rest_fills_the_budget(self, account: Account) -> None:
        """Old calls are of no account."""
        while account.claim_call(EPOCH) == EPOCH:
            pass
        rested = EPOCH + timedelta(seconds=2 * CALLS_KNOWN_S)
        assert [account.claim_call(rested) == rested for _ in range(CALLS_AT_ONCE)] == [
            True
        ] * CALLS_AT_ONCE
        assert account.claim_call(rested) > rested

    def test_nothing_was_used_at_first(self, account: Account) -> None:
        """Not a fault, but a month in which nothing was paid yet."""
        assert account.used(EPOCH) == {}
