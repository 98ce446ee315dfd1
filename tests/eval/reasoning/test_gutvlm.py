"""The reader of GutVLM: alignment by hand, every kind of file that is not what it should be, the halves."""

import json

import numpy as np
import pytest

from voxzoo.eval.reasoning.judged.gutvlm import read_gutvlm
from voxzoo.eval.reasoning.judged.halves import choosing, groups
from voxzoo.eval.reasoning.judged.kinds import error_kinds, kinds_of
from voxzoo.zoo.errors import CaseError

QUESTIONS = [
    "Which anatomical landmark or organ does the image belong to among colon, cecum, pylorus, or z-line? ",
    "What color is the anatomical landmark?",
    "Where in the image is anatomical landmark?",
    "Is there any abnormality present in the image? ",
    "What color is the abnormality, if present?",
    "Where in the image is the abnormality, if present?",
    "How many polyps are present in the image? Possible answers are (Zero, Single, Multiple). ",
    "Are there any instruments visible in the image?",
    "Are there any signs of inflammation present in the image?",
    "Is there evidence of bleeding in the image?",
    "Are there any foreign bodies present in the image?",
    "Are there any signs of infection present in the image?",
]
ANSWERS = ["cecum", "pink", "N/A", "No", "N/A", "N/A", "Zero", "No", "No", "No", "No", "No"]


def described(marked, corrected):
    """A record from [(sentence, "correct" | "incorrect")]."""
    text, marks = "", {}
    for sentence, mark in marked:
        start = len(text) + bool(text)
        text = f"{text} {sentence}".strip()
        marks[f"{start}-{len(text)}"] = {"text": sentence, "start": start, "end": len(text), "type": mark}
    return {"original_text": text, "corrections": corrected, "annotations": marks}


def asked(answers=ANSWERS):
    return [{"question": q, "answer": a} for q, a in zip(QUESTIONS, answers, strict=True)]


def good():
    return described(
        [("An image of colon.", "incorrect"), ("There are no polyps.", "correct")],
        "An image of cecum. There are no polyps.",
    )


