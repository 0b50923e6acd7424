"""What is shown of others' statements: enough to know them, and nothing of their literals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdstill_agent.statements import MOST_CHARACTERS, without_literals

SECRET = "hunter2"  # noqa: S105 - it stands for one
NUMBER = "8675309"


def _doubled(text: str, quote: str) -> str:
    return quote + text.replace(quote, quote * 2) + quote


def _escaped(text: str, quote: str) -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


# Whatever is around a secret, it is inside a literal for at least one way of reading it.
INNER = st.lists(
    st.sampled_from([SECRET, "'", '"', "`", "\\", "*/", "/*", "--", "#", "\n", " ", "$", "%", "é"])
).map("".join)
QUOTES = st.sampled_from("'\"")
TEXTS = st.builds(_doubled, INNER, QUOTES) | st.builds(_escaped, INNER, QUOTES)
PREFIXED = st.builds(str.__add__, st.sampled_from(["", "x", "X", "N", "_utf8", "b"]), TEXTS)
COMMENTS = (
    INNER.map(lambda text: "/*" + text.replace("*/", "") + "*/").filter(lambda text: "*/" in text)
    | INNER.map(lambda text: "# " + text.replace("\n", "") + "\n")
    | INNER.map(lambda text: "-- " + text.replace("\n", "") + "\n")
)
NUMBERS = st.sampled_from([NUMBER, f"-{NUMBER}", f"{NUMBER}.{NUMBER}e-{NUMBER}", f"0x{NUMBER}"])
WORDS = st.sampled_from(["SELECT", "FROM", "t1", "`odd name`", "=", "(", ")", ",", "orders", "--3"])
STATEMENTS = st.lists(PREFIXED | COMMENTS | NUMBERS | WORDS).map(" ".join)


@settings(deadline=None)
@given(STATEMENTS)
def test_no_literal_is_shown(statement: str) -> None:
    """Texts, numbers and comments are gone, however they are quoted, escaped or nested."""
    shown = without_literals(statement)
    assert SECRET not in shown
    assert NUMBER not in shown
    assert len(shown) <= MOST_CHARACTERS


@settings(deadline=None)
@given(st.text())
def test_anything_is_shown_on_one_short_line(statement: str) -> None:
    """Whatever the server hands over."""
    shown = without_literals(statement)
    assert len(shown) <= MOST_CHARACTERS
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("UPDATE  t\n SET a = 'it''s', b=1.5e-10", "UPDATE t SET a = ?, b=?"),
        ("INSERT INTO t1 VALUES (0xFF, x'4D', -3, .5)", "INSERT INTO t1 VALUES (?, x?, -?, ?)"),
        ("SELECT `a'b`, \"c\" FROM t WHERE d='e'", "SELECT `a'b`, ? FROM t WHERE d=?"),
        ("SELECT /*+ NO_INDEX(t) */ a5 FROM t # why\nWHERE x", "SELECT ? a5 FROM t ? WHERE x"),
        ("SELECT 'cut by the server", "SELECT ?"),
        # The server's sql_mode decides where this text ends: nothing after it is certain.
        (r"SELECT 'a\', password, 'b'", "SELECT ?"),
        # What is read as SQL may hold the comment's end in a text.
        ("SELECT /*! '*/ password' */ FROM t", "SELECT ?"),
        ("CREATE FUNCTION f() RETURNS INT LANGUAGE JAVASCRIPT AS $$ password $$",
         "CREATE FUNCTION f() RETURNS INT LANGUAGE JAVASCRIPT AS ?"),
        ("x" * 200, "x" * 79 + "…"),
    ],
)  # fmt: skip
def test_the_beginning_is_recognized(statement: str, shown: str) -> None:
    """Words, names and operators stay."""
    assert without_literals(statement) == shown
