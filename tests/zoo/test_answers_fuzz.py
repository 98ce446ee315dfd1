"""Parsers under fire: any text, mutated answers, and recorded ones held against their reference parse."""

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxzoo.zoo.tasks.answers import LONGEST
from voxzoo.zoo.tasks.prompt import PROMPT_TASKS, prompt_task

RECORDED = {
    "cls_general_axial": "grade",
    "cls_finetuned_100steps": "grade",
    "centre_general": "center",
    "bbox_general": "box",
    "polygon_general": "polygon",
}

SCRAPS = [
    "Choice: ", "Reasoning: ", "ERROR: Unknown >>", " || ", "\n", "**", "```", "(", ")", "[", "]", ", ", ",",
    "-", "+", ".", "'", '"', "0", "1", "2", "7", "12", "64", "127", "128", "500", "9999999", "-1",
    "1.5", ".5", "1e9", "row", "col", "row 4", "column 9", "I can't", "and", ":",
    "(-1, -1)", "(3, 4)", "[5, 6]", "(64, 64), (64, 90)", "[10, 20, 30, 40]",
    "٣", "²", "\u00a0", "\x00", "\ud800", "…", "é",
]  # fmt: skip

texts = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(SCRAPS), max_size=60).map("".join),
    st.lists(st.one_of(st.sampled_from(SCRAPS), st.integers(-300, 300).map(str)), max_size=60).map("".join),
)
frames = st.sampled_from([(128, 128), (64, 200), (1, 1), (240, 155)])


def points_of(name, value):
    """The coordinates in a value, as (row, col) pairs."""
    if value is None or name == "grade":
        return []
    if name == "center":
        return [value]
    return [value[:2], value[2:]] if name == "box" else list(value)


def check(name, text, frame=(128, 128)):
    """What holds of every parse, whatever the text is."""
    task = prompt_task(name)
    for parser in ("strict", "lenient"):
        parsed = task.parse(text, parser, frame)
        assert parsed == task.parse(text, parser, frame)
        assert (parsed.value is None) == (parsed.status == "refused") == bool(parsed.refused)
        assert parsed.status != "understood" or not parsed.repairs
        assert parsed.status != "repaired" or parsed.repairs
        assert parsed.value is None or parsed.written
        for point in points_of(name, parsed.value):
            assert all(type(v) is int and 0 <= v < size for v, size in zip(point, frame, strict=True))
        if name == "grade" and parsed.value is not None:
            assert parsed.value in (0, 1, 2)
        if name == "box" and parsed.value is not None:
            assert parsed.value[0] <= parsed.value[2]
            assert parsed.value[1] <= parsed.value[3]
        if name == "polygon" and parsed.value is not None:
            assert len(parsed.value) >= (3 if parser == "lenient" else 1)
        json.dumps([parsed.value, parsed.repairs, parsed.refused, parsed.written])


@pytest.mark.parametrize("name", PROMPT_TASKS)
@settings(max_examples=150, deadline=None)
@given(text=texts, frame=frames)
def test_any_text(name, text, frame):
    check(name, text, frame)


@pytest.mark.parametrize("name", PROMPT_TASKS)
@settings(max_examples=100, deadline=None)
@given(text=texts)
def test_what_is_strict_is_lenient_too(name, text):
    """By rule there are two exceptions: grades named twice ("0 or 1"), and polygons of one or two points."""
    task = prompt_task(name)
    strict, lenient = task.parse(text, "strict"), task.parse(text, "lenient")
    if strict.answered and not (name == "polygon" and len(strict.written) < 3):
        if lenient.refused == "it names several classes":
            return
        assert lenient.written[: len(strict.written)] == strict.written


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 127), st.integers(0, 127)), min_size=3, max_size=15), st.data())
def test_a_polygon_survives_chat_around_it(points, data):
    before = data.draw(st.sampled_from(["", "The outline is:\n", "**Answer** || ", "Sure! "]))
    gap = data.draw(st.sampled_from([", ", ",", " ,\n", "; "]))
    text = before + "(" + gap.join(f"({r}, {c})" for r, c in points) + ")"
    assert prompt_task("polygon").parse(text).value == tuple(points)


