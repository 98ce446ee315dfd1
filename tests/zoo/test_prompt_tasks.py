"""Prompt tasks: what their parsers understand, repair and refuse, by hand; prompts, targets, a user's own
task."""

import ast
import hashlib

import numpy as np
import pytest

from voxzoo.zoo.errors import GeometryError, UsageError
from voxzoo.zoo.tasks.answers import LONGEST
from voxzoo.zoo.tasks.prompt import PROMPT_TASKS, PromptTask, choose_prompt, prompt_task
from voxzoo.zoo.tasks.slices import SliceRule

REFUSALS = [
    "",
    "   \n",
    "I'm sorry, but I can't help with that.",
    "As a model, I cannot read scans.",
    "no idea",
    "||",
]


@pytest.fixture(params=PROMPT_TASKS)
def task(request):
    return prompt_task(request.param)


@pytest.mark.parametrize("parser", ["strict", "lenient"])
@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_refused_with_a_reason(task, text, parser):
    parsed = task.parse(text, parser)
    assert parsed.status == "refused"
    assert parsed.value is None
    assert parsed.refused
    assert not parsed.answered
    if "sorry" in text:
        assert "declined" in parsed.refused


def test_what_is_no_text_is_refused_not_raised(task):
    assert task.parse(None).status == "refused"


def test_an_unknown_parser_is_a_mistake_of_the_caller(task):
    with pytest.raises(UsageError, match="strict, lenient"):
        task.parse("x", "sloppy")


@pytest.mark.parametrize("parser", ["strict", "lenient"])
def test_a_long_answer_is_read_in_part_and_says_so(task, parser):
    parsed = task.parse(" " * (LONGEST + 5) + "(1, 2)", parser)
    assert parsed.status == "refused"
    assert f"{LONGEST + 11} characters" in parsed.repairs[0]


# grade

GRADES = [
    # text, strict, lenient
    ("Choice: 1 Reasoning: necrosis, mass effect", 1, 1),
    ("Choice: 0", 0, 0),
    ("Choice: 2\n\nReasoning: nothing seen", 2, 2),
    (" Choice: 1", None, 1),
    ("ERROR: Unknown >>||  || Choice: 1 ||  || Reasoning: irregular", None, 1),
    ("**Choice:** 0\n", None, 0),
    ("My choice is: Choice - (2)", None, 2),
    ("1", None, 1),
    (" **2**. ", None, 2),
    ("Choice: 3", None, None),
    ("Choice: 12", None, None),
    ("Choice: 1.5", 1, 1),
    ("the Choice: 1.5", None, None),
    ("Answer: 1", None, None),
    ("Classification: No Glioma (2)", None, None),
    ("Choice: high", None, None),
    ("12", None, None),
    ("I would say Choice: 0 or 1", None, None),
    ("the Choice: 0/1", None, None),
]


@pytest.mark.parametrize(("text", "strict", "lenient"), GRADES)
def test_grades(text, strict, lenient):
    task = prompt_task("grade")
    assert task.parse(text, "strict").value == strict
    assert task.parse(text, "lenient").value == lenient


def test_choices_that_differ_are_said_to():
    parsed = prompt_task("grade").parse("I think: Choice: 0. On reflection, Choice: 1.")
    assert parsed.value == 0
    assert "the first of several choices that differ" in parsed.repairs


def test_a_choice_between_classes_is_refused_when_lenient():
    parsed = prompt_task("grade").parse("Choice: 0 or 1 Reasoning: unclear")
    assert parsed.value is None
    assert "several" in parsed.refused


def test_grade_targets():
    grade = prompt_task("grade")
    assert [grade.target(grade=g) for g in ("low", "high", None, "4")] == [0, 1, None, None]


# center

CENTERS = [
    ("(66, 73)", (66, 73), (66, 73)),
    ("The centre is (66,73).", (66, 73), (66, 73)),
    ("( 6 ,\n7 )", (6, 7), (6, 7)),
    ("[66, 73]", None, (66, 73)),
    ("('66', \"73\")", None, (66, 73)),
    ("(66.5, 73.51)", None, (66, 74)),
    ("**Row 40, column 55**", None, (40, 55)),
    ("row = 40, col = 55", None, (40, 55)),
    ("40, 55", None, (40, 55)),
    ("40 55", None, (40, 55)),
    ("(-1, -1)", None, None),
    ("(0.4, 0.6)", None, None),
    ("(66, ", None, None),
    ("(66, 73, 80)", None, None),
    ("66", None, None),
    ("(row, col)", None, None),
]


