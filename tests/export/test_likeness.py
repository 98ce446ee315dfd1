"""Images that may show one patient are found; others are left alone."""

from collections import Counter

import cv2
import numpy as np
import pytest

from voxzoo.export.likeness import grouped, signature
from voxzoo.zoo.errors import UsageError
from voxzoo.zoo.images import ImageCase


@pytest.fixture
def write(tmp_path):
    def write(name, image, patient=None):
        path = tmp_path / f"{name}.png"
        cv2.imwrite(str(path), image)
        return ImageCase(name, patient or name, path)

    return write


def _picture(seed, side=96):
    """Soft blobs, as tissue is: noise of several scales."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), s) * s for s in (1.5, 3, 8)]
    image = sum(layers)
    return np.uint8(np.clip(128 + 60 * image / image.std(), 0, 255))


def _partners(cases):
    groups = {}
    for case in cases:
        groups.setdefault(case.patient, []).append(case.id)
    return sorted(groups.values())


def test_variants_of_a_picture_are_kin_and_strangers_are_not(write):
    image = _picture(0)
    rng = np.random.default_rng(1)
    cases = [
        write("original", image),
        write("darker", np.uint8(image * 0.6)),
        write("noisy", np.uint8(np.clip(image + rng.normal(0, 8, image.shape), 0, 255))),
        write("smaller", cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)),
        write("stranger", _picture(2)),
    ]
    assert _partners(grouped(cases)) == [["original", "darker", "noisy", "smaller"], ["stranger"]]
    assert _partners(grouped(cases, alike=1)) == sorted([c.id] for c in cases)


def test_a_common_frame_does_not_make_kin(write):
    """Recorders draw the same frame, text and inset around every picture."""
    framed = []
    for seed in (0, 1):
        image = np.zeros((128, 128), np.uint8)
        image[14:114, 14:114] = _picture(seed, 100)
        cv2.putText(image, "2024-01-01", (0, 10), cv2.FONT_HERSHEY_PLAIN, 0.8, 255)
        image[118:, :30] = 200
        framed.append(write(f"{seed}", image))
    assert len(_partners(grouped(framed))) == 2


def test_kinship_passes_on(write):
    """a is like b, b shares a patient with c, c a run of numbers with d."""
    same = _picture(0)
    cases = [
        write("s_0100", same),
        write("s_0200", same, "p"),
        write("s_0301", _picture(1), "p"),
        write("s_0309", _picture(2)),
        write("s_0310", _picture(3)),
    ]
    found = grouped(cases, series=r"s_(\d+)", run=10)
    assert Counter(c.patient for c in found) == {"s_0100": 4, "s_0310": 1}
    assert [c.id for c in found] == [c.id for c in cases]
    assert {c.patient for c in grouped(cases, alike=1)} == {"s_0100", "p", "s_0309", "s_0310"}


def test_signatures_are_unit_vectors_even_of_nothing():
    assert np.linalg.norm(signature(_picture(0))) == pytest.approx(1, abs=1e-5)
    assert not signature(np.zeros((5, 5), np.uint8)).any()
    assert signature(np.zeros((1, 3, 3), np.uint8)).shape == (48 * 48,)


@pytest.mark.parametrize("series", ["(", "x", r"(\d)(\d)", "(s)"])
def test_a_series_that_finds_no_number_is_refused(write, series):
    with pytest.raises(UsageError, match="series"):
        grouped([write("s_12", _picture(0))], series=series)


def test_a_run_of_nothing_is_refused(write):
    with pytest.raises(UsageError, match="run = 0"):
        grouped([write("s_12", _picture(0))], series=r"(\d+)", run=0)


@pytest.mark.data
def test_neighbouring_numbers_of_brisc_are_alike_and_distant_ones_are_not(data_root):
    """Why its recipe groups by number: 24 % of adjacent numbers are alike, 0.004 % of distant ones."""
    from voxzoo.zoo.datasets import open_dataset

    cases = sorted(open_dataset(str(data_root / "brisc2d")).cases, key=lambda c: c.id)[:320]
    vectors = np.stack([signature(case.read()) for case in cases])
    numbers = np.array([int(case.id.split("_")[2]) for case in cases])
    apart, alike = np.abs(numbers[:, None] - numbers), vectors @ vectors.T > 0.6
    assert alike[apart == 1].mean() > 0.15
    assert alike[apart > 100].mean() < 0.002
