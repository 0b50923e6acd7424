"""A statement as it may be shown to others: its beginning, without what stood in its literals.

Refusals go through SQS into a table and onto screens, and a literal may be anybody's password. So
where it is not certain how the server reads on (it depends on its sql_mode), the rest is left out.
"""

import re

MOST_CHARACTERS = 80
_READ_CHARACTERS = 1024
_LEFT_OUT = "?"

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>/\*(?:(?!\*/).)*(?:\*/|\Z) | \#[^\n]* | --(?=[\s\x00-\x1f]|\Z)[^\n]*)
  | (?P<text>'(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z))
  | (?P<name>`(?:[^`]|``)*(?:`|\Z))
  | (?P<number>\.?\d(?:[\w.]|(?<=[eE])[+-])*)
  | (?P<dollar>\$)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def without_literals(statement: str) -> str:
    """Return the statement's beginning on one line, each text, number and comment a `?`."""
    shown = ""
    for token in _TOKEN.finditer(statement[:_READ_CHARACTERS]):
        if len(shown) > MOST_CHARACTERS:
            break
        piece, goes_on = _shown(token.lastgroup or "", token[0])
        shown += piece
        if not goes_on:
            break
    line = " ".join(shown.split())
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 1] + "…"


def _shown(kind: str, token: str) -> tuple[str, bool]:
    """Return what to show of a token, and whether what follows can be read with certainty."""
    match kind:
        case "space":
            return " ", True
        case "word" | "name" | "other":
            return token if token.isprintable() else _LEFT_OUT, True
        case "number":
            return _LEFT_OUT, True
        case "text":
            # With NO_BACKSLASH_ESCAPES a quote behind a backslash ends the text, else it does not.
            return _LEFT_OUT, "\\" not in token
        case "comment":
            # What is in /*! and /*+ is read as SQL: a text in it may contain the comment's end.
            executable = token.startswith(("/*!", "/*M!", "/*+"))
            return _LEFT_OUT, not (executable and re.search(r"['\"`$]", token))
        case _:  # "dollar": MySQL 9 quotes a routine's body as $$ … $$
            return _LEFT_OUT, False
