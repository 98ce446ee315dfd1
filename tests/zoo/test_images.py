"""Image files of every kind that people have, and what a model is fed of them, against Pillow and numpy."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxzoo.zoo.contract import ImageSpec
from voxzoo.zoo.errors import CaseError, InputError
from voxzoo.zoo.images import ImageCase, fit_image, normalise_image, prepare_image, read_image

Image = pytest.importorskip("PIL.Image")
RGB = ("red", "green", "blue")


@pytest.fixture
def pixels():
    """(30, 40, 3) of noise: nothing about it is symmetric."""
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def saved(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.TIFF", "A.PNG", "im age é.png"])
def test_colours_arrive_red_first(tmp_path, pixels, name):
    image = read_image(saved(tmp_path / name, pixels))
    assert (image.dtype, image.flags.c_contiguous) == (np.uint8, True)
    np.testing.assert_array_equal(image, pixels)


def test_a_jpeg_is_what_pillow_decodes(tmp_path):
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    image = np.stack(np.broadcast_arrays(ramp, ramp[:, None], ramp[::-1]), axis=2)
    path = saved(tmp_path / "a.JPG", np.ascontiguousarray(image), quality=95)
    wanted = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert np.abs(read_image(path).astype(int) - wanted).max() <= 2


def test_grey_becomes_three_equal_channels(tmp_path, pixels):
    image = read_image(saved(tmp_path / "grey.png", pixels[..., 0]))
    np.testing.assert_array_equal(image, np.repeat(pixels[..., :1], 3, axis=2))


@pytest.mark.parametrize("alpha", [0, 128])
def test_transparency_is_dropped(tmp_path, pixels, alpha):
    rgba = np.dstack([pixels, np.full(pixels.shape[:2], alpha, np.uint8)])
    np.testing.assert_array_equal(read_image(saved(tmp_path / "rgba.png", rgba)), pixels)
    grey = np.ascontiguousarray(rgba[..., [0, 3]])
    np.testing.assert_array_equal(read_image(saved(tmp_path / "la.png", grey))[..., 1], pixels[..., 0])


def test_palettes_and_bits_are_applied(tmp_path, pixels):
    for mode in ("P", "1"):
        picture = Image.fromarray(pixels).convert(mode)
        picture.save(tmp_path / "p.png")
        np.testing.assert_array_equal(read_image(tmp_path / "p.png"), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    """A picture of four colours, stored as a camera held in each of the eight ways stores it."""
    quarters = np.zeros((32, 48, 3), np.uint8)
    quarters[:16, :24], quarters[:16, 24:], quarters[16:, :24] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    stored = {
        1: quarters,
        2: quarters[:, ::-1],
        3: quarters[::-1, ::-1],
        4: quarters[::-1],
        5: quarters.transpose(1, 0, 2),
        6: np.rot90(quarters, 1),
        7: np.rot90(quarters.transpose(1, 0, 2), 2),
        8: np.rot90(quarters, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "camera.jpg"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=100, subsampling=0)
    got = read_image(path)
    assert got.shape == quarters.shape
    assert np.abs(got.astype(int) - quarters).max() <= 8


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_16_bits_are_stretched_from_minimum_to_maximum(tmp_path, name):
    deep = np.array([[1000, 1510], [2020, 1765]], np.uint16)
    Image.fromarray(deep).save(tmp_path / name)
    got = read_image(tmp_path / name)
    np.testing.assert_array_equal(got[..., 0], [[0, 128], [255, 191]])  # (v - 1000) / 1020 * 255, rounded
    np.testing.assert_array_equal(got[..., 0], got[..., 2])


def test_16_bits_of_one_value_are_black(tmp_path):
    Image.fromarray(np.full((3, 3), 700, np.uint16)).save(tmp_path / "flat.png")
    assert not read_image(tmp_path / "flat.png").any()


def test_float_values_have_to_be_finite(tmp_path):
    Image.fromarray(np.array([[0.0, np.nan], [1.0, np.inf]], np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(CaseError, match=r"f\.tif: 2 of 4 values are NaN"):
        read_image(tmp_path / "f.tif")
    Image.fromarray(np.array([[-1.0, 0.0], [1.0, 3.0]], np.float32)).save(tmp_path / "f.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "f.tif")[..., 1], [[0, 64], [128, 255]])


def test_a_tiff_of_several_pages(tmp_path, pixels):
    first = Image.fromarray(pixels)
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[first, first])
    with pytest.raises(CaseError, match=r"pages\.tif: holds 3 pages"):
        read_image(tmp_path / "pages.tif")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_cut_file_is_never_half_an_image(tmp_path, pixels, suffix, share):
    whole = saved(tmp_path / f"a{suffix}", pixels).read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CaseError, match=r"cut\.\w+: .*(cut short|damaged)") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_a_cut_jpeg_with_a_whole_thumbnail(tmp_path, pixels):
    """The end mark of the thumbnail in its header is not the end of the image."""
    small, large = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels).save(small, "JPEG")
    Image.fromarray(pixels).save(large, "JPEG")
    header = b"\xff\xe1" + (len(small.getvalue()) + 8).to_bytes(2, "big") + b"Exif\0\0" + small.getvalue()
    whole = large.getvalue()[:2] + header + large.getvalue()[2:]
    (tmp_path / "a.jpg").write_bytes(whole)
    assert read_image(tmp_path / "a.jpg").shape == pixels.shape
    (tmp_path / "a.jpg").write_bytes(whole[:-200])
    with pytest.raises(CaseError, match="cut short"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"<html>404</html>", "not an image"), (b"\0" * 999, "not an image")],
)
def test_files_that_are_no_images(tmp_path, content, words):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(CaseError, match=rf"x\.jpg: .*{words}"):
        read_image(tmp_path / "x.jpg")


def test_absent_files_name_the_table_that_named_them(tmp_path):
    case = ImageCase("a", "a", tmp_path / "gone.png", {}, "labels.csv:7")
    for read in (case.read, case.fingerprint):
        with pytest.raises(CaseError, match=r"gone\.png: there is no such file \(named in labels\.csv:7\)"):
            read()
    with pytest.raises(CaseError, match=r"gone\.png: cannot be read"):
        read_image(tmp_path / "gone.png")


def test_a_fingerprint_is_that_of_the_bytes(tmp_path, pixels):
    path = saved(tmp_path / "a.png", pixels)
    case = ImageCase("a", "a", path, {"class": "x"})
    assert case.fingerprint() == hashlib.sha256(path.read_bytes()).hexdigest()


def bilinear(values, count):
    """One axis enlarged, samples at the middles of pixels, by numpy's interpolation."""
    at = (np.arange(count) + 0.5) * len(values) / count - 0.5
    return np.stack([np.interp(at, np.arange(len(values)), line) for line in values.T], axis=1)


