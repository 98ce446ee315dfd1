"""``zoo-eval compare``: the comparison table of the study, from results files."""

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import voxzoo
from voxzoo.eval.cli import command
from voxzoo.eval.language.published import ROWS, row_of
from voxzoo.eval.language.study import lines_of, read_confusion, study_text
from voxzoo.eval.pairs import Compared, read_runs
from voxzoo.zoo.errors import RunError, UsageError

ROOT = Path(os.environ.get("VOXZOO_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
STUDY = ROOT / "thesis_transcripts"
RUNS = {
    "axial": ("cls_general_axial", "grade", ()),
    "small": ("cls_general_axial", "grade", ("--slices", "core20", "--no-slices", "low")),
    "tuned": ("cls_finetuned_100steps", "grade", ("--assumed", "0=low")),
    "centre": ("centre_general", "center", ()),
    "bbox": ("bbox_general", "box", ("--empty", "128")),
    "polygon": ("polygon_general", "polygon", ("--empty", "128", "--no-baseline")),
}


def zoo_eval(*arguments):
    done = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.return_value, done.output


def cells(text):
    """(section, figure, model) -> published, reproduced, corrected."""
    found, section, figure = {}, "", ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        parts = [part.strip() for part in line.strip("|").split("|")]
        if len(parts) == 6 and not set(parts[0]) & set(":-") and parts[0] != "figure":
            figure = parts[0] or figure
            found[section, figure, parts[1]] = tuple(parts[3:])
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The recorded runs, scored as the study did."""
    if not STUDY.is_dir():
        pytest.skip("no recorded answers of the study")
    folder = tmp_path_factory.mktemp("runs")
    for name, (file, task, options) in RUNS.items():
        path = STUDY / "part_A" / f"{file}.jsonl"
        code, _ = zoo_eval(
            *("--model", f"replay:{path}", "--task", task, "--data", STUDY),
            *("--protocol", "paper", "--out", folder / name, *options),
        )
        assert code == 0
    return folder


@pytest.mark.data
def test_one_command_writes_the_table(data_root, runs, tmp_path):
    out = tmp_path / "table.md"
    confusion = STUDY / "cnn" / "classification_confusions.json"
    code, _ = zoo_eval("compare", *sorted(runs.iterdir()), "--cnn", confusion, "--out", out)
    text = out.read_text()
    table = cells(text)
    assert code == 0
    assert "34 of 34 published figures" in text
    assert "ASSUMED for patients not recorded: 0 low" in text
    grades = "Classification: low or high grade"
    assert table[grades, "accuracy", "CNN"] == ("0.8000", "0.8000", "—")
    assert table[grades, "AUC", "CNN"] == ("0.8202", "0.8202", "—")
    assert table[grades, "accuracy", "general, coronal"] == ("0.8000", "—", "—")
    assert table[grades, "specificity", "fine-tuned, 100 steps"][:2] == ("0.3000", "0.3000")
    assert table[grades, "accuracy", "trivial: always-high"] == ("—", "0.8000", "0.8000")
    assert table["Segmentation as a box", "Dice", "CNN (masks)"] == ("0.5942", "—", "—")
    expected = json.loads((STUDY / "part_A" / "expected.json").read_text())["expected"]
    for task, key, title, metric, theirs in (
        ("Segmentation as a box", "bbox/general/corrected_all", "Dice", "general", "dice"),
        ("Segmentation as a box", "bbox/general/corrected_all", "HD95, px", "general", "hd"),
        ("Segmentation as a polygon", "polygon/general/per_slice_corrected", "Dice", "general", "dice"),
        ("Segmentation as a polygon", "polygon/general/per_slice_corrected", "HD95, px", "general", "hd"),
        ("Segmentation as a point: the centre of the tumour", "centre/general/corrected_all", "in box",
         "general", "in_box"),
    ):  # fmt: skip
        assert table[task, title, metric][2] == f"{expected[key][theirs]:.4f}"


@pytest.mark.data
def test_every_published_figure_of_the_record_is_in_the_table(data_root):
    known = json.loads((STUDY / "part_A" / "expected.json").read_text())["published"]
    rows = {(row.task, row.name): row for row in ROWS}
    names = {
        "cls/general_axial": ("grade", "general-axial"),
        "cls/general_axial__core20": ("grade", "general-small"),
        "cls/finetuned_100steps": ("grade", "100-steps"),
        "centre/general": ("center", "general"),
        "bbox/general": ("box", "general"),
        "polygon/general": ("polygon", "general"),
    }
    assert set(names) == set(known)
    for key, values in known.items():
        row = rows[names[key]]
        figures = {"hd95" if n == "hd" else n: v for n, v in values.items() if isinstance(v, float)}
        assert (row.table, dict(row.figures)) == (values["table"], figures)


@pytest.mark.data
def test_the_other_corrected_protocol_may_be_shown(data_root, runs):
    text = study_text(read_runs([str(runs / "bbox")]), None, "answered")
    expected = json.loads((STUDY / "part_A" / "expected.json").read_text())["expected"]
    value = expected["bbox/general/corrected_answered"]["dice"]
    assert cells(text)["Segmentation as a box", "Dice", "general"][2] == f"{value:.4f}"


@pytest.mark.data
def test_pairs_of_the_same_patients_stand_below(data_root, runs):
    code, text = zoo_eval("compare", f"a={runs / 'axial'}", f"b={runs / 'small'}", runs / "bbox")
    rows = [line for line in text.splitlines() if line.startswith("| correct")]
    assert code == 0
    assert len(rows) == 1  # grades beside grades, no grade beside a box
    assert re.search(r"\| a +\| b +\| +55 \| 0\.7818 \| 0\.7455 \|", rows[0])
    assert "over the 1 pair here" in text


ANSWERS = {("0", 0): "Choice: 1", ("0", 1): "Choice: 0", ("1", 0): "Choice: 0"}


@pytest.fixture
def toy(tmp_path):
    """A run of "general" on two made-up patients."""
    folder = tmp_path / "toy" / "gt"
    folder.mkdir(parents=True)
    patients = [
        {"patient": p, "label": p, **{f"tumour_range_{x}": [0, 9] for x in ("axial", "coronal")}}
        for p in (0, 1)
    ]
    (folder / "patients.jsonl").write_text("\n".join(map(json.dumps, patients)))

    def scored(model="general", view="axial", name="", **options):
        lines = [
            {"task": "classification", "model": model, "view": view, "patient": p, "slice": s, "raw": raw}
            for (p, s), raw in ANSWERS.items()
        ]
        path = tmp_path / f"{model}-{view}.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)))
        return Compared(name, model, voxzoo.evaluate(f"replay:{path}", folder, task="grade", **options))

    return scored


def test_a_figure_that_does_not_come_out_again_is_marked(toy):
    text = study_text([toy()], None)
    assert "0.0000 ≠" in text
    assert "0 of 5 published figures. Not (≠): general, axial: accuracy (Table 3)" in text


def test_runs_find_their_rows_by_what_they_hold(toy):
    placed = {("grade", "general-coronal"): toy(view="coronal")}
    lines = lines_of("grade", placed)
    assert [line.model for line in lines if line.corrected is not None and line.metric == "f1"] == [
        "general, coronal",
        "trivial: always-high",
    ]
    text = study_text([toy(view="coronal"), toy("llava", name="x")], None)
    assert "Of no row of the study: llava (grade, llava)" in text


@pytest.mark.parametrize(
    ("asked", "row"),
    [
        (("grade", "", "general", "axial", "all"), "general-axial"),
        (("grade", "", "general", "sagittal", "tumour"), "general-sagittal"),
        (("grade", "", "general", "axial", "core20"), "general-small"),
        (("grade", "", "finetuned_100steps", "axial", "all"), "100-steps"),
        (("grade", "", "finetuned_full_epoch", "axial", "all"), "full-epoch"),
        (("grade", "full-epoch", "anything", "axial", "all"), "full-epoch"),
        (("box", "", "finetuned", "axial", "all"), "fine-tuned"),
        (("polygon", "", "general", "coronal", "all"), None),
        (("grade", "", "finetuned", "axial", "all"), None),
        (("segment", "", "general", "axial", "all"), None),
    ],
)
def test_rows(asked, row):
    found = row_of(*asked)
    assert (found and found.name) == row


def test_two_runs_for_one_row_are_one_line(toy):
    with pytest.raises(UsageError, match=r"both of the row 'general, axial' of Table 3"):
        study_text([toy(), toy()], None)


def test_the_cnn_alone_will_do(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"200": {"testing": {"tp": 37, "tn": 7, "fp": 4, "fn": 7, "auc": 0.8202}}}))
    assert read_confusion(path)["accuracy"] == 44 / 55
    code, text = zoo_eval("compare", "--cnn", path)
    assert code == 0
    assert "6 of 6 published figures" in text
    assert "Pairs" not in text


@pytest.mark.parametrize("text", ["oops", "[]", '{"200": {}}', '{"200": {"testing": {"tp": "x"}}}'])
def test_another_file_is_one_line(tmp_path, text):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(RunError, match="expected"):
        read_confusion(path)
    code, shown = zoo_eval("compare", "--cnn", path)
    assert code == 2
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to compare"),
        (("nowhere",), "cannot be read"),
        (("--study", "--protocol", "paper"), "expected one of answered, all"),
    ],
)
def test_wrong_use_is_one_line(arguments, words):
    code, shown = zoo_eval("compare", *arguments)
    assert code == 2
    assert words in shown
    assert shown.count("\n") == 1
