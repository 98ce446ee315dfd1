"""Following an answer grammar (GBNF) character by character, for runtimes that have no grammars of their own.

A state is the set of all places where the grammar may be after the text so far, each a stack of what is still
to come (a pushdown automaton without determinism, as llama.cpp has it; no left recursion).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import UsageError

__all__ = ["Grammar", "State"]

State = frozenset[Any]
"""Places in a grammar; empty when the text so far is no beginning of an answer."""

_TOKEN = re.compile(
    r'\s+|\#[^\n]*|(?P<text>"(?:[^"\\\n]|\\.)*")|(?P<set>\[(?:[^\]\\\n]|\\.)*\])|(?P<define>[A-Za-z][\w-]*\s*::=)'
    r"|(?P<name>[A-Za-z][\w-]*)|(?P<times>[?*+]|\{\d{1,4}(?:,\d{0,4})?\})|(?P<mark>[()|.])"
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_CODE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_MOST_PARTS, _DEEPEST = 50_000, 200


@dataclass(frozen=True)
class _Chars:
    """One character of these ranges, or of none of them."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def __contains__(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.negated


@dataclass(frozen=True)
class _Rule:
    name: str


_Part = _Chars | _Rule
_Ways = list[tuple[_Part, ...]]


@dataclass
class Grammar:
    """A grammar that can be followed.

    Example:
        >>> grammar = Grammar.parse('root ::= "(" row ")"\\nrow ::= [0-9] | [1-9] [0-9]')
        >>> state = grammar.after(grammar.start, "(4")
        >>> grammar.allows_end(state), grammar.allows_end(grammar.after(state, ")"))
        (False, True)
        >>> bool(grammar.after(state, "x"))
        False
    """

    rules: dict[str, _Ways]
    _known: dict[tuple[State, str], State] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> Grammar:
        """Read GBNF: literals, sets, groups, alternatives and repetitions; the rule ``root`` is needed.

        Raises:
            UsageError: it is malformed, names a rule that is not there, or is too large.
        """
        rules = _Reader(text).rules
        used = {p.name for ways in rules.values() for way in ways for p in way if isinstance(p, _Rule)}
        for name in sorted(used | {"root"}):
            if name not in rules:
                raise UsageError(f"grammar: there is no rule {name!r}")
        return cls(rules)

    @property
    def start(self) -> State:
        """Where an answer begins.

        Raises:
            UsageError: the grammar is left-recursive.
        """
        return frozenset(self._open((_Rule("root"), None)))

    def after(self, state: State, text: str) -> State:
        """The state after more text; empty if no answer goes on like that."""
        for char in text:
            if not state:
                break
            state = self._step(state, char)
        return state

    def allows_end(self, state: State) -> bool:
        """Whether the answer may end here."""
        return None in state

    def must_end(self, state: State) -> bool:
        """Whether nothing more may follow."""
        return state <= {None}

    def next_chars(self, state: State, most: int = 16) -> frozenset[str] | None:
        """The characters that may come next; None if they are more than ``most``, which is free text.

        Example:
            >>> grammar = Grammar.parse('root ::= [0-2] [a-z]')
            >>> sorted(grammar.next_chars(grammar.start))
            ['0', '1', '2']
            >>> grammar.next_chars(grammar.after(grammar.start, "1")) is None
            True
        """
        chars: set[str] = set()
        for top in {stack[0] for stack in state if stack is not None}:
            if top.negated or sum(ord(high) - ord(low) + 1 for low, high in top.ranges) > most:
                return None
            chars.update(chr(code) for low, high in top.ranges for code in range(ord(low), ord(high) + 1))
        return frozenset(chars) if len(chars) <= most else None

    def _step(self, state: State, char: str) -> State:
        key = (state, char)
        if key not in self._known:
            taken = [stack[1] for stack in state if stack is not None and char in stack[0]]
            self._known[key] = frozenset(place for stack in taken for place in self._open(stack))
        return self._known[key]

    def _open(self, stack: Any) -> Iterator[Any]:
        """Replace a rule on top of a stack by its ways until a character is on top of each."""
        todo, seen = [(stack, 0)], set()
        while todo:
            stack, depth = todo.pop()
            if stack in seen:
                continue
            seen.add(stack)
            if stack is None or isinstance(stack[0], _Chars):
                yield stack
                continue
            if depth > _DEEPEST:
                raise UsageError(f"grammar: the rule {stack[0].name!r} begins with itself")
            for way in self.rules[stack[0].name]:
                rest = stack[1]
                for part in reversed(way):
                    rest = (part, rest)
                todo.append((rest, depth + 1))


