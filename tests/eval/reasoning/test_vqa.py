"""Twelve questions by exact match: counted by hand, with every way in which an answer can be missing."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from voxzoo.eval.cli import command
from voxzoo.eval.reasoning.judged import vqa
from voxzoo.eval.reasoning.judged.gutvlm import Description, GutVlm, read_gutvlm
from voxzoo.eval.reasoning.judged.transcript import Replay, ask_on_file, read_answers
from voxzoo.zoo.answerer import Reply
from voxzoo.zoo.errors import CaseError, ModelError, RunError, UsageError

QUESTIONS = (
    "Which organ does the image belong to among colon, cecum, pylorus, or z-line? ",
    "What color is the organ?",
    *(f"Are there any things of kind {n}?" for n in range(9)),
    "How many polyps are there? Possible answers are (Zero, Single, Multiple). ",
)


def _description(image, organ="cecum", color="pink", count="Zero"):
    answers = (organ, color, *["No"] * 9, count)
    return Description(image, f"A description of {image}.", "The corrected text.", (), QUESTIONS, answers)


DATA = GutVlm(
    "mini",
    (
        _description("a.jpg"),
        _description("b.jpg", "colon", "Light pink"),
        _description("c.jpg", count="Single"),
        _description("d.jpg", color="red"),
    ),
    "0" * 64,
)


def _model(answer, name="m"):
    return SimpleNamespace(name=name, content_hash="h", answer=answer)


def _always_no(question):
    return {0: " Cecum. ", 1: "pink", 11: Reply("Zero")}.get(question.slice, "No")


def test_exact_match_by_hand():
    found = vqa.score(vqa.ask(_model(_always_no), DATA), DATA)
    organ, color, *yes_or_no, count = found["questions"]
    assert (organ["exact"]["value"], organ["chance"], organ["n"]) == (0.75, 0.75, 4)
    assert (color["exact"]["value"], color["chance"], color["choices"]) == (0.5, 0.5, [])
    assert {one["exact"]["value"] for one in yes_or_no} == {1.0}
    assert count["exact"]["value"] == 0.75
    assert found["all"]["exact"]["value"] == pytest.approx((0.75 + 0.5 + 9 + 0.75) / 12)
    assert found["closed"]["questions"] == 11
    assert found["free"]["exact"]["value"] == 0.5
    assert found["every"]["exact"]["value"] == 0.25, "only a.jpg has all of them right"


def test_what_is_missing_counts_as_wrong_and_is_counted():
    def answer(question):
        if question.case == "a.jpg":
            raise ModelError("gone")
        return {"b.jpg": "  ", "c.jpg": "perhaps"}.get(question.case, "No")

    answers = vqa.ask(_model(answer), DATA)
    third = vqa.score(answers, DATA)["questions"][2]
    assert {status: third[status] for status in vqa.STATUSES} == {
        "answered": 1, "outside": 1, "empty": 1, "failed": 1
    }  # fmt: skip
    assert (third["exact"]["value"], third["n"]) == (0.25, 4)
    half = vqa.score(answers[24:], DATA)["questions"][2]
    assert (half["failed"], half["n"]) == (2, 4)


def test_the_gold_is_never_shown():
    seen = []
    for context in vqa.CONTEXTS:
        vqa.ask(_model(lambda question: seen.append(question) or "No"), DATA, context=context)
    told = [question for question in seen if "A description of" in question.prompt]
    assert len(told) == len(seen) / 2 == 48
    assert not any("The corrected text" in question.prompt for question in seen)
    assert all(question.image is None for question in seen)


def test_choices_come_from_the_question_and_make_the_grammar():
    assert vqa.choices(QUESTIONS[0]) == ("colon", "cecum", "pylorus", "z-line")
    assert vqa.choices(QUESTIONS[1]) == ()
    assert vqa.grammar(QUESTIONS[-1]) == 'root ::= "Zero" | "Single" | "Multiple"'
    assert vqa.grammar(QUESTIONS[1]) == r"root ::= [^\n]+"
    assert vqa.grammar('Is it among a "b", or \\c?') == r'root ::= "a \"b\"" | "\\c"'


def test_an_image_is_shown_where_there_is_one():
    shown = []
    image = np.zeros((4, 5, 3), np.uint8)
    vqa.ask(_model(lambda question: shown.append(question.image) or "No"), DATA, image_of=lambda name: image)
    assert len(shown) == 48
    assert all(one is image for one in shown)


def test_other_questions_about_another_image_and_an_unknown_context():
    odd = replace(DATA.descriptions[1], questions=("Another one?", *QUESTIONS[1:]))
    with pytest.raises(CaseError, match=r"b\.jpg: its questions"):
        vqa.score([], replace(DATA, descriptions=(DATA.descriptions[0], odd)))
    with pytest.raises(UsageError, match="expected one of none, description"):
        vqa.ask(_model(_always_no), DATA, context="gold")


def test_a_run_goes_on_and_asks_failures_again(tmp_path):
    path, asked = tmp_path / "answers.jsonl", []

    def flaky(question):
        asked.append(question)
        if len(asked) == 30:
            raise KeyboardInterrupt
        if len(asked) == 3:
            raise ModelError("busy")
        return _always_no(question)

    with pytest.raises(KeyboardInterrupt):
        ask_on_file(path, _model(flaky), DATA)
    answers = ask_on_file(path, _model(flaky), DATA)
    assert len(asked) == 48 + 2, "the one that failed and the one that was interrupted"
    assert vqa.score(answers, DATA) == vqa.score(vqa.ask(_model(_always_no), DATA), DATA)
    with pytest.raises(RunError):
        ask_on_file(path, _model(flaky, "another"), DATA)


def test_recorded_answers_are_replayed(tmp_path):
    path = tmp_path / "answers.jsonl"
    live = ask_on_file(path, _model(_always_no, "live"), DATA)
    replay = Replay(path)
    assert replay.name == "live"
    assert vqa.ask(replay, DATA) == live
    path.write_text('{"image": "a.jpg", "question": 2, "answer": "No"}\n')
    third = vqa.score(vqa.ask(Replay(path), DATA), DATA)["questions"][2]
    assert (third["answered"], third["failed"], third["exact"]["value"]) == (1, 3, 0.25)


@pytest.mark.parametrize(
    "line",
    [
        '{"image": "a.jpg", "question": 12, "answer": "No"}',
        '{"image": "a.jpg", "question": true, "answer": "No"}',
        '{"image": "a.jpg", "question": 1}',
        '{"image": 3, "question": 1, "answer": "No"}',
        "[1, 2]",
        '{"image": "a.jpg", "ques',
    ],
)
def test_recorded_answers_that_are_none(tmp_path, line):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"image": "a.jpg", "question": 0, "answer": "No"}\n' + line + "\n")
    with pytest.raises(CaseError, match=r"answers\.jsonl:2"):
        read_answers(path)
    with pytest.raises(CaseError, match="cannot be read"):
        read_answers(tmp_path / "nowhere.jsonl")


@pytest.fixture
def folder(tmp_path):
    text = "There are no polyps."
    mark = {"text": text, "start": 0, "end": len(text), "type": "correct"}
    texts, answers = {}, {}
    for one in DATA.descriptions:
        texts[one.image] = {"original_text": text, "corrections": text, "annotations": {"0-20": mark}}
        answers[one.image] = [
            {"question": q, "answer": a} for q, a in zip(one.questions, one.answers, strict=True)
        ]
    (tmp_path / "mini.json").write_text(json.dumps(texts))
    (tmp_path / "vqa_mini.json").write_text(json.dumps(answers))
    (tmp_path / "model.py").write_text(
        "class Model:\n    name, content_hash = 'no-sayer', ''\n"
        "    def answer(self, question):\n        return 'No'\n\nMODEL = Model()\n"
    )
    return tmp_path


def test_the_command_asks_scores_and_replays(folder, capsys):
    kept, out = folder / "kept.jsonl", folder / "out.json.txt"
    words = ["judge", "vqa", "--data", str(folder), "--model"]
    code = command.main(
        [*words, f"script:{folder / 'model.py'}", "-t", str(kept), "-o", str(out)], standalone_mode=False
    )
    said = capsys.readouterr().out
    assert code == 0
    assert "no-sayer on 4 images of mini" in said
    record = json.loads(out.read_text())
    assert record["all"]["exact"]["value"] == pytest.approx(9 / 12)
    assert command.main([*words, f"replay:{kept}", "--json"], standalone_mode=False) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["questions"] == record["questions"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "replay:x"], "--data"),
        (["--data", "FOLDER"], "--model"),
        (["--data", "FOLDER", "--model", "replay:nowhere.jsonl"], "cannot be read as recorded answers"),
        (["--data", "FOLDER", "--model", "script:FOLDER/model.py", "--context", "gold"], "context"),
        (["--data", "FOLDER", "--model", "script:FOLDER/model.py", "--images", "FOLDER"], "a.jpg"),
    ],
)
def test_wrong_use_is_one_line(folder, capsys, words, message):
    words = [word.replace("FOLDER", str(folder)) for word in words]
    assert command.main(["judge", "vqa", *words], standalone_mode=False) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.data
def test_chance_on_the_real_answers(data_root):
    data = read_gutvlm(data_root / "gutvlm")
    raw = json.loads((data_root / "gutvlm" / "vqa_train.json").read_text())
    found = vqa.score(vqa.ask(_model(lambda question: "No"), data), data, resamples=20)
    said_no = [sum(one[n]["answer"].strip().lower() == "no" for one in raw.values()) for n in range(12)]
    assert [round(one["exact"]["value"] * 1450) for one in found["questions"]] == [
        said_no[n] if vqa.choices(q) in ((), ("Yes", "No")) else 0
        for n, q in enumerate(data.descriptions[0].questions)
    ]
    assert [bool(one["choices"]) for one in found["questions"]] == [
        True,
        False,
        False,
        True,
        False,
        False,
        *[True] * 6,
    ]
    assert found["questions"][10]["chance"] == pytest.approx(1449 / 1450)