@pytest.mark.parametrize(("text", "strict", "lenient"), CENTERS)
def test_centers(text, strict, lenient):
    task = prompt_task("center")
    assert task.parse(text, "strict").value == strict
    assert task.parse(text, "lenient").value == lenient


@pytest.mark.parametrize("text", ["(128, 5)", "(5, 400)", "[-3, 5]"])
def test_a_center_out_of_the_frame_is_wrong_not_missing(text):
    parsed = prompt_task("center").parse(text)
    assert parsed.value is None
    assert parsed.answered
    assert parsed.written == (ast.literal_eval(f"({text[1:-1]})"),)


def test_the_frame_is_an_argument():
    assert prompt_task("center").parse("(128, 5)", frame=(256, 256)).value == (128, 5)


def test_the_first_of_several_points_is_said_to_be():
    parsed = prompt_task("center").parse("from (10, 10) to (20, 20)")
    assert parsed.value == (10, 10)
    assert parsed.repairs == ("the first of 2 points taken",)


@pytest.mark.parametrize("text", ["(99999999, 1)", f"({'9' * 5000}, 1)", f"[{'9' * 5000}.5, 1]"])
def test_absurd_numbers_are_refused(text):
    parsed = prompt_task("center").parse(text)
    assert parsed.status == "refused"
    assert not parsed.written


# box

ASKED = "[(10, 20), (10, 40), (30, 40), (30, 20)]"
BOX = (10, 20, 30, 40)
BOXES = [
    (ASKED, BOX, BOX),
    ("(10, 20), (10, 40), (30, 40), (30, 20)", BOX, BOX),
    ("[10, 20], [10, 40], [30, 40], [30, 20]", BOX, BOX),
    ("([10, 20], [10, 40], [30, 40], [30, 20],)", BOX, BOX),
    ("[('10', '20'), (\"10\", 40), (30.9, 40.0), (30, 20.)]", BOX, BOX),
    (f"{ASKED} || That is the box.", BOX, BOX),
    (f"{ASKED}\nI hope this helps", BOX, BOX),
    (f"The box is {ASKED}.", BOX, BOX),  # the study's recorder kept such lists
    ("Box: [(10,20), (10,40), (30,40), (30,20)]", None, BOX),
    ("**Answer** ((10,20),(10,40),(30,40),(30,20))", None, BOX),
    ("[10, 20), (10, 40), (30, 40), (30, 20)]", None, BOX),
    ("[10, 20, 30, 40]", None, BOX),
    ("Here you are:\n\n[10, 20, 30, 40]", None, BOX),
    ("(10, 20, 30, 40)", None, None),
    ("[(010, 20), (10, 40), (30, 40), (30, 20)]", None, BOX),  # not a Python number
    ("[(10, 20), (10, 40), (30, 40)]", None, None),
    ("[(10, 20), (10, 40), (30, 40), (30,", None, None),
    ("[(-1, -1), (-1, -1), (-1, -1), (-1, -1)]", None, None),
    ("[(row_min, col_min), (row_min, col_max)]", None, None),
    ("the box ['10', '20'], ['10', '40'], ['30', '40'], ['30', '20']", None, None),
    ("[(30, 20), (10, 20), (10, 40), (30, 40)]", BOX, BOX),
    ("[(30, 40), (10, 20), (10, 20), (30, 40)]", BOX, BOX),
    ("[(-5, 20), (-5, 140), (30, 140), (30, 20)]", (0, 20, 30, 127), (0, 20, 30, 127)),
]


@pytest.mark.parametrize(("text", "strict", "lenient"), BOXES)
def test_boxes(text, strict, lenient):
    task = prompt_task("box")
    assert task.parse(text, "strict").value == strict
    assert task.parse(text, "lenient").value == lenient


