"""Checking cards: ours, a stranger's, and what is no card at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxzoo.cards.build import build
from voxzoo.cards.check import check
from voxzoo.cards.runs import read_run
from voxzoo.cards.stated import FIELDS
from voxzoo.cards.subject import find_subject
from voxzoo.zoo.errors import UsageError

STRANGER = """---
license: mit
pipeline_tag: image-segmentation
library_name: monai
tags: [medical]
---
# BraTS segmentation

## Intended use
Not a medical device; out-of-scope: clinical use. Training data: BraTS 2021, annotated by radiologists.
Trained with MONAI 1.3. Dice 0.85 (95 % CI 0.82 to 0.88). The limitation: adults only.
"""


def states(report):
    return {finding.key: finding.state for finding in report.findings}


def write(folder, text):
    path = folder / "README.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_our_own_card_says_itself_what_it_lacks(made, tmp_path):
    run = read_run(made.write({**made.segment(), "energy": made.energy}))
    build(find_subject("toy", [run])).save(tmp_path / "card")
    report = check(tmp_path / "card")
    assert report.errors == ()
    found = states(report)
    assert {found[field.key] for field in FIELDS} == {"not stated"}
    assert found["robustness"] == "not stated"
    assert {
        found[key] for key in ("intervals", "misses", "definitions", "inference_cost", "hash", "rerun")
    } == {"there"}
    assert found["license"] == "missing"
    assert found["model-index"] == "there"


def test_a_card_of_someone_else(tmp_path):
    report = check(write(tmp_path, STRANGER))
    assert report.errors == ()
    found = states(report)
    there = (
        "license",
        "intended_use",
        "out_of_scope",
        "regulatory",
        "data_sources",
        "annotators",
        "limitations",
    )
    assert {found[key] for key in (*there, "intervals", "definitions")} == {"there"}
    missing = ("model-index", "partition", "annotator_agreement", "hash", "robustness", "training_energy")
    assert {found[key] for key in missing} == {"missing"}
    assert "missing     Agreement of annotators (CLAIM 18)" in "\n".join(report.lines())
    assert report.lines()[0].endswith("README.md: valid; 12 of 37 fields are there")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# no head", "no YAML head"),
        ("---\nlicense: mit\n# cut", "not closed"),
        ("---\na: b: c\n---\n", "cannot be read"),
        ("---\n- a\n---\n", "holds list"),
        ("---\nmodel-index: 3\n---\n", "model-index: expected a list"),
        ("---\nmodel-index:\n- results: []\n---\n", "a model without a name"),
        ("---\nmodel-index:\n- name: x\n  results:\n  - task: {type: a}\n---\n", r"without dataset\.name"),
        (
            "---\nmodel-index:\n- name: x\n  results:\n  - task: {type: a}\n    dataset: {name: d, type: d}\n"
            "    metrics: [{type: dice}]\n---\n",
            "metrics that have a type and a value",
        ),
    ],
)
def test_what_is_not_valid_is_said(tmp_path, text, words):
    import re

    report = check(write(tmp_path, text))
    assert re.search(words, report.errors[0])
    assert "not valid" in report.lines()[0]


def test_eval_results_beside_a_card_are_checked(tmp_path):
    folder = tmp_path / ".eval_results"
    folder.mkdir()
    write(tmp_path, STRANGER)
    (folder / "a.yaml").write_text("- dataset: {id: a/b, task_id: x}\n  value: 0.5\n")
    assert check(tmp_path).errors == ()
    (folder / "b.yaml").write_text("- value: 0.5\n")
    (folder / "c.yaml").write_text("a: b: c")
    errors = check(tmp_path).errors
    assert [error.partition(":")[0] for error in errors] == [".eval_results/b.yaml", ".eval_results/c.yaml"]


def test_what_is_no_text_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        check(tmp_path / "nowhere.md")
    (tmp_path / "x.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        check(tmp_path / "x.md")
    (tmp_path / "big.md").write_bytes(b"a" * (4 * 2**20 + 1))
    with pytest.raises(UsageError, match="larger than"):
        check(tmp_path / "big.md")


@given(head=st.text(max_size=60), body=st.text(max_size=60))
def test_no_text_makes_it_fail(tmp_path_factory, head, body):
    path = tmp_path_factory.mktemp("cards") / "README.md"
    path.write_text(f"---\n{head}\n---\n{body}", encoding="utf-8")
    json.dumps([finding.state for finding in check(path).findings])
