"""The site over 20 models and 50 cases, with pictures: how long on one core, and how many MB.

The target is 60 s and 40 MB. The cases are phantoms on the grid of BraTS files, written to the disk before
anything is timed; the models are made: copies of the reference, moved and eaten away. Run it alone, with
``OMP_NUM_THREADS=1``.
"""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from _ratio import ratio_report

from voxzoo.cards.site import build_site
from voxzoo.eval.aggregate import Aggregate
from voxzoo.eval.records import CaseRecord
from voxzoo.eval.results import Results, Scores
from voxzoo.zoo.datasets import open_dataset
from voxzoo.zoo.nifti import write_nifti
from voxzoo.zoo.phantom import phantom_dataset

MODELS = int(os.environ.get("VOXZOO_SITE_MODELS", "20"))
CASES = int(os.environ.get("VOXZOO_SITE_CASES", "50"))
SHAPE = (240, 240, 155)
REGIONS = {"wt": (1, 2, 3), "tc": (1, 3), "et": (3,)}
KINDS = 5
"""Different phantoms; the others are these, mirrored, so that the making of data stays short."""


def write_cases(folder):
    """Patients on the disk; case id -> its labels."""
    made = phantom_dataset(KINDS, seed=1, shape=SHAPE, spacing_mm=1.0).cases
    labels = {}
    for k in range(CASES):
        case = made[k % KINDS]
        flips = [axis for axis in range(3) if (k // KINDS) >> axis & 1]
        name = f"patient-{k:03d}"
        (folder / name).mkdir(parents=True)
        affine = case.grid().affine
        for part in ("flair", "t1"):
            image = np.flip(case.read_image(part), flips)
            write_nifti(folder / name / f"{name}_{part}.nii.gz", image, affine)
        labels[name] = np.ascontiguousarray(np.flip(case.read_reference(), flips))
        write_nifti(folder / name / f"{name}_seg.nii.gz", labels[name], affine, np.uint8)
    return labels, affine


def write_run(folder, model, dataset, labels, affine, prints):
    """A finished run with masks on the disk."""
    import hashlib

    rng = np.random.default_rng(model)
    (folder / "masks").mkdir(parents=True)
    records = []
    for name, reference in labels.items():
        mask = np.roll(reference, rng.integers(-3, 4, 3), (0, 1, 2))
        path = folder / "masks" / f"{name}.nii.gz"
        write_nifti(path, mask, affine)
        values = {"dice": rng.uniform(0.5, 0.95), "hd95": rng.uniform(2, 30), "nsd": rng.uniform(0.4, 0.9)}
        values |= {f"dice_{r}": rng.uniform(0.4, 0.9) for r in REGIONS}
        records.append(
            CaseRecord(
                f"model-{model:02d}",
                name,
                name,
                "scored",
                fingerprint=prints[name],
                metrics=values,
                shape=SHAPE,
                spacing_mm=(1.0, 1.0, 1.0),
                slices=SHAPE[2],
                mask_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            )
        )
    scores = Scores(
        model={"name": f"model-{model:02d}", "found": "made", "content_sha256": f"{model:064d}"},
        contract=None,
        runtime={"name": "made"},
        regions=REGIONS,
        counts={"cases": CASES, "patients": CASES, "scored": CASES, "failed": 0, "axial_slices": 155 * CASES},
        aggregate={
            n: Aggregate(float(np.mean([r.metrics[n] for r in records])), (0.1, 0.9), CASES, 0, 0)
            for n in records[0].metrics
        },
        undefined={},
        empties={},
        times={"seconds_per_axial_slice": float(rng.uniform(0.001, 0.1))},
        cases=tuple(records),
    )
    options = {"preset": "metrics-reloaded", "empty": "penalty", "tolerance_mm": 1.0, "seed": 0}
    data = {"name": dataset.name, "kind": "brats", "licence": "CC0-1.0", "source": "made", "sha256": "0" * 64}
    Results(scores, "segment", data, options, "made").save(folder / "results.json")


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """(runs, data): on the disk."""
    root = tmp_path_factory.mktemp("site")
    labels, affine = write_cases(root / "data")
    dataset = open_dataset(root / "data")
    prints = {case.id: case.fingerprint() for case in dataset.cases}
    for model in range(MODELS):
        write_run(root / "runs" / f"m{model:02d}", model, dataset, labels, affine, prints)
    return sorted((root / "runs").iterdir()), root / "data"


def test_site_of_20_models_and_50_cases(benchmark, material, tmp_path):
    runs, data = material
    times = []

    def build():
        start = time.process_time()
        built = build_site(runs, tmp_path / "site", data=[str(data)])
        times.append(time.process_time() - start)
        return built

    built = benchmark.pedantic(build, rounds=1, iterations=1)
    pages = [path.stat().st_size for path in Path(built.folder).glob("models/*.html")]
    print(
        f"\nsite, {MODELS} models x {CASES} cases: {min(times):.1f} s of one core, "
        f"{built.bytes / 1e6:.1f} MB in {built.files} files, largest model page {max(pages) / 1e3:.0f} kB"
    )
    limit = {"limit of 60 s": 60.0}
    ratio_report(f"site, {MODELS} models x {CASES} cases, CPU time", min(times), limit, {"limit of 60 s": 1})
    assert built.cases == CASES
    assert built.pictured == CASES
    assert built.bytes <= 40e6
