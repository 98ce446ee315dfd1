"""Figures: drawn from the numbers of the runs, the same twice, safe with any name, readable by everyone."""

import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxzoo.cards import plots
from voxzoo.cards.plots import boxes, classes, curves, style, votes
from voxzoo.cards.plots.fronts import Point, front
from voxzoo.cards.runs import read_run
from voxzoo.zoo.errors import MissingDependencyError, RunError, UsageError

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def segment(made):
    return read_run(made.write({**made.segment(), "energy": made.energy}, "s"))


@pytest.fixture
def classify(made):
    return read_run(made.write(made.classify(), "c"))


def grade_run(made):
    """Low: 0.2 right, 0.7 wrong; high: 0.9 right, no vote."""
    rows = [("low", 0.2, 0.0), ("low", 0.7, 1.0), ("high", 0.9, 1.0), ("high", None, None)]
    cases = [
        made.case(
            i,
            {"gldr": g, "predicted": p, "correct": float(p == float(t == "high")), "label": 0.0},
            reference=t,
        )
        for i, (t, g, p) in enumerate(rows)
    ]
    plain = {
        **made.segment(),
        "task": "grade",
        "cases": cases,
        "aggregate": {"accuracy": made.aggregate(0.5)},
    }
    selective = {"patient": {"coverage": [0.25, 1.0], "risk": [0.0, 0.5], "aurc": 0.25}}
    return read_run(
        made.write({**plain, "options": {"protocol": "all", "seed": 0}, "selective": selective}, "g")
    )


def words(figure):
    """All text in a figure's SVG, parsed strictly."""
    return [text for node in ET.fromstring(plots.svg(figure)).iter() if (text := (node.text or "").strip())]


def test_a_box_plot_is_of_the_values_of_the_patients(segment):
    figure = plots.box([segment], ("dice",))
    (ax,) = figure.axes
    values, crosses, mean = (s.get_offsets()[:, 0] for s in ax.collections)
    assert sorted(values) == [0.1, 0.5, 0.8, 0.9]
    assert len(crosses) == 0
    assert mean.tolist() == [pytest.approx(0.575)]
    assert "toy median 0.650 of 4 patients" in figure.get_label()


def test_a_patient_without_a_prediction_is_a_cross(made):
    plain = made.segment()
    plain["cases"][3]["status"] = "failed"
    (ax,) = plots.box([read_run(made.write(plain))], ("dice",)).axes
    assert [s.get_offsets()[:, 0].tolist() for s in ax.collections[:2]] == [[0.9, 0.5, 0.8], [0.1]]


def test_infinite_values_are_counted_not_drawn(made):
    plain = made.segment()
    plain["cases"][0]["metrics"]["hd95"] = "inf"
    figure = plots.box([read_run(made.write(plain))], ("hd95",))
    assert "of 4 patients, 1 infinite and not drawn" in figure.get_label()


def test_every_figure_of_the_task_has_a_panel(segment):
    assert [ax.get_xlabel() for ax in plots.box([segment]).axes] == ["Dice", "HD95, mm"]


def test_the_front_by_hand():
    def point(cost, value):
        return Point(f"{cost}", cost, cost, cost, value, None, True)

    points = [point(1, 0.5), point(2, 0.4), point(3, 0.9), point(4, 0.9), point(1, 0.3)]
    assert [(p.cost, p.value) for p in front(points)] == [(1, 0.5), (3, 0.9)]
    assert [(p.cost, p.value) for p in front(points, lower=True)] == [(1, 0.3)]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_nothing_beats_the_front(pairs):
    points = [Point(f"{i}", c, c, c, float(v), None, True) for i, (c, v) in enumerate(pairs)]
    best = front(points)
    for point in points:
        assert any(b.cost <= point.cost and b.value >= point.value for b in best)
    for b in best:
        assert not any(
            p.cost <= b.cost and p.value >= b.value and (p.cost, p.value) != (b.cost, b.value) for p in points
        )


