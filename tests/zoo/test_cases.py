"""Cases: lazily read, modality by name, one grid, canonical labels; and every bad input named in one line."""

import pickle
import shutil

import nibabel
import numpy as np
import pytest

from voxzoo.zoo.cases import (
    ArraySource,
    Case,
    ChannelSource,
    FailingSource,
    FileSource,
    case_from_arrays,
    case_from_folder,
)
from voxzoo.zoo.errors import CaseError, GridError, InputError, LabelError, MissingModalityError

AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
SHAPE = (6, 7, 8)


def save(path, array, affine=AFFINE):
    nibabel.Nifti1Image(array, affine, dtype=array.dtype).to_filename(path)
    return path


def image(seed, dtype=np.int16):
    return np.random.default_rng(seed).integers(1, 200, SHAPE).astype(dtype)


def labels(dtype=np.uint8, values=(0, 1, 2, 4)):
    return np.random.default_rng(9).choice(values, SHAPE).astype(dtype)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "BraTS2021_00003"
    folder.mkdir()
    for i, name in enumerate(("flair", "t1", "t1ce", "t2")):
        save(folder / f"BraTS2021_00003_{name}.nii.gz", image(i))
    save(folder / "BraTS2021_00003_seg.nii.gz", labels())
    return folder


def replace_reference(folder, array, affine=AFFINE):
    return save(folder / "BraTS2021_00003_seg.nii.gz", array, affine)


def test_modalities_come_by_name(folder):
    case = case_from_folder(folder)
    assert (case.id, case.patient, case.modalities) == (
        folder.name,
        folder.name,
        ("flair", "t1", "t1ce", "t2"),
    )
    for i, name in enumerate(("flair", "t1", "t1ce", "t2")):
        np.testing.assert_array_equal(case.read_image(name), image(i))
    swapped = case.read_images(("t2", "flair"))
    np.testing.assert_array_equal(swapped[0], image(3))
    np.testing.assert_array_equal(swapped[1], image(0))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("enhancing", [3, 4])
def test_enhancing_is_3_whatever_the_file_says(folder, dtype, enhancing):
    stored = labels(dtype, (0, 1, 2, enhancing))
    replace_reference(folder, stored)
    found = case_from_folder(folder).read_reference()
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.where(stored == 4, 3, stored))


def test_rounding_noise_of_scaled_labels_is_no_fraction(folder):
    replace_reference(folder, labels(np.float32) * np.float32(1.00001))
    np.testing.assert_array_equal(
        case_from_folder(folder).read_reference(), np.where(labels() == 4, 3, labels())
    )


def test_a_reference_without_tumour_is_legal(folder):
    replace_reference(folder, np.zeros(SHAPE, np.uint8))
    assert not case_from_folder(folder).read_reference().any()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (labels(np.float32) * 0.3, "hold no whole label"),
        (np.where(labels(), np.nan, 0).astype(np.float32), "hold no whole label"),
        (np.where(labels(), np.inf, 0).astype(np.float32), "label"),
        (labels(values=(0, 1, 7)), r"labels \[7\]; known are \[0, 1, 2, 3, 4\]"),
        (labels(values=(0, 1, 2, 3, 4)), "3 and 4 in one file"),
        (labels(np.int16, (0, -1)), "outside 0..255"),
        (labels(np.int32, (0, 70000)), "outside 0..255"),
    ],
)
def test_bad_label_files(folder, array, expected):
    path = replace_reference(folder, array)
    with pytest.raises(LabelError, match=expected) as caught:
        case_from_folder(folder).read_reference()
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_unknown_labels_are_counted(folder):
    array = np.zeros(SHAPE, np.uint8)
    array[0, 0, :3], array[1, 1, 1] = 7, 9
    replace_reference(folder, array)
    with pytest.raises(LabelError, match=r"4 voxels have labels \[7, 9\]"):
        case_from_folder(folder).read_reference()


