"""Scoring recorded answers of a language model, beside the same work done slice by slice with peers.

A cohort of made-up answers, and the study's own ones where they are (VOXZOO_DATA or ../shared/data): parsing,
drawing, Dice and HD95 of every slice, means over patients. The peer draws with scikit-image, erodes with
scipy and takes distances from scipy's distance transform, as scripts of this kind do; both parse alike.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from _ratio import ratio_report
from scipy import ndimage
from skimage.draw import polygon as skimage_polygon

from voxzoo.eval.language.protocols import named
from voxzoo.eval.language.references import CaseReference, References
from voxzoo.eval.language.scoring import Reading
from voxzoo.eval.language.transcripts import Answer, Transcript
from voxzoo.zoo.tasks.prompt import prompt_task

ROOT = Path(os.environ.get("VOXZOO_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
STUDY = ROOT / "thesis_transcripts"
SHAPE = (128, 128)
FILES = {
    "bbox_general": "box",
    "centre_general": "center",
    "polygon_general": "polygon",
    "cls_general_axial": "grade",
    "cls_finetuned_100steps": "grade",
}
COLD = """
import sys, time
start = time.perf_counter()
from voxzoo.eval.language.protocols import named
from voxzoo.eval.language.references import read_references
from voxzoo.eval.language.scoring import Reading
known = read_references(sys.argv[1])
answers = 0
for pair in sys.argv[2:]:
    path, task = pair.rsplit("=", 1)
    reading = Reading.open(path, task, known)
    reading.score(named("paper", task)), reading.score(named("all", task))
    answers += len(reading.transcript.answers)
print(answers, time.perf_counter() - start, time.process_time())
"""


def blob(generator, points=12):
    angle = np.sort(generator.uniform(0, 2 * np.pi, points))
    radius = generator.uniform(8, 30, points)
    middle = generator.uniform(35, 90, 2)
    return [
        (int(r), int(c)) for r, c in middle + radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
    ]


def cohort(task, patients=20, slices=30):
    """A reading of answers near and far from their references."""
    generator = np.random.default_rng(0)
    cases, answers = {}, []
    for p in range(patients):
        polygons = {s: tuple(blob(generator)) for s in range(slices)}
        boxes = {
            s: (*(int(n) for n in np.min(v, axis=0)), *(int(n) for n in np.max(v, axis=0)))
            for s, v in polygons.items()
        }
        cases[str(p)] = CaseReference(
            str(p), str(p), tumour={"axial": (0, 94)}, boxes=boxes, polygons=polygons
        )
        for s in range(slices):
            points = blob(generator)
            if task == "box":
                (top, left), (bottom, right) = np.min(points, axis=0), np.max(points, axis=0)
                points = [(top, left), (top, right), (bottom, right), (bottom, left)]
            text = ", ".join(f"({r}, {c})" for r, c in points)
            answers.append(Answer(task, "m", str(p), s, f"[{text}]" if task == "box" else f"({text})"))
    transcript = Transcript(Path("made-up"), tuple(answers))
    return lambda: Reading(transcript, References("toy", cases, SHAPE), task)


def peer(reading, task):
    """The same figures, one slice after the other."""
    parse = prompt_task(task).parse

    def score():
        table = {}
        for answer in reading.transcript.answers:
            parsed = parse(answer.raw, "lenient", SHAPE)
            case = reading.references.cases[answer.case]
            pred, ref = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
            if task == "box":
                (r0, c0), (r1, c1) = np.min(parsed.written, axis=0), np.max(parsed.written, axis=0)
                pred[max(r0, 0) : r1 + 1, max(c0, 0) : c1 + 1] = 1
                r0, c0, r1, c1 = case.boxes[answer.slice]
                ref[max(r0, 0) : r1 + 1, max(c0, 0) : c1 + 1] = 1
            else:
                pred[skimage_polygon(*zip(*parsed.written, strict=True), SHAPE)] = 1
                ref[skimage_polygon(*zip(*case.polygons[answer.slice], strict=True), SHAPE)] = 1
            table.setdefault(answer.case, []).append((dice(pred, ref), hd95(pred, ref)))
        return np.mean([np.mean(rows, axis=0) for rows in table.values()], axis=0)

    return score


def dice(pred, ref):
    return 2 * (pred & ref).sum() / (pred.sum() + ref.sum())


def hd95(pred, ref):
    borders = [mask.astype(bool) ^ ndimage.binary_erosion(mask) for mask in (pred, ref)]
    away = [ndimage.distance_transform_edt(~border) for border in borders]
    return max(np.percentile(away[1][borders[0]], 95), np.percentile(away[0][borders[1]], 95))


def best_of(call, rounds):
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        value = call()
        found.append(time.perf_counter() - start)
    return min(found), value


@pytest.mark.parametrize("task", ["box", "polygon"])
def test_answers_beside_scikit_image_and_scipy(task, benchmark):
    fresh = cohort(task)
    rules = named("all", task)
    ours = lambda: fresh().score(rules)  # noqa: E731
    ours()
    theirs_s, theirs = best_of(peer(fresh(), task), 2)
    scored = benchmark.pedantic(ours, rounds=5)
    assert [scored.values["dice"], scored.values["hd95"]] == pytest.approx(theirs.tolist())
    name = f"600 answers to {task}: parse, draw, Dice, HD95, means"
    ratio_report(
        name, benchmark.stats.stats.min, {"scikit-image + scipy": theirs_s}, {"scikit-image + scipy": 20}
    )


@pytest.mark.data
@pytest.mark.skipif(not STUDY.is_dir(), reason="no recorded answers of the study")
def test_all_recorded_answers_cold(benchmark):
    """One process, from its start: numba's cache on the disk as any second run finds it, both protocols."""
    pairs = [f"{STUDY / 'part_A' / name}.jsonl={task}" for name, task in FILES.items()]

    def run():
        command = [sys.executable, "-c", COLD, str(STUDY), *pairs]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    answers, _, _ = benchmark.pedantic(run, rounds=2, warmup_rounds=1).split()
    assert int(answers) == 9735
    name = f"{answers} recorded answers, two protocols, cold process"
    ratio_report(name, benchmark.stats.stats.min, {"limit of 5 s": 5.0}, {"limit of 5 s": 1})
