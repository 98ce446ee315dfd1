"""Pieces of answer grammars, in llama.cpp's GBNF."""

from __future__ import annotations

__all__ = ["number_rule", "point_rules"]


def number_rule(largest: int, name: str = "number") -> str:
    """A rule for the integers 0 .. ``largest``, without leading zeros.

    Example:
        >>> number_rule(127)
        'number ::= [0-9] | [1-9] [0-9] | "1" [0-1] [0-9] | "12" [0-7]'
        >>> number_rule(5)
        'number ::= [0-5]'
    """
    digits = str(largest)
    shorter = [_run("", 1 if n > 1 else 0, 9, n - 1) for n in range(1, len(digits))]
    return f"{name} ::= {' | '.join(shorter + _same_length(digits))}"


def point_rules(frame: tuple[int, int]) -> list[str]:
    """The rules ``point``, ``row`` and ``col`` of a pixel "(row, col)" within ``frame`` (H, W).

    Example:
        >>> point_rules((4, 6))
        ['point ::= "(" row ", " col ")"', 'row ::= [0-3]', 'col ::= [0-5]']
    """
    height, width = frame
    return ['point ::= "(" row ", " col ")"', number_rule(height - 1, "row"), number_rule(width - 1, "col")]


def _same_length(digits: str) -> list[str]:
    """Numbers with as many digits as the largest: below it at one digit, or the largest itself."""
    out = []
    for place, digit in enumerate(digits):
        rest = len(digits) - place - 1
        first = 1 if place == 0 and rest else 0
        last = int(digit) - (1 if rest else 0)
        if last >= first:
            out.append(_run(digits[:place], first, last, rest))
    return out


def _run(prefix: str, first: int, last: int, rest: int) -> str:
    """``prefix``, one digit of first..last, then ``rest`` more of any kind."""
    one = f'"{first}"' if first == last else f"[{first}-{last}]"
    return " ".join([f'"{prefix}"'] * bool(prefix) + [one] + ["[0-9]"] * rest)
