"""Where the probe asks: a distribution, its bucket, and one prefix that is the probe's own."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from typing import Any, Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from functions.domain.invalidation_limits import Meaning, halves, meaning_of
from lab.errors import LabError
from lab.live_probe.viewer import Viewer

_PATIENCE_S: Final = 300.0
"""For a throttled call, and for an invalidation that does not complete."""


class ProbeError(LabError):
    """The probe cannot go on; the text says why."""


FAILURES: Final = (ProbeError, ClientError, BotoCoreError, OSError, HTTPException)
"""Of the probe, of AWS and of the way there: all that is told, and is no bug."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An invalidation that CloudFront has, by this machine's monotonic clock and its own."""

    id: str
    created_at: datetime
    answered_s: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of CloudFront's: what it says, and what the product takes it for."""

    code: str
    message: str
    status: int
    meaning: Meaning

    @classmethod
    def of(cls, error: ClientError) -> Self:
        """Return the refusal of a client's error."""
        answer: Any = error.response
        code, message = answer["Error"]["Code"], answer["Error"].get("Message", "")
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return cls(code, message, status, meaning_of(code, message, status))

    def __str__(self) -> str:
        return f"{self.code} {self.status}: {self.message}"


@dataclass(slots=True)
class Place:
    """The distribution with its bucket, and what has been made there so far.

    `folder`: the probe's prefix as viewers see it, `/holdstill-probe/ab12/`. `pace_s`: between two
    calls of CloudFront's API.
    """

    s3: Any
    cloudfront: Any
    viewer: Viewer
    bucket: str
    distribution: str
    origin_path: str
    default_root_object: str
    folder: str
    pace_s: float = 2.0
    calls: int = 0
    paths: int = 0
    _called_s: float = field(default=float("-inf"), repr=False)

    def put(self, name: str, body: str) -> None:
        """Write an object below the folder."""
        self.s3.put_object(
            Bucket=self.bucket,
            Key=self.key(name),
            Body=body.encode(),
            ContentType="text/plain; charset=utf-8",
            CacheControl="max-age=3600",
        )

    def key(self, name: str) -> str:
        """Return the key, in the bucket, of a name below the folder."""
        return f"{self.origin_path}{self.folder}{name}".lstrip("/")

    def call(self, paths: Sequence[str], reference: str) -> Taken | Refusal:
        """Make one CreateInvalidation, at once."""
        batch = {
            "CallerReference": reference,
            "Paths": {"Quantity": len(paths), "Items": list(paths)},
        }
        self.calls += 1
        try:
            answer = self.cloudfront.create_invalidation(
                DistributionId=self.distribution, InvalidationBatch=batch
            )
        except ClientError as error:
            return Refusal.of(error)
        self.paths += len(paths)
        made = answer["Invalidation"]
        return Taken(made["Id"], made["CreateTime"], time.monotonic())

    def ask(self, paths: Sequence[str], reference: str) -> Taken | Refusal:
        """Make one CreateInvalidation at the probe's pace, until it is not throttled."""
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            self._wait()
            answer = self.call(paths, reference)
            waits = isinstance(answer, Refusal) and answer.meaning in {
                Meaning.THROTTLED,
                Meaning.FULL,
            }
            if not waits or time.monotonic() > until_s:
                return answer
            time.sleep(self.pace_s)

    def ask_all(
        self, paths: Sequence[str], reference: str
    ) -> tuple[list[Taken], dict[str, Refusal]]:
        """Invalidate all that CloudFront takes; return what it refuses, found by halving.

        Raise ProbeError for a refusal that has nothing to do with the paths.
        """
        answer = self.ask(paths, reference)
        if isinstance(answer, Taken):
            return [answer], {}
        if answer.meaning is not Meaning.BAD_PATHS:
            raise ProbeError(f"CreateInvalidation is refused: {answer}")
        if len(paths) == 1:
            return [], {paths[0]: answer}
        taken: list[Taken] = []
        refused: dict[str, Refusal] = {}
        for number, half in enumerate(halves(paths), start=1):
            more, bad = self.ask_all(half, f"{reference}.{number}")
            taken += more
            refused |= bad
        return taken, refused

    def await_completion(self, taken: Taken) -> float:
        """Return the seconds from the answer until it is seen to be completed.

        Raise ProbeError where it never is.
        """
        while time.monotonic() < taken.answered_s + _PATIENCE_S:
            self._wait()
            try:
                found = self.cloudfront.get_invalidation(
                    DistributionId=self.distribution, Id=taken.id
                )
            except ClientError as error:
                if Refusal.of(error).meaning is not Meaning.THROTTLED:
                    raise
                continue
            if found["Invalidation"]["Status"].lower() == "completed":
                return time.monotonic() - taken.answered_s
        raise ProbeError(f"{taken.id} was not completed within {_PATIENCE_S:.0f} s")

    def clean(self) -> None:
        """Delete every object, version and delete marker below the folder."""
        pages = self.s3.get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.bucket, Prefix=self.key("")):
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                version = one.get("VersionId", "null")
                plain = {} if version == "null" else {"VersionId": version}
                self.s3.delete_object(Bucket=self.bucket, Key=one["Key"], **plain)

    def _wait(self) -> None:
        time.sleep(max(0.0, self._called_s + self.pace_s - time.monotonic()))
        self._called_s = time.monotonic()