def write(folder, records, answers=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mini.json").write_text(json.dumps(records))
    answers = {image: asked() for image in records} if answers is None else answers
    (folder / "vqa_mini.json").write_text(json.dumps(answers))
    return folder


def test_sentences_meet_their_marks_and_corrections(tmp_path):
    data = read_gutvlm(write(tmp_path, {"a.jpg": good()}))
    (one,) = data.descriptions
    first, second = one.sentences
    assert (first.text, first.wrong, first.verbatim) == ("An image of colon.", True, False)
    assert first.correction == "An image of cecum."
    assert (second.wrong, second.verbatim, second.correction) == (False, True, "There are no polyps.")
    assert (one.landmark, data.name, one.gold) == (
        "cecum",
        "mini",
        ("An image of cecum.", "There are no polyps."),
    )
    assert kinds_of(first, one) == ("landmark",)
    assert kinds_of(second, one) == ()


def test_marks_come_in_any_order_and_sentences_in_that_of_the_text(tmp_path):
    record = good()
    record["annotations"] = dict(reversed(record["annotations"].items()))
    data = read_gutvlm(write(tmp_path, {"a.jpg": record}) / "mini.json")
    assert [s.text for s in data.sentences] == ["An image of colon.", "There are no polyps."]


def test_fragments_are_left_out_and_counted(tmp_path):
    record = good()
    record["annotations"]["17-18"] = {"text": ".", "start": 17, "end": 18, "type": "incorrect"}
    (one,) = read_gutvlm(write(tmp_path, {"a.jpg": record})).descriptions
    assert (len(one.sentences), one.fragments) == (2, 1)


def _change(record, *path, to=None):
    *inner, last = path
    for key in inner:
        record = record[key]
    if to is None:
        del record[last]
    else:
        record[last] = to


BAD = {
    "no corrections": (("corrections",), None, "a.jpg: corrections: missing"),
    "empty text": (("original_text",), "  ", "a.jpg: original_text: empty"),
    "text is a number": (("original_text",), 7, "a.jpg: original_text: got int, expected str"),
    "annotations are a list": (("annotations",), [], "a.jpg: annotations: got list"),
    "mark without a type": (("annotations", "0-18", "type"), None, "annotations['0-18']: type: missing"),
    "mark of another word": (
        ("annotations", "0-18", "type"),
        "unsure",
        "got 'unsure', expected 'correct' or",
    ),
    "start is a text": (("annotations", "0-18", "start"), "0", "start: got str, expected int"),
    "start is a bool": (("annotations", "0-18", "start"), True, "start: got bool, expected int"),
    "end before start": (("annotations", "0-18", "end"), -1, "start, end: got 0, -1"),
    "mark beside its text": (("annotations", "0-18", "start"), 17, "is not where its text stands"),
    "mark is null": (("annotations", "0-18"), 3, "annotations['0-18']: got int, expected dict"),
    "a sentence too many": (("annotations", "0-18"), None, "no mark for the sentence at [0, 17)"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_record_that_is_wrong_is_named_with_its_field(tmp_path, case):
    path, to, message = BAD[case]
    record = good()
    _change(record, *path, to=to)
    with pytest.raises(CaseError) as error:
        read_gutvlm(write(tmp_path, {"a.jpg": record}))
    assert "a.jpg" in str(error.value)
    assert message in str(error.value)


def test_more_marks_than_text(tmp_path):
    record = good()
    record["annotations"]["60-90"] = {"text": "A third sentence.", "start": 60, "end": 90, "type": "correct"}
    with pytest.raises(CaseError, match="expected marks that match the sentences"):
        read_gutvlm(write(tmp_path, {"a.jpg": record}))


def test_one_odd_description_among_many_costs_its_mark_only(tmp_path):
    records = {f"{n}.jpg": good() for n in range(100)}
    records["7.jpg"]["annotations"]["60-90"] = {
        "text": "No third one.",
        "start": 60,
        "end": 90,
        "type": "correct",
    }
    data = read_gutvlm(write(tmp_path, records))
    assert len(data.sentences) == 200
    assert [one.image for one in data.descriptions if one.oddities] == ["7.jpg"]


def test_an_image_twice(tmp_path):
    folder = write(tmp_path, {"a.jpg": good()})
    one = json.dumps(good())
    (folder / "mini.json").write_text(f'{{"a.jpg": {one}, "a.jpg": {one}}}')
    with pytest.raises(CaseError, match=r"'a\.jpg' stands there twice"):
        read_gutvlm(folder)


@pytest.mark.parametrize("name", ["mini.json", "vqa_mini.json"])
def test_a_file_that_is_cut_off(tmp_path, name):
    folder = write(tmp_path, {"a.jpg": good()})
    whole = (folder / name).read_text()
    (folder / name).write_text(whole[: len(whole) // 2])
    with pytest.raises(CaseError, match=rf"{name}: not readable as JSON"):
        read_gutvlm(folder)


@pytest.mark.parametrize("content", ["[]", "{}", "null", '"text"', "\xff"])
def test_a_file_of_something_else(tmp_path, content):
    folder = write(tmp_path, {"a.jpg": good()})
    (folder / "mini.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(CaseError, match=r"mini\.json"):
        read_gutvlm(folder)


def test_images_in_one_file_only(tmp_path):
    with pytest.raises(CaseError, match=r"vqa_mini\.json: b\.jpg: in this file only"):
        read_gutvlm(write(tmp_path, {"a.jpg": good()}, {"a.jpg": asked(), "b.jpg": asked()}))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (asked()[:11], "got 11 questions, expected 12"),
        ({"question": "x"}, "got dict, expected list"),
        ([*asked()[:11], "yes"], r"\[11\]: got str, expected dict"),
        ([*asked()[:11], {"question": "x"}], r"\[11\]: answer: missing"),
    ],
)
def test_questions_that_are_wrong(tmp_path, answers, message):
    with pytest.raises(CaseError, match=message):
        read_gutvlm(write(tmp_path, {"a.jpg": good()}, {"a.jpg": answers}))


def test_no_pair_two_pairs_no_folder(tmp_path):
    with pytest.raises(CaseError, match="0 pairs"):
        read_gutvlm(tmp_path)
    with pytest.raises(CaseError, match=r"x\.json: no such file"):
        read_gutvlm(tmp_path / "x.json")
    write(tmp_path, {"a.jpg": good()})
    for name in ("b.json", "vqa_b.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(CaseError, match="2 pairs"):
        read_gutvlm(tmp_path)


def test_near_duplicates_are_one_group_through_others():
    # Pairs of neighbouring words, the ends included: 6, 7 and 8. First and second share 5 of 8, second and
    # third 6 of 9, first and third 5 of 9.
    texts = ["one two three four five", "one two three four five six", "one two three four five six seven"]
    assert groups(texts, near=5 / 8).tolist() == [0, 0, 0]
    assert groups(texts, near=6 / 9).tolist() == [0, 1, 1]
    assert groups(texts, near=0.7).tolist() == [0, 1, 2]
    assert groups([*texts, "nothing of the kind"], near=0.6).tolist() == [0, 0, 0, 1]


def test_a_group_never_parts_and_the_order_does_not_matter(tmp_path):
    words = ["red", "blue", "pink", "white", "grey", "green", "brown", "black"]
    records = {
        f"{n}.jpg": described([(f"A {word} thing number {word} is {word}.", "correct")], "Nothing.")
        for n, word in enumerate(words * 2)
    }
    descriptions = read_gutvlm(write(tmp_path, records)).descriptions
    half = choosing(descriptions, seed=1)
    assert (half[:8] == half[8:]).all()
    assert 0 < half.sum() < 16
    assert (choosing(descriptions[::-1], seed=1)[::-1] == half).all()
    assert any((choosing(descriptions, seed) != half).any() for seed in range(2, 6))


@pytest.mark.parametrize(
    ("text", "gold", "kinds"),
    [
        ("There is bleeding.", ["There is no bleeding."], ("presence",)),
        ("There is no bleeding.", ["Bleeding is seen."], ("presence",)),
        ("No instruments are visible.", ["One instrument is visible."], ("instrument",)),
        ("The mucosa is blue.", ["The mucosa is pink."], ("colour",)),
        ("The mucosa is pink.", ["The mucosa is pinkish."], ("incomplete",)),
        ("Folds are typical.", ["The mucosa is pink."], ("other",)),
        ("A polyp is on the left.", ["A polyp is on the right."], ("location",)),
        ("No landmarks are identifiable.", ["No polyps."], ("landmark",)),
    ],
)
def test_kinds_by_hand(text, gold, kinds):
    assert error_kinds(text, gold, gold[0]) == kinds


@pytest.mark.data
def test_the_real_files(data_root):
    data = read_gutvlm(data_root / "gutvlm")
    assert len(data.descriptions) == 1450
    raw = json.loads((data_root / "gutvlm" / "train.json").read_text())
    marks = [mark for one in raw.values() for mark in one["annotations"].values()]
    left_out = sum(one.fragments for one in data.descriptions) + 1  # one mark lies outside its text
    assert len(data.sentences) == len(marks) - left_out
    assert sum(len(one.oddities) for one in data.descriptions) == 2
    for one in data.descriptions:
        for sentence in one.sentences:
            assert sentence.image == one.image
            assert sentence.correction or not sentence.verbatim
    half = choosing(data.descriptions)
    of = groups([one.original for one in data.descriptions])
    assert 0.4 < half.mean() < 0.6
    assert not set(of[half].tolist()) & set(of[~half].tolist())
    texts = np.array([one.original for one in data.descriptions])
    assert not set(texts[half]) & set(texts[~half])
