"""The pages as files: well-formed, escaped, complete, and pointing at nothing outside."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from voxzoo.cards.cli import command
from voxzoo.cards.site import build_site
from voxzoo.cards.site.answers import as_points, draw
from voxzoo.cards.site.card import to_html
from voxzoo.cards.site.drawing import Dot, front, pareto
from voxzoo.cards.site.plots import Drawer
from voxzoo.cards.site.slices import evenly, levels_of, outline
from voxzoo.cards.site.volumes import Small, voxels_per_case
from voxzoo.eval.aggregate import Aggregate
from voxzoo.eval.records import CaseRecord
from voxzoo.eval.results import Results, Scores
from voxzoo.zoo.datasets import open_dataset
from voxzoo.zoo.errors import RunError, UsageError

from .conftest import DATA, EVIL

VOID = {"meta", "link", "input", "img", "br", "hr"}
FIRST_PAINT = 300_000


class Reader(HTMLParser):
    """Collects elements and text, and checks that elements are closed in the order they were opened."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open[-1:] == [tag], (tag, self._open[-3:], self.getpos())
        self._open.pop()

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(autouse=True)
def _without_plots(monkeypatch, site):
    """The site of all these tests has its plots; those that single tests build need none."""
    monkeypatch.setattr(Drawer, "of_run", lambda self, run: [])


