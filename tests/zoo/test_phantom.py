"""Phantoms: the same from the same seed, anatomy as in people, tumours as drawn, any grid, clear refusals."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage

from voxzoo.zoo.datasets import open_dataset
from voxzoo.zoo.errors import InputError, UsageError
from voxzoo.zoo.phantom import parse_phantom, phantom_case, phantom_dataset
from voxzoo.zoo.phantom.anatomy import WORK, Anatomy, Lattice, draw_anatomy, sample
from voxzoo.zoo.phantom.template import load_template, noise_tile

COARSE = {"shape": (80, 96, 76), "spacing_mm": 2.0}


def bits(made):
    return b"".join(made.images[name].tobytes() for name in sorted(made.images)) + made.labels.tobytes()


@pytest.fixture(scope="module")
def high():
    return [phantom_case(5, i, grade="high", **COARSE) for i in range(6)]


@pytest.fixture(scope="module")
def low():
    return [phantom_case(5, i, grade="low", **COARSE) for i in range(6)]


def test_same_seed_same_bits_in_any_order_and_thread():
    first = [bits(phantom_case(1, i, **COARSE)) for i in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        again = list(pool.map(lambda i: bits(phantom_case(1, i, **COARSE)), (1, 0)))
    assert again == first[::-1]
    assert first[0] != first[1]
    assert bits(phantom_case(2, 0, **COARSE)) != first[0]


def test_same_bits_in_another_process():
    code = (
        "from voxzoo.zoo.phantom import phantom_case; m = phantom_case(1, 0, shape=(40, 48, 38)); "
        "blocks = [m.images[k].tobytes() for k in sorted(m.images)] + [m.labels.tobytes()]; "
        "import hashlib; print(hashlib.sha256(b''.join(blocks)).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == hashlib.sha256(bits(phantom_case(1, 0, shape=(40, 48, 38)))).hexdigest()


def test_one_anatomy_on_every_grid():
    """The 2 mm case is what the 1 mm case shows at the same places of the world."""
    fine = phantom_case(3, 0, shape=(160, 192, 152), spacing_mm=1.0)
    coarse = phantom_case(3, 0, **COARSE)
    volume_fine, volume_coarse = (fine.labels > 0).sum() / 1000, (coarse.labels > 0).sum() * 8 / 1000
    assert volume_coarse == pytest.approx(volume_fine, rel=0.05)
    centres = [
        (m.affine @ np.append(np.mean(np.argwhere(m.labels > 0), axis=0), 1.0))[:3] for m in (fine, coarse)
    ]
    assert np.linalg.norm(centres[0] - centres[1]) < 1.0


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [
        ((32, 32, 32), None),
        ((32, 32, 32), 1.0),
        ((1, 1, 1), None),
        ((60, 200, 20), (2.5, 0.9, 8.0)),
        ((5, 300, 7), (30.0, 0.7, 25.0)),
        ((240, 240, 24), (1.0, 1.0, 6.0)),
    ],
)
def test_any_grid(shape, spacing_mm):
    made = phantom_case(0, 0, shape=shape, spacing_mm=spacing_mm)
    assert made.labels.shape == shape
    assert made.labels.dtype == np.uint8
    for image in made.images.values():
        assert image.shape == shape
        assert image.dtype == np.int16
        assert image.min() >= 0
    if spacing_mm is not None:
        np.testing.assert_allclose(np.abs(np.diag(made.affine)[:3]), np.broadcast_to(spacing_mm, 3))
    assert (np.sign(np.diag(made.affine)[:3]) == (-1, -1, 1)).all()


def test_default_spacing_holds_the_head():
    made = phantom_case(4, 0, shape=(48, 48, 48))
    assert np.diag(made.affine)[2] == pytest.approx(200 / 48)  # mm front to back over voxels
    for axis in range(3):
        face = np.moveaxis(made.images["t1"], axis, 0)
        assert not face[0].any()
        assert not face[-1].any()


def test_modalities_share_one_brain_and_labels_lie_in_it(high, low):
    for made in high + low:
        brain = made.images["t1"] > 0
        assert all(((image > 0) == brain).all() for image in made.images.values())
        assert brain[made.labels > 0].all()
        assert set(np.unique(made.labels)) <= {0, 1, 2, 3}
        assert 1100 < brain.sum() * 2.0**3 / 1000 < 1900  # mL
        assert ndimage.label(brain)[1] < 40


def test_tumour_has_the_volume_that_was_drawn(high, low):
    for made in high + low:
        planned = float(made.facts["planned_whole_ml"])
        assert (made.labels > 0).sum() * 2.0**3 / 1000 == pytest.approx(planned, rel=0.35, abs=4)


def test_necrosis_is_enclosed(high, low):
    """Necrosis touches normal brain almost nowhere but at the surface: rim or edema lies between."""
    for made in high + low:
        dead = made.labels == 1
        if dead.sum() < 100:
            continue
        brain = ndimage.binary_erosion(made.images["t1"] > 0, iterations=3)
        beside = ndimage.binary_dilation(dead) & ~dead & brain
        assert (made.labels[beside] == 0).mean() < 0.12


def test_enhancing_rim_surrounds_necrosis():
    rings = [m for i in range(8) if (m := phantom_case(9, i, grade="high", **COARSE)).facts["kind"] == "ring"]
    assert len(rings) >= 3
    for made in rings:
        dead, rim = made.labels == 1, made.labels == 3
        assert rim.sum() > 30
        outside = ndimage.distance_transform_edt(dead | rim)
        assert outside[rim].mean() < outside[dead].mean()  # nearer to the core's edge than the necrosis


def test_low_grade_enhances_less(high, low):
    def share(made):
        return (made.labels == 3).sum() / (made.labels > 0).sum()

    assert np.mean([share(m) for m in low]) < 0.3 * np.mean([share(m) for m in high])
    assert sum(share(m) < 0.02 for m in low) >= 4


def region_means(made, modality):
    """Mean signals of white, grey and fluid, told apart by the noise-free tissue map of the same case."""
    from voxzoo.zoo.phantom.case import _generators
    from voxzoo.zoo.phantom.tumour import draw_plan, grow_tumour

    person, disease = _generators(int(made.facts["seed"]), int(made.facts["index"]))[:2]
    tumour = grow_tumour(disease, draw_plan(disease, made.grade), draw_anatomy(person))
    steps = np.diag(made.affine)[:3]
    tissue = sample(tumour.anatomy, Lattice(made.affine[:3, 3], steps, made.labels.shape))
    image = made.images[modality]
    healthy = (image > 0) & (ndimage.binary_dilation(made.labels > 0, iterations=4) == 0) & (tissue.depth > 6)
    classes = (tissue.tissue > 1.95, np.abs(tissue.tissue - 1) < 0.05, tissue.ventricle > 0.9)
    return [float(image[healthy & chosen].mean()) for chosen in classes]


def test_contrast_of_the_four_modalities(high):
    """T1: white > grey > fluid; T2: fluid > grey > white; FLAIR: grey > white > fluid, edema bright."""
    for made in high[:3]:
        for name, order in (("t1", "wgf"), ("t1ce", "wgf"), ("t2", "fgw"), ("flair", "gwf")):
            means = dict(zip("wgf", region_means(made, name), strict=True))
            assert "".join(sorted(means, key=means.get, reverse=True)) == order, (made.facts, name, means)
        for name in ("flair", "t2"):
            white = region_means(made, name)[0]
            assert made.images[name][made.labels == 2].mean() > white


def test_enhancing_tissue_is_bright_after_contrast_only(high):
    for made in high:
        rim = made.labels == 3
        if rim.sum() < 100:
            continue
        brain = (made.images["t1"] > 0) & (made.labels == 0)
        after = np.mean(made.images["t1ce"][rim]) / np.median(made.images["t1ce"][brain])
        before = np.mean(made.images["t1"][rim]) / np.median(made.images["t1"][brain])
        assert after > 1.1 * before


def test_edema_stays_out_of_ventricles_and_cerebellum_mostly(high, low):
    """The ventricles are fluid: dark on FLAIR and unlabelled even when edema lies around them."""
    from voxzoo.zoo.phantom.case import _generators
    from voxzoo.zoo.phantom.tumour import draw_plan, grow_tumour

    person, disease = _generators(5, 0)[:2]
    tumour = grow_tumour(disease, draw_plan(disease, "high"), draw_anatomy(person))
    tissue = sample(tumour.anatomy, WORK)
    wet = tumour.levels[..., 1] > 0
    assert (wet & (tissue.ventricle > 0.9)).sum() <= 0.2 * (tissue.ventricle > 0.9).sum()


def test_template_is_a_brain():
    maps = load_template().maps
    np.testing.assert_array_equal(maps, maps[::-1])  # mirror symmetric
    volume = load_template().spacing_mm ** 3 / 1000
    grey, white = (maps[..., c].astype(float).sum() / 255 * volume for c in (0, 1))
    assert 800 < grey < 1250
    assert 450 < white < 800
    assert 5 < maps[..., 3].astype(float).sum() / 255 * volume < 80  # mL of ventricles
    axis = [round((0 - o) / 1.5) for o in load_template().origin_mm]
    callosum = maps[axis[0], :, axis[2] + 10 : axis[2] + 20, 1]  # white matter crosses the mirror plane
    assert callosum.max() > 200


def test_noise_tile_is_unit_and_periodic():
    tile = noise_tile()
    np.testing.assert_allclose(tile.std(axis=(0, 1, 2)), 1, rtol=1e-4)
    wrap = np.abs(tile[0] - tile[-1]).mean()
    inside = np.abs(np.diff(tile, axis=0)).mean()
    assert wrap == pytest.approx(inside, rel=0.15)


def test_an_unbent_brain_is_symmetric():
    anatomy = Anatomy(
        np.eye(3, 4),
        np.zeros((41, 49, 42, 4), np.float32),
        np.array([0.0, 0.0, 3.0, 1.0, 0.0]),
        np.zeros((3, 2)),
        np.zeros((3, 2)),
    )
    # 81 points from -80 mm in steps of 2 mm mirror at x = 0; neither folds nor roughness were asked.
    tissue = sample(anatomy, WORK)
    np.testing.assert_allclose(tissue.tissue, tissue.tissue[::-1], atol=1e-5)
    np.testing.assert_allclose(tissue.midline, -tissue.midline[::-1], atol=1e-5)


def test_front_travels_at_its_speed():
    """In a uniform medium arrival times are distances over speed, as near as a first-order scheme comes."""
    from voxzoo.zoo.phantom.kernels import grow

    time = np.full((31, 31, 31), 1e4, np.float32)
    time[15, 15, 15] = 0
    grow(time, np.full(time.shape, 0.5, np.float32), 2.0, 1)
    far = 2.0 * np.sqrt(sum((axis - 15.0) ** 2 for axis in np.indices(time.shape))) / 0.5
    np.testing.assert_allclose(time[15, 15], far[15, 15], rtol=1e-6)  # exact along an axis
    assert (time >= far - 1e-3).all()
    assert (time <= 1.12 * far + 6.0).all()


def test_a_wall_holds_the_front_up():
    from voxzoo.zoo.phantom.kernels import grow

    speed = np.ones((21, 5, 5), np.float32)
    speed[10] = 0
    time = np.full(speed.shape, 1e4, np.float32)
    time[0] = 0
    grow(time, speed, 1.0, 2)
    assert (time[:10] < 1e4).all()
    assert (time[10:] == 1e4).all()


def test_dataset_is_lazy_and_longer_series_begin_alike():
    few, many = (
        phantom_dataset(n=2, seed=4, shape=(40, 48, 38)),
        phantom_dataset(n=30_000, seed=4, shape=(40, 48, 38)),
    )
    assert [case.fingerprint() for case in few] == [case.fingerprint() for case in many.cases[:2]]
    assert few.cases[0].id == few.cases[0].patient == "phantom-0000"
    assert len({case.id for case in many}) == 30_000
    high = np.mean([case.grade == "high" for case in many.cases[:3000]])
    assert high == pytest.approx(0.6, abs=0.03)


def test_case_gives_what_phantom_case_makes():
    case = phantom_dataset(n=3, seed=4, shape=(40, 48, 38)).cases[2]
    made = phantom_case(4, 2, shape=(40, 48, 38))
    assert case.grade == made.grade
    np.testing.assert_array_equal(case.read_reference(), made.labels)
    for name in ("flair", "t1", "t1ce", "t2"):
        np.testing.assert_array_equal(case.read_image(name), made.images[name])
    np.testing.assert_array_equal(case.grid().affine, made.affine)
    assert case.grid().codes == ("L", "P", "S")
    with pytest.raises(ValueError, match="read-only"):
        case.read_image("t1")[0, 0, 0] = 1


def test_a_case_is_made_once_for_its_five_volumes(monkeypatch):
    from voxzoo.zoo.phantom import dataset

    calls = []

    def counted(*args, **kwargs):
        calls.append(args)
        return phantom_case(*args, **kwargs)

    monkeypatch.setattr(dataset, "phantom_case", counted)
    case = phantom_dataset(n=1, seed=991, shape=(24, 28, 24)).cases[0]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(case.read_image, ("flair", "t1", "t1ce", "t2")))
    case.read_reference()
    assert len(calls) == 1


def test_a_failed_making_is_told_and_tried_again(monkeypatch):
    from voxzoo.zoo.phantom import dataset

    case = phantom_dataset(n=1, seed=992, shape=(24, 28, 24)).cases[0]

    def broken(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(dataset, "phantom_case", broken)
    with pytest.raises(MemoryError):
        case.read_image("t1")
    monkeypatch.undo()
    assert case.read_image("t1").any()


def test_fingerprint_knows_every_option():
    def prints(**options):
        return phantom_dataset(**{"n": 1, "shape": (24, 28, 24), **options}).fingerprint()

    every = [prints(), prints(seed=1), prints(shape=(24, 28, 25)), prints(spacing_mm=3.0), prints(n=2)]
    assert len(set(every)) == len(every)
    assert prints() == every[0]


def test_spec():
    assert parse_phantom("phantom") == {}
    assert parse_phantom("phantom:n=8,seed=1,shape=96x112x96,spacing=2") == {
        "n": 8,
        "seed": 1,
        "shape": (96, 112, 96),
        "spacing_mm": 2.0,
    }
    assert parse_phantom("phantom: spacing=1x1x3 , grade=low") == {
        "spacing_mm": (1.0, 1.0, 3.0),
        "grade": "low",
    }
    data = open_dataset("phantom:n=3,seed=2,shape=24x28x24,spacing=8,grade=low")
    assert data.kind == "phantom"
    assert [case.grade for case in data] == ["low"] * 3
    assert "McConnell" in data.licence
    assert open_dataset(data.source).fingerprint() == data.fingerprint()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("phantom:size=3", "known are n=…, seed=…, shape=…, spacing=…, grade=…"),
        ("phantom:n", "'n' is no option"),
        ("phantom:n=x", "n=x cannot be read; an example: n=8"),
        ("phantom:n=0", "1 to 100000"),
        ("phantom:n=1,n=2", "given twice"),
        ("phantom:grade=III", "grade=low"),
        ("phantom:shape=axb", "shape=96x112x96"),
        ("phantom:shape=96x96", "three sizes"),
        ("phantom:shape=96x96x0", "three sizes"),
        ("phantom:spacing=0", "positive"),
        ("phantom:spacing=nan", "positive"),
        ("phantom:spacing=1x2", "one or three"),
        ("phantom:seed=-1", ">= 0"),
        ("phantoms", "neither a folder"),
    ],
)
def test_spec_errors(spec, says):
    with pytest.raises((UsageError, InputError), match=says.replace("(", r"\(")):
        open_dataset(spec)


def test_unknown_grade():
    with pytest.raises(UsageError, match="'III'"):
        phantom_case(0, grade="III")


def test_bundled_template_is_what_the_builder_makes(tmp_path):
    pytest.importorskip("nilearn")
    from voxzoo.zoo.phantom.build_template import TARGET, build

    with np.load(build(tmp_path / "again.npz")) as again, np.load(TARGET) as stored:
        assert set(again) == set(stored)
        for key in stored:
            # Another SciPy may round a last bit the other way.
            np.testing.assert_allclose(again[key].astype(float), stored[key].astype(float), atol=1)
    assert TARGET.stat().st_size < 1_500_000


@pytest.mark.data
def test_statistics_lie_among_those_of_patients(data_root):
    """Edema stands out from the brain by as many deviations as patients' does (their range, widened)."""
    import nibabel

    def z(image, mask):
        values = image[image > 0].astype(float)
        return (image[mask].mean() - values.mean()) / values.std()

    real = []
    for folder in sorted((data_root / "glioma3d").glob("BraTS2021_0000*")):
        labels = np.asarray(nibabel.load(folder / f"{folder.name}_seg.nii.gz").dataobj)
        images = {
            m: np.asarray(nibabel.load(folder / f"{folder.name}_{m}.nii.gz").dataobj) for m in ("flair", "t2")
        }
        real.append([z(images[m], labels == 2) for m in ("flair", "t2")])
    assert real
    made = [phantom_case(6, i, **COARSE) for i in range(8)]
    ours = np.median([[z(m.images[n], m.labels == 2) for n in ("flair", "t2")] for m in made], axis=0)
    low, high = np.min(real, axis=0) - 0.5, np.max(real, axis=0) + 0.5
    assert ((ours > low) & (ours < high)).all(), (ours, low, high)
