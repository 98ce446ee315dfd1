"""A model that is the mean of a cross-validation's folds, asked fold by fold.

The file of such a model gives the answers of its folds beside their mean, and its contract says which cases
each fold never saw. So whoever has the cases can repeat the cross-validation with the file that is shipped,
without training anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import ContractError, UsageError
from .model import Steps
from .volume_model import VolumeModel

if TYPE_CHECKING:
    from .cases import Case
    from .contract import Contract
    from .model import Model
    from .runtimes.base import Session

APART = "apart"


def fold_name(number: int) -> str:
    """The output that gives the answer of fold ``number`` alone."""
    return f"fold{number}"


def unseen_by(contract: Contract) -> dict[str, str]:
    """Case id -> the output of the fold that never saw it; empty for a model that is no mean of folds.

    A training case that no fold was kept from has none: its answer is the mean's, and a report says that it
    is not held out.

    Raises:
        ContractError: two folds claim not to have seen a case.
    """
    folds = contract.training.get("ensemble") or ()
    out: dict[str, str] = {}
    for number, fold in enumerate(folds):
        for case in fold["held_out"]:
            if case in out:
                raise ContractError(f"{contract.name}: case {case} is held out by two folds, not by one")
            out[case] = fold_name(number)
    return out


class FoldsApart(Steps):
    """Answers each training case by the fold that never saw it, any other case by the mean of all.

    Args:
        mean: the model as it is.
        models: case id -> the model whose answer is that fold's.

    Example:
        >>> from voxzoo.zoo import registry
        >>> try:
        ...     registry.load("cnn3d-seg", cross_validated=True)
        ... except UsageError as error:
        ...     print(error)
        cross_validated: cnn3d-seg is not the mean of a cross-validation's folds: its contract names none
    """

    def __init__(self, mean: VolumeModel, models: Mapping[str, VolumeModel]) -> None:
        self._mean, self._models = mean, models
        self.contract = mean.contract
        self.name = mean.name
        self.reference = mean.reference
        self.content_hash = mean.content_hash
        self.runtime = mean.runtime

    @classmethod
    def of(cls, mean: Model, session: Session) -> FoldsApart:
        """Of a model and the session that it runs in.

        Raises:
            UsageError: it is no mean of folds.
            ContractError: the contract contradicts itself, or the file lacks the folds' own outputs.
        """
        unseen = unseen_by(mean.contract)
        if not unseen or not isinstance(mean, VolumeModel):
            raise UsageError(
                f"cross_validated: {mean.name} is not the mean of a cross-validation's folds: its contract "
                "names none"
            )
        output = mean.contract.output
        folds = {}
        for name in sorted(set(unseen.values())):
            contract = replace(mean.contract, output=replace(output, name=name))
            folds[name] = type(mean)(contract, session, mean.reference, mean.content_hash, mean.flips)
        return cls(mean, {case: folds[name] for case, name in unseen.items()})

    @property
    def settings(self) -> dict[str, str]:
        return {**self._mean.settings, "folds": APART}

    def prepare(self, case: Case) -> tuple[VolumeModel, Any]:
        model = self._models.get(case.id, self._mean)
        return model, model.prepare(case)

    def infer(self, prepared: tuple[VolumeModel, Any]) -> Any:
        model, inputs = prepared
        return model.infer(inputs)

    def finish(self, answer: Any, prepared: tuple[VolumeModel, Any]) -> Any:
        model, inputs = prepared
        return model.finish(answer, inputs)
