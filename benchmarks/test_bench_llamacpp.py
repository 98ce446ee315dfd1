"""The bundled llava-nano in llama.cpp on one thread: all four tasks of a slice.

It is shown noise, and its grammar is cut to outlines of ten points, for answers of one length. Beside slots:
answers as long, token by token through the grammar; beside prefix reuse: an image read anew each time. The
grade ends after its digit here, as an answer without keywords does.
"""

import time

import numpy as np
import pytest
from _ratio import fastest, ratio_report

pytest.importorskip("llama_cpp", reason='needs llama-cpp-python: pip install "voxzoo[llm]"')

from voxzoo.zoo.answerer import Question
from voxzoo.zoo.entries import WEIGHTS, entries
from voxzoo.zoo.language import open_answerer
from voxzoo.zoo.tasks.prompt import choose_prompt, prompt_task

LIMIT_S = 0.08
TASKS = ("grade", "center", "box", "polygon")
TOKENS = {"grade": 2, "center": 5, "box": 17, "polygon": 41}
"""Of each answer; the polygon's are those of ten points."""


def questions():
    """The four of one slice, over and over with other noise."""
    for seed in range(10**6):
        image = np.random.default_rng(seed).integers(0, 256, (128, 128), dtype=np.uint8)
        yield [question(task, image) for task in TASKS]


def question(task, image):
    known = prompt_task(task)
    grammar = known.grammar().replace("{2,14}", "{9,9}")
    prompt = choose_prompt(known, "brief").text
    return Question(task, prompt, image, grammar, TOKENS[task], "", "axial", 0, 0)


def asking(model, anew=False):
    slices = questions()

    def ask():
        for one in next(slices):
            if anew:
                model._shown = b""
            model.answer(one)

    return ask


@pytest.mark.parametrize("threads", [1])
def test_all_tasks_of_a_slice(benchmark, threads):
    opened = {d: open_answerer("llava-nano", threads=threads, decoding=d) for d in ("slots", "grammar")}
    calls = {
        "slots": asking(opened["slots"]),
        "token by token": asking(opened["grammar"]),
        "image anew for each question": asking(opened["slots"], anew=True),
    }
    best = fastest(calls, 3)
    benchmark.pedantic(calls["slots"], rounds=5)
    ours = min(best.pop("slots"), benchmark.stats.stats.min)
    best["limit of 80 ms"] = LIMIT_S
    name = "llava-nano Q8_0, one thread: grade, center, box, polygon of a slice"
    ratio_report(name, ours, best, {"limit of 80 ms": 1})


def test_one_number_and_what_it_costs(benchmark):
    """A point is two numbers: each one pass through the model, beside the five tokens of its text."""
    opened = {d: open_answerer("llava-nano", threads=1, decoding=d) for d in ("slots", "grammar")}
    image = next(questions())[0].image
    asked = question("center", image)
    calls = {name: (lambda m=model: m.answer(asked)) for name, model in opened.items()}
    best = fastest(calls, 3)
    benchmark.pedantic(calls["slots"], rounds=5)
    ours = min(best.pop("slots"), benchmark.stats.stats.min)
    ratio_report("llava-nano Q8_0: centre of an image that was read before", ours, best)


def test_opening(benchmark):
    """With and without the trial in a process of its own, which a file of the zoo does not need."""
    entry = entries()["llava-nano"]
    foreign = f"{WEIGHTS / entry.file}+{WEIGHTS / entry.mmproj.file}"
    start = time.perf_counter()
    open_answerer(foreign, threads=1)
    tried = time.perf_counter() - start
    benchmark.pedantic(lambda: open_answerer("llava-nano", threads=1), rounds=3)
    ratio_report("opening a pair of the zoo", benchmark.stats.stats.min, {"with a trial first": tried})
