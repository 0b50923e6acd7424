"""The answers, as a table for a person and as a report for whoever changes the product."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from lab.live_probe.questions import Question

UNCLEAR: Final = "unclear"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, in one of a few words, and by what. `unclear`: nothing was proven."""

    question: Question
    answer: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool | None:
        """Whether the product may rely on it; None where it relies on nothing, or it is unclear."""
        if self.answer == UNCLEAR or not self.question.relied_on:
            return None
        return self.answer in self.question.relied_on


def one_of(question: Question, outcomes: Sequence[tuple[str, str]]) -> Answer:
    """Return the answer of repeated trials, each an outcome and its detail: all the same, or none.

    One visit may meet another machine of the edge, whose cache has nothing: a single `cleared`
    proves little, several of several do.
    """
    found = sorted({outcome for outcome, _ in outcomes})
    told = {"outcomes": [f"{outcome}: {detail}" for outcome, detail in outcomes]}
    return Answer(question, found[0] if len(found) == 1 else UNCLEAR, told)


def table(answers: Sequence[Answer]) -> str:
    """Return a line for each answer: whether it holds, the question's id, the answer."""
    words = {True: "holds", False: "DIFFERS", None: "-"}
    width = max((len(one.question.id) for one in answers), default=0)
    lines = []
    for one in answers:
        lines.append(f"  {words[one.holds]:8} {one.question.id:{width}}  {one.answer}")
        if one.holds is False:
            lines.append(f"           {one.question.module}: {one.question.otherwise}")
    return "\n".join(lines)


def report(answers: Sequence[Answer], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return all of it for a JSON file."""
    return {
        "v": 1,
        **about,
        "answers": [
            {
                **asdict(one.question),
                "answer": one.answer,
                "holds": one.holds,
                "evidence": dict(one.evidence),
            }
            for one in answers
        ],
    }
