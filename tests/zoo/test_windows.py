"""Sliding windows against whole arrays: the same labels bit for bit, in memory that stays bounded."""

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from voxzoo.zoo import onnxfile, registry, windows
from voxzoo.zoo.cases import ArraySource, Case
from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec
from voxzoo.zoo.decode import LabelWriter, decode
from voxzoo.zoo.errors import ContractError, InputError
from voxzoo.zoo.grid import Grid
from voxzoo.zoo.plan import make_plan
from voxzoo.zoo.preprocess import prepare, restore
from voxzoo.zoo.sliding import SlidingModel, prepare_windows
from voxzoo.zoo.tasks import segment
from voxzoo.zoo.windows import Windows

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
AFFINES = [
    LPS,
    np.diag([0.8, 1.1, 2.0, 1.0]),
    np.array([[0, 0, 1.5, 5], [-0.7, 0, 0, 6], [0, -1, 0, 7], [0, 0, 0, 1]]),
    np.array([[0, 1.0, 0, 0], [0, 0, -1, 0], [-1.2, 0, 0, 9], [0, 0, 0, 1]]),
]


def spec(shape=(8, 10, 12), spacing=(1.0, 1.0, 1.0), channels=("flair",), **options):
    kept = {"normalise": "none", "window": "sliding", **options}
    return InputSpec("x", tuple(channels), shape, spacing, **kept)


def contract_of(kind="regions", channels=("wt", "tc", "et"), input_spec=None, **output):
    labels = {1: "necrosis", 2: "edema", 3: "enhancing"}
    if kind == "regions":
        labels = segment.region_labels(channels)
    return Contract(
        name="tiny",
        version="0",
        task="segment",
        input=input_spec or spec(),
        output=OutputSpec("y", kind, tuple(channels), **output),
        labels=labels,
        licence=LicenceSpec("Apache-2.0", "no data", "confirmed"),
    )


# -- where windows stand, and what they weigh


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 300), window=st.integers(1, 300), overlap=st.floats(0, 0.9))
def test_windows_cover_and_overlap(size, window, overlap):
    size = max(size, window)
    places = windows.starts(size, window, overlap)
    assert places[0] == 0
    assert places[-1] == size - window
    steps = np.diff(places)
    assert (steps >= 1).all()
    # A start is a whole number: it may lie half a voxel to either side of the even spread.
    assert (steps <= max(1, window * (1 - overlap)) + 1).all()
    assert len(places) <= 1 + np.ceil((size - window) / max(1.0, window * (1 - overlap)))


@settings(max_examples=100, deadline=None)
@given(size=st.integers(1, 120), window=st.integers(1, 60), overlap=st.floats(0, 0.9))
def test_weights_sum_to_one_at_every_voxel(size, window, overlap):
    size = max(size, window)
    places = windows.starts(size, window, overlap)
    total = np.zeros(size)
    rows = windows.weights(size, window, places)
    for place, row in zip(places, rows, strict=True):
        assert (row > 0).all()
        total[place : place + window] += row
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_weights_are_the_gaussian_ratio():
    rows = windows.weights(6, 4, (0, 2))
    bell = np.exp(-0.5 * ((np.arange(4) - 1.5) / 0.5) ** 2)
    expected = bell[2:] / (bell[2:] + bell[:2])
    np.testing.assert_allclose(rows[0], [1, 1, *expected], rtol=1e-6)
    np.testing.assert_allclose(rows[1], [*expected[::-1], 1, 1], rtol=1e-6)


def naive(layout, channels, answer):
    """The blend in whole arrays, the arithmetic in the same order."""
    whole = np.zeros((channels, *layout.shape), np.float32)
    d, h, w = layout.window
    for i, z in enumerate(layout.starts[0]):
        for j, y in enumerate(layout.starts[1]):
            for k, x in enumerate(layout.starts[2]):
                prob = answer((z, y, x))
                if prob is None:
                    continue
                wz, wy, wx = layout.weights[0][i], layout.weights[1][j], layout.weights[2][k]
                weight = (wz[:, None, None] * wy[:, None]) * wx
                whole[:, z : z + d, y : y + h, x : x + w] += weight * prob
    return whole


def noise(layout, channels, seed):
    def answer(corner):
        rng = np.random.default_rng([seed, *corner])
        if rng.random() < 0.1:
            return None
        return rng.random((channels, *layout.window), dtype=np.float32)

    return answer


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(4, 24)] * 3),
    window=st.tuples(*[st.integers(1, 12)] * 3),
    overlap=st.sampled_from([0.0, 0.3, 0.5, 0.75]),
    seed=st.integers(0, 99),
)
def test_slabs_are_the_whole_blend_bit_for_bit(shape, window, overlap, seed):
    window = tuple(min(n, m) for n, m in zip(shape, window, strict=True))
    layout = Windows.of(shape, window, overlap)
    answer = noise(layout, 2, seed)
    found = np.concatenate([slab.copy() for slab in windows.slabs(layout, 2, answer)], axis=1)
    np.testing.assert_array_equal(found, naive(layout, 2, answer))


