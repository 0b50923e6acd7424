"""CloudFront's refusals, with the codes, statuses and texts of its answers.

Codes and statuses are those of botocore's model of CloudFront; the texts those that users quote.
"""

from http import HTTPStatus


class RefusedError(Exception):
    """CloudFront answers a call with an error, and did nothing."""

    def __init__(
        self, code: str, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def invalid_argument(message: str) -> RefusedError:
    """Return the refusal of a request that cannot be right."""
    return RefusedError("InvalidArgument", message)


def invalid_paths() -> RefusedError:
    """Return the refusal of a batch with a bad path. CloudFront does not say which."""
    return invalid_argument("Your request contains one or more invalid invalidation paths.")


def reused_reference(code: str) -> RefusedError:
    """Return the refusal of a known caller reference with other paths."""
    text = (
        "Your request contains a caller reference that was used for a previous invalidation "
        "batch for the same distribution."
    )
    return RefusedError(code, text)


def too_many(kind: str = "") -> RefusedError:
    """Return the refusal of paths beyond what may be in progress; `kind` is `wildcard ` or none."""
    text = (
        "Processing your request will cause you to exceed the maximum number of in-progress "
        f"{kind}invalidations."
    )
    return RefusedError("TooManyInvalidationsInProgress", text)


def batch_too_large() -> RefusedError:
    """Return the refusal of more paths than a request may have."""
    return RefusedError(
        "BatchTooLarge",
        "Invalidation batch specified is too large.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )


def throttled() -> RefusedError:
    """Return the refusal of a call beyond the account's budget; a 400 here, unlike elsewhere."""
    return RefusedError("Throttling", "Rate exceeded")


def unavailable() -> RefusedError:
    """Return the answer of a service that is ill."""
    return RefusedError(
        "ServiceUnavailable",
        "CloudFront encountered an internal error. Please try again.",
        HTTPStatus.SERVICE_UNAVAILABLE,
    )


def not_found(what: str) -> RefusedError:
    """Return the refusal for an unknown `Distribution` or `Invalidation`."""
    return RefusedError(
        f"NoSuch{what}", f"The specified {what.lower()} does not exist.", HTTPStatus.NOT_FOUND
    )
