"""From what a person hands in to the mask they get back: grids, axes, labels, refusals."""

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from voxzoo.zoo import onnxfile, registry
from voxzoo.zoo.cases import case_from_arrays, case_from_folder
from voxzoo.zoo.cleanup import drop_small
from voxzoo.zoo.contract import InputSpec, OutputSpec
from voxzoo.zoo.decode import activate
from voxzoo.zoo.errors import (
    CaseError,
    ContractError,
    InputError,
    MissingModalityError,
    ModelError,
    UsageError,
)
from voxzoo.zoo.mask import Mask
from voxzoo.zoo.model import Model
from voxzoo.zoo.runtimes.base import Port, RuntimeInfo
from voxzoo.zoo.tasks import segment
from voxzoo.zoo.volume_model import VolumeModel

CHANNELS = ("flair", "t1", "t1ce", "t2")


@pytest.fixture
def model(tiny):
    return registry.load(tiny, threads=1)


@pytest.fixture
def image():
    """(C, D, H, W) of the network's own shape; no zeros, so the brain is everything."""
    return np.random.default_rng(0).random((4, 8, 10, 12), dtype=np.float32) + 0.01


def folder_of(tmp_path, image, affine, names=CHANNELS):
    folder = tmp_path / "case"
    folder.mkdir()
    for name, volume in zip(names, image, strict=True):
        nibabel.save(nibabel.Nifti1Image(volume, affine), folder / f"case_{name}.nii.gz")
    return folder


def test_an_array_gives_the_threshold_of_its_first_channel(model, image):
    mask = model(image, spacing_mm=(1, 1, 1))
    assert mask.array.dtype == np.uint8
    np.testing.assert_array_equal(mask.array, image[0] > 0.5)
    assert mask.labels == {1: "whole_tumour"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_the_mask_is_on_the_inputs_own_grid_and_axes(model, image, tmp_path, order, signs):
    """The same patient stored in any axis order and direction gets the same voxels."""
    flipped = image[:, :: signs[0], :: signs[1], :: signs[2]]
    stored = flipped.transpose(0, *(1 + i for i in order))
    steps = np.diag([1.0, 1.0, 1.0])[:, ::-1] * np.array(signs)  # columns: D, H, W -> z, y, x
    affine = np.eye(4)
    affine[:3, :3] = steps[:, list(order)]
    mask = model(folder_of(tmp_path, stored, affine))
    np.testing.assert_array_equal(mask.array, stored[0] > 0.5)
    np.testing.assert_allclose(mask.affine, affine)


def test_a_larger_patient_gets_a_mask_of_its_own_size(model):
    rng = np.random.default_rng(1)
    image = rng.random((4, 20, 31, 17), dtype=np.float32) + 0.01
    mask = model(image, spacing_mm=(2.0, 1.0, 0.5)).array
    assert mask.shape == (20, 31, 17)
    assert mask.any()
    inside = ndimage.find_objects(mask)[0]
    assert inside[1].stop - inside[1].start <= 11  # the window has 10 voxels of 1 mm along H


def test_folder_dict_array_and_case_agree(model, image, tmp_path):
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    stored = image.transpose(0, 3, 2, 1)
    folder = folder_of(tmp_path, stored, affine)
    expected = (stored[0] > 0.5).astype(np.uint8)
    files = {name: folder / f"case_{name}.nii.gz" for name in reversed(CHANNELS)}
    nibabel.save(nibabel.Nifti1Image(np.moveaxis(stored, 0, -1), affine), tmp_path / "all.nii.gz")
    parts = {name: (tmp_path / "all.nii.gz", i) for i, name in enumerate(CHANNELS)}
    for x in (folder, str(folder), files, parts, case_from_folder(folder)):
        np.testing.assert_array_equal(model(x).array, expected)
    np.testing.assert_array_equal(model(stored, affine=affine).array, expected)


def test_a_mask_saves_and_opens_in_nibabel(model, image, tmp_path):
    affine = np.array([[0, 0, -0.5, 3], [0, -1.5, 0, 4], [2.0, 0, 0, 5], [0, 0, 0, 1]])
    mask = model(image, affine=affine)
    mask.save(tmp_path / "mask.nii.gz")
    opened = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(opened.dataobj), mask.array)
    np.testing.assert_allclose(opened.affine, affine)
    assert opened.get_data_dtype() == np.uint8
    assert mask.spacing_mm == (2.0, 1.5, 0.5)