def test_the_blend_of_one_answer_is_that_answer():
    whole = np.random.default_rng(0).random((2, 30, 26, 21), dtype=np.float32)
    layout = Windows.of(whole.shape[1:], (12, 12, 12), 0.5)

    def answer(corner):
        z, y, x = corner
        return np.ascontiguousarray(whole[:, z : z + 12, y : y + 12, x : x + 12])

    found = np.concatenate([slab.copy() for slab in windows.slabs(layout, 2, answer)], axis=1)
    np.testing.assert_allclose(found, whole, atol=1e-6)


# -- labels, slab by slab


def plan_of(affine, spacing=(1.0, 1.0, 1.0), shape=(17, 22, 19), window="whole", model=(9, 12, 10)):
    return make_plan(Grid(shape, affine), spec(model, spacing, crop="center", window=window), ())


def smooth(shape, seed, channels=3):
    rng = np.random.default_rng(seed)
    prob = ndimage.gaussian_filter(rng.random((channels, *shape)), (0, 1, 1, 1)).astype(np.float32)
    prob[rng.random(prob.shape) < 0.05] = 0.5
    return prob


def in_slabs(prob, plan, contract, seed):
    writer, begin, rng = LabelWriter(plan, contract), 0, np.random.default_rng(seed)
    while begin < prob.shape[1]:
        end = min(begin + int(rng.integers(1, 5)), prob.shape[1])
        slab = prob[:, begin:end].copy()
        writer.add(slab)
        slab[:] = np.nan  # it was lent
        begin = end
    return writer.labels


CASES = [
    (affine, spacing)
    for affine in AFFINES
    for spacing in ((1.0, 1.0, 1.0), (2.0, 1.3, 1.5), (0.5, 0.7, 0.6), (5.0, 4.0, 6.0))
]


@pytest.mark.parametrize(("affine", "spacing"), CASES)
@pytest.mark.parametrize("channels", [("wt", "tc", "et"), ("et", "wt"), ("wt",)])
def test_regions_from_slabs_are_those_of_the_restored_volume(affine, spacing, channels):
    plan = plan_of(affine, spacing)
    contract = contract_of(channels=channels, threshold=0.5)
    for seed in range(2):
        prob = smooth(plan.shape, seed, len(channels))
        above = restore(prob, plan) > np.float32(0.5)
        expected = np.zeros(plan.grid.shape, np.uint8)
        for channel, value in segment.paint_order(channels):
            expected[above[channel]] = value
        np.testing.assert_array_equal(in_slabs(prob, plan, contract, seed), expected)
        np.testing.assert_array_equal(decode(prob, plan, contract), expected)


@pytest.mark.parametrize(("affine", "spacing"), CASES)
@pytest.mark.parametrize("background", [0, 2, None])
def test_labels_from_slabs_are_the_strongest_of_the_restored_volume(affine, spacing, background):
    names = ["edema", "enhancing", "necrosis"]
    if background is not None:
        names.insert(background, "background")
    plan = plan_of(affine, spacing)
    contract = contract_of("labels", tuple(names), activation="softmax")
    prob = smooth(plan.shape, 3, len(names))
    prob[:, :, 4:6] = prob[:1, :, 4:6]  # ties
    whole = restore(prob, plan)
    value = {"background": 0, "necrosis": 1, "edema": 2, "enhancing": 3}
    floor = whole[background] if background is not None else np.zeros(plan.grid.shape, np.float32)
    others = np.array([k for k in range(len(names)) if k != background])
    strongest = others[whole[others].argmax(axis=0)]
    wins = np.take_along_axis(whole, strongest[None], axis=0)[0] > floor
    expected = np.where(wins, np.array([value[n] for n in names], np.uint8)[strongest], 0)
    np.testing.assert_array_equal(in_slabs(prob, plan, contract, 7), expected)
    np.testing.assert_array_equal(decode(prob, plan, contract), expected)


def test_slabs_that_do_not_fit_are_refused():
    plan = plan_of(LPS)
    writer = LabelWriter(plan, contract_of())
    with pytest.raises(InputError, match="shape"):
        writer.add(np.zeros((2, 1, 12, 10), np.float32))
    with pytest.raises(InputError, match="at most 9 planes"):
        writer.add(np.zeros((3, 10, 12, 10), np.float32))
    writer.add(np.zeros((3, 9, 12, 10), np.float32))
    with pytest.raises(InputError, match="at most 0 planes"):
        writer.add(np.zeros((3, 1, 12, 10), np.float32))