def test_shrinking_averages_areas(pixels):
    got = fit_image(pixels, ImageSpec("x", RGB, (6, 10), "stretch"))
    blocks = pixels.reshape(6, 5, 10, 4, 3).mean(axis=(1, 3))
    assert np.abs(got - blocks).max() <= 0.5 + 1e-6


def test_enlarging_is_bilinear(pixels):
    got = fit_image(pixels[..., 0], ImageSpec("x", ("grey",), (77, 101), "stretch"))[..., 0]
    wanted = bilinear(bilinear(pixels[..., 0].astype(float), 77).T, 101).T
    assert np.abs(got - wanted).max() <= 1


def test_an_axis_that_shrinks_and_one_that_grows(pixels):
    got = fit_image(pixels, ImageSpec("x", RGB, (10, 80), "stretch"))
    rows = pixels.reshape(10, 3, 40, 3).mean(axis=1)
    wanted = np.stack([bilinear(rows[..., k].T, 80).T for k in range(3)], axis=2)
    assert np.abs(got - wanted).max() <= 1.5


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
@settings(max_examples=60, deadline=None)
def test_padding_keeps_proportions_and_the_middle(size, shape):
    white = fit_image(np.full(size, 255, np.uint8), ImageSpec("x", ("grey",), shape))[..., 0] > 0
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    scale = min(shape[0] / size[0], shape[1] / size[1])
    for found, whole, old in ((rows, shape[0], size[0]), (columns, shape[1], size[1])):
        assert len(found) == found[-1] - found[0] + 1
        assert abs(len(found) - max(1, old * scale)) <= 0.5
        assert abs(found[0] - (whole - 1 - found[-1])) <= 1
    assert len(rows) == shape[0] or len(columns) == shape[1]


