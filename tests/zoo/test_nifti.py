"""NIfTI in and out, against nibabel, and every way a file can be broken."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxzoo.zoo.errors import CaseError, InputError, RunError, UsageError
from voxzoo.zoo.nifti import Grid, read_grid, read_nifti, write_nifti

AFFINE = np.array([[-1.0, 0, 0, 5], [0, -1.5, 0, 239], [0, 0, 2, -7], [0, 0, 0, 1]])
DTYPES = ("uint8", "int8", "int16", "uint16", "int32", "float32", "float64")


def sample(dtype, shape=(5, 6, 7)):
    return (np.random.default_rng(0).random(shape) * 100).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_reads_what_nibabel_wrote(tmp_path, dtype, suffix):
    array = sample(dtype)
    path = tmp_path / f"a{suffix}"
    nibabel.Nifti1Image(array, AFFINE, dtype=dtype).to_filename(path)
    volume = read_nifti(path)
    assert volume.array.dtype == dtype
    assert volume.array.flags.f_contiguous
    assert not volume.array.flags.writeable
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_array_equal(volume.affine, nibabel.load(path).affine)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".NII.GZ"])
def test_nibabel_reads_what_was_written(tmp_path, dtype, suffix):
    array = sample(dtype)
    path = tmp_path / f"a{suffix}"
    write_nifti(path, array, AFFINE)
    other = path.rename(tmp_path / f"b{suffix.lower()}")
    image = nibabel.load(other)
    assert image.get_data_dtype() == dtype
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), array)
    for matrix, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(matrix, AFFINE, atol=1e-5)


def test_bool_becomes_uint8_and_the_same_mask_the_same_bytes(tmp_path):
    mask = sample("uint8") > 50
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, mask, AFFINE)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert read_nifti(tmp_path / "a.nii.gz").array.dtype == np.uint8


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_versions_and_byte_orders(tmp_path, kind, order):
    array = sample("int16")
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    image = kind(array, AFFINE, header)
    path = tmp_path / "a.nii.gz"
    image.to_filename(path)
    assert nibabel.load(path).header.endianness == order
    np.testing.assert_array_equal(read_nifti(path).array, array)
    np.testing.assert_allclose(read_nifti(path).affine, AFFINE)


def test_scaling_is_applied_as_float32(tmp_path):
    array = sample("int16")
    image = nibabel.Nifti1Image(array, AFFINE)
    image.header.set_slope_inter(0.5, 3.0)
    path = tmp_path / "a.nii"
    nibabel.save(image, path)
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<ff", 0.5, 3.0)
    path.write_bytes(content)
    volume = read_nifti(path)
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, nibabel.load(path).get_fdata(), rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, float("nan"), 1.0])
def test_a_slope_that_says_nothing_keeps_the_type(tmp_path, slope):
    path = tmp_path / "a.nii"
    nibabel.Nifti1Image(sample("int16"), AFFINE).to_filename(path)
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<ff", slope, 0.0)
    path.write_bytes(content)
    assert read_nifti(path).array.dtype == np.int16


def test_four_dimensions_and_needless_fourth_axis(tmp_path):
    for shape, seen in (((3, 4, 5, 2), (3, 4, 5, 2)), ((3, 4, 5, 1), (3, 4, 5))):
        path = tmp_path / "a.nii.gz"
        nibabel.Nifti1Image(sample("int16", shape), AFFINE).to_filename(path)
        assert read_nifti(path).array.shape == seen
        assert read_grid(path)[1] == (seen[3] if len(seen) == 4 else 1)


def test_gzip_in_members_and_with_trailing_garbage(tmp_path):
    array = sample("int16", (40, 40, 40))
    plain = nibabel.Nifti1Image(array, AFFINE).to_bytes()
    for parts in ([plain], [plain[:100], plain[100:]], [plain[:5000], plain[5000:9000], plain[9000:]]):
        path = tmp_path / "a.nii.gz"
        path.write_bytes(b"".join(gzip.compress(part) for part in parts) + b"garbage")
        np.testing.assert_array_equal(read_nifti(path).array, array)


def test_a_packed_file_under_an_unpacked_name_is_read(tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(sample("int16"), AFFINE).to_bytes()))
    np.testing.assert_array_equal(read_nifti(path).array, sample("int16"))


def broken(tmp_path):
    plain = nibabel.Nifti1Image(sample("int16", (40, 40, 40)), AFFINE).to_bytes()
    packed = gzip.compress(plain)
    damaged = bytearray(packed)
    damaged[-6] ^= 0xFF
    zero_spacing = bytearray(plain)
    zero_spacing[40:42] = struct.pack("<h", 3)
    zero_spacing[42:44] = struct.pack("<h", 0)
    unknown_type, nowhere, no_place = bytearray(plain), bytearray(plain), bytearray(plain)
    unknown_type[70:72] = struct.pack("<h", 999)
    nowhere[108:112] = struct.pack("<f", float("nan"))
    no_place[280:284] = struct.pack("<f", float("inf"))
    return {
        "unknown-type.nii": (bytes(unknown_type), "voxel type 999: unknown"),
        "nowhere.nii.gz": (gzip.compress(bytes(nowhere)), "voxels at byte nan"),
        "no-place.nii": (bytes(no_place), "affine that is not finite"),
        "empty.nii.gz": (b"", "empty"),
        "cut.nii.gz": (packed[: len(packed) // 2], "truncated"),
        "cut-in-trailer.nii.gz": (packed[:-3], "truncated"),
        "checksum.nii.gz": (bytes(damaged), "damaged"),
        "cut.nii": (plain[:5000], "truncated"),
        "cut-header.nii": (plain[:100], "not a single-file NIfTI"),
        "text.nii": (b"hello, I am a text file" * 30, "not a single-file NIfTI"),
        "text.nii.gz": (b"hello", "not gzip"),
        "plain.nii.gz": (plain, "name it .nii"),
        "gzipped-text.nii.gz": (gzip.compress(b"hello" * 100), "not a single-file NIfTI"),
        "no-voxels.nii": (bytes(zero_spacing), "no voxels"),
    }


@pytest.mark.parametrize("name", broken(None))
def test_broken_files_are_one_line_that_begins_with_the_file(tmp_path, name):
    content, expected = broken(tmp_path)[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CaseError) as caught:
        read_nifti(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert expected in message
    assert "\n" not in message


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_ends_in_another_exception(tmp_path, data):
    """Whatever byte is changed or cut: a volume or a CaseError, never a crash."""
    plain = bytearray(nibabel.Nifti1Image(sample("int16", (4, 5, 6)), AFFINE).to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        plain[data.draw(st.integers(0, 351))] = data.draw(st.integers(0, 255))
    content = (
        bytes(plain)[: data.draw(st.integers(0, len(plain)))] if data.draw(st.booleans()) else bytes(plain)
    )
    packed = data.draw(st.booleans())
    path = tmp_path / ("a.nii.gz" if packed else "a.nii")
    path.write_bytes(gzip.compress(content) if packed else content)
    for read in (read_nifti, read_grid):
        message = complaint(read, path)
        assert message is None or message.startswith(str(path))


def complaint(read, path):
    try:
        read(path)
    except CaseError as error:
        return str(error)
    return None


def test_absent_and_folder(tmp_path):
    with pytest.raises(CaseError, match="no such file"):
        read_nifti(tmp_path / "a.nii.gz")
    with pytest.raises(CaseError, match="cannot be read"):
        read_nifti(tmp_path)


def test_colours_are_refused(tmp_path):
    path = tmp_path / "a.nii"
    colour = np.zeros((3, 4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.Nifti1Image(colour, AFFINE).to_filename(path)
    with pytest.raises(CaseError, match="not an image"):
        read_nifti(path)


def test_the_grid_needs_only_the_beginning_of_a_file(tmp_path):
    path = tmp_path / "a.nii.gz"
    array = np.random.default_rng(0).integers(0, 999, (64, 64, 40)).astype(np.int16)
    nibabel.Nifti1Image(array, AFFINE).to_filename(path)
    path.write_bytes(path.read_bytes()[:70_000])
    grid, channels = read_grid(path)
    assert (grid.shape, channels, grid.spacing_mm, grid.codes) == (
        (64, 64, 40),
        1,
        (1.0, 1.5, 2.0),
        ("L", "P", "S"),
    )


def test_writing_is_whole_or_not_at_all(tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        write_nifti(tmp_path / "absent" / "a.nii.gz", np.zeros((2, 2, 2)), np.eye(4))
    with pytest.raises(UsageError, match="named"):
        write_nifti(tmp_path / "a.img", np.zeros((2, 2, 2)), np.eye(4))
    (tmp_path / "b.nii.gz").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        write_nifti(tmp_path / "b.nii.gz", np.zeros((2, 2, 2)), np.eye(4))
    assert [p.name for p in tmp_path.iterdir()] == ["b.nii.gz"]


def test_grids_compare_with_tolerance():
    grid = Grid((3, 4, 5), AFFINE)
    nudged, moved = AFFINE.copy(), AFFINE.copy()
    nudged[0, 3] += 5e-4
    moved[0, 3] += 5e-3
    assert grid.same_as(Grid((3, 4, 5), nudged))
    assert not grid.same_as(Grid((3, 4, 5), moved))
    assert not grid.same_as(Grid((3, 4, 6), AFFINE))
    with pytest.raises(InputError, match="flat"):
        Grid((3, 4, 5), np.diag([1.0, 0.0, 1.0, 1.0]))
    with pytest.raises(InputError, match="finite"):
        Grid((3, 4, 5), np.full((4, 4), np.nan))