# -- the images, window by window


def patient(shape=(30, 34, 26), affine=LPS, channels=("flair", "t1"), dtype=np.int16, seed=0):
    rng = np.random.default_rng(seed)
    images = {}
    for name in channels:
        array = np.zeros(shape, dtype)
        array[2:-4, 3:-2, 1:-3] = (
            100 + 50 * ndimage.gaussian_filter(rng.normal(size=shape), 2)[2:-4, 3:-2, 1:-3]
        )
        images[name] = ArraySource(array, affine, name)
    return Case("k", "k", images)


@pytest.mark.parametrize("affine", AFFINES)
@pytest.mark.parametrize("crop", ["brain-center", "center"])
@pytest.mark.parametrize("normalise", ["zscore-nonzero", "none"])
def test_a_window_is_a_part_of_the_prepared_volume(affine, crop, normalise):
    wanted = spec((9, 10, 11), (1.3, 1.0, 2.1), ("t1", "flair"), crop=crop, normalise=normalise,
                  clip_percentiles=(1.0, 99.0))  # fmt: skip
    case = patient(affine=affine)
    whole, lazy = prepare(case, wanted), prepare_windows(case, wanted)
    assert whole.plan.shape == lazy.plan.shape
    assert whole.plan.start == lazy.plan.start
    for corner in (
        (0, 0, 0),
        (3, 1, 0),
        tuple(n - m for n, m in zip(lazy.plan.shape, (9, 10, 11), strict=True)),
    ):
        part = tuple(slice(c, c + n) for c, n in zip(corner, (9, 10, 11), strict=True))
        np.testing.assert_array_equal(lazy.window(corner, (9, 10, 11)), whole.tensor[:, *part])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.7, 1.3, 0.9), (3.0, 3.0, 3.0)])
def test_windows_slide_over_all_of_the_brain(spacing):
    case = patient(channels=("flair",))
    prepared = prepare(case, spec((5, 6, 7), spacing))
    seen = restore(np.ones((1, *prepared.plan.shape), np.float32), prepared.plan)[0]
    assert (seen[case.read_image("flair") != 0] == 1).all()
    if spacing == (1.0, 1.0, 1.0):
        assert prepared.plan.shape == (22, 29, 24)  # the brain's box, and no more
    large = prepare(case, spec((60, 50, 40), spacing))
    assert large.plan.shape == (60, 50, 40)
    assert prepare(case, spec((5, 6, 7), crop="center")).plan.shape == (26, 34, 30)


# -- the model


@pytest.fixture
def sliding(tmp_path, make_onnx):
    """The tiny network, slid: three channels, three regions."""

    def build(**options):
        path = tmp_path / "sliding.onnx"
        path.write_bytes(make_onnx(channels=3, outputs=3))
        names = ("flair", "t1", "t1ce")
        onnxfile.write_contract(path, contract_of(input_spec=spec(channels=names, **options)))
        return registry.load(path, threads=1)

    return build


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_a_network_that_looks_at_one_voxel_does_not_mind_windows(sliding, overlap):
    """sigmoid(20 * (x - 0.5)) of a voxel is the same in every window, so the blend is it, too."""
    model = sliding(crop="center", overlap=overlap)
    assert isinstance(model, SlidingModel)
    rng = np.random.default_rng(0)
    image = np.where(rng.random((3, 21, 25, 30)) < 0.5, 0.2, 0.8).astype(np.float32)
    mask = model(image, spacing_mm=(1, 1, 1))
    np.testing.assert_array_equal(mask.region("wt"), (image > 0.5).any(axis=0))
    np.testing.assert_array_equal(mask.region("tc"), (image[1:] > 0.5).any(axis=0))
    np.testing.assert_array_equal(mask.region("et"), image[2] > 0.5)


def test_labels_of_a_patient_are_those_of_whole_arrays(sliding):
    model = sliding(spacing=(1.5, 1.2, 0.8), overlap=0.4)
    case = patient((30, 34, 26), AFFINES[2], ("flair", "t1", "t1ce"), np.float32, 5)
    images = {n: ArraySource(np.asarray(s.read().array) / 200, AFFINES[2], n) for n, s in case.images.items()}
    case = Case("k", "k", images)
    tensor = prepare(case, model.contract.input)
    layout = Windows.of(tensor.plan.shape, (8, 10, 12), 0.4)
    assert len(layout) > 20

    def answer(corner):
        z, y, x = corner
        part = np.ascontiguousarray(tensor.tensor[:, z : z + 8, y : y + 10, x : x + 12])
        return model.probabilities(part) if part.any() else None

    prob = naive(layout, 3, answer)
    above = restore(prob, tensor.plan) > np.float32(0.5)
    expected = np.zeros(tensor.plan.grid.shape, np.uint8)
    for channel, value in segment.paint_order(("wt", "tc", "et")):
        expected[above[channel]] = value
    found = model.predict(case).mask
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(found.array, expected)


