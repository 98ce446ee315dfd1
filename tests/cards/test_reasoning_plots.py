"""Figures of reasoning: what is drawn is what the results say, what is not known is said."""

import pytest

from voxzoo.cards import cli, plots
from voxzoo.cards.plots import reasoning
from voxzoo.cards.runs import read_run
from voxzoo.eval.reasoning.stability import Answered, stability_record
from voxzoo.zoo.errors import RunError, UsageError

SECTIONS = {"i": "causes", "j": "follow <up> $x$"}


def told(hits, repeats=2):
    """Prompts plain and formal; in the second prompt the key point of i flips."""
    return [
        Answered(
            "toy", item, "true", prompt, repeat, ((hit if item == "i" else True),), 1.0, "a" if hit else "b"
        )
        for prompt, given in zip(("plain", "formal"), hits, strict=True)
        for repeat, hit in enumerate(given[:repeats])
        for item in SECTIONS
    ]


def run(made, details, name="r"):
    plain = {**made.segment(name), "task": "reason", "options": {"seed": 0}, **details}
    return read_run(made.write(plain, name))


def record(repeats=2):
    return stability_record(
        told([(True, True), (True, False)], repeats), SECTIONS, alike=lambda a, b: float(a == b)
    )


def verdicts(value=0.75, first="small"):
    share = {"value": value, "ci95": [0.5, 1.0], "n": 8, "reason": ""}
    if value is None:
        share = {"value": None, "ci95": None, "n": 0, "reason": "no pair was read in both orders"}
    return [{"judge": "fair", "first": first, "second": "large", "arm": "true", "agreement": share}]


def lengths(ax):
    return [
        round(bar.get_width(), 6) for bar in ax.patches if bar.get_height() < 0.5 and bar.get_width() != 0.8
    ]


def test_bars_are_the_shares_of_the_file(made):
    figure = plots.stability([run(made, {"stability": record()})])
    flips, alike = figure.axes
    # i flips in one of the two pairs of repeats, and in two of the four pairs of prompts; j never does
    assert lengths(flips) == [0.25, 0.25, 0.5, 0.5, 0.0, 0.0]
    assert lengths(alike) == [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    label = figure.get_label()
    assert "flip between two answers: the same prompt again 0.250, another wording 0.250" in label
    assert [text.get_text() for text in flips.get_yticklabels()][:2] == ["all sections", "causes"]


def test_what_is_not_known_is_said_not_drawn(made):
    figure = plots.stability([run(made, {"stability": record(repeats=1)})])
    assert "the same prompt again not known (one repeat)" in figure.get_label()
    assert sum("one repeat" in text.get_text() for text in figure.axes[0].texts) == 3


def test_several_models_have_a_panel_each_and_names_are_escaped(made):
    runs = [run(made, {"stability": record()}, name) for name in ("a<b>", "m2")]
    figure = plots.stability(runs)
    assert len(figure.axes) == 4
    text = plots.svg(figure)
    assert "<b>" not in text
    assert "follow <up>" not in text
    assert text == plots.svg(plots.stability(runs))


def test_agreement_of_a_judge(made):
    figure = plots.judge_agreement([run(made, {"judge": verdicts() + verdicts(None, "tiny")})])
    label = figure.get_label()
    assert "fair: small, large (true): 0.750." in label
    assert "fair: tiny, large (true): not known (no pair was read in both orders)." in label
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.75]


def test_kinds_of_a_run_of_reasoning(made):
    assert "stability" in plots.available(run(made, {"stability": record()}))
    assert plots.available(run(made, {"judge": verdicts()}))[-1] == "judge-agreement"
    assert set(cli.KINDS) == set(plots.KINDS)


@pytest.mark.parametrize("kind", ["stability", "judge-agreement"])
def test_a_run_without_them_is_named(made, kind):
    with pytest.raises(UsageError, match=r"results\.json: a run of 'reason'"):
        plots.draw(kind, [run(made, {})])


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("stability", {"stability": {"all": {}}}),
        ("stability", {"stability": {"all": {}, "sections": {}}}),
        ("stability", {"stability": {**record(), "sections": {"causes": 3}}}),
        ("judge-agreement", {"judge": ["fair"]}),
        ("judge-agreement", {"judge": [{"judge": "fair"}]}),
        ("judge-agreement", {"judge": [{"agreement": {"value": "0.5", "ci95": None}}]}),
        ("judge-agreement", {"judge": [{"agreement": {"value": 0.5, "ci95": [0.1]}}]}),
        ("judge-agreement", {"judge": [{"agreement": {"value": True, "ci95": None}}]}),
    ],
)
def test_damaged_figures_are_refused_by_file(made, kind, details):
    with pytest.raises(RunError, match=r"results\.json: damaged"):
        plots.draw(kind, [run(made, details)])


def test_a_share_of_a_file_is_a_share(made):
    found = reasoning.by_section(run(made, {"stability": record()}))
    assert list(found) == ["all sections", *dict.fromkeys(SECTIONS.values())]
    assert found["causes"]["flip_rate_within"].value == 0.5