@pytest.fixture(scope="module")
def pages(site):
    return {path: Reader(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_there_is_a_page_per_model_and_per_case(site, pages):
    assert len(list(site.glob("models/*.html"))) == 3  # the threshold, its twin, the model of words
    assert [path.name for path in sorted(site.glob("cases/phantom/*.html"))] == [
        f"phantom-000{k}.html" for k in range(3)
    ]
    assert len(pages) == 7


def test_every_link_leads_to_a_file_of_the_site(site, pages):
    for path, page in pages.items():
        for tag, name in (("a", "href"), ("link", "href"), ("script", "src"), ("img", "src")):
            for attrs in page.all(tag):
                target = attrs.get(name, "")
                if target.startswith(("https://", "http://")):
                    assert tag == "a", (path, target)  # a link of a card: nothing is loaded from there
                    assert "noreferrer" in attrs["rel"]
                    continue
                if target.startswith("data:"):
                    continue
                file, _, anchor = target.partition("#")
                there = (path.parent / file).resolve() if file else path
                assert there.is_relative_to(site.resolve()) or there == path
                assert there.is_file(), (path, target)
                if anchor:
                    ids = {a.get("id") for _, a in pages[there if file else path].elements}
                    assert anchor in ids, (path, target)


def test_hostile_names_and_answers_are_text(pages):
    texts = {path: "".join(page.texts) for path, page in pages.items()}
    for path, page in pages.items():
        assert all("src" in attrs for attrs in page.all("script")), path  # no script of a page's own
        handlers = [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
        assert not handlers
        assert not [
            a for a in page.all("a") if a.get("href", "").lower().startswith(("javascript:", "data:"))
        ]
    cases = "".join(text for path, text in texts.items() if "cases" in path.parts)
    assert "</pre><script>alert(1)</script><img src=x onerror=alert(2)> I decline." in cases
    assert "failed: no room for <script> in b.nii" in cases  # not in which folder
    assert any("mine " + EVIL in text for text in texts.values())


def test_no_folder_of_the_machine_is_published(site, run_folders):
    for path in site.rglob("*.*"):
        assert str(run_folders).encode() not in path.read_bytes(), path


def test_pages_are_fit_for_readers(pages):
    for path, page in pages.items():
        assert [a["lang"] for a in page.all("html")] == ["en"]
        assert len(page.all("h1")) == 1, path
        assert all(a.get("alt") for a in page.all("img")), path
        assert all(
            "width=device-width" in a["content"] for a in page.all("meta") if a.get("name") == "viewport"
        )
        drawings = [a for a in page.all("svg") if "aria-label" not in a and a.get("aria-hidden") != "true"]
        assert not drawings, path
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids)), path


def test_a_page_is_seen_before_300_kb_are_read(site):
    shared = sum((site / "assets" / name).stat().st_size for name in ("site.css", "site.js", "case.js"))
    for path in site.rglob("*.html"):
        assert path.stat().st_size + shared < FIRST_PAINT, path


def test_the_leaderboard_starts_best_first_with_marks_between(pages, site):
    page = pages[site / "index.html"]
    names = [attrs["data-name"] for tag, attrs in page.elements if tag == "tr" and "data-name" in attrs]
    assert names.index("mine " + EVIL) < names.index("baseline:flair-threshold")  # Dice is 0.01 higher
    below = [a.get("data-below") for a in page.all("tr") if a.get("data-name") == "mine " + EVIL]
    assert "baseline:flair-threshold" in below
    marks = [a for a in page.all("span") if "mark" in a.get("class", "").split()]
    assert any("difference in dice" in mark["title"] and "Holm-adjusted" in mark["title"] for mark in marks)


def test_a_case_shows_reference_and_predictions(pages, site):
    page = pages[site / "cases" / "phantom" / "phantom-0001.html"]
    groups = page.all("g")
    assert any(a["class"] == "ref" for a in groups)
    assert {a["data-model"] for a in groups if a["class"] == "pred" and "data-model" in a} == {"0", "1"}
    failed = pages[site / "cases" / "phantom" / "phantom-0000.html"]
    assert {a["data-model"] for a in failed.all("g") if "data-model" in a} == {"0"}


def test_an_answer_stands_beside_the_slice_it_is_about(pages, site):
    page = pages[site / "cases" / "phantom" / "phantom-0001.html"]
    shown = [a for a in page.all("img") if "as it was shown" in a["alt"]]
    assert shown
    assert all((site / "cases" / "phantom" / a["src"]).is_file() for a in shown)
    drawn = [a["d"] for a in page.all("path") if a.get("d") == "M30 20H91V81H30z"]  # the box of every answer
    assert drawn


def test_the_learning_curve_and_the_card_are_on_the_page(site):
    text = (site / "models").joinpath(next(p.name for p in site.glob("models/baseline-*.html"))).read_text()
    assert "Learning curve" in text
    assert "Model card" in text
    assert "Intended use" in text


def test_without_data_there_are_numbers_only(run_folders, tmp_path):
    built = build_site([run_folders / "threshold"], tmp_path / "site")
    assert built.cases == 3
    assert not list((tmp_path / "site").rglob("*.png"))
    assert not (tmp_path / "site" / "assets" / "niivue.umd.js").exists()
    text = (tmp_path / "site" / "cases" / "phantom" / "phantom-0000.html").read_text()
    assert "without --data" in text
    assert "0." in text


def test_data_of_other_bytes_is_never_shown(run_folders, tmp_path):
    built = build_site(
        [run_folders / "threshold"], tmp_path / "site", data=[DATA.replace("seed=3", "seed=4")]
    )
    assert built.pictured == 0
    assert any("no pictures" in note for note in built.notes)
    assert not list((tmp_path / "site").rglob("*.png"))
    text = (tmp_path / "site" / "cases" / "phantom" / "phantom-0000.html").read_text()
    assert "other bytes" in text


def test_a_slice_that_the_model_was_not_shown_is_not_drawn(runs_copy, tmp_path):
    build_site([runs_copy / "box"], tmp_path / "site", data=[DATA.replace("seed=3", "seed=4")])
    page = Reader((tmp_path / "site" / "cases" / "phantom" / "phantom-0000.html").read_text(encoding="utf-8"))
    assert not [a for a in page.all("img") if "as it was shown" in a["alt"]]
    assert "[(20, 30), (20, 90), (80, 90), (80, 30)]" in "".join(page.texts)


@pytest.mark.parametrize("spoil", ["gone", "changed"])
def test_a_mask_that_is_not_the_scored_one_is_not_drawn(runs_copy, tmp_path, spoil):
    mask = runs_copy / "threshold" / "masks" / "phantom-0001.nii.gz"
    if spoil == "gone":
        mask.unlink()
    else:
        mask.write_bytes((runs_copy / "threshold" / "masks" / "phantom-0002.nii.gz").read_bytes())
    build_site([runs_copy / "threshold"], tmp_path / "site", data=[DATA])
    text = (tmp_path / "site" / "cases" / "phantom" / "phantom-0001.html").read_text()
    assert "Not drawn: " in text
    assert 'class="pred" data-model' not in text
    assert 'class="ref"' in text


def test_masks_are_found_elsewhere(runs_copy, tmp_path):
    (runs_copy / "threshold" / "masks").rename(tmp_path / "masks")
    build_site([runs_copy / "threshold"], tmp_path / "site", data=[DATA], masks=[tmp_path / "masks"])
    text = (tmp_path / "site" / "cases" / "phantom" / "phantom-0001.html").read_text()
    assert 'class="pred" data-model' in text


def test_answers_whose_words_are_not_there(runs_copy, tmp_path):
    (runs_copy / "box" / "transcript.jsonl").unlink()
    built = build_site([runs_copy / "box"], tmp_path / "site", data=[DATA])
    assert any("no transcript.jsonl" in note for note in built.notes)
    assert "<pre>" not in (tmp_path / "site" / "cases" / "phantom" / "phantom-0001.html").read_text()


def test_cut_files_of_answers(runs_copy, tmp_path):
    for name in ("transcript.jsonl", "answers.jsonl"):
        path = runs_copy / "box" / name
        path.write_bytes(path.read_bytes()[:-40])
    built = build_site([runs_copy / "box"], tmp_path / "site", data=[DATA])
    assert any("1 lines of its transcript" in note for note in built.notes)
    assert any("answers.jsonl" in note for note in built.notes)


def test_geometry_that_is_none_is_not_drawn(runs_copy, tmp_path):
    path = runs_copy / "box" / "answers.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    values = [
        None,
        "x",
        [1, 2, 3],
        [[1, 2], ["<b>", 4]],
        [1e300, 0, 1, 1],
        {"a": 1},
        [True, 1, 2, 3],
        [[[1]]],
    ]
    for k, line in enumerate(lines):
        line["value"], line["status"] = values[k % len(values)], '"><script>'
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    build_site([runs_copy / "box"], tmp_path / "site", data=[DATA])
    for page in (tmp_path / "site" / "cases").rglob("*.html"):
        assert all("src" in a for a in Reader(page.read_text(encoding="utf-8")).all("script"))


