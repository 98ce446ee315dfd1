"""Cards: what stands on them, what they never invent, and that they are the same twice."""

import json
import re

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from markdown_it import MarkdownIt

from voxzoo.cards.bench import read_bench
from voxzoo.cards.board_table import BEGIN, boards_text, is_between
from voxzoo.cards.build import build
from voxzoo.cards.keep import keep, kept
from voxzoo.cards.runs import boards, read_run, read_runs
from voxzoo.cards.stated import FIELDS, NOT_STATED, beside, read_stated
from voxzoo.cards.subject import find_subject
from voxzoo.zoo.entries import WEIGHTS, entries
from voxzoo.zoo.errors import ModelNotFoundError, RunError, UsageError

SEEDED = "<script>alert(1)</script>|[x](http://evil.example)\n# big"


def card_of(made, *plains, model="toy", stated=None, robustness=()):
    runs = [read_run(made.write(plain, f"r{i}")) for i, plain in enumerate(plains)]
    return build(find_subject(model, runs, stated), robustness)


def rows_of(text, first):
    """Cells of the table rows that begin with ``first``."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_numbers_of_the_file_stand_on_the_card(made):
    plain = made.segment()
    plain["counts"]["failed"] = 1
    plain["aggregate"]["dice"] |= {"missing": 1, "empty": 2}
    plain["cases"][3] |= {"status": "failed", "reason": "c3: /home/someone/x.nii: truncated"}
    text = card_of(made, {**plain, "energy": made.energy}).readme
    row = next(row for row in rows_of(text, "Dice ↑") if len(row) > 6)
    assert row[1:5] == ["0.575 [0.200, 0.800]", "4", "1", "2"]
    hd95 = next(row for row in rows_of(text, "HD95, mm ↓") if len(row) > 6)
    assert hd95[1] == "4.250"
    assert hd95[6] == "preset medpy, empty masks: penalty"
    assert "- c3: no prediction (x.nii: truncated)" in text
    assert "- c1: Dice 0.500, HD95 5.000 mm, NSD 0.500" in text
    cost = rows_of(text, "toy")[0]
    assert cost[3:] == ["2.00", "0.250", "2.00 [1.00, 4.00]", "estimated (estimate)", "0.000500"]
    assert "/home" not in text
    assert "secret" not in text


def test_nothing_is_invented(made):
    text = card_of(made, made.segment()).readme
    for field in FIELDS:
        assert f"**{field.title}:** {NOT_STATED}" in text
    assert "not measured" in rows_of(text, "toy")[0]
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "unknown"
    assert re.search(r"## Robustness\n\nnot stated", text)


def test_what_is_stated_stands_there_and_the_rest_is_listed(made, tmp_path):
    stated = tmp_path / "toy.card.yaml"
    facts = {f.key: f"About {f.key}." for f in FIELDS if f.key != "contact"}
    more = {"license_id": "mit", "co2_training_grams": 12.5, "base_model": "a/b", "tags": ["glioma"]}
    stated.write_text(yaml.safe_dump({**facts, **more}))
    card = card_of(made, made.segment(), stated=stated)
    assert card.missing == ("contact",)
    for key in facts:
        assert f"About {key}." in card.readme
    head = ModelCard(card.readme).data
    assert (head.license, head.base_model, "glioma" in head.tags) == ("mit", "a/b", True)
    assert head.to_dict()["co2_eq_emissions"]["emissions"] == 12.5


def test_the_head_is_read_by_huggingface_hub(made):
    card = card_of(made, {**made.segment(), "energy": made.energy}, made.classify())
    head = ModelCard(card.readme).data
    found = {(r.metric_type, r.metric_value, r.dataset_type, r.task_type) for r in head.eval_results}
    assert found == {
        ("dice", 0.575, "toys", "image-segmentation"),
        ("hd95", 4.25, "toys", "image-segmentation"),
        ("nsd", 0.575, "toys", "image-segmentation"),
        ("balanced_accuracy", 0.75, "toys", "image-classification"),
    }
    dice = next(r for r in head.eval_results if r.metric_type == "dice")
    assert dice.metric_args["ci95"] == [0.2, 0.8]
    assert (dice.metric_args["n"], dice.metric_args["preset"]) == (4, "medpy")
    inference = head.to_dict()["voxzoo"]["inference"]
    assert inference == {
        "joules_per_slice": 2.0,
        "co2_grams_per_slice": 0.0005,
        "measured": False,
        "method": "estimate",
    }
    assert "co2_eq_emissions" not in head.to_dict()


def test_eval_results_name_no_dataset_of_the_hub_unless_stated(made, tmp_path):
    (name,), (text,) = zip(*card_of(made, made.segment()).files.items(), strict=True)
    entries = parse_eval_result_entries(yaml.safe_load(text))
    assert name == "unpublished-toys.yaml"
    assert [(e.dataset_id, e.task_id, e.value) for e in entries] == [
        ("unpublished/toys", "segment-dice", 0.575),
        ("unpublished/toys", "segment-hd95", 4.25),
        ("unpublished/toys", "segment-nsd", 0.575),
    ]
    assert entries[0].date == "2026-01-02T03:04:05+00:00"
    assert "95 % CI 0.200 to 0.800; n 4, without a prediction 0" in entries[0].notes
    stated = tmp_path / "x.yaml"
    stated.write_text("datasets:\n  toys: {hub_id: me/toys, task_id: wt, revision: abc, title: Toys}\n")
    (name,), (text,) = zip(*card_of(made, made.segment(), stated=stated).files.items(), strict=True)
    first = parse_eval_result_entries(yaml.safe_load(text))[0]
    assert (name, first.dataset_id, first.task_id, first.dataset_revision) == (
        "toys.yaml",
        "me/toys",
        "wt",
        "abc",
    )


def test_untrusted_text_is_escaped_everywhere(made):
    plain = made.segment(SEEDED)
    plain["dataset"] |= {"name": SEEDED, "licence": SEEDED, "kind": SEEDED, "source": SEEDED}
    plain["code_version"] = plain["environment"]["cpu"] = SEEDED
    plain["runtime"]["name"] = SEEDED
    plain["cases"][0] |= {"case": SEEDED, "facts": {"grade": SEEDED}}
    plain["cases"][1] |= {"status": "failed", "reason": SEEDED}
    plain["aggregate"][SEEDED] = made.aggregate(0.5)
    plain["baselines"] = {SEEDED: {**made.segment(SEEDED)}}
    plain["contract"] = {
        "task": SEEDED,
        "input": {SEEDED: SEEDED},
        "labels": {"1": SEEDED},
        "training": {SEEDED: [SEEDED]},
        "licence": {"weights": SEEDED, "data_terms": SEEDED, "status": "confirmed", "attribution": [SEEDED]},
    }
    plain["energy"] = {**made.energy, "covers": SEEDED, "method": SEEDED}
    card = card_of(made, plain, model=SEEDED)
    tokens = MarkdownIt("commonmark").enable(["table"]).parse(ModelCard(card.readme).text)
    flat = [child for token in tokens for child in (token, *(token.children or ()))]
    kinds = {token.type for token in flat}
    assert not kinds & {"html_block", "html_inline", "link_open", "image"}
    headings = [
        t.content for t, after in zip(tokens[1:], tokens, strict=False) if after.type == "heading_open"
    ]
    assert "big" not in headings
    assert "script" not in {name.partition(".")[0] for name in card.files}
    assert all(re.fullmatch(r"[a-z0-9._-]+", name) for name in card.files)
    assert ModelCard(card.readme).data.eval_results[0].dataset_name.startswith("<script>")  # YAML is data


def test_a_run_of_another_model_is_refused(made):
    run = read_run(made.write(made.segment()))
    with pytest.raises(RunError, match=r"is of 'toy' with content abab.*the card is about 'cnn3d-seg'"):
        find_subject("cnn3d-seg", [run])
    other = read_run(made.write(made.segment("other"), "other"))
    with pytest.raises(RunError, match="is of the model 'toy', the card is about 'other'"):
        find_subject("other", [other, run])
    with pytest.raises(ModelNotFoundError):
        find_subject("nobody", [run])


def test_runs_on_data_of_one_name_have_to_be_of_one_data(made):
    changed = made.segment()
    changed["dataset"]["sha256"] = "ee" * 32
    with pytest.raises(RunError, match="are of different data"):
        card_of(made, made.segment(), changed)


def test_robustness_is_a_paired_change(made, tmp_path):
    worse = made.segment(values=(0.8, 0.4, 0.7, 0.0))
    worse["dataset"] |= {"name": "noisy", "sha256": "ee" * 32}
    noisy = read_run(made.write(worse, "noisy"))
    text = card_of(made, made.segment(), robustness=[noisy]).readme
    row = next(r for r in rows_of(text, "noisy") if r[1] == "Dice")
    assert row[5] == "-0.100 [-0.100, -0.100], n 4"
    assert row[6] == "0.125"  # 2 of the 16 sign patterns are as far from 0
    again = read_run(keep(noisy, tmp_path / "kept"))
    assert card_of(made, made.segment(), robustness=[again]).readme == text
    with pytest.raises(RunError, match="no other run is of its task 'classify'"):
        card_of(made, made.segment(), robustness=[read_run(made.write(made.classify(), "c"))])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("intended_used: x", "unknown key 'intended_used': did you mean intended_use"),
        ("- a", "expected keys with values, got list"),
        ("users: [1, 2]", "users: got .* expected a text"),
        ("users: ''", "leave the key out"),
        ("tags: a", "tags: got 'a', expected a list"),
        ("published: [nobody/box]", "published: got 'nobody/box', expected some of cnn/grade"),
        ("datasets: {x: {hub: y}}", r"datasets\.x: unknown key 'hub'"),
        ("datasets: [x]", "datasets: got"),
        ("co2_training_grams: -1", "co2_training_grams: got -1"),
        ("co2_training_grams: .nan", "co2_training_grams: got nan"),
        ("a: b: c", "not YAML"),
        ("!!python/object/apply:os.system [x]", "not YAML"),
    ],
)
def test_statements_that_cannot_be_are_named(tmp_path, text, words):
    path = tmp_path / "x.card.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        read_stated(path)
    assert str(path) in str(caught.value)


def test_a_kept_file_gives_the_same_card_and_no_folders(made, tmp_path):
    plain = {**made.segment(), "energy": made.energy}
    run = read_run(made.write(plain))
    again = read_run(keep(run, tmp_path / "kept"))
    text = again.source.read_text()
    assert kept(again.results) == text
    assert build(find_subject("toy", [run])) == build(find_subject("toy", [again]))
    assert "/home" not in text
    assert "somewhere" not in text
    assert json.loads(text)["environment"]["platform"] == "Linux x86_64"
    assert len(text.splitlines()) < 40


def bundled():
    return sorted(entries())


@pytest.fixture
def documents():
    """Where the cards are committed; not in an installed package."""
    from pathlib import Path

    found = Path(__file__).resolve().parents[2] / "docs" / "cards"
    if not found.is_dir():
        pytest.skip("docs/cards is not part of an installed package")
    return found


@pytest.mark.parametrize("name", bundled())
def test_the_card_of_a_bundled_model_is_what_its_kept_results_give(documents, name, tmp_path):
    """zoo-card build --model NAME --runs docs/cards/NAME/runs --out docs/cards/NAME

    With --bench docs/cards/NAME/runs where a benchmark is kept there.
    """
    folder = documents / name
    runs = read_runs([folder / "runs"])
    measured = folder / "runs" / "bench.json"
    bench = read_bench(measured) if measured.is_file() else None
    card = build(find_subject(name, runs, beside(WEIGHTS / entries()[name].file)), bench=bench)
    for path in card.save(tmp_path):
        committed = folder / path.relative_to(tmp_path)
        assert committed.read_bytes() == path.read_bytes(), f"{committed} is out of date: build it again"
    for run in runs:
        assert kept(run.results) == run.source.read_text(encoding="utf-8")


def test_the_leaderboard_of_the_readme_is_what_the_kept_results_give(documents):
    """zoo-card table --runs docs/cards/*/runs --into README.md"""
    readme = documents.parents[1] / "README.md"
    if BEGIN not in readme.read_text(encoding="utf-8"):
        pytest.skip("README.md has no marks for a table yet")
    runs = read_runs(sorted(documents.glob("*/runs")))
    assert is_between(readme, boards_text(boards(runs))), "README.md is out of date"
