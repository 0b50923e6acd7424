"""What docs/live-probe.md takes from the code: every question, and what relies on its answer."""

from collections.abc import Callable, Iterable

from lab.live_probe.catalogue import TRIALS
from lab.live_probe.questions import OTHERS, Question


def spellings() -> str:
    """Return the table of what is tried with objects and paths, with the spellings."""
    lines = [
        "| id | key | asked for as | path | relied on | module | if it differs |",
        "|---|---|---|---|---|---|---|",
    ]
    for trial in TRIALS:
        path = "" if trial.path is None else f"`{_cell(trial.path)}`"
        spelt = f"`{_cell(trial.key)}` | `{_cell(trial.viewed)}` | {path}"
        lines.append(f"| `{trial.question.id}` | {spelt} | {_relied_on(trial.question)} |")
    return "\n".join(lines) + "\n"


def others() -> str:
    """Return the table of all other questions."""
    return _asked(OTHERS)


def _asked(questions: Iterable[Question]) -> str:
    lines = ["| id | question | relied on | module | if it differs |", "|---|---|---|---|---|"]
    lines += [f"| `{one.id}` | {_cell(one.asks)} | {_relied_on(one)} |" for one in questions]
    return "\n".join(lines) + "\n"


def _relied_on(question: Question) -> str:
    answers = " or ".join(question.relied_on) or "either"
    return f"{answers} | `{question.module}` | {_cell(question.otherwise)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


BLOCKS: dict[str, Callable[[], str]] = {"spellings": spellings, "others": others}
