"""The learning curve: cut at the checkpoint, torn lines dropped, early stopping, CSV and figure."""

import csv
import io
import json
import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("torch")

from voxzoo.export.curves import Curve, figure, table


def _line(step, score, **found):
    return {"step": step, "loss": 1 / step, "score": score, "validation": found}


def test_lines_after_the_checkpoint_and_torn_ones_are_cut(tmp_path):
    curve = Curve(tmp_path, 0)
    for step in (2, 4, 6):
        curve.append(_line(step, 0.5))
    with curve.path.open("ab") as file:
        file.write(b'{"step": 8, "lo')
    again = Curve(tmp_path, 4)
    assert [line["step"] for line in again.lines] == [2, 4]
    assert [json.loads(x)["step"] for x in curve.path.read_text().splitlines()] == [2, 4]
    curve.path.write_bytes(b"\x00\xff garbage\n" + curve.path.read_bytes())
    assert [line["step"] for line in Curve(tmp_path, 4).lines] == [2, 4]


def test_best_is_the_first_highest_and_patience_counts_from_it(tmp_path):
    curve = Curve(tmp_path, 0)
    assert curve.best() is None
    for step, score in enumerate((0.2, 0.7, 0.6, 0.7, 0.1), 1):
        curve.append(_line(step, score))
    assert curve.best() == 1
    assert curve.stalled(3)
    assert not curve.stalled(4)
    assert not curve.stalled(0)


def test_without_held_out_cases_nothing_is_best_and_nothing_stalls(tmp_path):
    curve = Curve(tmp_path, 0)
    for step in range(1, 6):
        curve.append(_line(step, None))
    assert curve.best() is None
    assert not curve.stalled(1)


def test_csv_reads_back(tmp_path):
    lines = [_line(1, 0.5, **{"a/wt": 0.5}), _line(2, None), _line(3, 0.75, **{"a/wt": 0.75, "b,x/wt": 1.0})]
    rows = list(csv.DictReader(io.StringIO(table(lines))))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert rows[1]["score"] == ""
    assert float(rows[2]["b,x/wt"]) == 1.0


def test_a_curve_of_an_older_voxzoo_is_read(tmp_path):
    (tmp_path / "curve.jsonl").write_text('{"step": 2, "loss": 1.0, "dice": {"a": 0.5}}\n')
    curve = Curve(tmp_path, 2)
    curve.append(_line(4, 0.5, **{"a/wt": 0.5}))
    curve.export("old and new", "Dice")
    assert curve.best() == 1


def test_the_figure_is_an_svg_of_the_same_bytes_each_time():
    lines = [_line(s, s / 10, **{"a/wt": s / 10, "images/NLL": 3.0}) for s in range(1, 6)]
    drawn = figure(lines, "toy", "Dice")
    assert drawn == figure(lines, "toy", "Dice")
    texts = "".join(ET.fromstring(drawn).itertext())
    for words in ("training loss", "held-out Dice", "best 0.500 at step 5", "toy"):
        assert words in texts
    assert "held-out" not in figure([_line(1, None)], "toy", "Dice").decode()