def test_an_empty_label_file(folder):
    (folder / "BraTS2021_00003_seg.nii.gz").write_bytes(b"")
    with pytest.raises(CaseError, match="empty"):
        case_from_folder(folder).read_reference()


def test_missing_modality_says_what_there_is(folder):
    (folder / "BraTS2021_00003_t1ce.nii.gz").unlink()
    case = case_from_folder(folder)
    with pytest.raises(MissingModalityError, match=r"BraTS2021_00003: there is no t1ce .* flair, t1, t2"):
        case.read_image("t1ce")
    assert case.has_reference


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_names_file_and_count(folder, bad):
    array = image(1, np.float32)
    array[0, 0, :3] = bad
    path = save(folder / "BraTS2021_00003_t1.nii.gz", array)
    with pytest.raises(CaseError, match="3 of 336 voxels are NaN or infinite") as caught:
        case_from_folder(folder).read_image("t1")
    assert str(caught.value).startswith(str(path))


def test_different_grids(folder):
    moved = AFFINE.copy()
    moved[0, 3] = 2
    save(folder / "BraTS2021_00003_t2.nii.gz", image(3), moved)
    case = case_from_folder(folder)
    case.read_image("t1")
    with pytest.raises(GridError, match=r"t2\.nii\.gz"):
        case.read_image("t2")
    replace_reference(folder, labels()[:5])
    with pytest.raises(GridError, match="5 x 7 x 8 voxels"):
        case.read_reference()


def test_two_files_for_one_modality(folder):
    shutil.copy(folder / "BraTS2021_00003_t1.nii.gz", folder / "BraTS2021_00003-t1n.nii.gz")
    case = case_from_folder(folder)
    case.read_image("t2")
    with pytest.raises(CaseError, match="2 files for t1"):
        case.read_image("t1")


def test_the_fingerprint_follows_bytes_and_names(folder, tmp_path):
    before = case_from_folder(folder).fingerprint()
    assert before == case_from_folder(folder).fingerprint()
    copy = tmp_path / "elsewhere" / "another-name"
    shutil.copytree(folder, copy)
    assert case_from_folder(copy).fingerprint() == before
    one, other = copy / "BraTS2021_00003_t1.nii.gz", copy / "BraTS2021_00003_t2.nii.gz"
    bytes_one, bytes_other = one.read_bytes(), other.read_bytes()
    one.write_bytes(bytes_other)
    other.write_bytes(bytes_one)
    assert case_from_folder(copy).fingerprint() != before


def test_a_fingerprint_of_arrays_follows_values_shape_and_place():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    base = ArraySource(array, np.eye(4)).fingerprint()
    assert base == ArraySource(np.asfortranarray(array), np.eye(4)).fingerprint()
    assert base != ArraySource(array + 1, np.eye(4)).fingerprint()
    assert base != ArraySource(array.reshape(4, 3, 2), np.eye(4)).fingerprint()
    assert base != ArraySource(array, np.diag([2.0, 1, 1, 1])).fingerprint()


def test_channels_of_one_file_are_read_at_once(tmp_path, monkeypatch):
    from voxzoo.zoo import cases

    stack = np.stack([image(i) for i in range(4)], axis=-1)
    path = save(tmp_path / "a.nii.gz", stack)
    case = Case("a", "a", {f"m{i}": ChannelSource(path, i) for i in range(4)})
    reads, true_read = [], cases.read_nifti
    monkeypatch.setattr(cases, "read_nifti", lambda p: reads.append(p) or true_read(p))
    for i, array in enumerate(case.read_images(("m0", "m1", "m2", "m3"))):
        np.testing.assert_array_equal(array, image(i))
    assert len(reads) == 1
    with pytest.raises(CaseError, match=r"channel 4 is wanted, the file holds 4"):
        ChannelSource(path, 4).read()
    with pytest.raises(CaseError, match="one 3-D volume was expected"):
        FileSource(path).read()
    with pytest.raises(CaseError, match="one 3-D volume was expected"):
        FileSource(path).grid()


