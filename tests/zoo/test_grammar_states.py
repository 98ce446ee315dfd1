"""Following grammars character by character, against regular expressions written by hand."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxzoo.zoo.errors import UsageError
from voxzoo.zoo.grammar import Grammar
from voxzoo.zoo.tasks.prompt import PROMPT_TASKS, prompt_task

NUMBER = "(?:[0-9]|[1-9][0-9]|1[01][0-9]|12[0-7])"
POINT = rf"\({NUMBER}, {NUMBER}\)"
WORD = "[A-Za-z][A-Za-z0-9 -]{0,39}"
SAME = {
    "grade": rf"Choice: [0-2] Reasoning: {WORD}(?:, ?{WORD}){{0,9}}",
    "center": POINT,
    "box": rf"\[{POINT}, {POINT}, {POINT}, {POINT}\]",
    "polygon": rf"\({POINT}(?:, {POINT}){{2,14}}\)",
}
GRAMMARS = {name: Grammar.parse(prompt_task(name).grammar()) for name in PROMPT_TASKS}


def accepts(grammar, text):
    return grammar.allows_end(grammar.after(grammar.start, text))


@pytest.mark.parametrize("name", PROMPT_TASKS)
@given(data=st.data())
def test_the_tasks_own_grammars_are_these_expressions(name, data):
    good = data.draw(
        st.from_regex(
            SAME[name].replace("{0,39}", "{0,5}"), fullmatch=True, alphabet=st.characters(codec="ascii")
        )
    )
    assert accepts(GRAMMARS[name], good)
    place = data.draw(st.integers(0, len(good)))
    bad = good[:place] + data.draw(st.sampled_from("0 9,)(]x\n")) + good[place + 1 :]
    assert accepts(GRAMMARS[name], bad) == bool(re.fullmatch(SAME[name], bad))


def test_every_construct():
    grammar = Grammar.parse(
        'root ::= ("a" | [b-d] x)+ "!"? tail* # a comment\nx ::= "y"{2,3}\n'
        'tail ::= [^a-z\\]] | "\\"" "\\x41"{2} | "-"{1,}'
    )
    for text in ("a", "acyya!", "dyyy", "a9", 'a"AA', "a--", "a!A-A"):
        assert accepts(grammar, text), text
    for text in ("", "by", "byyyy", "a!a", "a]", "az"):
        assert not accepts(grammar, text), text


def test_ends():
    grammar = Grammar.parse('root ::= "a" "b"?')
    one, two = (grammar.after(grammar.start, text) for text in ("a", "ab"))
    assert (grammar.allows_end(one), grammar.must_end(one)) == (True, False)
    assert (grammar.allows_end(two), grammar.must_end(two)) == (True, True)
    assert not grammar.after(grammar.start, "b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x ::= \"a\"", "root ::= y", "root ::= (\"a\"", "root ::= \"a", "root ::= [a",
        "root ::= )", "nonsense",
        "root ::= \"a\"{3,2}", "root ::= \"a\"\nroot ::= \"b\"", "root ::= \"a\"{9999}{9999}",
        "root ::= root \"a\" | \"a\"", "root ::= [\\UFFFFFFFF]",
    ],
)  # fmt: skip
def test_a_malformed_one_is_one_line(text):
    with pytest.raises(UsageError, match="grammar"):
        Grammar.parse(text).start  # noqa: B018


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(UsageError):
        Grammar.parse(text).start  # noqa: B018
