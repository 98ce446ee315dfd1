"""Transcripts and recorded ground truth: what is read, and what is said about lines that cannot be."""

import json

import pytest

from voxzoo.eval.language.items import check
from voxzoo.eval.language.references import CaseReference, References, read_references
from voxzoo.eval.language.scoring import Reading, score_transcript
from voxzoo.eval.language.transcripts import (
    SCHEMA,
    Answer,
    read_transcript,
    write_transcript,
)
from voxzoo.eval.language.writer import TranscriptWriter
from voxzoo.zoo.errors import CaseError, RunError

PATIENT = {
    "patient": 0,
    "label": 1,
    "tumour_range_axial": [10, 60],
    "tumour_range_coronal": [0, 20],
    "tumour_range_sagittal": None,
}


OWN = {"schema": SCHEMA, "task": "grade", "model": "m", "slice": 1, "raw": ""}


def imported(patient=0, index=30, raw="Choice: 1", **more):
    return {
        "task": "classification",
        "model": "m",
        "view": "axial",
        "patient": patient,
        "slice": index,
        "raw": raw,
    } | more


def written(path, *lines):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


@pytest.fixture
def truth(tmp_path):
    folder = tmp_path / "data" / "gt"
    folder.mkdir(parents=True)
    written(folder / "patients.jsonl", PATIENT, PATIENT | {"patient": 1, "label": 0})
    written(folder / "boxes.jsonl", {"patient": 0, "slice": 30, "old": [1, 2, 3, 4], "new": [1, 2, 5, 6]})
    return tmp_path / "data"


def test_both_formats_give_the_same_answer(tmp_path):
    own = Answer("grade", "m", "0", 30, "Choice: 1").to_line()
    (ours,) = read_transcript(written(tmp_path / "a.jsonl", own)).answers
    (theirs,) = read_transcript(written(tmp_path / "b.jsonl", imported())).answers
    assert ours == theirs


def test_everything_of_an_answer_survives_the_file(tmp_path):
    answer = Answer(
        task="box",
        model="m",
        case="p é",
        slice=3,
        raw='[(1, 2)]\n"quoted" ∑',
        plane="coronal",
        repeat=4,
        prompt="brief",
        prompt_sha256="ab",
        image_sha256="cd",
        tokens_in=7,
        tokens_out=0,
        seconds=0.25,
        sampling={"temperature": 1.5},
        shown={"plane": "coronal"},
        model_sha256="ef",
        probabilities={"low": 0.25, "high": 0.75},
        quoted={"box": [1, 2, 3, 4]},
        order=9,
        line=1,
    )
    write_transcript(tmp_path / "a.jsonl", [answer])
    assert read_transcript(tmp_path / "a.jsonl").answers == (answer,)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("oops", "not JSON"),
        ('{"a":', "not JSON"),
        ("[1, 2]", "expected a JSON object"),
        ("[" * 100_000, "not JSON (nested too deeply)"),
        ({"schema": "voxzoo.transcript/9"}, f"reads '{SCHEMA}'"),
        ({"schema": SCHEMA, "task": "grade"}, "no field 'model'"),
        ({"task": "classification"}, "no field 'patient'"),
        (imported(index=-1), "slice: got -1"),
        (imported(index=1.5), "slice: got 1.5"),
        (imported(index=True), "slice: got True"),
        (imported(patient=None), "patient: got None"),
        (imported(raw=7), "raw: got 7"),
        (imported(view="oblique"), "plane 'oblique'"),
        (imported(task="poetry"), "task 'poetry'"),
        (imported(repeat="x"), "repeat: got 'x'"),
        (OWN | {"case": "0", "probabilities": {"low": 2}}, "from 0 to 1"),
        (OWN | {"case": 0}, "case: got 0, expected a text"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_the_rest_is_read(tmp_path, line, words):
    path = written(tmp_path / "a.jsonl", imported(index=1), line, imported(index=2))
    found = read_transcript(path)
    assert [answer.slice for answer in found.answers] == [1, 2]
    (problem,) = found.problems
    assert str(problem).startswith(f"{path}:2: ")
    assert words in str(problem)
    assert "\n" not in str(problem)


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"task": "\xff\xfe"}\n' + json.dumps(imported()).encode())
    found = read_transcript(path)
    assert len(found.answers) == 1
    assert [problem.line for problem in found.problems] == [1]


def test_a_second_line_for_a_key_is_left_out_whatever_it_says(tmp_path):
    same, other = imported(), imported(raw="Choice: 0")
    found = read_transcript(written(tmp_path / "a.jsonl", same, same, other, imported(repeat=1)))
    assert [answer.raw for answer in found.answers] == ["Choice: 1", "Choice: 1"]
    twice, differs = (str(problem) for problem in found.problems)
    assert ":2: " in twice
    assert "there twice, first in line 1" in twice
    assert ":3: " in differs
    assert "another answer in line 1" in differs


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        read_transcript(tmp_path / "none.jsonl")


def test_a_task_without_an_answer_is_named(tmp_path):
    path = written(tmp_path / "a.jsonl", imported())
    with pytest.raises(CaseError, match=r"a\.jsonl:1: no answer to the task 'box'; it holds grade"):
        read_transcript(path).of_task("box")