HOSTILE = [
    "(" * 1_000_000,
    "(1, " * 250_000,
    "(1, 2), " * 125_000,
    " " * 1_000_000,
    "(" + " " * 999_999,
    "(1" + " " * 999_998,
    "9" * 1_000_000,
    "(" + "9" * 999_999,
    "Choice" * 166_667,
    "Choice: " + "-" * 999_990,
    "[" * 500_000 + "]" * 500_000,
    "|" * 1_000_000,
    "row " * 250_000,
    "row" + " " * 10 + "1 col " * 100_000,
    "-" * 1_000_000,
    "'\"" * 500_000,
    "1, " * 333_333,
    "can" * 333_333,
    "\n" * 1_000_000,
    "[1, 2, 3, " * 100_000,
    "(-1, -1), " * 100_000,
]


@pytest.mark.parametrize("name", PROMPT_TASKS)
def test_a_megabyte_is_no_trouble(name):
    """Patterns whose time grows faster than the text would take minutes here, not milliseconds."""
    task = prompt_task(name)
    for text in HOSTILE:
        for start in (text, text[:LONGEST]):
            begin = time.process_time()
            task.parse(start, "strict")
            task.parse(start, "lenient")
            assert time.process_time() - begin < 2, start[:20]


def recorded(folder, run):
    """(raw, strict, lenient) of every recorded answer."""
    with open(folder / f"{run}.jsonl") as answers, open(folder / f"{run}.parsed.jsonl") as parses:
        lines = [json.loads(line) for line in answers]
        by_key = {(p["patient"], p["slice"]): p for p in map(json.loads, parses)}
    found = [(line["raw"], by_key[line["patient"], line["slice"]]) for line in lines]
    return [(raw, parse["strict"], parse["lenient"]) for raw, parse in found]


def as_recorded(name, parsed):
    """In the notation of the reference parses: a code with 3 for none, a point, points, or null."""
    if name == "grade":
        return parsed.written[0] if parsed.written else 3
    points = [list(point) for point in parsed.written]
    return (points[0] if name == "center" else points) if points else None


@pytest.mark.data
@pytest.mark.parametrize(("run", "name"), RECORDED.items())
def test_every_recorded_answer_is_read_as_its_reference_parse(data_root, run, name):
    task, wrong, total = prompt_task(name), [], 0
    for raw, strict, lenient in recorded(data_root / "thesis_transcripts" / "part_A", run):
        got = as_recorded(name, task.parse(raw, "strict")), as_recorded(name, task.parse(raw, "lenient"))
        wrong += [] if got == (strict, lenient) else [(raw, got)]
        total += 1
    assert wrong == []
    assert total > 1000


@pytest.mark.data
@pytest.mark.parametrize(("run", "name"), RECORDED.items())
def test_mutated_real_answers(data_root, run, name):
    rng = random.Random(run)
    raws = [raw for raw, _, _ in recorded(data_root / "thesis_transcripts" / "part_A", run)]
    for raw in rng.sample(raws, 150):
        check(name, mutated(rng, raw))
        check(name, mutated(rng, raw + rng.choice(raws)))


def mutated(rng, text):
    """Cut, doubled, shuffled or spiked, a few times over."""
    for _ in range(rng.randint(1, 4)):
        i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        how = rng.randrange(5)
        if how == 0:
            text = text[:i]
        elif how == 1:
            text = text[:i] + text[j:]
        elif how == 2:
            text = text[:j] + text[i:]
        elif how == 3:
            text = text[:i] + rng.choice(SCRAPS) + text[i:]
        else:
            text = text.replace(rng.choice("0123456789(),[]"), rng.choice(SCRAPS))
    return text