def test_a_results_file_cut_in_half(runs_copy, tmp_path):
    path = runs_copy / "threshold" / "results.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RunError, match=r"results\.json"):
        build_site([runs_copy / "threshold"], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_runs_of_different_data_are_refused_unless_asked(runs_copy, tmp_path, change):
    change(runs_copy / "again", lambda plain: plain["dataset"].update(sha256="f" * 64))
    runs = [runs_copy / "threshold", runs_copy / "again"]
    with pytest.raises(RunError, match="different data"):
        build_site(runs, tmp_path / "site")
    build_site(runs, tmp_path / "site", mixed=True)
    assert "different data" in (tmp_path / "site" / "index.html").read_text()


def test_names_of_cases_that_are_paths(runs_copy, tmp_path, change):
    names = ["../../../evil", "a/b c", "<script>alert(1)</script>"]

    def rename(plain):
        for record, name in zip(plain["cases"], names, strict=True):
            record["case"] = name
        plain["dataset"]["name"] = "../up & <b>"

    change(runs_copy / "threshold", rename)
    build_site([runs_copy / "threshold"], tmp_path / "deep" / "site")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "runs"]
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["site"]
    assert len(list((tmp_path / "deep" / "site" / "cases").rglob("*.html"))) == 3


def test_a_folder_that_is_no_site_is_left_alone(run_folders, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="no site of voxzoo"):
        build_site([run_folders / "threshold"], tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_site_is_replaced_as_a_whole_or_not_at_all(runs_copy, tmp_path):
    out = tmp_path / "site"
    build_site([runs_copy / "threshold", runs_copy / "box"], out)
    (out / "stale.html").write_text("old")
    build_site([runs_copy / "threshold"], out)
    assert not (out / "stale.html").exists()
    before = (out / "index.html").read_bytes()
    with pytest.raises(UsageError):
        build_site([runs_copy / "threshold"], out, data=[str(tmp_path / "nowhere")])
    assert (out / "index.html").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_same_runs_give_the_same_site(run_folders, tmp_path):
    for name in ("one", "two"):
        build_site([run_folders / "threshold", run_folders / "box"], tmp_path / name, data=[DATA])
    one = {p.relative_to(tmp_path / "one"): p.read_bytes() for p in (tmp_path / "one").rglob("*.*")}
    two = {p.relative_to(tmp_path / "two"): p.read_bytes() for p in (tmp_path / "two").rglob("*.*")}
    assert one == two


def test_most_cases_with_pictures(run_folders, tmp_path):
    built = build_site([run_folders / "threshold"], tmp_path / "site", data=[DATA], pictured=1)
    assert built.pictured == 1
    assert len({p.name.split("-")[1] for p in (tmp_path / "site" / "cases").rglob("*.png")}) == 1
    with pytest.raises(UsageError, match="pictured"):
        build_site([run_folders / "threshold"], tmp_path / "site", pictured=-1)


def test_curves_belong_to_models(run_folders, tmp_path):
    with pytest.raises(UsageError, match="expected MODEL=FILE"):
        build_site([run_folders / "threshold"], tmp_path / "site", curves=["nobody=curve.csv"])


@pytest.fixture
def classified(tmp_path):
    """(run, data): two images with classes; the model is sure of the wrong one for the second."""
    import cv2

    for k, name in enumerate(("cat", "dog & <b>")):
        (tmp_path / "data" / name).mkdir(parents=True)
        image = np.random.default_rng(k).integers(0, 255, (700, 900, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "data" / name / f"{k}.png"), image)
    dataset = open_dataset(tmp_path / "data")
    classes = [case.fact("class") for case in dataset]
    records = tuple(
        CaseRecord(
            "toy",
            case.id,
            case.patient,
            "scored",
            fingerprint=case.fingerprint(),
            metrics={"correct": float(k == 0), "p_true": p, "nll": -np.log(p), "brier": 2 * (1 - p) ** 2},
            reference=classes[k],
            answer={"label": classes[0], "probabilities": {classes[0]: 0.8, classes[1]: 0.2}},
        )
        for k, (case, p) in enumerate(zip(dataset, (0.8, 0.2), strict=True))
    )
    scores = Scores(
        model={"name": "toy", "found": "made", "content_sha256": ""},
        contract=None,
        runtime={},
        regions={},
        counts={"cases": 2, "patients": 2, "scored": 2, "failed": 0},
        aggregate={"balanced_accuracy": Aggregate(0.5, None, 2, 0, 0)},
        undefined={},
        empties={},
        times={},
        cases=records,
        details={"target": "class", "classes": classes, "support": dict.fromkeys(classes, 1)},
    )
    data = {"name": "data", "kind": "images", "licence": "", "source": "", "sha256": "0"}
    (tmp_path / "run").mkdir()
    Results(scores, "classify", data, {"seed": 0}, "0").save(tmp_path / "run" / "results.json")
    return tmp_path / "run", tmp_path / "data"


def test_classified_images_stand_beside_their_probabilities(classified, tmp_path):
    run, data = classified
    build_site([run], tmp_path / "site", data=[str(data)])
    texts = [path.read_text() for path in sorted((tmp_path / "site" / "cases" / "data").glob("*.html"))]
    for text in texts:
        page = Reader(text)
        (image,) = page.all("img")
        assert max(_size(tmp_path / "site" / "cases" / "data" / image["src"])) == 512
        assert [a["value"] for a in page.all("meter")] == ["0.8", "0.2"]
        assert "dog & <b>" in "".join(page.texts)
    assert (
        sum('class="wrong"' in text for text in texts) == sum('class="right"' in text for text in texts) == 1
    )


def _size(path):
    import cv2

    return cv2.imread(str(path)).shape[:2]


def test_the_command_builds_a_site_and_says_where(run_folders, tmp_path, capsys):
    runs = [str(run_folders / name) for name in ("threshold", "box")]
    command.main(["site", "--runs", *runs, "--out", str(tmp_path / "site"), "-q"], standalone_mode=False)
    assert "2 models, 3 cases, 0 with pictures" in capsys.readouterr().out
    assert (tmp_path / "site" / "index.html").is_file()


class TestPieces:
    def test_markdown_loads_and_runs_nothing(self):
        text = (
            '# T\n<img src="http://x/y.png">\n\n![a](http://x/y.png) [b](javascript:alert(1)) <u>c</u>\n\n'
            "|a|\n|-|\n|<b>|\n"
        )
        page = Reader(str(to_html(text)))
        assert {tag for tag, _ in page.elements} <= {
            "h3",
            "p",
            "a",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
        }
        assert [a["href"] for a in page.all("a")] == ["http://x/y.png"]

    def test_the_front_is_what_nobody_beats(self):
        dots = [
            Dot(str(k), "", c, c, c, v, True) for k, (c, v) in enumerate([(1, 3), (2, 2), (3, 5), (3, 4)])
        ]
        assert [d.label for d in front(dots)] == ["0", "2"]
        assert [d.label for d in front(dots, lower=True)] == ["0", "1"]

    def test_names_in_the_plot_are_text(self):
        dots = [Dot(EVIL, '"><script>', c, c, c, c / 2, True) for c in (1.0, 2.0)]
        page = Reader(str(pareto(dots, "cost", "value")))
        assert page.all("script") == []

    def test_an_outline_is_the_edge_of_the_mask(self):
        mask = np.zeros((9, 9), bool)
        mask[2:5, 3:8] = True
        numbers = [float(n) for n in re.findall(r"-?[0-9.]+", outline(mask))]
        assert numbers[:2] == [3.5, 2.5]  # the middle of the first pixel: column, row
        assert sorted(numbers[2:]) == [-2, 2, 4]  # two down, four across, two up, and closed

    def test_regions_are_nested(self):
        found = levels_of(np.array([[[0, 1, 2, 3]]]), {"a": (1, 2), "b": (3,), "c": (1,)})
        assert found.regions == ("a", "c")  # 3 is not inside a
        assert found.array.tolist() == [[[0, 2, 1, 0]]]
        assert levels_of(np.zeros((2, 2, 2), np.uint8), {"a": (1,)}).array.sum() == 0

    def test_slices_are_spread_evenly(self):
        assert evenly(10, 10, 5) == [10]
        assert evenly(0, 9, 4) == [0, 3, 6, 9]

    def test_a_reduced_volume_keeps_its_place(self):
        affine = np.diag([1.0, 2.0, 3.0, 1.0])
        affine[:3, 3] = (5, 6, 7)
        moved = affine.copy()
        moved[:3, 3] += np.array([1, 2, 3]) * (4 + 0.5, 6 + 0.5, 8 + 0.5)
        moved[:3, :3] *= 2
        volume = np.zeros((16, 18, 20), np.uint8)
        volume[6:10, 8:12, 10:14] = 9

        class Slices:
            class plan:
                grid = type("G", (), {"shape": volume.shape, "affine": affine})()

        Slices.volume = volume
        small = Small.of(Slices, 100)
        assert small.step == 2
        np.testing.assert_allclose(small.affine, moved)
        # by hand: blocks of 2 from the box's corner, those that the object fills by half or more
        labels = np.zeros((16, 18, 20), np.uint8)
        labels[7:10, 8:12, 11:14] = 1
        blocks = np.zeros([(b.stop - b.start) // 2 for b in small.box], np.uint8)
        corner = labels[small.box]
        for x, y, z in np.ndindex(blocks.shape):
            block = corner[2 * x : 2 * x + 2, 2 * y : 2 * y + 2, 2 * z : 2 * z + 2]
            blocks[x, y, z] = block.mean() >= 0.5
        np.testing.assert_array_equal(small.levels(levels_of(labels, {"wt": (1,)})), blocks)
        assert blocks.any()
        assert voxels_per_case(50) * 50 <= 25_000_000

    @pytest.mark.parametrize("value", [None, "a", [], [1], [1, "b"], [float("nan"), 1], [10**400, 1]])
    def test_what_is_no_point(self, value):
        assert as_points(value) == []
        assert draw("center", value) == ""
