"""Reading, preparing, restoring and writing a patient, each beside what one would call otherwise.

CPU time on one thread, minima of rounds that take turns; every pair is checked to give the same result.
Run it with

    pytest benchmarks/test_bench_io.py -s
"""

import os
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from _ratio import ratio_report
from scipy import ndimage

from voxzoo.zoo.contract import InputSpec
from voxzoo.zoo.datasets import open_dataset
from voxzoo.zoo.nifti import read_nifti, write_nifti
from voxzoo.zoo.preprocess import prepare, prepare_mask, restore_mask

ROUNDS = 7
SPEC = InputSpec(
    "image", ("flair", "t1", "t1ce", "t2"), (95, 128, 128), (1.5, 1.5, 1.5), clip_percentiles=(0.5, 99.5)
)

pytestmark = pytest.mark.data


@pytest.fixture
def case():
    named = os.environ.get("VOXZOO_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (root / "glioma3d").is_dir():
        pytest.skip("no patient data: set VOXZOO_DATA or put it at ../shared/data")
    return open_dataset(root / "glioma3d").select(["BraTS2021_00000"]).cases[0]


def compare(benchmark, capsys, what, ours, peers):
    """Time ``ours`` and each of ``peers`` in turns, print the ratios, and return their results."""
    functions = {"voxzoo": ours, **peers}
    results = {name: function() for name, function in functions.items()}
    best = dict.fromkeys(functions, np.inf)
    for _ in range(ROUNDS):
        for name, function in functions.items():
            begin = time.process_time()
            function()
            best[name] = min(best[name], time.process_time() - begin)
    ratios = {name: best[name] / best["voxzoo"] for name in peers}
    benchmark.extra_info.update(ratios)
    ratio_report(f"{what}, CPU time", best["voxzoo"], {name: best[name] for name in peers})
    benchmark.pedantic(ours, rounds=3)
    with capsys.disabled():
        said = ", ".join(f"{name} {best[name] * 1e3:.1f} ms = {ratios[name]:.1f}x" for name in peers)
        print(f"\n{what}: {best['voxzoo'] * 1e3:.1f} ms; {said}")
    return results


def test_read_a_volume(benchmark, capsys, case):
    path = case.images["flair"].path
    peers = {
        "get_fdata": lambda: nibabel.load(path).get_fdata(),
        "asanyarray": lambda: np.asanyarray(nibabel.load(path).dataobj),
    }
    found = compare(benchmark, capsys, "read a volume", lambda: read_nifti(path).array, peers)
    for name in peers:
        np.testing.assert_array_equal(found["voxzoo"], found[name])


def test_read_a_reference(benchmark, capsys, case):
    path = case.reference.path

    def by_hand():
        labels = nibabel.load(path).get_fdata()
        return np.where(labels == 4, 3, labels).astype(np.uint8)

    found = compare(benchmark, capsys, "read a reference", case.read_reference, {"nibabel": by_hand})
    np.testing.assert_array_equal(found["voxzoo"], found["nibabel"])


def test_write_a_mask(benchmark, capsys, case, tmp_path):
    labels, affine = case.read_reference(), case.grid().affine
    paths = tmp_path / "ours.nii.gz", tmp_path / "theirs.nii.gz"
    peers = {"nibabel": lambda: nibabel.save(nibabel.Nifti1Image(labels, affine), paths[1])}
    compare(benchmark, capsys, "write a mask", lambda: write_nifti(paths[0], labels, affine), peers)
    ours, theirs = (np.asanyarray(nibabel.load(path).dataobj) for path in paths)
    np.testing.assert_array_equal(ours, theirs)


def test_prepare_a_patient(benchmark, capsys, case):
    """By hand: percentiles, z-score and scipy's linear resampling, which averages nothing and may alias."""
    plan = prepare(case, SPEC).plan

    def by_hand():
        return np.stack(
            [sampled(normalised(nibabel.load(case.images[n].path).get_fdata()), plan) for n in SPEC.channels]
        )

    found = compare(
        benchmark, capsys, "prepare a patient", lambda: prepare(case, SPEC).tensor, {"scipy": by_hand}
    )
    # Two filters of one signal: they agree but for the finest detail.
    assert np.corrcoef(found["voxzoo"].ravel(), found["scipy"].ravel())[0, 1] > 0.99


def normalised(image):
    inside = image != 0
    brain = image[inside]
    brain = np.clip(brain, *np.percentile(brain, SPEC.clip_percentiles))
    out = np.zeros(image.shape, np.float32)
    out[inside] = (brain - brain.mean()) / brain.std()
    return out


def sampled(image, plan):
    to_native = np.linalg.inv(plan.grid.affine) @ plan.affine
    return ndimage.affine_transform(image, to_native[:3, :3], to_native[:3, 3], plan.shape, order=1)


def test_restore_a_mask(benchmark, capsys, case):
    prepared = prepare(case, SPEC)
    prob = prepare_mask(case.read_reference() > 0, prepared.plan)
    to_model = np.linalg.inv(prepared.plan.affine) @ prepared.plan.grid.affine

    def by_hand():
        shape = prepared.plan.grid.shape
        return ndimage.affine_transform(prob, to_model[:3, :3], to_model[:3, 3], shape, order=1) > 0.5

    ours = lambda: restore_mask(prob[None], prepared.plan)[0]  # noqa: E731
    found = compare(benchmark, capsys, "restore a mask", ours, {"scipy": by_hand})
    assert np.count_nonzero(found["voxzoo"] != found["scipy"]) <= 1e-3 * np.count_nonzero(found["scipy"])