def test_what_was_done_to_a_box_is_told():
    box = prompt_task("box")
    assert box.parse(ASKED).status == "understood"
    assert box.parse(ASKED).repairs == ()
    assert box.parse("[10, 20, 30, 140]").repairs == (
        "four numbers taken as row_min, col_min, row_max, col_max",
        "cut at the frame",
    )
    turned = box.parse("[(30, 20), (10, 20), (10, 40), (30, 40)]")
    assert turned.repairs == ("the corners come in another order",)
    assert "no rectangle" in box.parse("[(1, 2), (3, 4), (5, 6), (7, 8)]").repairs[0]
    assert "4 of 6 points" in box.parse("(1,1) (1,5) (5,5) (5,1) (9,9) (8,8)").repairs[1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[(10, 20), (10, 40), (30, 40), (30,", "cut off after 3 of 4 corners"),
        ("[(10, 20), (10, 40), (30, 40)] is it", "only 3 of 4 corners"),
        ("so [('10', '20'), ('10', '40')", "quotes"),
        ("so [(0.1, 0.2), (0.1, 0.4)", "fractions"),
        ("[(9999999, 0), (0, 0), (0, 0), (0, 0)]", "beyond"),
    ],
)
def test_why_a_box_is_refused(text, reason):
    assert reason in prompt_task("box").parse(text).refused


def test_a_box_out_of_the_frame_is_wrong_not_missing():
    parsed = prompt_task("box").parse("* [210, 50], [210, 115], [275, 115], [275, 50]")
    assert parsed.value is None
    assert parsed.written == ((210, 50), (210, 115), (275, 115), (275, 50))


def test_written_corners_keep_what_lies_outside():
    parsed = prompt_task("box").parse("[(-5, 20), (-5, 140), (30, 140), (30, 20)]", "strict")
    assert parsed.written == ((-5, 20), (-5, 140), (30, 140), (30, 20))


# polygon

TRIANGLE = ((1, 2), (3, 40), (50, 6))


def test_polygons():
    polygon = prompt_task("polygon")
    asked, chat, listed = (
        "((1, 2), (3, 40), (50, 6))",
        "**(1,2)**, (3,40) and\n( 50 , 6 ).",
        "* (1, 2)\n* (3, 40)\n* (50, 6)",
    )
    for text in (asked, chat, listed):
        assert polygon.parse(text).value == TRIANGLE
        assert polygon.parse(text, "strict").value == TRIANGLE
    assert polygon.parse(asked).status == "understood"


def test_a_polygon_of_few_points():
    polygon = prompt_task("polygon")
    assert polygon.parse("(1, 2), (3, 4)", "strict").value == ((1, 2), (3, 4))
    assert polygon.parse("(1, 2), (3, 4)").refused == "2 points, a polygon needs 3"
    assert not polygon.parse("(1, 2), (3, 4)").answered


def test_a_polygon_of_many_points():
    text = ", ".join(f"({i}, {i * i % 100})" for i in range(20))
    strict, lenient = (prompt_task("polygon").parse(text, parser) for parser in ("strict", "lenient"))
    assert len(strict.value) == 15
    assert strict.repairs == ("the first 15 of 20 points taken",)
    assert len(lenient.value) == 20
    assert lenient.status == "understood"
    assert lenient.value[:15] == strict.value


def test_points_that_are_left_out_are_counted():
    parsed = prompt_task("polygon").parse("((1, 2), (-3, 4), (5.5, 6), (3, 40), ('7', 8), (50, 6), (9")
    assert parsed.value == TRIANGLE
    assert parsed.repairs == (
        "3 points with a sign, a fraction or quotes left out",
        "cut off within a point",
    )


def test_lists_that_are_joined_are_counted():
    parsed = prompt_task("polygon").parse("First ((1, 2), (3, 4)), then the second one ((5, 6), (7, 8))")
    assert len(parsed.value) == 4
    assert parsed.repairs == ("the points of 2 lists joined",)


def test_points_outside_move_to_the_border_but_stay_as_written():
    parsed = prompt_task("polygon").parse("((100, 100), (100, 150), (131, 100))")
    assert parsed.value == ((100, 100), (100, 127), (127, 100))
    assert parsed.written == ((100, 100), (100, 150), (131, 100))
    assert parsed.repairs == ("2 points moved to the border of the frame",)
    assert prompt_task("polygon").parse("(128, 0), (128, 9), (140, 5)").refused.endswith("outside the frame")


# targets


def test_targets_of_masks():
    mask = np.zeros((128, 128), bool)
    mask[10:31, 20:41] = True
    assert prompt_task("box").target(mask) == BOX
    assert prompt_task("center").target(mask) == (20.0, 30.0)
    assert prompt_task("polygon").target(mask)[0] == (10, 20)
    mask[60, 30] = True
    assert prompt_task("center").target(mask) == (35.0, 30.0)
    mass = type(prompt_task("center"))(of="mass").target(mask)
    assert mass == pytest.approx(((441 * 20 + 60) / 442, 30.0))


def test_an_empty_mask_has_no_target():
    for name in ("box", "center", "polygon"):
        assert prompt_task(name).target(np.zeros((128, 128), bool)) is None
        assert prompt_task(name).target(None) is None


def test_the_target_answers_its_own_task():
    mask = np.hypot(*np.mgrid[-40:88, -50:78]) < 25
    for name in ("box", "center", "polygon"):
        task = prompt_task(name)
        target = task.target(mask)
        if name == "box":
            top, left, bottom, right = target
            text = str([(top, left), (top, right), (bottom, right), (bottom, left)])
        else:
            text = str(target if name == "polygon" else tuple(int(v) for v in target))
        for parser in ("strict", "lenient"):
            parsed = task.parse(text, parser)
            assert parsed.value == target
            assert parsed.status == "understood"


# prompts


def test_every_task_has_five_prompts_that_differ_and_ask_for_its_format(task):
    texts = [choose_prompt(task, name).text for name in task.prompts]
    assert isinstance(task, PromptTask)
    assert len(texts) == len(set(texts)) >= 5
    assert next(iter(task.prompts)) == "default"
    form = {
        "grade": "Choice: <",
        "center": "(row, col)",
        "box": "[(row_min, col_min)",
        "polygon": "((row1, col1)",
    }
    assert all(form[task.name] in text and "{" not in text for text in texts)
    assert all("axial" in text and "FLAIR" in text for text in texts)


def test_prompts_say_what_is_shown(task):
    text = choose_prompt(task, "default", SliceRule("t1ce", "coronal", size=(256, 200))).text
    assert "coronal" in text
    assert "contrast-enhanced T1" in text
    assert task.name == "grade" or ("0 to 255" in text and "0 to 199" in text)


def test_a_prompt_from_a_file(task, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Où? {plane}, {not_ours} {rows}\n", encoding="utf-8")
    prompt = choose_prompt(task, str(path))
    assert (prompt.name, prompt.text) == ("mine", "Où? axial, {not_ours} 128")
    assert prompt.sha256 == hashlib.sha256(prompt.text.encode()).hexdigest()


def test_prompts_that_cannot_be_used(task, tmp_path):
    with pytest.raises(UsageError, match="brief"):
        choose_prompt(task, "absent")
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(UsageError, match="empty"):
        choose_prompt(task, str(tmp_path / "empty.txt"))
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        choose_prompt(task, str(tmp_path / "bytes.txt"))


# a task of one's own

OWN = """
from voxzoo.zoo.tasks.answers import accept, check_parser, refuse
from voxzoo.zoo.tasks.slices import SliceRule

class Side:
    name, new_tokens, slices = "side", 5, SliceRule()
    prompts = {"default": "Left or right?"}
    def grammar(self, frame=(128, 128)):
        return 'root ::= "left" | "right"\\n'
    def parse(self, text, parser="lenient", frame=(128, 128)):
        check_parser(parser)
        said = text.strip().lower()
        return accept(said, (said,)) if said in ("left", "right") else refuse("no side in it")
    def target(self, mask=None, grade=None):
        return None

TASK = Side()
"""


def test_a_task_in_one_file(tmp_path):
    (tmp_path / "side.py").write_text(OWN)
    task = prompt_task(str(tmp_path / "side.py"))
    assert task.parse("Left").value == "left"
    assert choose_prompt(task).text == "Left or right?"
    assert isinstance(task, PromptTask)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1", "no TASK"),
        ("TASK = object()", "no name, prompts"),
        (OWN.replace('"default"', '"a"'), "default"),
    ],
)
def test_files_that_are_no_task(tmp_path, content, message):
    (tmp_path / "bad.py").write_text(content)
    with pytest.raises(UsageError, match=message):
        prompt_task(str(tmp_path / "bad.py"))


def test_tasks_that_do_not_exist(tmp_path):
    with pytest.raises(UsageError, match="grade, center, box, polygon"):
        prompt_task("boxes")
    with pytest.raises(UsageError, match="no such file"):
        prompt_task(str(tmp_path / "absent.py"))


def test_outline_of_nothing():
    from voxzoo.zoo.tasks.outline import outline

    with pytest.raises(GeometryError):
        outline(np.zeros((9, 9), bool))
