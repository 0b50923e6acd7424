"""A message as a queue hands it over."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivery:
    """One receipt of a message. SQS may hand the same message over again, with another receipt."""

    body: str
    receipt: str
