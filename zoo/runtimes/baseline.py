"""``baseline:flair-threshold``: what a network has to beat to be worth shipping.

The voxels of the FLAIR image whose z-score over the brain exceeds a fixed number, on the native grid, and
nothing else: no smoothing, no choice of a component. The number, 1.5, is the multiple of 0.1 with the best
mean Dice for the whole tumour (0.62) on five patients of UCSF-PDGM (CC BY 4.0); it is never fitted again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..contract import Contract, InputSpec, LicenceSpec, OutputSpec
from ..errors import CaseError, DeviceError, ModelNotFoundError, UsageError
from ..mask import Mask
from ..model import Steps
from .base import RuntimeInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..cases import Case
    from ..nifti import Grid

PREFIX = "baseline:"
BASELINES = {"flair-threshold": "FLAIR voxels brighter than a fixed z-score: what a network has to beat"}
Z_SCORE = 1.5
_CODE = 1
"""Goes up with every change of the answers: the content hash is made of it and of the contract."""


def load(name: str, runtime: str = "auto", device: str = "auto", precision: str = "fp32") -> FlairThreshold:
    """The built-in model ``name`` ("flair-threshold").

    Raises:
        ModelNotFoundError: there is no such baseline.
        UsageError: a runtime was asked for: it runs in voxzoo itself.
        DeviceError: another device than the CPU, or another precision than fp32.
    """
    if name not in BASELINES:
        raise ModelNotFoundError(f"no baseline {name!r}: there is {', '.join(PREFIX + b for b in BASELINES)}")
    if runtime != "auto":
        raise UsageError(f"{PREFIX}{name} runs in voxzoo itself, not in {runtime}: leave the runtime at auto")
    if device not in ("auto", "cpu") or precision != "fp32":
        raise DeviceError(f"{PREFIX}{name} runs on cpu in fp32, not on {device} in {precision}")
    return FlairThreshold()


@cache
def contract() -> Contract:
    """The baseline's contract. Its grid is nominal: it works on the patient's own."""
    unsigned = Contract(
        name=f"{PREFIX}flair-threshold",
        version=f"1.{_CODE}.0",
        task="segment",
        input=InputSpec("flair", ("flair",), (155, 240, 240), (1.0, 1.0, 1.0)),
        output=OutputSpec("mask", "regions", ("wt",)),
        labels={1: "whole_tumour"},
        licence=LicenceSpec("Apache-2.0", "one number, chosen on UCSF-PDGM (CC BY 4.0)", "confirmed",
                            ("Calabrese et al., Radiology: Artificial Intelligence 2022 (UCSF-PDGM)",)),
        training={"z_score": Z_SCORE, "grid": "native: input.shape and input.spacing_mm are nominal"},
    )  # fmt: skip
    return unsigned.with_hash(hashlib.sha256(f"{_CODE}\n{unsigned.to_json()}".encode()).hexdigest())


@dataclass(frozen=True, eq=False)
class Flair:
    """The FLAIR image of a case, and its grid."""

    image: np.ndarray
    grid: Grid


class FlairThreshold(Steps):
    """Whole tumour where the z-score of FLAIR over the brain (its non-zero voxels) is above ``Z_SCORE``."""

    def __init__(self) -> None:
        from importlib.metadata import version

        installed = version("voxzoo")

        self.contract = contract()
        self.name = self.contract.name
        self.reference = f"built into voxzoo {installed}"
        self.content_hash = self.contract.content_sha256
        self.runtime = RuntimeInfo("voxzoo", installed, "cpu", "fp32", 1)

    def __repr__(self) -> str:
        return f"<voxzoo model {self.name}: z-score of FLAIR > {Z_SCORE}>"

    def prepare(self, case: Case) -> Flair:
        """Read FLAIR.

        Raises:
            CaseError: there is none, it cannot be read, or it holds nothing but zeros.
        """
        image = case.read_image("flair")
        if not image.any():
            raise CaseError(f"{case.id}: the flair image holds nothing but zeros")
        return Flair(image, case.grid())

    def infer(self, prepared: Flair) -> NDArray[np.bool_]:
        """The voxels above the threshold, on the native grid."""
        image = prepared.image
        brain = image[image != 0].astype(np.float64)
        above = np.greater(image, np.float32(brain.mean() + Z_SCORE * brain.std()))
        return above & (image != 0)

    def finish(self, answer: NDArray[np.bool_], prepared: Flair) -> Mask:
        """The mask."""
        return Mask(answer.view(np.uint8), self.contract.labels, prepared.grid.affine, self.contract.regions)
