"""Counting: Dice and K-label confusion beside a plain read of the memory, numpy and MONAI, one thread.

pytest benchmarks/test_bench_overlap.py -s
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from scipy import ndimage

from voxzoo.eval.label_counts import confusion
from voxzoo.eval.overlap import dice, dice_slices

sys.path.insert(0, str(Path(__file__).parent))
from _ratio import fastest, ratio_report


@njit(nogil=True)
def read(a, b):
    """Every word of two arrays, once."""
    total = np.uint64(0)
    for i in range(a.size):
        total += a[i]
    for i in range(b.size):
        total += b[i]
    return total


def words(mask):
    flat = mask.ravel(order="K").view(np.uint8)
    return flat[: flat.size // 8 * 8].view(np.uint64)


def masks(shape, seed=0):
    rng = np.random.default_rng(seed)
    ref = ndimage.gaussian_filter(rng.random(shape, np.float32), 4) > 0.51
    return np.roll(ref, 1, axis=1), ref


@pytest.mark.parametrize("shape", [(95, 128, 128), (155, 240, 240)], ids=str)
def test_dice(benchmark, shape):
    from monai.metrics import DiceMetric
    from torch import from_numpy

    pred, ref = masks(shape)
    a, b = words(pred), words(ref)
    monai = [from_numpy(x[None, None]) for x in (pred, ref)]
    seconds = fastest(
        {
            "ours": lambda: dice(pred, ref),
            "memory read": lambda: read(a, b),
            "np.count_nonzero(p & g)": lambda: np.count_nonzero(pred & ref),
            "numpy dice": lambda: 2 * (pred & ref).sum() / (pred.sum() + ref.sum()),
            "MONAI": lambda: DiceMetric()(*monai),
        },
        rounds=25,
    )
    assert benchmark(dice, pred, ref) == pytest.approx(float(DiceMetric()(*monai)), abs=1e-6)
    floors = {"np.count_nonzero(p & g)": 3, "memory read": 1 / 1.15}
    ratio_report(f"dice {shape}", seconds.pop("ours"), seconds, floors)


def test_dice_of_slices(benchmark):
    pred, ref = masks((5000, 128, 128))
    a, b = words(pred), words(ref)
    seconds = fastest(
        {
            "ours": lambda: dice_slices(pred, ref),
            "memory read": lambda: read(a, b),
            "np.count_nonzero(p & g)": lambda: np.count_nonzero(pred & ref, axis=(1, 2)),
        },
        rounds=5,
    )
    benchmark(dice_slices, pred, ref)
    ratio_report("dice of 5000 slices 128x128", seconds.pop("ours"), seconds)


def organs(shape=(300, 512, 512), k=20):
    """``k`` rough ellipsoids, and the same shifted by a voxel."""
    rng = np.random.default_rng(0)
    ref = np.zeros(shape, np.uint8)
    for value in range(1, k + 1):
        size = rng.integers(40, 140, 3)
        at = [int(rng.integers(5, n - s - 5)) for n, s in zip(shape, size, strict=True)]
        axes = [np.linspace(-1, 1, s)[(slice(None), *[None] * (2 - i))] for i, s in enumerate(size)]
        noise = ndimage.zoom(rng.standard_normal((6, 6, 6)), size / 6, order=1)[
            : size[0], : size[1], : size[2]
        ]
        inside = axes[0] ** 2 + axes[1] ** 2 + axes[2] ** 2 + 0.15 * noise < 0.8
        ref[tuple(slice(o, o + s) for o, s in zip(at, size, strict=True))][inside] = value
    return np.roll(ref, 1, axis=2), ref


def test_confusion_of_21_labels(benchmark):
    pred, ref = organs()
    n = 21

    def bincount():
        return np.bincount(ref.ravel().astype(np.intp) * n + pred.ravel(), minlength=n * n).reshape(n, n)

    seconds = fastest(
        {
            "ours": lambda: confusion(pred, ref, range(n)),
            "memory read": lambda: read(words(pred), words(ref)),
            "np.bincount": bincount,
        },
        rounds=5,
    )
    found = benchmark.pedantic(confusion, (pred, ref, range(n)), rounds=5)
    np.testing.assert_array_equal(found.counts, bincount())
    ratio_report("confusion, 21 labels, 300x512x512", seconds.pop("ours"), seconds, {"np.bincount": 20})