@pytest.mark.parametrize("other", [{"model": "n"}, {"view": "coronal"}])
def test_one_file_holds_one_model_in_one_plane(tmp_path, other):
    path = written(tmp_path / "a.jsonl", imported(), imported(index=5) | other)
    with pytest.raises(CaseError, match=r"a\.jsonl:2: another (model|plane)"):
        read_transcript(path).of_task("grade")


def test_a_writer_keeps_what_is_there_and_drops_a_torn_line(tmp_path):
    path = tmp_path / "a.jsonl"
    first, second = (Answer("grade", "m", "0", k, "Choice: 1") for k in (1, 2))
    with TranscriptWriter(path) as writer:
        writer.append(first)
    with path.open("a") as file:
        file.write(second.to_line()[:20])
    with TranscriptWriter(path) as writer:
        assert [answer.key for answer in writer.answers] == [first.key]
        writer.append(second)
    assert [answer.key for answer in read_transcript(path).answers] == [first.key, second.key]


def test_a_writer_refuses_a_file_of_something_else(tmp_path):
    path = written(tmp_path / "a.jsonl", {"not": "an answer"})
    with pytest.raises(RunError, match=":1: "):
        TranscriptWriter(path)


def test_unknown_cases_and_slices_are_named_and_the_rest_is_scored(tmp_path, truth):
    path = written(
        tmp_path / "a.jsonl", imported(), imported(patient=99), imported(index=95), imported(1, 12)
    )
    scores = score_transcript(path, "grade", truth)
    assert scores.scored.counts["slices"] == 2
    case, index = (str(problem) for problem in scores.problems)
    assert ":2: case 99 is not in data" in case
    assert ":3: slice 95: data has axial slices 0 to 94" in index


def test_many_lines_of_one_kind_are_a_few_and_a_count(tmp_path, truth):
    path = written(tmp_path / "a.jsonl", imported(), *(imported(7, k) for k in range(90)))
    problems = score_transcript(path, "grade", truth).problems
    assert [problem.line for problem in problems] == [2, 3, 4]
    assert "(and 87 lines more)" in str(problems[-1])


@pytest.mark.parametrize("quoted", [{"gt_label": 0}, {"patient": 42}])
def test_another_cohort_is_one_line(tmp_path, truth, quoted):
    path = written(tmp_path / "a.jsonl", imported() | quoted, imported(index=31) | quoted)
    with pytest.raises(CaseError, match=r"a\.jsonl:1: .*different cohorts"):
        Reading.open(path, "grade", truth)


def test_boxes_of_another_cohort_are_noticed_but_a_corrected_one_is_not(tmp_path):
    case = CaseReference("0", "0", boxes=dict.fromkeys(range(5), (1, 1, 9, 9)))
    known = References("data", {"0": case})
    path = tmp_path / "a.jsonl"
    boxes = [[1, 1, 9, 9]] * 4 + [[1, 1, 8, 8]]
    quoted = [imported(index=k, task="bbox", gt_box_recorded=box) for k, box in enumerate(boxes)]
    assert not check(read_transcript(written(path, *quoted)), known).problems
    strangers = [imported(index=k, task="bbox", gt_box_recorded=[5, 5, 6, 6]) for k in range(5)]
    with pytest.raises(CaseError, match="of one cohort"):
        check(read_transcript(written(path, *strangers)), known)


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("patients.jsonl", PATIENT | {"patient": 5, "label": 2}, "label: got 2"),
        ("patients.jsonl", PATIENT, "patient 0 is there twice"),
        ("patients.jsonl", PATIENT | {"patient": 5, "tumour_range_axial": [9, 2]}, "expected [first, last]"),
        ("boxes.jsonl", {"patient": 7, "slice": 3, "new": None}, "patient 7 is not in patients.jsonl"),
        ("boxes.jsonl", {"patient": 0, "slice": 3, "new": [9, 9, 1, 1]}, "expected [row_min"),
        ("boxes.jsonl", {"patient": 0, "slice": "x", "new": None}, "slice: got 'x'"),
        ("polygons.jsonl", {"patient": 0, "slice": 3, "points": [[1, 2]]}, "at least three"),
    ],
)
def test_a_line_of_the_ground_truth_that_cannot_be_used_is_named(truth, file, line, words):
    path = truth / "gt" / file
    with path.open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    (problem,) = read_references(truth).problems
    assert words in str(problem)
    assert str(problem).startswith(f"{path}:{len(path.read_text().splitlines())}: ")


def test_a_folder_without_ground_truth_says_what_is_expected(tmp_path):
    with pytest.raises(RunError, match=r"no patients\.jsonl"):
        read_references(tmp_path)


def test_the_frame_may_be_stated(truth):
    frame = {"shape": [64, 96], "slices": {"axial": 10}}
    (truth / "gt" / "frame.json").write_text(json.dumps(frame))
    found = read_references(truth / "gt")
    assert (found.shape, dict(found.slices)) == ((64, 96), {"axial": 10})


def test_the_inner_slices_are_derived_where_they_are_not_given():
    case = CaseReference("0", "0", tumour={"axial": (41, 94), "coronal": (0, 39), "sagittal": (5, 45)})
    assert case.inner("axial") == (61, 74)
    assert case.inner("coronal") is None
    assert case.inner("sagittal") == (25, 25)