def test_windows_of_nothing_but_background_are_not_run(sliding, monkeypatch):
    model, asked = sliding(crop="center", overlap=0.0), []
    run = model.probabilities
    monkeypatch.setattr(model, "probabilities", lambda tensor: asked.append(1) or run(tensor))
    image = np.zeros((3, 32, 10, 12), np.float32)
    image[:, 25] = 0.7
    mask = model(image, spacing_mm=(1, 1, 1))
    assert len(asked) == 1
    assert mask.array[25].all()
    assert np.count_nonzero(mask.array) == 120


def test_a_contract_given_apart_lets_any_segmenter_slide(tiny, make_contract):
    """A volume larger than a model's window loses what lies outside; slid, it does not."""
    whole = registry.load(tiny, threads=1)
    slid = replace(whole.contract, input=replace(whole.contract.input, window="sliding", crop="center"))
    model = registry.load(tiny, threads=1, contract=slid)
    image = np.full((4, 20, 25, 30), 0.8, np.float32)
    assert np.count_nonzero(whole(image, spacing_mm=(1, 1, 1)).array) == 8 * 10 * 12
    assert model(image, spacing_mm=(1, 1, 1)).array.all()


def test_classifiers_do_not_slide():
    with pytest.raises(ContractError, match=r"input\.window"):
        Contract(
            name="c",
            version="0",
            task="classify",
            input=spec(),
            output=OutputSpec("y", "classes", ("low", "high"), "softmax"),
            labels={0: "low", 1: "high"},
            licence=LicenceSpec("Apache-2.0", "no data", "confirmed"),
        )


# -- memory

PEAK = """
    import sys
    import numpy as np
    from voxzoo.zoo.cases import ArraySource, Case
    from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec
    from voxzoo.zoo.runtimes.base import Port, RuntimeInfo
    from voxzoo.zoo.sliding import SlidingModel

    WINDOW, REGIONS = (32, 96, 96), ("wt", "tc", "et")

    class Session:
        info = RuntimeInfo("fake", "0", "cpu", "fp32", 1)
        inputs = (Port("x", (1, 2, *WINDOW), "float32"),)
        outputs = (Port("y", (1, 3, *WINDOW), "float32"),)

        def run(self, tensor, output=None):
            return np.repeat(tensor[:, :1] > 100, 3, axis=1).astype(np.float32)

    contract = Contract(
        name="t", version="0", task="segment",
        input=InputSpec("x", ("flair", "t1"), WINDOW, (1.0, 1.0, 1.0), normalise="none", window="sliding",
                        overlap=0.25),
        output=OutputSpec("y", "regions", REGIONS), licence=LicenceSpec("MIT", "none", "confirmed"),
        labels={1: "necrosis", 2: "edema", 3: "enhancing"},
    )
    model = SlidingModel(contract, Session(), "here", "0")

    def peak():
        # Not getrusage's, which begins with the parent's.
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))

    def peak_mib(n):
        array = np.zeros((256, 256, n), np.int16, order="F")
        array[::, ::, 1:-1] = 50
        array[40:80, 60:200, n // 3 : n // 2] = 200
        case = Case("k", "k", {name: ArraySource(array, np.eye(4), name) for name in ("flair", "t1")})
        before = peak()
        mask = model.predict(case).mask
        grown = peak() - before
        assert np.array_equal(mask.array == 3, array == 200)
        return grown

    peak_mib(64)
    print(peak_mib(int(sys.argv[1])))
"""


def test_memory_grows_with_the_labels_alone():
    """A volume of 256 x 256 x 400 takes a few bytes a voxel, not floats for every region and image."""
    if not Path("/proc/self/status").exists():
        pytest.skip("peaks are read from Linux's /proc")
    slices = 400
    code = [sys.executable, "-c", textwrap.dedent(PEAK), str(slices)]
    grown = float(subprocess.run(code, check=True, capture_output=True, text=True).stdout)
    labels = 256 * 256 * slices / 2**20  # MiB at a byte a voxel
    assert labels == 25
    # Probabilities of three regions would be 300 MiB, the resampled images 200 MiB.
    assert grown < 2 * labels, f"{grown:.0f} MiB more than for 64 slices"
