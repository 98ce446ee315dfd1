"""Answer grammars, held against accepted and refused answers by a GBNF matcher that knows nothing of them."""

import re

import pytest

from voxzoo.zoo.tasks.gbnf import number_rule
from voxzoo.zoo.tasks.prompt import PROMPT_TASKS, prompt_task

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|[A-Za-z][\w-]*|\{\d+(?:,\d*)?\}|[()|?*+]')


class Gbnf:
    """Rules as nested tuples; matching walks every way and keeps the set of places where it may end."""

    def __init__(self, text):
        self.rules = {}
        for line in text.strip().splitlines():
            name, body = line.split(" ::= ")
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name), name
            self.tokens = TOKEN.findall(body)
            assert "".join(self.tokens) == re.sub(r'("[^"]*"|\[[^\]]*\])|\s', r"\1", body), body
            self.rules[name] = self.alternatives()
            assert not self.tokens, f"left over in {name}: {self.tokens}"

    def alternatives(self):
        found = [self.sequence()]
        while self.tokens and self.tokens[0] == "|":
            self.tokens.pop(0)
            found.append(self.sequence())
        return ("any", found)

    def sequence(self):
        found = []
        while self.tokens and self.tokens[0] not in "|)":
            token = self.tokens.pop(0)
            if token == "(":
                item = self.alternatives()
                assert self.tokens.pop(0) == ")"
            elif token[0] == '"':
                item = ("text", token[1:-1])
            elif token[0] == "[":
                item = ("class", re.compile(token))
            else:
                item = ("rule", token)
            found.append(self.repeated(item))
        assert found, "an empty alternative"
        return ("all", found)

    def repeated(self, item):
        counts = {"?": (0, 1), "*": (0, 10**6), "+": (1, 10**6)}
        if self.tokens and self.tokens[0] in counts:
            return ("times", item, *counts[self.tokens.pop(0)])
        if self.tokens and self.tokens[0][0] == "{":
            low, _, high = self.tokens.pop(0)[1:-1].partition(",")
            return ("times", item, int(low), int(high or low))
        return item

    def ends(self, node, text, at):
        kind, what, *rest = node
        if kind == "text":
            return {at + len(what)} if text.startswith(what, at) else set()
        if kind == "class":
            return {at + 1} if at < len(text) and what.fullmatch(text[at]) else set()
        if kind == "rule":
            return self.ends(self.rules[what], text, at)
        if kind == "any":
            return set().union(*(self.ends(node, text, at) for node in what))
        if kind == "all":
            places = {at}
            for node in what:
                places = set().union(*(self.ends(node, text, place) for place in places))
            return places
        low, high = rest
        places, out = {at}, {at} if low == 0 else set()
        for n in range(1, high + 1):
            places = set().union(*(self.ends(what, text, place) for place in places))
            if not places:
                break
            out |= places if n >= low else set()
        return out

    def accepts(self, text):
        return len(text) in self.ends(self.rules["root"], text, 0)


@pytest.mark.parametrize("largest", [0, 5, 9, 10, 19, 99, 100, 127, 200, 239, 255, 511, 1000])
def test_numbers_up_to_a_largest_one(largest):
    grammar = Gbnf(number_rule(largest, "root"))
    accepted = [n for n in range(2 * largest + 20) if grammar.accepts(str(n))]
    assert accepted == list(range(largest + 1))
    assert not any(grammar.accepts(text) for text in ("", "00", "01", "-1", "1.0", " 1", "1 "))


def test_the_matcher_itself():
    grammar = Gbnf('root ::= ("a" | [b-d] x)+ "!"?\nx ::= "y"{2,3}')
    assert all(grammar.accepts(text) for text in ("a", "acyya!", "dyyy"))
    assert not any(grammar.accepts(text) for text in ("", "by", "byyyy", "a!!"))


ANSWERS = {
    "grade": (
        ["Choice: 1 Reasoning: necrosis, mass effect, ring enhancement", "Choice: 2 Reasoning: normal"],
        [
            "Choice: 3 Reasoning: x",
            "Choice: 1",
            " Choice: 1 Reasoning: x",
            "1",
            "Choice: 1 Reasoning: " + "a, " * 11,
        ],
    ),
    "center": (
        ["(0, 0)", "(127, 127)", "(64, 5)"],
        ["(128, 0)", "(0, 128)", "(1,2)", "(01, 2)", "(-1, 2)", "1, 2"],
    ),
    "box": (
        ["[(1, 2), (1, 30), (40, 30), (40, 2)]"],
        ["[(1, 2), (1, 30), (40, 30)]", "[1, 2, 40, 30]", "((1, 2), (1, 3), (4, 3), (4, 2))", "[(1, 200)] "],
    ),
    "polygon": (
        ["((1, 2), (3, 4), (5, 6))", "(" + ", ".join(["(127, 0)"] * 15) + ")"],
        [
            "((1, 2), (3, 4))",
            "(" + ", ".join(["(1, 0)"] * 16) + ")",
            "[(1, 2), (3, 4), (5, 6)]",
            "((1, 2) (3, 4) (5, 6))",
        ],
    ),
}


@pytest.mark.parametrize("name", PROMPT_TASKS)
def test_grammars_accept_what_is_asked_for_and_nothing_else(name):
    grammar = Gbnf(prompt_task(name).grammar())
    good, bad = ANSWERS[name]
    assert [text for text in good if not grammar.accepts(text)] == []
    assert [text for text in bad if grammar.accepts(text)] == []


@pytest.mark.parametrize("name", PROMPT_TASKS)
def test_what_a_grammar_accepts_both_parsers_understand_as_it_stands(name):
    task = prompt_task(name)
    for text in ANSWERS[name][0]:
        assert task.parse(text, "strict") == task.parse(text, "lenient")
        assert task.parse(text).status == "understood"


@pytest.mark.parametrize("name", ["center", "box", "polygon"])
def test_grammars_follow_the_frame(name):
    grammar = Gbnf(prompt_task(name).grammar((256, 64)))
    text = ANSWERS[name][0][0]
    first = re.search(r"\d+, \d+", text)[0]
    assert grammar.accepts(text.replace(first, "255, 63", 1))
    assert not grammar.accepts(text.replace(first, "256, 63", 1))
    assert not grammar.accepts(text.replace(first, "255, 64", 1))
