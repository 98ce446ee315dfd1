"""What a model is, how it is found, verified and run; cases and datasets; the bundled weights. No torch.

Names are imported when they are first used, so that importing voxzoo costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..rasterize.lazy import lazy

if TYPE_CHECKING:
    from . import errors as errors
    from .cases import Case as Case
    from .cases import case_from_arrays as case_from_arrays
    from .cases import case_from_folder as case_from_folder
    from .contract import Contract as Contract
    from .contract import ImageSpec as ImageSpec
    from .contract import InputSpec as InputSpec
    from .contract import LicenceSpec as LicenceSpec
    from .contract import OutputSpec as OutputSpec
    from .datasets import Dataset as Dataset
    from .datasets import open_dataset as open_dataset
    from .images import ImageCase as ImageCase
    from .mask import Mask as Mask
    from .model import Model as Model
    from .model import Prediction as Prediction
    from .nifti import Grid as Grid
    from .nifti import read_nifti as read_nifti
    from .nifti import write_nifti as write_nifti
    from .onnxfile import read_contract as read_contract
    from .onnxfile import write_contract as write_contract
    from .registry import ResearchOnlyWarning as ResearchOnlyWarning
    from .registry import load as load
    from .registry import names as names
    from .registry import resolve as resolve
    from .runtimes.base import RuntimeInfo as RuntimeInfo
    from .splits import Splits as Splits
    from .splits import make_splits as make_splits
    from .tasks.classify import Classification as Classification

_HOME = {
    "Case": "cases",
    "Classification": "tasks.classify",
    "Contract": "contract",
    "Dataset": "datasets",
    "Grid": "nifti",
    "ImageCase": "images",
    "ImageSpec": "contract",
    "InputSpec": "contract",
    "LicenceSpec": "contract",
    "Mask": "mask",
    "Model": "model",
    "OutputSpec": "contract",
    "Prediction": "model",
    "ResearchOnlyWarning": "registry",
    "RuntimeInfo": "runtimes.base",
    "Splits": "splits",
    "case_from_arrays": "cases",
    "case_from_folder": "cases",
    "errors": "errors",
    "load": "registry",
    "make_splits": "splits",
    "names": "registry",
    "open_dataset": "datasets",
    "read_contract": "onnxfile",
    "read_nifti": "nifti",
    "resolve": "registry",
    "write_contract": "onnxfile",
    "write_nifti": "nifti",
}
__all__ = list(_HOME)
__getattr__, __dir__ = lazy(__name__, _HOME)