def test_an_arrays_spacing_reaches_the_saved_file(model, image, tmp_path):
    model(image, spacing_mm=(3.0, 2.0, 1.5)).save(tmp_path / "m.nii.gz")
    assert nibabel.load(tmp_path / "m.nii.gz").header.get_zooms() == pytest.approx((3.0, 2.0, 1.5))


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((3, 8, 10, 12), {"spacing_mm": (1, 1, 1)}, "flair, t1, t1ce, t2"),
        ((8, 10, 12), {"spacing_mm": (1, 1, 1)}, r"\(8, 10, 12\)"),
        ((4, 8, 10, 12), {}, "spacing_mm"),
        ((4, 8, 10, 12), {"spacing_mm": (1, 1)}, "spacing_mm"),
        ((4, 8, 10, 12), {"spacing_mm": (1, 1, 0)}, "spacing_mm"),
        ((4, 8, 10, 12), {"spacing_mm": (1, 1, -2)}, "spacing_mm"),
        ((4, 8, 10, 12), {"spacing_mm": (1, 1, 1, 1)}, "spacing_mm"),
        ((4, 8, 10, 12), {"spacing_mm": 1.0}, "spacing_mm"),
        ((4, 8, 10, 12), {"spacing_mm": (1, 1, 1), "affine": np.eye(4)}, "not both"),
        ((4, 8, 10, 12), {"affine": np.eye(3)}, "affine"),
        ((4, 8, 10, 12), {"affine": np.zeros((4, 4))}, "affine"),
        ((4, 0, 10, 12), {"spacing_mm": (1, 1, 1)}, "empty"),
    ],
)
def test_arrays_that_cannot_be_used(model, shape, options, words):
    with pytest.raises(InputError, match=words) as caught:
        model(np.ones(shape, np.float32), **options)
    assert "\n" not in str(caught.value)


def test_values_that_cannot_be_used(model, image):
    image[2, 1, 1, 1] = np.nan
    image[2, 0, 0, :2] = np.inf
    with pytest.raises(CaseError, match=r"t1ce.*3 of 960"):
        model(image, spacing_mm=(1, 1, 1))
    with pytest.raises(InputError, match="complex"):
        model(image.astype(complex), spacing_mm=(1, 1, 1))


