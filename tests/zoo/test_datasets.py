"""Datasets in every layout: BraTS of all years, MSD, manifests, tables of facts; and what is refused."""

import gzip
import json
import random
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from voxzoo.zoo.datasets import open_dataset
from voxzoo.zoo.errors import CaseError, LabelError, UsageError
from voxzoo.zoo.sources.facts import parse_grade

OLD = ("_flair", "_t1", "_t1ce", "_t2", "_seg")
NEW = ("-t2f", "-t1n", "-t1c", "-t2w", "-seg")
MIXED = ("_T2F", "_t1", "-T1C", "_t2w", "_SEG")
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
SHAPE = (4, 5, 6)


def image(value):
    return np.full(SHAPE, value, np.int16)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = nibabel.Nifti1Image(array, AFFINE, dtype=array.dtype).to_bytes()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def patient(root, name, ends=OLD, suffix=".nii.gz"):
    """A patient whose flair, t1, t1ce, t2 hold 1, 2, 3, 4 and whose reference holds 2."""
    for value, end in enumerate(ends, start=1):
        array = np.full(SHAPE, 2, np.uint8) if end.lower().endswith("seg") else image(value)
        save(root / name / f"{name}{end}{suffix}", array)
    return root / name


def values(case):
    return {m: int(case.read_image(m).max()) for m in case.modalities}


ALL = {"flair": 1, "t1": 2, "t1ce": 3, "t2": 4}


@pytest.mark.parametrize("ends", [OLD, NEW, MIXED])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_names_of_every_year(tmp_path, ends, suffix):
    patient(tmp_path, "BraTS-GLI-00012-000", ends, suffix)
    (case,) = open_dataset(tmp_path)
    assert values(case) == ALL
    assert (case.id, case.patient) == ("BraTS-GLI-00012-000", "BraTS-GLI-00012")
    assert np.unique(case.read_reference()).tolist() == [2]


def test_grade_by_folder_and_order_by_name(tmp_path):
    for grade, name in (("LGG", "Brats18_b"), ("HGG", "Brats18_c"), ("HGG", "Brats18_a")):
        patient(tmp_path / grade, name)
    dataset = open_dataset(tmp_path)
    assert [(c.id, c.grade) for c in dataset] == [
        ("Brats18_a", "high"),
        ("Brats18_c", "high"),
        ("Brats18_b", "low"),
    ]
    assert [c.grade for c in open_dataset(tmp_path / "LGG")] == ["low"]
    assert open_dataset(tmp_path / "LGG" / "Brats18_b").cases[0].grade == "low"
    assert (dataset.name, dataset.kind, dataset.licence) == (tmp_path.name, "brats", "unconfirmed")


def test_name_mapping_of_2020(tmp_path):
    for name in ("BraTS20_Training_001", "BraTS20_Training_002", "BraTS20_Training_003"):
        patient(tmp_path, name)
    (tmp_path / "name_mapping.csv").write_text(
        "Grade,BraTS_2019_subject_ID,BraTS_2020_subject_ID\n"
        "HGG,BraTS19_A,BraTS20_Training_001\nLGG,,BraTS20_Training_002\n"
    )
    assert [c.grade for c in open_dataset(tmp_path)] == ["high", "low", None]


def test_the_one_odd_name_of_2020(tmp_path):
    folder = patient(tmp_path, "BraTS20_Training_355", OLD[:4])
    save(folder / "W39_1998.09.19_Segm.nii", np.full(SHAPE, 2, np.uint8))
    assert open_dataset(tmp_path).cases[0].read_reference().max() == 2


def test_a_table_of_facts_only_adds(tmp_path):
    for name in ("a", "b", "c"):
        patient(tmp_path, name)
    (tmp_path / "cases.csv").write_text(
        "\ufeffcase,grade,patient,collection\na,4,P1,UCSF-PDGM\nb,,P1,\nelsewhere,HGG,,\n", encoding="utf-8"
    )
    a, b, c = open_dataset(tmp_path)
    assert [(x.grade, x.patient) for x in (a, b, c)] == [("high", "P1"), (None, "P1"), (None, "c")]
    assert (a.facts, b.facts, c.facts) == ({"collection": "UCSF-PDGM"}, {}, {})
    assert values(a) == ALL


def test_hidden_files_and_other_folders_are_no_cases(tmp_path):
    folder = patient(tmp_path, "a")
    (folder / "._a_t1.nii.gz").write_bytes(b"x")
    (tmp_path / ".cache" / "b").mkdir(parents=True)
    save(tmp_path / ".cache" / "b" / "b_t1.nii", image(1))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("x")
    assert [c.id for c in open_dataset(tmp_path)] == ["a"]


def test_one_broken_patient_breaks_alone(tmp_path):
    patient(tmp_path, "a")
    patient(tmp_path, "b")
    (tmp_path / "a" / "a_t1.nii.gz").write_bytes(b"")
    a, b = open_dataset(tmp_path)
    assert values(b) == ALL
    with pytest.raises(CaseError, match="empty"):
        a.read_image("t1")