def test_energy_is_drawn_and_what_was_not_measured_is_named_not_drawn(made, segment):
    other = read_run(made.write(made.segment("without"), "w"))
    figure = plots.pareto([segment, other])
    assert "toy: 0.575 at 2.00 J per axial slice (estimated)" in figure.get_label()
    assert "Not measured, so not drawn: without." in figure.get_label()
    assert "energy, J per axial slice (log)" in words(figure)
    assert any("Hollow: estimated" in text for text in words(figure))


def test_time_stands_in_where_no_run_has_energy(made):
    figure = plots.pareto([read_run(made.write(made.segment()))])
    assert "toy: 0.575 at 250 ms per axial slice" in figure.get_label()
    plain = {**made.segment(), "times": {}}
    with pytest.raises(UsageError, match="no run has both the figure 'dice' and a time or an energy"):
        plots.pareto([read_run(made.write(plain, "t"))])


def test_confusions(made, classify):
    rows, answers, counts = classes.confusions(classify)
    assert (rows, answers, counts.tolist()) == (["a", "b"], ["a", "b"], [[1, 1], [0, 2]])
    assert "3 of 4 on the diagonal" in plots.confusion([classify]).get_label()
    rows, answers, counts = classes.confusions(grade_run(made))
    assert (answers, counts.tolist()) == (["low", "high", "no answer"], [[1, 1, 0], [0, 1, 1]])


def test_a_case_without_an_answer_keeps_its_column(made):
    plain = made.classify()
    plain["confusion"]["counts"] = [[1, 0, 1], [0, 2, 0]]
    _, answers, counts = classes.confusions(read_run(made.write(plain)))
    assert (answers, counts.tolist()) == (["a", "b", "no answer"], [[1, 0, 1], [0, 2, 0]])


def test_reliability_is_the_curve_of_the_file(classify):
    above, below = plots.reliability([classify]).axes
    assert [line.get_xydata().tolist() for line in above.lines][1] == [[0.75, 0.75]]
    assert [bar.get_height() for bar in below.patches] == [4]


def test_risk_and_coverage_by_hand(made, classify):
    """Sure 0.9 right, 0.8 wrong, 0.7 right, 0.6 right."""
    coverage, risk, _ = votes.risks(classify)
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3, 1 / 4])
    assert votes.risks(grade_run(made))[1].tolist() == [0.0, 0.5]


def test_votes_are_hollow_where_wrong(made):
    figure = plots.gldr([grade_run(made)])
    (ax,) = figure.axes
    assert [s.get_offsets()[:, 1].tolist() for s in ax.collections] == [[0.2], [0.7], [0.9], []]
    assert "low grade: 1 of 2 patients right; high grade: 1 of 2 patients right" in figure.get_label()


def test_a_learning_curve_marks_its_best(tmp_path):
    path = tmp_path / "fold0" / "curve.csv"
    path.parent.mkdir()
    path.write_text("step,loss,score,a/dice\n10,0.9,0.5,0.5\n20,0.5,0.75,0.7\n30,0.4,,\n")
    found = curves.read_curve(path)
    assert (found.label, found.steps, found.score[:2]) == ("fold0", (10, 20, 30), (0.5, 0.75))
    assert "fold0: best score 0.750 at step 20" in plots.curve([found]).get_label()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "step,loss,score\n1,x,3\n", "step,loss,score\n1,2\n"])
def test_what_is_no_curve_is_named(tmp_path, text):
    path = tmp_path / "curve.csv"
    path.write_text(text)
    with pytest.raises(RunError, match=r"curve\.csv"):
        curves.read_curve(path)


def test_kinds_of_a_run(made, segment, classify):
    assert plots.available(segment) == ("box",)
    assert plots.available(classify) == ("box", "confusion", "reliability", "risk-coverage")
    assert plots.available(grade_run(made)) == ("box", "confusion", "risk-coverage", "gldr")
    for run in (segment, classify, grade_run(made)):
        for kind in plots.available(run):
            assert plots.draw(kind, [run]).get_label()


