"""Datasets of images: folders per class, tables, their bad inputs, and their splits."""

from collections import Counter

import numpy as np
import pytest

from voxzoo.zoo import make_splits, open_dataset
from voxzoo.zoo.errors import CaseError, UsageError
from voxzoo.zoo.images import ImageCase

cv2 = pytest.importorskip("cv2")


def draw(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((4, 5), value, np.uint8))
    return path


def table(folder, *lines, name="labels.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


@pytest.fixture
def classes(tmp_path):
    """Two classes of three and two images, in every spelling of a suffix, and what is none."""
    for i, name in enumerate(("cat/b.jpg", "cat/a.PNG", "cat/c.Tiff", "dog/a.bmp", "dog/z.JPEG")):
        draw(tmp_path / "pets" / name, i)
    for name in ("cat/.hidden.png", "cat/notes.txt", "readme.md"):
        (tmp_path / "pets" / name).write_text("no image")
    return tmp_path / "pets"


def test_a_folder_per_class(classes):
    dataset = open_dataset(classes)
    assert (dataset.name, dataset.kind, dataset.licence) == ("pets", "images", "unconfirmed")
    assert [case.id for case in dataset] == [
        "cat/a.PNG",
        "cat/b.jpg",
        "cat/c.Tiff",
        "dog/a.bmp",
        "dog/z.JPEG",
    ]
    assert [case.fact("class") for case in dataset] == ["cat"] * 3 + ["dog"] * 2
    assert all(case.patient == case.id and case.has_reference for case in dataset)
    assert all(case.read().shape == (4, 5, 3) for case in dataset)
    assert dataset.images() == dataset.cases
    with pytest.raises(UsageError, match="pets: holds 2-D images"):
        dataset.volumes()


def test_masks_are_no_class(classes):
    draw(classes / "Masks" / "a.png")
    assert {case.fact("class") for case in open_dataset(classes)} == {"cat", "dog"}


def test_a_broken_image_fails_alone(classes):
    path = classes / "dog" / "broken.jpg"
    path.write_bytes((classes / "cat" / "b.jpg").read_bytes()[:-40])
    cases = {case.id: case for case in open_dataset(classes)}
    assert len(cases) == 6
    assert cases.pop("dog/broken.jpg").fingerprint()
    with pytest.raises(CaseError, match=r"broken\.jpg: the image is cut short"):
        ImageCase("x", "x", path).read()
    assert all(case.read() is not None for case in cases.values())


def test_an_empty_class_folder_is_told(classes):
    (classes / "bird").mkdir()
    with pytest.raises(UsageError, match=r"bird: no image \(\.bmp.*put images there or take it away"):
        open_dataset(classes)


def test_images_one_level_deeper_are_told(classes):
    draw(classes / "fish" / "p1" / "a.png")
    with pytest.raises(UsageError, match=r"fish: no image.*deeper, in p1"):
        open_dataset(classes)


def test_images_without_a_class(tmp_path):
    draw(tmp_path / "plain" / "b.png")
    draw(tmp_path / "plain" / "images" / "a.png")
    dataset = open_dataset(tmp_path / "plain")
    assert [(case.id, case.fact("class"), case.has_reference) for case in dataset] == [
        ("b.png", None, False),
        ("images/a.png", None, False),
    ]


def test_a_folder_of_nothing(tmp_path):
    (tmp_path / "void" / "sub").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"2-D images in a folder per class or with a labels\.csv"):
        open_dataset(tmp_path / "void")


@pytest.mark.parametrize("place", ["", "images"])
@pytest.mark.parametrize("header", ["name,label", "image,class", "File,Label"])
@pytest.mark.parametrize("suffix", ["", ".png"])
def test_a_table(tmp_path, place, header, suffix):
    root = tmp_path / "set"
    draw(root / place / "a.png", 7)
    draw(root / place / "b.PNG" if not suffix else root / place / "b.png")
    draw(root / "masks" / "a.png")
    table(root, f"{header},patient,Site", f"b{suffix},x,,Berlin", f"a{suffix},y z,p1,")
    b, a = open_dataset(root)
    assert (b.id, b.patient, b.facts) == (f"b{suffix}", f"b{suffix}", {"class": "x", "site": "Berlin"})
    assert (a.id, a.patient, a.facts) == (f"a{suffix}", "p1", {"class": "y z"})
    assert (a.read() == 7).all()


def test_a_table_with_subfolders_and_a_table_by_its_path(tmp_path):
    draw(tmp_path / "images" / "train" / "a.png")
    path = table(tmp_path, "name,label", "train/a,x", name="mine.csv")
    dataset = open_dataset(path)
    assert (dataset.kind, dataset.source) == ("images", str(path))
    assert dataset.cases[0].read().shape == (4, 5, 3)


