"""Judges on marked sentences: figures derived by hand, what each judge looks at, the target on real data."""

import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from voxzoo.eval.cli import command
from voxzoo.eval.reasoning.judged import run
from voxzoo.eval.reasoning.judged.alignment import FEATURES, Rarity, features
from voxzoo.eval.reasoning.judged.golds import SETTINGS, golds, key_points, reword
from voxzoo.eval.reasoning.judged.gutvlm import read_gutvlm
from voxzoo.eval.reasoning.judged.logistic import fit_logistic, probability
from voxzoo.eval.reasoning.judged.measure import Judged, at_threshold, best_threshold, fit_curve, measure
from voxzoo.eval.reasoning.judged.report import show
from voxzoo.eval.reasoning.judged.scorers import COEFFICIENTS, NAMES, JudgeScorer, by_text_model, scorer
from voxzoo.zoo.errors import InputError, ModelError, UsageError

ANSWERS = ["cecum", "pink", "N/A", "No", "N/A", "N/A", "Zero", "No", "No", "No", "No", "No"]
QUESTION = {"question": "Is there anything?"}
RARITY = Rarity.of([["An image of cecum.", "No polyps."], ["An image of colon.", "No polyps."]])


def _record(wrong, word):
    """A right sentence behind one that is wrong where asked; no two records are near-duplicates."""
    first = "An image of colon." if wrong else "An image of cecum."
    second = f"The {word} fold has {word} spots near {word} veins."
    text = f"{first} {second}"
    spans = [(first, 0, len(first), wrong), (second, len(first) + 1, len(text), False)]
    return {
        "original_text": text,
        "corrections": f"An image of cecum. {second}",
        "annotations": {
            f"{a}-{b}": {"text": t, "start": a, "end": b, "type": "incorrect" if w else "correct"}
            for t, a, b, w in spans
        },
    }


@pytest.fixture
def mini(tmp_path):
    words = ["".join(letters) for letters in product("bdfgkl", "aeiou", "mnprst")][:80]
    records = {f"{n:03}.jpg": _record(n % 3 == 0, word) for n, word in enumerate(words)}
    (tmp_path / "mini.json").write_text(json.dumps(records))
    answers = {image: [{**QUESTION, "answer": a} for a in ANSWERS] for image in records}
    (tmp_path / "vqa_mini.json").write_text(json.dumps(answers))
    return tmp_path


def _judged(wrong, choosing, kinds=None):
    n = len(wrong)
    kinds = [("other",) if w else () for w in wrong] if kinds is None else kinds
    return Judged(
        [str(i) for i in range(n)], np.array(wrong, bool), ["cecum"] * n, kinds, np.array(choosing, bool)
    )


def test_auc_ece_and_threshold_by_hand():
    # Choosing half: 0.2 right, 0.8 wrong: the threshold is 0.5, the curve runs from 0 to 1 between them.
    # Reporting half: wrong ones at 0.9, 0.4, right ones at 0.6, 0.1; wrong beats right in 3 of 4 pairs.
    scores = np.array([0.2, 0.8, 0.9, 0.4, 0.6, 0.1])
    judged = _judged([0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0])
    found = measure(scores, judged, resamples=50)
    assert found["auc"]["value"] == 0.75
    assert found["threshold"]["value"] == 0.5
    assert found["threshold"]["accuracy"]["value"] == 0.5
    assert found["threshold"]["f1"]["value"] == 0.5
    # P(wrong): 1, 1/3, 2/3, 0: the gaps are 0, 2/3, 2/3, 0, each in a bin of its own: (2/3 + 2/3) / 4.
    assert found["calibration"]["ece"]["value"] == pytest.approx(1 / 3)
    assert found["n"] == {
        "sentences": 4, "wrong": 2, "images": 4, "choosing_sentences": 2, "choosing_images": 2
    }  # fmt: skip
    assert found["kinds"]["other"]["auc"]["value"] == 0.75
    assert found["classes"]["cecum"]["sentences"] == 4


def test_what_is_reported_does_not_move_what_was_chosen():
    generator = np.random.default_rng(0)
    wrong, half = generator.random(200) < 0.4, np.arange(200) % 2 == 0
    scores = wrong + generator.normal(size=200)
    first = measure(scores, _judged(wrong, half), resamples=20)
    other = np.where(half, scores, -scores)
    second = measure(other, _judged(wrong, half), resamples=20)
    assert first["threshold"]["value"] == second["threshold"]["value"]
    assert first["calibration"]["curve"] == second["calibration"]["curve"]
    assert first["auc"]["value"] == pytest.approx(1 - second["auc"]["value"])


def test_kinds_are_ranked_against_all_right_sentences():
    # Wrong ones of one kind at 0.9 and 0.1, right ones at 0.5 and 0.3: 2 of 2 pairs, and 0 of 2.
    judged = _judged(
        [0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0], [(), ("count",), ("colour",), ("count", "location"), (), ()]
    )
    found = measure(np.array([0, 1, 0.9, 0.1, 0.5, 0.3]), judged, resamples=20)["kinds"]
    assert {kind: one["auc"]["value"] for kind, one in found.items()} == {
        "colour": 1,
        "count": 0,
        "location": 0,
    }
    assert found["colour"]["wrong"] == 1


