"""CloudFront's invalidations: the one call that makes one, and what tells of those there are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from itertools import islice
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from functions.adapters.unanswered import UNANSWERED
from functions.domain.batch import LookUp, Made, Missing, Refused, Unanswered
from functions.domain.errors import CloudFrontError, NoSuchDistributionError, NotFoundYetError
from functions.domain.invalidation_limits import Meaning, meaning_of
from functions.domain.looking_up import Listed, to_look_at

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient
    from mypy_boto3_cloudfront.type_defs import InvalidationSummaryTypeDef

LISTED: Final = 500
"""The newest invalidations that are read from the list, five pages of it. The state of an older one
is asked for singly."""

_COMPLETED: Final = "Completed"
_PAGE: Final = 100
_NO_SUCH: Final = "NoSuchInvalidation"
_NO_DISTRIBUTION: Final = "NoSuchDistribution"


@dataclass(frozen=True, slots=True)
class CloudFrontApi:
    """`once` makes each of its calls once; `client` repeats what was throttled, and only reads."""

    client: "CloudFrontClient"
    once: "CloudFrontClient"

    def create(
        self, distribution: str, reference: str, paths: Sequence[str]
    ) -> Made | Refused | Unanswered:
        """Make the one call of CreateInvalidation. Raise nothing."""
        try:
            answer = self.once.create_invalidation(
                DistributionId=distribution,
                InvalidationBatch={
                    "CallerReference": reference,
                    "Paths": {"Quantity": len(paths), "Items": list(paths)},
                },
            )
            made = answer["Invalidation"]
            return Made(made["Id"], made["CreateTime"].astimezone(UTC))
        except ClientError as error:
            return _refusal(error)
        except (*UNANSWERED, KeyError):  # half an answer lacks what is in it
            return Unanswered()

    def look_up(self, distribution: str, wanted: LookUp) -> Made | Missing:
        """Find an invalidation by its reference and paths, the likeliest ones first.

        ListInvalidations tells neither, GetInvalidation both: so a few are looked at in a call.
        Raise NotFoundYetError where there are more of them, and CloudFrontError.
        """
        try:
            with _raised():
                return self._look_up(distribution, wanted)
        except NoSuchDistributionError:
            return Missing()

    def completed(self, distribution: str, invalidation_ids: Sequence[str]) -> frozenset[str]:
        """Return those that are completed; raise NoSuchDistributionError or CloudFrontError.

        One that CloudFront does not know is not in progress either, and so is one of them.
        """
        wanted, done = set(invalidation_ids), set[str]()
        if not wanted:
            return frozenset()
        with _raised():
            for listed in islice(self._listed(distribution), LISTED):
                if listed["Id"] in wanted:
                    wanted.remove(listed["Id"])
                    done.update({listed["Id"]} if listed["Status"] == _COMPLETED else ())
                if not wanted:
                    break
            done.update(one for one in sorted(wanted) if self._is_completed(distribution, one))
        return frozenset(done)

    def _look_up(self, distribution: str, wanted: LookUp) -> Made | Missing:
        listed = (
            Listed(one["Id"], one["CreateTime"].astimezone(UTC))
            for one in islice(self._listed(distribution), LISTED)
        )
        likeliest, more = to_look_at(listed, wanted)
        for one in likeliest:
            found = self.client.get_invalidation(
                DistributionId=distribution, Id=one.invalidation_id
            )["Invalidation"]
            batch = found["InvalidationBatch"]
            paths = tuple(batch["Paths"].get("Items", ()))
            if (batch["CallerReference"], paths) == (wanted.reference, wanted.paths):
                return Made(found["Id"], found["CreateTime"].astimezone(UTC))
        if more:
            raise NotFoundYetError(len(likeliest))
        return Missing()

    def _listed(self, distribution: str) -> "Iterator[InvalidationSummaryTypeDef]":
        """Yield the invalidations, the newest first, a page as it is asked for."""
        pages = self.client.get_paginator("list_invalidations").paginate(
            DistributionId=distribution, PaginationConfig={"PageSize": _PAGE}
        )
        for page in pages:
            yield from page["InvalidationList"].get("Items", ())

    def _is_completed(self, distribution: str, invalidation_id: str) -> bool:
        try:
            answer = self.client.get_invalidation(DistributionId=distribution, Id=invalidation_id)
        except ClientError as error:
            if _code(error) == _NO_SUCH:
                return True
            raise
        return answer["Invalidation"]["Status"] == _COMPLETED


def _refusal(error: ClientError) -> Refused | Unanswered:
    code, message = _code(error), error.response.get("Error", {}).get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    meaning = meaning_of(code, message, status)
    if meaning is Meaning.UNKNOWN:
        return Unanswered()
    return Refused(meaning, f"{code}: {message}")


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def _raised() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        gone = _code(error) == _NO_DISTRIBUTION
        raise (NoSuchDistributionError if gone else CloudFrontError)(str(error)) from error
    except (*UNANSWERED, KeyError) as error:  # half an answer lacks what is in it
        raise CloudFrontError(str(error)) from error
