"""Reading answers of language models: answers a second beside the study's way, and a megabyte at worst.

pytest benchmarks/test_bench_answers.py -s
"""

import ast
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from voxzoo.zoo.tasks.prompt import PROMPT_TASKS, prompt_task

sys.path.insert(0, str(Path(__file__).parent))
from _ratio import fastest, ratio_report

LIMIT_S = 0.05
HOSTILE = ["(" * 10**6, "(1, " * 250_000, "(1, 2), " * 125_000, "[" * 10**6, "row " * 250_000, " " * 10**6]


def answers():
    """Recorded boxes where the data is at hand, made-up ones otherwise."""
    data = Path(os.environ.get("VOXZOO_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    file = data / "thesis_transcripts" / "part_A" / "bbox_general.jsonl"
    if file.is_file():
        return [json.loads(line)["raw"] for line in file.read_text(encoding="utf-8").splitlines()]
    kinds = ["[({0}, 4), ({0}, 90), (99, 90), (99, 4)]", "[{0}, 4, 99, 90]", "I can't find one. {0}"]
    return [kinds[i % 3].format(i % 90) for i in range(1200)]


def by_literal(text):
    """A box as a scorer usually reads it: evaluate the literal, else look for pairs."""
    try:
        corners = np.array(ast.literal_eval(text.split("\n")[0])).astype(int)
    except (ValueError, SyntaxError, TypeError):
        corners = np.array(re.findall(r"(-?\d+)\s*,\s*(-?\d+)", text)[:4]).astype(int)
    return corners.min(axis=0), corners.max(axis=0) if corners.shape == (4, 2) else None


def test_boxes(benchmark):
    raws, parse = answers(), prompt_task("box").parse

    def peer():
        for raw in raws:
            try:
                by_literal(raw)
            except ValueError:
                continue

    best = fastest({"ours": lambda: [parse(raw) for raw in raws], "literal_eval": peer}, 3)
    ratio_report(f"read {len(raws)} boxes", best["ours"], {"literal_eval": best["literal_eval"]})
    benchmark(lambda: [parse(raw) for raw in raws])


@pytest.mark.parametrize("name", PROMPT_TASKS)
def test_a_megabyte(benchmark, name):
    parse = prompt_task(name).parse
    worst = max(fastest({"ours": lambda text=text: parse(text)}, 2)["ours"] for text in HOSTILE)
    ratio_report(
        f"1 MB to {name}, worst of {len(HOSTILE)}", worst, {"limit of 50 ms": LIMIT_S}, {"limit of 50 ms": 1}
    )
    benchmark(parse, HOSTILE[0])