def test_absent_files_and_labels_are_no_reason_to_stop(tmp_path):
    draw(tmp_path / "a.png")
    table(tmp_path, "image,label", "a.png,x", "gone.png,x", "a_too.png,")
    a, gone, other = open_dataset(tmp_path)
    assert a.read().shape == (4, 5, 3)
    for read in (gone.read, gone.fingerprint):
        with pytest.raises(CaseError, match=r"gone\.png: there is no such file \(named in .*labels\.csv:3\)"):
            read()
    assert (other.fact("class"), other.has_reference) == (None, False)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("id,diagnosis", "a.png,x"), r"labels\.csv: a column image or file or name and .* it has id, diag"),
        (("image,grade", "a.png,x"), r"labels\.csv: .*column label or class"),
        (("label", "x"), r"labels\.csv: a column image"),
        (("image,label", ",x"), r"labels\.csv:2: the row has no image"),
        (("image,label", "a.png,x", "a.png,y"), r"labels\.csv:3: a\.png was already named in .*csv:2"),
        (("image,label", "a,x", "a.png,y"), r"labels\.csv:3: a\.png was already named"),
        (("image,label", "b,x"), r"labels\.csv:2: b may be b\.bmp, b\.png; write the suffix"),
        (("image,label", "a.png,x,y"), r"labels\.csv:2: 3 fields"),
        (("",), r"labels\.csv: the table is empty"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, lines, words):
    for name in ("a.png", "b.png", "b.bmp"):
        draw(tmp_path / name)
    table(tmp_path, *lines)
    with pytest.raises(UsageError, match=words):
        open_dataset(tmp_path)


def test_a_table_of_neither_kind_by_its_path(tmp_path):
    with pytest.raises(UsageError, match=r"other\.csv: no column names files"):
        open_dataset(table(tmp_path, "case,grade", "a,3", name="other.csv"))


def test_a_selection_and_a_fingerprint(classes):
    dataset = open_dataset(classes)
    part = dataset.select(cases=["dog/a.bmp", "cat/b.jpg"])
    assert [case.id for case in part] == ["cat/b.jpg", "dog/a.bmp"]
    assert part.fingerprint() != dataset.fingerprint()
    draw(classes / "dog" / "z.JPEG", 200)
    assert open_dataset(classes).fingerprint() != dataset.select(limit=4).fingerprint()
    with pytest.raises(UsageError, match=r"no case 'dog/a\.png' in pets; did you mean dog/a\.bmp"):
        dataset.select(cases=["dog/a.png"])


def test_splits_by_class_and_patient(tmp_path):
    """30 patients with two images each, 6 of them rare: every fold gets a third, no patient is in two."""
    rows = [f"{i}.png,{'rare' if i // 2 % 5 == 0 else 'common'},p{i // 2}" for i in range(60)]
    table(tmp_path, "image,label,patient", *rows)
    dataset = open_dataset(tmp_path)
    splits = make_splits(dataset, folds=3)
    by_id = {case.id: case for case in dataset}
    assert splits.stratify == "class"
    homes = [{by_id[id].patient for id in fold} for fold in splits.folds]
    assert sum(len(home) for home in homes) == len(set.union(*homes)) == 30
    counts = [Counter(by_id[id].fact("class") for id in fold) for fold in splits.folds]
    assert counts == [{"rare": 4, "common": 16}] * 3
    assert make_splits(dataset, folds=3, stratify=None).stratify == "none"


@pytest.mark.data
def test_real_tables(data_root):
    dataset = open_dataset(data_root / "brisc2d")
    assert Counter(case.fact("class") for case in dataset) == dict.fromkeys(
        ("glioma", "meningioma", "no_tumor", "pituitary"), 320
    )
    for case in dataset.cases[::100]:
        assert case.read().shape == (int(case.facts["height"]), int(case.facts["width"]), 3)
    splits = make_splits(dataset)
    kinds = {case.id: case.fact("class") for case in dataset}
    assert all(set(Counter(kinds[id] for id in fold).values()) == {64} for fold in splits.folds)


@pytest.mark.data
def test_real_folders(data_root):
    dataset = open_dataset(data_root / "endoscopy")
    wanted = {"colon_polyps": 112, "erythema": 10, "large_bowels": 112, "normal_esophagus": 98}
    assert Counter(case.fact("class") for case in dataset) == wanted
    kinds = {case.id: case.fact("class") for case in dataset}
    assert all(Counter(kinds[id] for id in fold)["erythema"] == 2 for fold in make_splits(dataset).folds)


@pytest.mark.data
def test_patients_are_still_patients(data_root):
    """A folder of volumes is no folder of images, and its grade is a fact like any other."""
    dataset = open_dataset(data_root / "glioma3d")
    assert dataset.volumes() == dataset.cases
    known = {case.id: case.fact("grade") for case in dataset}
    assert known["BraTS2021_00000"] == "high"
    assert [known[name] for name in known if "_014" in name] == [None] * sum("_014" in name for name in known)
    with pytest.raises(UsageError, match="glioma3d: holds patients with volumes"):
        dataset.images()
