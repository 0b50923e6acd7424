"""Clients of DynamoDB whose writes are repeated, or come second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class LostAnswers:
    """A client whose writes are done, and whose answers to them a proxy loses once each."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name not in {"transact_write_items", "put_item"}:
            return call

        def twice(**arguments: Any) -> Any:
            call(**arguments)
            return call(**arguments)  # as botocore repeats it; another token, as after 10 minutes

        return twice


class Overtaken:
    """A client whose first write comes just after somebody else's."""

    def __init__(self, client: Any, other: Callable[[], object]) -> None:
        self._client = client
        self._others = [other]

    def __getattr__(self, name: str) -> Any:
        if name in {"transact_write_items", "put_item"} and self._others:
            self._others.pop()()
        return getattr(self._client, name)