def test_other_inputs_that_cannot_be_used(model, image, tmp_path):
    with pytest.raises(InputError, match="NoneType"):
        model(None)
    with pytest.raises(CaseError, match="no such file or folder"):
        model(tmp_path / "absent")
    with pytest.raises(InputError, match="belong to arrays"):
        model(tmp_path, spacing_mm=(1, 1, 1))
    with pytest.raises(InputError, match="empty"):
        model({})
    folder = folder_of(tmp_path, image[:3], np.eye(4), CHANNELS[:3])
    with pytest.raises(MissingModalityError, match=r"t2.*flair, t1, t1ce"):
        model(folder)
    with pytest.raises(InputError, match="which modality"):
        model(folder / "case_flair.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.moveaxis(image, 0, -1), np.eye(4)), tmp_path / "all.nii")
    with pytest.raises(InputError, match=r"4 volumes.*index"):
        model(dict.fromkeys(CHANNELS, tmp_path / "all.nii"))


def test_one_file_is_enough_for_one_channel(tmp_path, make_onnx, make_contract, image):
    path = tmp_path / "one.onnx"
    path.write_bytes(make_onnx(channels=1))
    onnxfile.write_contract(path, make_contract(channels=("flair",), input=InputSpec(
        "x", ("flair",), (8, 10, 12), (1.0, 1.0, 1.0), normalise="none")))  # fmt: skip
    affine = np.eye(4)[[2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(image[0], affine), tmp_path / "f.nii.gz")
    np.testing.assert_array_equal(registry.load(path)(tmp_path / "f.nii.gz").array, image[0] > 0.5)


def test_three_regions_paint_et_over_tc_over_wt(tmp_path, make_onnx, make_contract):
    """Networks may break nesting: a voxel of et alone is enhancing, and so part of tc and wt."""
    path = tmp_path / "three.onnx"
    path.write_bytes(make_onnx(channels=3, outputs=3))
    names = ("flair", "t1", "t1ce")
    onnxfile.write_contract(path, make_contract(names, ("wt", "tc", "et")))
    bits = np.array([[w, t, e] for w in (0, 1) for t in (0, 1) for e in (0, 1)], np.float32).T
    image = np.full((3, 8, 10, 12), 0.01, np.float32)
    image[:, 0, 0, :8] += bits
    mask = registry.load(path)(image, spacing_mm=(1, 1, 1))
    assert mask.array[0, 0, :8].tolist() == [0, 3, 1, 3, 2, 3, 1, 3]
    assert mask.region("et")[0, 0, :8].tolist() == [False, True] * 4
    assert mask.region("wt")[0, 0, :8].tolist() == [False] + [True] * 7
    assert mask.region("tc")[0, 0, :8].tolist() == [False, True, True, True, False, True, True, True]


def test_label_channels_take_the_strongest(tmp_path, make_onnx, make_contract):
    path = tmp_path / "labels.onnx"
    path.write_bytes(make_onnx(channels=3, outputs=3))
    contract = make_contract(
        ("flair", "t1", "t1ce"),
        output=OutputSpec("y", "labels", ("edema", "background", "necrosis"), activation="softmax"),
        labels={5: "edema", 7: "necrosis"},
    )
    onnxfile.write_contract(path, contract)
    image = np.random.default_rng(3).random((3, 8, 10, 12), dtype=np.float32) + 0.01
    mask = registry.load(path)(image, spacing_mm=(1, 1, 1))
    np.testing.assert_array_equal(mask.array, np.array([5, 0, 7])[image.argmax(axis=0)])
    padded = np.zeros((3, 16, 20, 24), np.float32)
    padded[:, 4:12, 5:15, 6:18] = image
    big = registry.load(path)(padded, spacing_mm=(1, 1, 1)).array
    np.testing.assert_array_equal(big[4:12, 5:15, 6:18], mask.array)
    assert np.count_nonzero(big) == np.count_nonzero(mask.array)  # outside the window: background


def test_the_steps_are_timed_and_add_up(model, image):
    case = case_from_arrays(image, CHANNELS, (1.0, 1.0, 1.0))
    prediction = model.predict(case)
    assert list(prediction.seconds) == ["prepare", "infer", "finish"]
    assert min(prediction.seconds.values()) >= 0
    prepared = model.prepare(case)
    np.testing.assert_array_equal(model.finish(model.infer(prepared), prepared).array, prediction.mask.array)


def test_both_models_are_models(model):
    models: list[Model] = [model, registry.load("baseline:flair-threshold")]
    for m in models:
        assert m.name == m.contract.name
        assert m.content_hash == m.contract.content_sha256
        assert m.runtime.device == "cpu"


class FakeSession:
    """Says what it is told to say."""

    info = RuntimeInfo("fake", "0", "cpu", "fp32", 1)

    def __init__(self, answer=None, inputs=None, outputs=None):
        self.answer = answer
        self.inputs = inputs or (Port("x", (None, 4, 8, 10, 12), "float32"),)
        self.outputs = outputs or (Port("y", (None, 1, 8, 10, 12), "float32"),)

    def run(self, tensor, output=None):
        return self.answer


@pytest.mark.parametrize(
    ("ports", "words"),
    [
        ({"inputs": (Port("image", (1, 4, 8, 10, 12), "float32"),)}, "'x'.*'image'"),
        ({"inputs": (Port("x", (1, 3, 8, 10, 12), "float32"),)}, r"\(1, 4, 8, 10, 12\).*\(1, 3, 8, 10, 12\)"),
        ({"inputs": (Port("x", (2, 4, 8, 10, 12), "float32"),)}, r"\(2, 4"),
        ({"inputs": (Port("x", (4, 8, 10, 12), "float32"),)}, r"\(4, 8"),
        ({"inputs": (Port("x", (1, 4, 8, 10, 12), "tensor(double)"),)}, "double"),
        ({"inputs": (Port("x", (1,), "float32"), Port("z", (1,), "float32"))}, "x, z"),
        ({"outputs": (Port("logits", (1, 1, 8, 10, 12), "float32"),)}, "'y'.*logits"),
        ({"outputs": (Port("y", (None, 3, None, None, None), "float32"),)}, r"\(\?, 3, \?"),
    ],
)
def test_a_contract_for_another_network_is_refused(make_contract, ports, words):
    with pytest.raises(ContractError, match=words):
        VolumeModel(make_contract(), FakeSession(**ports), "fake", "")


def test_networks_that_misbehave_are_told(make_contract, image):
    case = case_from_arrays(image, CHANNELS, (1.0, 1.0, 1.0))
    good = np.zeros((1, 1, 8, 10, 12), np.float32)
    for answer, words in ((good[..., :5], "shape"), (good * np.nan, "NaN")):
        with pytest.raises(ModelError, match=words):
            VolumeModel(make_contract(), FakeSession(answer), "fake", "").predict(case)


def test_activations_against_float64():
    x = np.random.default_rng(0).normal(0, 5, (3, 4, 5, 6)).astype(np.float32)
    x[0, 0, 0, :2] = 1e4, -1e4
    wide = x.astype(np.longdouble)
    np.testing.assert_allclose(activate(x, "sigmoid"), 1 / (1 + np.exp(-wide)), atol=1e-6)
    powers = np.exp(wide - wide.max(0))
    np.testing.assert_allclose(activate(x, "softmax"), powers / powers.sum(0), atol=1e-6)
    assert activate(x, "none") is x


def slow_drop_small(labels, spacing, min_mm3, share):
    """By flood fill over 26 neighbours, one voxel at a time."""
    out, seen, found = labels.copy(), np.zeros(labels.shape, bool), []
    for start in map(tuple, np.argwhere(labels)):
        stack, members = ([] if seen[start] else [start]), []
        while stack:
            v = stack.pop()
            if seen[v] or not labels[v]:
                continue
            seen[v] = True
            members.append(v)
            near = np.array(v) + np.argwhere(np.ones((3, 3, 3))) - 1
            stack += [tuple(n) for n in near if (n >= 0).all() and (n < labels.shape).all()]
        if members:
            found.append(members)
    largest = max(map(len, found), default=0)
    for members in found:
        if len(members) * np.prod(spacing) < min_mm3 or len(members) < share * largest:
            out[tuple(np.array(members).T)] = 0
    return out


@pytest.mark.parametrize(("min_mm3", "share"), [(0, 0), (6, 0), (0, 0.5), (6, 0.2), (1e9, 0)])
def test_small_components_go(min_mm3, share):
    rng = np.random.default_rng(5)
    labels = ((rng.random((12, 13, 9)) < 0.06) * rng.integers(1, 4, (12, 13, 9))).astype(np.uint8)
    expected = slow_drop_small(labels, (1, 2, 1.5), min_mm3, share)
    got = np.asfortranarray(labels)
    drop_small(got, (1, 2, 1.5), min_mm3, share)
    np.testing.assert_array_equal(got, expected)


def test_regions_and_volumes_of_a_mask():
    array = np.zeros((4, 4, 4), np.uint8)
    array[0, 0] = [0, 1, 2, 3]
    mask = Mask(array, segment.LABELS, np.diag([2.0, 3.0, -5.0, 1.0]), segment.REGIONS)
    assert mask.volume_ml() == pytest.approx(0.09)
    assert mask.volume_ml("tc") == pytest.approx(0.06)
    assert mask.volume_ml("edema") == pytest.approx(0.03)
    assert np.asarray(mask) is not None
    np.testing.assert_array_equal(np.asarray(mask), array)
    with pytest.raises(InputError, match=r"'liver'.*wt, tc, et, necrosis, edema, enhancing"):
        mask.region("liver")
    with pytest.raises(UsageError):
        mask.save("mask.png")


@pytest.mark.parametrize("channels", [("wt",), ("tc",), ("wt", "et"), ("et", "tc", "wt")])
def test_regions_survive_being_painted(channels):
    """Nested regions -> mask values -> the same regions, for every subset that a network may predict."""
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 4, 500)
    labels = np.zeros(500, np.uint8)
    for k, value in segment.paint_order(channels):
        labels[np.isin(truth, segment.REGIONS[channels[k]])] = value
    values = segment.region_values(channels)
    assert set(values) == set(channels)
    for name in channels:
        np.testing.assert_array_equal(segment.mask_of(labels, values[name]), segment.region_mask(truth, name))
    assert set(segment.region_labels(channels)) == set(np.unique(labels[labels > 0]))


class TestBaseline:
    """The threshold on z-scored FLAIR."""

    def test_it_is_the_formula(self):
        rng = np.random.default_rng(0)
        flair = rng.normal(100, 30, (9, 10, 11)).round().astype(np.int16)
        flair[:3] = 0
        brain = flair != 0
        z = (flair - flair[brain].mean()) / flair[brain].std()
        mask = registry.load("baseline:flair-threshold")(flair[None], spacing_mm=(1, 1, 1))
        np.testing.assert_array_equal(mask.array, (z > 1.5) & brain)

    def test_background_is_never_tumour(self):
        flair = np.full((6, 6, 6), -100.0)
        flair[:2], flair[2, 0, 0] = 0, -50
        array = registry.load("baseline:flair-threshold")(flair[None], spacing_mm=(1, 1, 1)).array
        assert np.argwhere(array).tolist() == [[2, 0, 0]]

    def test_nothing_but_zeros(self):
        with pytest.raises(CaseError, match="nothing but zeros"):
            registry.load("baseline:flair-threshold")(np.zeros((1, 4, 4, 4)), spacing_mm=(1, 1, 1))

    def test_other_channels_are_not_needed(self, tmp_path, image):
        folder = folder_of(tmp_path, image[:1], np.eye(4), ("flair",))
        assert registry.load("baseline:flair-threshold")(folder).array.shape == image.shape[1:]

    @pytest.mark.data
    def test_its_dice_on_patients(self, data_root):
        """A threshold is no segmenter, and no noise either: the docstring's 0.62 on five patients."""
        ids = ("BraTS-GLI-00012-000", *(f"BraTS2021_0000{i}" for i in (0, 3, 5, 8)))
        model, scores = registry.load("baseline:flair-threshold"), []
        for name in ids:
            case = case_from_folder(data_root / "glioma3d" / name)
            mask, truth = model.predict(case).mask.region("wt"), case.read_reference() > 0
            scores.append(2 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum()))
        assert np.mean(scores) == pytest.approx(0.62, abs=0.005)