def test_arrays_without_affine_run_to_superior_posterior_left():
    case = case_from_arrays(np.ones((2, 5, 6, 7)), ("flair", "t1"), spacing_mm=(3.0, 2.0, 1.0))
    assert case.grid().codes == ("S", "P", "L")
    assert case.grid().spacing_mm == (3.0, 2.0, 1.0)
    assert case.read_image("t1").shape == (5, 6, 7)
    assert not case.has_reference
    assert case.read_reference() is None


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((5, 6, 7), {}, r"shape \(5, 6, 7\); \(2, D, H, W\) for flair, t1 was expected"),
        ((3, 5, 6, 7), {}, r"\(2, D, H, W\)"),
        ((2, 5, 6, 7), {"spacing_mm": (1, 1)}, "three positive numbers"),
        ((2, 5, 6, 7), {"spacing_mm": (1, 0, 1)}, "three positive numbers"),
        ((2, 5, 6, 7), {"spacing_mm": (1, -1, 1)}, "three positive numbers"),
        ((2, 5, 6, 7), {"spacing_mm": (1, float("nan"), 1)}, "three positive numbers"),
        ((2, 5, 6, 7), {"spacing_mm": (1, 1, 1), "affine": np.eye(4)}, "not both"),
    ],
)
def test_bad_arrays(shape, options, expected):
    with pytest.raises(InputError, match=expected):
        case_from_arrays(np.ones(shape), ("flair", "t1"), **options)


def test_a_caller_keeps_a_writable_array():
    array = np.ones((1, 3, 4, 5))
    assert not case_from_arrays(array, ("flair",)).read_image("flair").flags.writeable
    assert array.flags.writeable


def test_cases_travel_to_other_processes(folder):
    case = pickle.loads(pickle.dumps(case_from_folder(folder)))
    assert case.fingerprint() == case_from_folder(folder).fingerprint()


def test_a_failing_source_tells_its_message():
    source = FailingSource("x.nii", "x.nii: there is no such file (named in cases.csv:3)")
    for use in (source.read, source.grid):
        with pytest.raises(CaseError, match=r"cases\.csv:3"):
            use()


def test_no_folder_no_images(tmp_path):
    with pytest.raises(CaseError, match="no such folder"):
        case_from_folder(tmp_path / "absent")
    with pytest.raises(CaseError, match="no image named like"):
        case_from_folder(tmp_path)
    with pytest.raises(MissingModalityError, match="no image"):
        Case("a", "a", {}).grid()


@pytest.mark.data
@pytest.mark.parametrize("name", ["glioma3d", "glioma3d_8bit", "glioma3d_lgg"])
def test_real_patients_equal_what_nibabel_reads(data_root, name):
    for folder in sorted(p for p in (data_root / name).iterdir() if p.is_dir()):
        case = case_from_folder(folder)
        grid = case.grid()
        assert (grid.shape, grid.codes) == ((240, 240, 155), ("L", "P", "S"))
        files = {p.name.lower().removesuffix(".nii.gz"): p for p in folder.iterdir()}
        names = {"flair": ("flair", "t2f"), "t1": ("t1", "t1n"), "t1ce": ("t1ce", "t1c"), "t2": ("t2", "t2w")}
        for modality, ends in names.items():
            file = next(
                p for n, p in files.items() if n.replace("-", "_").endswith(tuple(f"_{e}" for e in ends))
            )
            stored = np.asanyarray(nibabel.load(file).dataobj)
            found = case.read_image(modality)
            assert found.dtype == stored.dtype
            np.testing.assert_array_equal(found, stored)
        seg = next(p for n, p in files.items() if n.endswith("seg"))
        stored = nibabel.load(seg).get_fdata()
        np.testing.assert_array_equal(case.read_reference(), np.where(stored == 4, 3, stored))