@pytest.mark.parametrize("kind", ["confusion", "reliability", "risk-coverage", "gldr"])
def test_a_run_without_the_numbers_is_an_error_that_names_it(segment, kind):
    with pytest.raises(UsageError, match=r"results\.json: a run of 'segment'"):
        plots.draw(kind, [segment])


def test_wrong_use(made, segment, classify):
    with pytest.raises(UsageError, match="no case has 'dixe'; there are dice"):
        plots.box([segment], ("dixe",))
    with pytest.raises(UsageError, match="expected one of box"):
        plots.draw("pie", [segment])
    with pytest.raises(UsageError, match="theme: got 'pink'"):
        plots.box([segment], theme="pink")
    with pytest.raises(UsageError, match="no runs to draw"):
        plots.box([])
    with pytest.raises(RunError, match="different tasks"):
        plots.box([segment, classify])
    with pytest.raises(UsageError, match="no learning curve"):
        plots.draw("curve")


def test_different_data_is_refused_unless_asked_for(made, segment):
    plain = made.segment("b")
    plain["dataset"]["sha256"] = "ee" * 32
    other = read_run(made.write(plain, "b"))
    for kind in ("box", "pareto"):
        with pytest.raises(RunError, match="of different data"):
            plots.draw(kind, [segment, other])
        assert plots.draw(kind, [segment, other], mixed=True)


def test_the_same_figure_gives_the_same_bytes(segment, tmp_path):
    for name in ("a.svg", "a.png"):
        for folder in ("one", "two"):
            plots.save(plots.box([segment]), tmp_path / folder / name)
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_inline_figure_takes_the_colour_of_its_page(segment):
    text = plots.svg(plots.box([segment], theme="inline"), "inline")
    assert text.startswith('<svg role="img" aria-label="Box plots of segment on toys.')
    assert "currentColor" in text
    assert "#010203" not in text
    assert "<metadata" not in text
    for node in ET.fromstring(text).iter():
        assert node.get("style", "").find("fill: #ffffff") < 0
    assert " id=" not in text.replace(' id="m', "").replace(' id="p', "").replace(' id="C', "")


def test_files_of_other_kinds_are_refused(segment, tmp_path):
    with pytest.raises(UsageError, match=r"ends in \.svg or \.png"):
        plots.save(plots.box([segment]), tmp_path / "a.gif")
    with pytest.raises(UsageError, match="inline"):
        plots.save(plots.box([segment]), tmp_path / "a.png", "inline")


NASTY = (
    "<script>alert(1)</script>",
    "$\\frac$",
    "a\nb",
    "x" * 300,
    "\u202eabc",
    "]]>",
    "&amp;",
    "日本",
    "'\"",
    "\x00",
)


@settings(max_examples=12, deadline=None)
@given(st.text(max_size=20) | st.sampled_from(NASTY))
def test_any_name_can_be_drawn(name):
    figure = style.new_figure(3, 2, "light")
    ax = figure.subplots()
    ax.set_title(style.plain(name))
    figure.set_label(f"about {name}")
    root = ET.fromstring(plots.svg(figure))
    assert not list(root.iter(f"{SVG}script"))


def test_nasty_labels_in_whole_figures(made):
    plain = made.segment("<script>$x$")
    text = plots.svg(plots.box([read_run(made.write(plain))], ("dice",)))
    assert "<script" not in text
    assert "&lt;script&gt;$x$" in text


def test_colours_differ_for_the_colour_blind():
    """Simulated by Machado et al. 2009 (severity 1), the first three colours stay well apart."""
    deutan = np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    )
    protan = np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    )
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in style.COLOURS[:3]])
    for matrix in (np.eye(3), deutan, protan):
        seen = rgb @ matrix.T
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=2) + np.eye(3) * 9
        assert apart.min() > 0.25


def test_every_series_has_a_marker_of_its_own():
    assert len({(style.colour(i), style.marker(i)) for i in range(20)}) == 20


def test_a_missing_library_is_a_line_with_the_remedy(segment, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        boxes.box([segment])
