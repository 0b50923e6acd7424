"""What becomes of a cached address when a path is invalidated: one object for each question."""

from dataclasses import dataclass

from lab.live_probe.questions import Question

CLEARED, KEPT, REFUSED = "cleared", "kept", "refused"
"""What becomes of a cached address when a path is invalidated; of a refused path CloudFront takes
nothing."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An object, the address by which a viewer asks for it, and the path that is invalidated.

    `key` as the bucket has it, `viewed` and `path` as they are sent, all below a folder of the
    trial's own, without its slash. No `path`: nothing is invalidated.
    """

    question: Question
    key: str
    viewed: str
    path: str | None


def trial(
    name: str,
    asks: str,
    relied_on: str,
    module: str,
    otherwise: str,
    *,
    key: str,
    viewed: str,
    path: str | None,
) -> Trial:
    """Return a trial; `relied_on` is one answer, or several with a `|` between."""
    answers = tuple(relied_on.split("|")) if relied_on else ()
    return Trial(Question(name, asks, answers, module, otherwise), key, viewed, path)