def test_a_circle_of_links_ends(tmp_path):
    patient(tmp_path / "set", "a")
    (tmp_path / "set" / "again").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="two cases are called a"):
        open_dataset(tmp_path)
    (tmp_path / "empty" / "loop").parent.mkdir()
    (tmp_path / "empty" / "loop").symlink_to(tmp_path / "empty")
    with pytest.raises(UsageError, match="no patient found"):
        open_dataset(tmp_path / "empty")


# -- Medical Segmentation Decathlon

MSD = {
    "name": "BRATS",
    "licence": "CC-BY-SA 4.0",
    "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
    "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
    "training": [{"image": "./imagesTr/BRATS_001.nii.gz", "label": "./labelsTr/BRATS_001.nii.gz"}],
}


def msd(root, **changes):
    description = {**MSD, **changes}
    stack = np.stack([image(v) for v in (1, 2, 3, 4)], axis=-1)
    for entry in MSD["training"]:
        save(root / entry["image"], stack)
        label = np.zeros(SHAPE, np.uint8)
        label[0], label[1], label[2] = 1, 2, 3
        save(root / entry["label"], label)
    (root / "dataset.json").write_text(json.dumps(description))
    return root


def test_msd_channels_and_labels_go_by_name(tmp_path):
    dataset = open_dataset(msd(tmp_path))
    (case,) = dataset
    assert (dataset.kind, dataset.licence, case.id) == ("msd", "CC-BY-SA 4.0", "BRATS_001")
    assert values(case) == ALL
    assert case.read_reference()[:4, 0, 0].tolist() == [2, 1, 3, 0]


def test_msd_in_another_order(tmp_path):
    msd(
        tmp_path,
        modality={"3": "FLAIR", "2": "T1w", "1": "t1gd", "0": "T2w"},
        labels={"background": 0, "enhancing tumor": 1, "necrosis": 2, "edema": 3},
    )
    (case,) = open_dataset(tmp_path)
    assert values(case) == {"flair": 4, "t1": 3, "t1ce": 2, "t2": 1}
    assert case.read_reference()[:3, 0, 0].tolist() == [3, 1, 2]


def test_msd_labels_without_a_known_name_are_refused_when_met(tmp_path):
    msd(tmp_path, labels={"0": "background", "1": "edema", "2": "vessel", "3": "enhancing tumour"})
    with pytest.raises(LabelError, match=r"30 voxels have labels \[2\]"):
        open_dataset(tmp_path).cases[0].read_reference()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"modality": None}, '"modality" is missing'),
        ({"modality": {"0": "FLAIR", "1": "flair"}}, "two channels are the same modality"),
        ({"labels": {"one": "edema"}}, "has to map numbers to names"),
        ({"training": [{"label": "x"}]}, "a training entry has to be"),
    ],
)
def test_msd_descriptions_that_say_too_little(tmp_path, changes, expected):
    with pytest.raises(UsageError, match=expected):
        open_dataset(msd(tmp_path, **changes))


def test_msd_case_that_is_not_there(tmp_path):
    msd(tmp_path, training=[{"image": "imagesTr/absent.nii.gz"}])
    (case,) = open_dataset(tmp_path)
    assert not case.has_reference
    with pytest.raises(CaseError, match=r"absent.nii.gz: there is no such file"):
        case.read_image("t1")


def test_a_dataset_json_that_is_none(tmp_path):
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(UsageError, match="not JSON"):
        open_dataset(tmp_path)


# -- manifests


def manifest(root, text, name="manifest.csv"):
    for value, stem in enumerate(("one", "two", "three", "four"), start=1):
        save(root / "files" / f"{stem}.nii.gz", image(value))
    save(root / "files" / "label.nii.gz", np.full(SHAPE, 2, np.uint8))
    (root / name).write_text(text)
    return root / name


FULL = "files/one.nii.gz,files/two.nii.gz,files/three.nii.gz,files/four.nii.gz,files/label.nii.gz"
HEADER = "case,patient,flair,t1,t1ce,t2,seg,grade,site"


@pytest.mark.parametrize("name", ["manifest.csv", "cases.csv"])
def test_a_manifest_names_files_relative_to_itself(tmp_path, name):
    path = manifest(tmp_path, f"{HEADER}\nk1,p1,{FULL},HGG,Berlin\nk2,p1,files/one.nii.gz,,,,,,\n", name)
    for spec in (tmp_path, path, str(path)):
        k1, k2 = open_dataset(spec)
        assert values(k1) == ALL
        assert (k1.patient, k1.grade, k1.facts) == ("p1", "high", {"site": "Berlin"})
        assert (k2.modalities, k2.has_reference, k2.grade) == (("flair",), False, None)
        assert k1.read_reference().max() == 2


def test_columns_may_have_the_names_of_2023(tmp_path):
    path = manifest(tmp_path, "case,T2F\nk,files/one.nii.gz\n")
    assert values(open_dataset(path).cases[0]) == {"flair": 1}


