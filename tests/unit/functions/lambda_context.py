"""What Lambda hands to a handler beside the event."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def lambda_context() -> "LambdaContext":
    """Return the context of an invocation with 300 s left."""
    context = SimpleNamespace(
        get_remaining_time_in_millis=lambda: 300_000,
        function_name="f",
        memory_limit_in_mb=1,
        invoked_function_arn="a",
        aws_request_id="r",
    )
    return cast("LambdaContext", context)