def test_an_image_of_the_models_size_is_left_alone(pixels):
    for resize in ("pad", "stretch"):
        np.testing.assert_array_equal(fit_image(pixels, ImageSpec("x", RGB, (30, 40), resize)), pixels)


def test_grey_of_colours(pixels):
    got = fit_image(pixels, ImageSpec("x", ("grey",), (30, 40)))[..., 0]
    assert np.abs(got - pixels @ np.array([0.299, 0.587, 0.114])).max() <= 0.51
    grey = np.repeat(pixels[..., :1], 3, axis=2)
    np.testing.assert_array_equal(
        fit_image(grey, ImageSpec("x", ("grey",), (30, 40)))[..., 0], pixels[..., 0]
    )
    colours = fit_image(pixels[..., 0], ImageSpec("x", RGB, (30, 40)))
    np.testing.assert_array_equal(colours, grey)


def test_normalisations_by_hand():
    image = np.array([[[0], [255]], [[51], [102]]], np.uint8)
    unit = normalise_image(image, ImageSpec("x", ("grey",), (2, 2)))
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, [[[-1, 1], [-0.6, -0.2]]], atol=1e-6)
    score = normalise_image(image, ImageSpec("x", ("grey",), (2, 2), normalise="zscore"))
    # mean 102, variance ((102^2 + 153^2 + 51^2 + 0) / 4) = 9103.5
    np.testing.assert_allclose(score * np.sqrt(9103.5), [[[-102, 153], [-51, 0]]], atol=1e-4)
    flat = normalise_image(np.full((2, 2, 3), 9, np.uint8), ImageSpec("x", RGB, (2, 2), normalise="zscore"))
    assert (flat.shape, flat.any()) == ((3, 2, 2), False)


def test_what_a_model_is_fed(tmp_path, pixels):
    spec = ImageSpec("x", RGB, (12, 20))
    case = ImageCase("a", "a", saved(tmp_path / "a.png", pixels))
    tensor = prepare_image(case, spec)
    assert (tensor.shape, tensor.dtype, tensor.flags.c_contiguous) == ((3, 12, 20), np.float32, True)
    assert (np.abs(tensor) <= 1).all()
    np.testing.assert_array_equal(tensor, prepare_image(pixels, spec))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((4, 4), np.uint16),
        "a.png",
    ],
)
def test_arrays_that_are_no_images(image):
    with pytest.raises(InputError, match=r"\(H, W\) or \(H, W, 3\) of uint8"):
        prepare_image(image, ImageSpec("x", RGB, (4, 4)))


@pytest.mark.data
def test_real_images(data_root):
    """Every tenth of the real JPEGs, against Pillow's decoder."""
    paths = (
        sorted(data_root.glob("endoscopy/*/*.jpg"))[::10]
        + sorted(data_root.glob("brisc2d/images/*.jpg"))[::40]
    )
    assert len(paths) >= 60
    for path in paths:
        wanted = np.asarray(Image.open(path).convert("RGB")).astype(int)
        got = read_image(Path(path)).astype(int)
        assert got.shape == wanted.shape
        assert np.abs(got - wanted).mean() < 1
