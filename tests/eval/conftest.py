"""Models and datasets of the smallest kind, for tests of the runner: real cases, made-up answers."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from voxzoo.zoo.cases import ArraySource, Case
from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec
from voxzoo.zoo.datasets import Dataset
from voxzoo.zoo.errors import CaseError, ModelError
from voxzoo.zoo.images import ImageCase
from voxzoo.zoo.tasks import segment
from voxzoo.zoo.tasks.classify import Classification

AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])


class ToyModel:
    """Predicts what it is told: the reference shifted along the first axis, nothing, or an error."""

    def __init__(self, name="toy", shift=1, content_hash="11" * 32, fail=(), nothing=(), regions=("wt",)):
        self.name, self.reference, self.content_hash = name, "made by a test", content_hash
        self.shift, self.fail, self.nothing = shift, fail, nothing
        self.runtime = SimpleNamespace(name="toy", version="1", device="cpu", precision="fp32", threads=1)
        self.inferred = []
        self.contract = Contract(
            name=name,
            version="1",
            task="segment",
            input=InputSpec("x", ("flair",), (8, 8, 8), (1.0, 1.0, 1.0)),
            output=OutputSpec("y", "regions", regions),
            labels=segment.region_labels(regions),
            licence=LicenceSpec("Apache-2.0", "none", "confirmed"),
        )

    def prepare(self, case):
        case.read_image("flair")
        return case

    def infer(self, prepared):
        self.inferred.append(prepared.id)
        if prepared.id in self.fail:
            raise ModelError(f"{prepared.id}: the toy is broken")
        return prepared.id

    def finish(self, answer, case):
        reference = np.asarray(case.read_reference())
        moved = np.roll(reference, self.shift, axis=0) * (case.id not in self.nothing)
        values, array = self.contract.regions, np.zeros(reference.shape, np.uint8)
        for i, name in enumerate(values):
            inside = np.isin(moved, segment.REGIONS[name])
            array[inside] = moved[inside] if len(values) == 3 else i + 1
        return SimpleNamespace(array=array, labels=self.contract.labels, regions=values, save=_save(array))


class ToyClassifier:
    """Answers what it is told, else certainty of the truth; or it fails."""

    def __init__(self, classes=("low", "high"), target="grade", answers=None, fail=(), spec=None):
        self.name, self.reference, self.content_hash = "toy-cls", "made by a test", "33" * 32
        self.answers, self.fail = answers or {}, fail
        self.runtime = SimpleNamespace(name="toy", version="1", device="cpu", precision="fp32", threads=1)
        self.inferred = []
        self.contract = Contract(
            name=self.name,
            version="1",
            task="classify",
            input=spec or InputSpec("x", ("flair",), (8, 8, 8), (1.0, 1.0, 1.0)),
            output=OutputSpec("y", "classes", tuple(classes), activation="softmax", target=target),
            labels=dict(enumerate(classes)),
            licence=LicenceSpec("Apache-2.0", "none", "confirmed"),
        )

    def prepare(self, case):
        if isinstance(case, ImageCase):
            case.read()
        return case

    def infer(self, case):
        self.inferred.append(case.id)
        if case.id in self.fail:
            raise ModelError(f"{case.id}: the toy is broken")
        names, truth = tuple(self.contract.labels.values()), case.fact(self.contract.output.target)
        answer = self.answers.get(case.id, [float(name == truth) for name in names])
        return np.array(answer, np.float32)

    def finish(self, answer, case):
        return Classification(self.contract.labels, answer)


def _save(array):
    return lambda path: path.write_bytes(array.tobytes())


class BrokenSource:
    """A file that cannot be read."""

    name = "broken.nii.gz"

    def read(self):
        raise CaseError("broken.nii.gz: truncated")

    def grid(self):
        raise CaseError("broken.nii.gz: truncated")

    def fingerprint(self):
        raise CaseError("broken.nii.gz: truncated")


def make_case(index, patient=None, broken="", empty=False):
    """A 12 x 10 x 8 case with a labelled box that depends on ``index``."""
    labels = np.zeros((12, 10, 8), np.uint8)
    if not empty:
        labels[2 : 5 + index % 4, 2:7, 2:6] = 2
        labels[3:5, 3:5, 3:5] = 1
        labels[3, 3:5, 3:5] = 4
    image = ArraySource(labels.astype(np.float32) + index + 1, AFFINE)
    return Case(
        id=f"case{index}",
        patient=patient or f"patient{index}",
        images={"flair": BrokenSource() if broken == "image" else image},
        reference=BrokenSource() if broken == "reference" else ArraySource(labels, AFFINE),
        grade="high" if index % 2 else None,
        facts={"site": "a"},
    )


def make_graded(*grades):
    """A case for each grade, None for one that nobody knows."""
    return make_dataset([replace(make_case(i), grade=grade) for i, grade in enumerate(grades)])


def make_dataset(cases, name="toys"):
    return Dataset(name, tuple(cases), "CC0", "made by a test", "toy")


@pytest.fixture
def toys():
    """The makers of this file, for tests that cannot import it."""
    return SimpleNamespace(
        model=ToyModel, classifier=ToyClassifier, case=make_case, graded=make_graded, dataset=make_dataset
    )