def test_the_best_threshold_against_all_of_them():
    generator = np.random.default_rng(1)
    for _ in range(20):
        scores = generator.integers(0, 8, 30) / 8
        wrong = generator.random(30) < 0.5
        wrong[:2] = True, False
        chosen = best_threshold(scores, wrong)
        f1 = [at_threshold(scores, wrong, t)[3] for t in np.linspace(-0.1, 1.1, 200)]
        assert at_threshold(scores, wrong, chosen)[3] == pytest.approx(max(f1))


def test_the_curve_is_monotone_and_keeps_the_share_of_wrong_ones():
    generator = np.random.default_rng(2)
    scores = generator.integers(0, 30, 300) / 30
    wrong = generator.random(300) < scores
    x, p = fit_curve(scores, wrong)
    assert (np.diff(x) > 0).all()
    assert (np.diff(p) >= 0).all()
    assert np.interp(scores, x, p).mean() == pytest.approx(wrong.mean())


@pytest.mark.parametrize(
    ("wrong", "choosing"),
    [([0, 0, 1, 0], [1, 1, 0, 0]), ([0, 1, 1, 1], [1, 1, 0, 0]), ([0, 1], [1, 1])],
)
def test_a_half_of_one_kind_is_refused(wrong, choosing):
    with pytest.raises(InputError, match="expected right and wrong ones"):
        measure(np.arange(len(wrong)) * 1.0, _judged(wrong, choosing))


def test_scores_that_are_no_numbers_are_refused():
    judged = _judged([0, 1, 0, 1], [1, 1, 0, 0])
    with pytest.raises(InputError, match="finite"):
        measure(np.array([0, np.nan, 1, 0]), judged)
    with pytest.raises(InputError, match=r"\(3,\) scores of \(4,\) sentences"):
        measure(np.zeros(3), judged)


def test_logistic_regression_against_scipy():
    from scipy.optimize import minimize

    generator = np.random.default_rng(3)
    x = generator.normal(size=(120, 3))
    y = generator.random(120) < probability(x, [0.3, 1.0, -2.0, 0.0])

    def loss(b):
        z = b[0] + x @ b[1:]
        return np.logaddexp(0, np.where(y, -z, z)).sum() + 0.35 * (b[1:] ** 2).sum()

    found = minimize(loss, np.zeros(4), tol=1e-12)
    np.testing.assert_allclose(fit_logistic(x, y, ridge=0.7), found.x, atol=1e-4)


def test_logistic_regression_of_classes_without_an_error_stays_finite():
    found = fit_logistic([[0.0], [1.0]] * 20, [False, True] * 20)
    assert np.isfinite(found).all()
    assert found[1] > 0
    with pytest.raises(InputError, match="of one kind"):
        fit_logistic([[0.0], [1.0]], [True, True])


@pytest.mark.parametrize("name", NAMES)
def test_every_judge_prefers_the_sentence_that_the_gold_holds(name):
    gold = ("An image of cecum.", "There are no polyps or instruments.")
    pairs = [("An image of colon.", gold), ("An image of cecum.", gold)]
    wrong, right = scorer(name, RARITY)(pairs)
    assert wrong == right if name == "length" else wrong > right


@pytest.mark.parametrize("name", ["key_points", "aligned"])
def test_denial_counts(name):
    gold = ("There is no bleeding.",)
    score = scorer(name, RARITY)
    said, denied = score([("Bleeding is seen.", gold), ("No bleeding is seen.", gold)])
    assert said > denied


def test_features_by_hand():
    # Weights: "colon", "cecum" ln(3/2), words of every text 0, unknown ones ln 3.
    found = dict(
        zip(
            FEATURES,
            features("Colon without ulcers.", ["A cecum.", "The colon has ulcers."], RARITY),
            strict=True,
        )
    )
    assert found["absent"] == 0
    assert found["denied"] == pytest.approx(np.log(3) / (np.log(3) + np.log(1.5)))
    assert 0 < found["misplaced"] < 1


def test_an_unknown_judge_and_an_unknown_setting(mini):
    data = read_gutvlm(mini)
    with pytest.raises(UsageError, match="expected one of length"):
        run.judge(data, ["bleu"])
    with pytest.raises(UsageError, match="expected one of corrected"):
        run.judge(data, settings=["gold"])


def test_settings_give_what_they_say(mini):
    data = read_gutvlm(mini)
    found = {setting: list(golds(data, setting)) for setting in SETTINGS}
    assert len(found["corrected"]) == 160
    assert {sentence.text for sentence, _ in found["changed"]} == {"An image of colon."}
    assert all(gold == key_points(ANSWERS) for _, gold in found["answers"])
    own = {one.image: one.gold for one in data.descriptions}
    assert all(gold != own[sentence.image] for sentence, gold in found["another"])
    assert all(set(gold).isdisjoint(own[sentence.image]) for sentence, gold in found["reworded"])


