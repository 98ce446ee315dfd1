"""A mean of folds asked fold by fold: who answers which case, and contracts that contradict themselves."""

from dataclasses import replace

import numpy as np
import pytest

from voxzoo.zoo import registry
from voxzoo.zoo.cases import case_from_arrays
from voxzoo.zoo.errors import ContractError, UsageError
from voxzoo.zoo.folds import FoldsApart, unseen_by
from voxzoo.zoo.runtimes.base import Port, RuntimeInfo
from voxzoo.zoo.volume_model import VolumeModel

SHAPE = (1, 1, 8, 10, 12)
ENSEMBLE = [{"cases": ["b", "c"], "held_out": ["a"]}, {"cases": ["a"], "held_out": ["b", "c"]}]


class TwoFolds:
    """Session whose mean is 0.6 and whose folds say 0.2 and 0.8."""

    info = RuntimeInfo("fake", "0", "cpu", "fp32", 1)
    inputs = (Port("x", (1, 4, 8, 10, 12), "float32"),)
    outputs = tuple(Port(name, SHAPE, "float32") for name in ("y", "fold0", "fold1"))

    def run(self, tensor, output=None):
        return np.full(SHAPE, {"y": 0.6, "fold0": 0.2, "fold1": 0.8}[output], np.float32)


@pytest.fixture
def contract(make_contract):
    training = {"cases": ["a", "b", "c"], "ensemble": ENSEMBLE}
    return replace(make_contract(), training=training)


def _case(name):
    image = np.ones((4, 8, 10, 12), np.float32)
    return case_from_arrays(image, ("flair", "t1", "t1ce", "t2"), (1, 1, 1), id=name)


@pytest.mark.parametrize(("case", "value"), [("a", 0.2), ("b", 0.8), ("c", 0.8), ("new", 0.6)])
def test_a_case_is_answered_by_the_fold_that_never_saw_it(contract, case, value):
    model = FoldsApart.of(VolumeModel(contract, TwoFolds(), "here", "0"), TwoFolds())
    prepared = model.prepare(_case(case))
    answer = model.infer(prepared)
    assert np.unique(answer).tolist() == [np.float32(value)]
    mask = model.finish(answer, prepared)
    assert mask.array.any() == (value > 0.5)
    assert model.predict(_case(case)).mask.array.tolist() == mask.array.tolist()
    assert model.settings == {"flips": "none", "folds": "apart"}
    assert (model.name, model.contract) == (contract.name, contract)


def test_contracts_that_cannot_be(contract, make_contract):
    twice = [*ENSEMBLE, {"cases": ["b"], "held_out": ["a"]}]
    with pytest.raises(ContractError, match="case a is held out by two folds"):
        unseen_by(replace(contract, training={"cases": ["a"], "ensemble": twice}))
    seen_by_all = replace(contract, training={"cases": ["a", "d"], "ensemble": ENSEMBLE})
    assert unseen_by(seen_by_all) == {"a": "fold0", "b": "fold1", "c": "fold1"}
    three = [*ENSEMBLE, {"cases": ["a"], "held_out": ["d"]}]
    mean = VolumeModel(replace(contract, training={"ensemble": three}), TwoFolds(), "here", "0")
    with pytest.raises(ContractError, match=r"output 'fold2'.*y, fold0, fold1"):
        FoldsApart.of(mean, TwoFolds())
    assert unseen_by(make_contract()) == {}


@pytest.mark.parametrize("name", ["cnn3d-seg", "cnn3d-cls", "baseline:flair-threshold", "llava-nano"])
def test_models_without_folds(name):
    with pytest.raises(UsageError, match=f"cross_validated: {name} is not the mean"):
        registry.load(name, cross_validated=True)
