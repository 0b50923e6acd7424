"""CloudFormation's protocol for a resource of one's own: each request gets exactly one answer.

Without one CloudFormation waits for an hour, also in each roll-back. The answer is a PUT to the
address in the request.
"""

import json
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from functions.domain.errors import HoldstillError

_TIMEOUT_S: Final = 5
_TRIES: Final = 3
_REASON_CHARACTERS: Final = 1000
"""The answer may have 4,096 bytes in all, and a reason may be in any script."""


class AnswerError(HoldstillError):
    """CloudFormation could not be told: it will wait until its own time-out."""


@dataclass(frozen=True, slots=True)
class Request:
    """What CloudFormation asks. `physical_id` is empty for a Create."""

    kind: str
    request_id: str
    stack_id: str
    logical_id: str
    physical_id: str
    answer_url: str
    properties: Mapping[str, Any]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self:
        """Return the request of an event. Raise KeyError for what CloudFormation never sends."""
        return cls(
            kind=event["RequestType"],
            request_id=event["RequestId"],
            stack_id=event["StackId"],
            logical_id=event["LogicalResourceId"],
            physical_id=event.get("PhysicalResourceId", ""),
            answer_url=event["ResponseURL"],
            properties=event["ResourceProperties"],
        )

    @property
    def account(self) -> str:
        """The account of the stack, from its ARN."""
        return self.stack_id.split(":")[4]

    @property
    def region(self) -> str:
        """The Region of the stack, from its ARN."""
        return self.stack_id.split(":")[3]


class Answer:
    """The one answer to a request, from whichever thread is first. Later ones are not sent."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._lock = threading.Lock()
        self._given = False

    @property
    def given(self) -> bool:
        """Whether it is given: then nothing more may be done, or CloudFormation knows it wrong."""
        return self._given

    def succeeded(self, physical_id: str) -> None:
        """Say that it is done; raise AnswerError."""
        self._give("SUCCESS", physical_id, "")

    def failed(self, physical_id: str, reason: str) -> None:
        """Say that it is not done, and why; raise AnswerError."""
        self._give("FAILED", physical_id, reason[:_REASON_CHARACTERS])

    def _give(self, status: str, physical_id: str, reason: str) -> None:
        with self._lock:
            if self._given:
                return
            self._given = True
        self._put(
            {
                "Status": status,
                "Reason": reason,
                "PhysicalResourceId": physical_id,
                "StackId": self._request.stack_id,
                "RequestId": self._request.request_id,
                "LogicalResourceId": self._request.logical_id,
            }
        )

    def _put(self, answer: Mapping[str, str]) -> None:
        call = urllib.request.Request(  # noqa: S310  CloudFormation's own address
            self._request.answer_url,
            data=json.dumps(answer).encode(),
            method="PUT",
            headers={"Content-Type": ""},  # the address is signed for none, and urllib sets one
        )
        for tries in range(1, _TRIES + 1):
            try:
                with urllib.request.urlopen(call, timeout=_TIMEOUT_S):  # noqa: S310
                    return
            except OSError as error:
                if tries == _TRIES:
                    raise AnswerError(f"no answer given to CloudFormation: {error}") from error
                time.sleep(tries)