class _Reader:
    """Rules from text; groups and repetitions become rules of their own, whose names hold a space."""

    def __init__(self, text: str) -> None:
        self.rules: dict[str, _Ways] = {}
        self._size = 0
        self._tokens = list(_tokens(text))
        while self._tokens:
            kind, value = self._tokens.pop(0)
            name = value.removesuffix("::=").strip()
            if kind != "define" or name in self.rules:
                raise UsageError(f"grammar: {value[:40]!r} where a new rule should begin")
            self.rules[name] = self._ways()

    def _ways(self) -> _Ways:
        ways = [self._way()]
        while self._tokens and self._tokens[0][1] == "|":
            self._tokens.pop(0)
            ways.append(self._way())
        return ways

    def _way(self) -> tuple[_Part, ...]:
        parts: list[_Part] = []
        while self._tokens and self._tokens[0][0] != "define" and self._tokens[0][1] not in ("|", ")"):
            some = self._item()
            while self._tokens and self._tokens[0][0] == "times":
                some = self._repeated(some, self._tokens.pop(0)[1])
            parts += some
            self._size += len(some)
            if self._size > _MOST_PARTS:
                raise UsageError("grammar: it is too large")
        return tuple(parts)

    def _item(self) -> list[_Part]:
        kind, value = self._tokens.pop(0)
        if kind == "text":
            return [_Chars(((char, char),)) for char in _plain(value[1:-1])]
        if kind == "set":
            return [_set(value[1:-1])]
        if kind == "name":
            return [_Rule(value)]
        if value == ".":
            return [_Chars((), negated=True)]
        if value != "(":
            raise UsageError(f"grammar: {value[:40]!r} where something to match should be")
        ways = self._ways()
        if not self._tokens or self._tokens.pop(0)[1] != ")":
            raise UsageError("grammar: a bracket is not closed")
        return [self._own(ways)]

    def _repeated(self, some: list[_Part], times: str) -> list[_Part]:
        low, high = {"?": (0, 1), "*": (0, None), "+": (1, None)}.get(times) or _counts(times)
        self._size += len(some) * max(low, high or 0)
        if self._size > _MOST_PARTS:
            raise UsageError("grammar: it is too large")
        if high is None:
            again = self._own([])
            self.rules[again.name] = [(*some, again), ()]
            return [*some * low, again]
        tail: list[_Part] = []
        for _ in range(high - low):
            tail = [self._own([(*some, *tail), ()])]
        return [*some * low, *tail]

    def _own(self, ways: _Ways) -> _Rule:
        name = f"part {len(self.rules)}"
        self.rules[name] = ways
        return _Rule(name)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise UsageError(f"grammar: cannot read {text[place : place + 20]!r}")
        if match.lastgroup:
            yield match.lastgroup, match[0]
        place = match.end()


def _counts(times: str) -> tuple[int, int | None]:
    low, comma, high = times[1:-1].partition(",")
    most = int(high) if high else (None if comma else int(low))
    if most is not None and most < int(low):
        raise UsageError(f"grammar: {times} can never be")
    return int(low), most


def _plain(text: str) -> list[str]:
    """Characters with their escapes resolved."""
    return [char for char, _ in _characters(text)]


def _characters(text: str) -> list[tuple[str, bool]]:
    """(character, whether it was escaped)."""
    out, place = [], 0
    while place < len(text):
        match = _CODE.match(text, place)
        out.append((text[place], False) if match is None else (_unescape(match.groups()), True))
        place = place + 1 if match is None else match.end()
    return out


def _unescape(found: Sequence[str | None]) -> str:
    code = next((code for code in found[:3] if code), None)
    if code is None:
        return _ESCAPES.get(found[3] or "", found[3] or "")
    if int(code, 16) > 0x10FFFF:
        raise UsageError(f"grammar: there is no character {code}")
    return chr(int(code, 16))


def _set(text: str) -> _Chars:
    negated = text.startswith("^")
    chars = _characters(text[negated:])
    ranges, place = [], 0
    while place < len(chars):
        spans = place + 2 < len(chars) and chars[place + 1] == ("-", False)
        ranges.append((chars[place][0], chars[place + 2 if spans else place][0]))
        place += 3 if spans else 1
    return _Chars(tuple(ranges), negated)