def test_rewording_turns_only_what_is_denied_together():
    assert reword("There are no polyps, ulcers, or signs of bleeding.") == (
        "one finds no hemorrhage, ulcers or polypoid growths."
    )
    assert reword("The fold is pink, wide and long.") == "the fold is pink, wide and long."


def test_a_whole_run_is_figures_only_and_the_same_again(mini):
    data = read_gutvlm(mini)
    record = run.judge(data, resamples=20)
    assert run.to_json(record) == run.to_json(run.judge(read_gutvlm(mini), resamples=20))
    assert set(record["settings"]) == set(SETTINGS) - {"changed"}, "only wrong sentences are changed here"
    assert record["settings"]["corrected"]["verbatim"]["auc"]["value"] == 1
    assert record["not_measured"]["changed"].startswith("the choosing half has")
    text = run.to_json(record) + show(record)
    assert not any(word in text for word in ("An image of", "fold", "veins"))
    assert json.loads(run.to_json(record)) == record


def test_a_judge_that_cannot_be_read_is_counted_and_undecided():
    replies = iter(["yes", "no", "", "perhaps", None])

    def answer(question):
        reply = next(replies)
        if reply is None:
            raise ModelError("gone")
        return reply

    judge = JudgeScorer(SimpleNamespace(name="j", content_hash="", answer=answer))
    scores = judge([("One polyp is seen.", ("No polyps.",))] * 5)
    assert scores.tolist() == [0, 1, 0.5, 0.5, 0.5]
    assert (judge.asked, sum(judge.unread.values())) == (5, 3)


def test_a_model_of_entailment_reads_the_gold_first():
    seen = []

    def score(pairs):
        seen.extend(pairs)
        return [0.25] * len(pairs)

    assert by_text_model(SimpleNamespace(score=score))([("A claim.", ("One.", "Two."))]).tolist() == [0.75]
    assert seen == [("One. Two.", "A claim.")]


def _zoo_eval(capsys, *words):
    code = command.main(["judge", *map(str, words)], standalone_mode=False)
    return code, capsys.readouterr()


def test_the_command_prints_tables_and_writes_the_file(mini, capsys):
    out = mini / "judged.out"
    code, said = _zoo_eval(
        capsys, "--data", mini, "--scorer", "verbatim,aligned", "--setting", "corrected", "--resamples", 20,
        "--out", out,
    )  # fmt: skip
    assert code == 0
    assert "| aligned" in said.out
    assert "| chrf" not in said.out
    assert show(json.loads(out.read_text())) == said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--data"),
        (["--data", "nowhere"], "no such file"),
        (["--data", "MINI", "--limit", "0"], "--limit"),
        (["--data", "MINI", "--scorer", "bleu"], "got 'bleu'"),
        (["--data", "MINI", "--limit", "1"], "expected right and wrong"),
    ],
)
def test_wrong_use_is_one_line(mini, capsys, words, message):
    code, said = _zoo_eval(capsys, *(mini if word == "MINI" else word for word in words))
    assert code == 2
    assert message in said.err
    assert (said.err.count("\n"), said.out) == (1, "")


def test_a_script_is_a_judge(mini, capsys):
    (mini / "judge.py").write_text(
        "class Model:\n    name, content_hash = 'sceptic', ''\n"
        "    def answer(self, question):\n        return 'no'\n\nMODEL = Model()\n"
    )
    words = ["--data", mini, "--scorer", "length", "--setting", "corrected", "--resamples", 20]
    code, said = _zoo_eval(capsys, *words, "--judge", f"script:{mini / 'judge.py'}", "--json")
    found = json.loads(said.out)["settings"]["corrected"]["judge-sceptic"]
    assert code == 0
    assert found["auc"]["value"] == 0.5
    assert found["replies"] == {"asked": 160, "unread": {}}


@pytest.mark.data
def test_the_target_on_the_half_that_nothing_was_chosen_on(data_root):
    record = run.judge(
        read_gutvlm(data_root / "gutvlm"),
        ["overlap", "aligned"],
        ["corrected", "answers", "another"],
        resamples=20,
    )
    auc = {
        (setting, name): one["auc"]["value"]
        for setting, judges in record["settings"].items()
        for name, one in judges.items()
    }
    assert auc["corrected", "aligned"] >= 0.80
    assert auc["answers", "aligned"] >= 0.80, "no wording of the description is in this gold"
    assert auc["answers", "aligned"] > auc["answers", "overlap"] > 0.75
    assert auc["another", "aligned"] < 0.70, "without the right gold little is left"


@pytest.mark.data
def test_the_coefficients_in_the_code_are_those_of_the_choosing_half(data_root):
    fitted = run.fit(read_gutvlm(data_root / "gutvlm"))
    # How words and denials are read may be mended without a new fit, if it moves no more than this.
    assert fitted == pytest.approx(dict(COEFFICIENTS), abs=0.25)


def test_the_page_says_what_its_file_says():
    docs = Path(__file__).resolve().parents[3] / "docs"
    page = (docs / "reasoning-judge.md").read_text()
    tables = show(json.loads((docs / "reasoning-judge.json").read_text()))
    assert tables.replace("\n## ", "\n### ") in page