def test_a_file_that_is_not_there_fails_with_its_line_when_read(tmp_path):
    path = manifest(tmp_path, "case,flair,t1\na,files/one.nii.gz,\nb,files/one.nii.gz,files/nowhere.nii\n")
    a, b = open_dataset(path)
    assert values(a) == {"flair": 1}
    with pytest.raises(CaseError, match=r"nowhere.nii: there is no such file .*manifest.csv:3"):
        b.read_image("t1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("case,flair,grade\na,x,5\n", "manifest.csv:2: '5' is no grade"),
        ("case,flair\na,x\n\na,x\n", "manifest.csv:4: case a was already named in line 2"),
        ("case,flair\n,x\n", "manifest.csv:2: the row has no case name"),
        ("case,flair\na,x,y,z\n", "manifest.csv:2: 4 fields, but the header has 2"),
        ("name,flair\na,x\n", "no column 'case'"),
        ("case,flair,t2f\na,x,y\n", "manifest.csv:2: two columns name a file for flair"),
        ("", "empty"),
    ],
)
def test_tables_that_cannot_be_meant(tmp_path, text, expected):
    path = manifest(tmp_path, text)
    with pytest.raises(UsageError, match=expected):
        open_dataset(path)


def test_a_table_in_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"case,flair\n\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a CSV file in UTF-8"):
        open_dataset(path)


def test_facts_alone_are_no_dataset(tmp_path):
    (tmp_path / "cases.csv").write_text("case,grade\na,4\n")
    with pytest.raises(UsageError, match="give its folder instead"):
        open_dataset(tmp_path / "cases.csv")
    with pytest.raises(UsageError, match="no patient found"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("text", "grade"),
    [("HGG", "high"), ("hgg", "high"), ("4", "high"), ("4.0", "high"), ("III", "high"), ("WHO 3", "high"),
     ("LGG", "low"), ("2", "low"), ("I", "low"), ("low", "low"), ("", None), ("nan", None),
     (" unknown ", None)],
)  # fmt: skip
def test_grades(text, grade):
    assert parse_grade(text) == grade


# -- opening and choosing


def test_nothing_there(tmp_path):
    with pytest.raises(UsageError, match="neither a folder, nor"):
        open_dataset(tmp_path / "absent")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UsageError, match=r"a folder or a \.csv manifest"):
        open_dataset(tmp_path / "a.txt")


def test_one_id_in_two_sets(tmp_path):
    patient(tmp_path / "one", "a")
    patient(tmp_path / "two", "a")
    with pytest.raises(UsageError, match="two cases are called a"):
        open_dataset(tmp_path)


def test_select(tmp_path):
    for name in ("BraTS_1", "BraTS_2", "BraTS_3"):
        patient(tmp_path, name)
    dataset = open_dataset(tmp_path)
    assert [c.id for c in dataset.select(["BraTS_3", "BraTS_1"])] == ["BraTS_1", "BraTS_3"]
    assert [c.id for c in dataset.select(limit=2)] == ["BraTS_1", "BraTS_2"]
    assert [c.id for c in dataset.select(["BraTS_3"], limit=2)] == ["BraTS_3"]
    with pytest.raises(UsageError, match="did you mean BraTS_"):
        dataset.select(["BraTS_4"])
    with pytest.raises(UsageError, match="leaves no case"):
        dataset.select(limit=0)


def test_fingerprint_of_a_dataset(tmp_path):
    for name in ("a", "b"):
        patient(tmp_path, name)
    dataset = open_dataset(tmp_path)
    before = dataset.fingerprint()
    assert before == open_dataset(tmp_path).fingerprint() != dataset.select(["a"]).fingerprint()
    save(tmp_path / "b" / "b_t1.nii.gz", image(9))
    assert open_dataset(tmp_path).fingerprint() != before


@pytest.mark.data
def test_real_folders(data_root):
    dataset = open_dataset(data_root / "glioma3d")
    grades = {case.id: case.grade for case in dataset}
    assert len(dataset) == 10
    assert sorted(id for id, grade in grades.items() if grade is None) == [
        "BraTS2021_01479", "BraTS2021_01481", "BraTS2021_01484", "BraTS2021_01485",
    ]  # fmt: skip
    assert set(grades.values()) == {"high", None}
    assert len(open_dataset(data_root / "glioma3d_8bit")) == 3
    assert [c.id for c in open_dataset(data_root / "glioma3d_lgg")] == ["TCGA-DU-7294"]
    for case in [*random.Random(0).sample(list(dataset), 3), dataset.cases[0]]:
        assert np.count_nonzero(case.read_reference()) == int(case.facts["seg_voxels_wt"])


@pytest.mark.data
def test_several_datasets_below_one_folder(data_root):
    dataset = open_dataset(data_root)
    assert len(dataset) == 14
    assert sum(case.grade == "high" for case in dataset) == 6


def test_an_existing_folder_wins_over_a_word(tmp_path, monkeypatch):
    patient(tmp_path / "phantom", "a")
    monkeypatch.chdir(tmp_path)
    assert [case.id for case in open_dataset("phantom")] == ["a"]


def test_opening_loads_nothing_heavy(tmp_path):
    patient(tmp_path, "a")
    code = (
        "import sys; from voxzoo.zoo.datasets import open_dataset; open_dataset(sys.argv[1]); "
        "print([m for m in ('numba', 'nibabel', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
