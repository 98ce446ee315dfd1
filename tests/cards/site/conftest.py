"""A small site over phantoms, built once: masks, classes and words, with hostile names among them."""

import json
import shutil
from dataclasses import replace

import pytest

import voxzoo
from voxzoo.cards.site import build_site
from voxzoo.eval.results import Results

from .devtools import chromium, find_chromium

DATA = "phantom:n=3,seed=3,shape=64x76x60"
EVIL = """<script>alert("x")</script> & 'é/..\\ b"""
ANSWERER = """
class Model:
    name = {name!r}
    content_hash = "0" * 64

    def answer(self, question):
        if question.slice % 3 == 0:
            return "</pre><script>alert(1)</script><img src=x onerror=alert(2)> I decline."
        return "[(20, 30), (20, 90), (80, 90), (80, 30)]"

MODEL = Model()
"""


@pytest.fixture(scope="session")
def run_folders(tmp_path_factory):
    """Finished runs on phantoms: two of masks (one failed case), one of classes (made), two of words."""
    root = tmp_path_factory.mktemp("runs")
    (root / "model.py").write_text(ANSWERER.format(name=EVIL), encoding="utf-8")
    for name, extra in (("threshold", {}), ("again", {})):
        folder = root / name
        voxzoo.evaluate(
            "baseline:flair-threshold", DATA, folder, save_masks=folder / "masks", workers=0, **extra
        )
    _rename(root / "again", "mine " + EVIL)
    voxzoo.evaluate(f"script:{root / 'model.py'}", DATA, root / "box", task="box")
    voxzoo.evaluate(f"script:{root / 'model.py'}", DATA, root / "grade", task="grade")
    return root


def _rename(folder, name):
    """Another model of the same masks: its worst case failed, its others are a little better."""
    found = Results.load(folder)
    records = [
        replace(r, model=name, metrics={**r.metrics, "dice": min(1.0, r.metrics["dice"] + 0.01)})
        for r in found.cases
    ]
    records[0] = replace(
        records[0], status="failed", reason="no room for <script> in /home/a/b.nii", mask_sha256=""
    )
    better = replace(found.aggregate["dice"], mean=found.aggregate["dice"].mean + 0.01)
    scores = replace(
        found.scores,
        model={"name": name, "found": "made", "content_sha256": "1" * 64},
        aggregate={**found.aggregate, "dice": better},
        cases=tuple(records),
    )
    replace(found, scores=scores).save(folder / "results.json")


@pytest.fixture(scope="session")
def site(run_folders, tmp_path_factory):
    """The folder of the site."""
    out = tmp_path_factory.mktemp("out") / "site"
    curve = run_folders / "curve.csv"
    curve.write_text("step,loss,score\n100,0.9,\n200,0.5,0.6\n300,0.3,0.7\n")
    runs = [run_folders / name for name in ("threshold", "again", "box", "grade")]
    build_site(runs, out, data=[DATA], curves=[f"baseline:flair-threshold={curve}"])
    return out


@pytest.fixture
def runs_copy(run_folders, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(run_folders, tmp_path / "runs")


@pytest.fixture(scope="session")
def new_page(tmp_path_factory):
    """Opens a page of a headless Chromium."""
    if find_chromium() is None:
        pytest.skip("no Chromium: install chromium, or set VOXZOO_CHROMIUM to its path")
    with chromium(tmp_path_factory.mktemp("profile")) as opener:
        yield opener


@pytest.fixture
def change():
    """Change a results file: ``change(folder, edit)``, where ``edit`` gets its JSON object."""

    def apply(folder, edit):
        path = folder / "results.json"
        plain = json.loads(path.read_text(encoding="utf-8"))
        edit(plain)
        path.write_text(json.dumps(plain), encoding="utf-8")

    return apply
