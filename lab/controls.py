"""What a test or the benchmark sets in a running endpoint of the lab: the part that all share."""

from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Generic, Self, TypeVar

F = TypeVar("F", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class FaultControls(Generic[F]):
    """Settings of an endpoint, replaced as a whole at each change, with a fault of its calls."""

    fault: F | None = None
    fault_times: int = 1
    """How many calls the fault still hits."""

    @staticmethod
    @abstractmethod
    def fault_of(name: str) -> F:
        """Return the fault of that name. Raise ValueError."""

    def changed(self, changes: dict[str, Any]) -> Self:
        """Return the settings with `changes`. Raise ValueError for an unknown one."""
        unknown = changes.keys() - {field.name for field in fields(self)}
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        fault = changes.get("fault", self.fault)
        return replace(self, **{**changes, "fault": self.fault_of(fault) if fault else None})

    def after_a_hit(self) -> Self:
        """Return the settings once the fault has hit one more call."""
        left = self.fault_times - 1
        return replace(self, fault=self.fault if left > 0 else None, fault_times=max(left, 1))
