"""Every exception of voxzoo, one tree.

::

    VoxzooError
    ├── InputError (ValueError)        an argument that cannot be used
    │   └── GeometryError              points, boxes, polygons that describe no shape
    ├── UsageError (ValueError)        options that contradict each other or name nothing
    ├── CaseError                      a case cannot be read or is not what it says
    │   ├── MissingModalityError       a modality that the model needs is not there
    │   ├── GridError                  modalities or reference on different grids
    │   └── LabelError                 a label file with fractions, unknown labels, nothing in it
    ├── ContractError                  no contract in a model file, or one that is not valid
    │   └── IntegrityError             bytes and hash disagree: the file was changed or cut
    ├── ModelError                     a model cannot be found, opened or run
    │   ├── ModelNotFoundError         neither a file nor a name in the zoo
    │   └── DeviceError                the device or precision asked for is not the one obtained
    ├── MissingDependencyError (ImportError)   an optional package; the message is its pip line
    └── RunError                       a run folder that cannot be written or belongs to another run
"""

from ..rasterize.errors import GeometryError, InputError, VoxzooError

__all__ = [
    "CaseError",
    "ContractError",
    "DeviceError",
    "GeometryError",
    "GridError",
    "InputError",
    "IntegrityError",
    "LabelError",
    "MissingDependencyError",
    "MissingModalityError",
    "ModelError",
    "ModelNotFoundError",
    "RunError",
    "UsageError",
    "VoxzooError",
]


class UsageError(VoxzooError, ValueError):
    """Options that contradict each other, or a name that means nothing. CLIs exit with 2."""


class CaseError(VoxzooError):
    """A case cannot be read, or is not what it says it is. The message starts with the file."""


class MissingModalityError(CaseError):
    """A modality that the model needs is not in the case."""


class GridError(CaseError):
    """Modalities, or image and reference, do not share one voxel grid."""


class LabelError(CaseError):
    """A label file with fractions, with labels nobody declared, or without a voxel in it."""


class ContractError(VoxzooError):
    """A model file without a contract, or with one that is not valid."""


class IntegrityError(ContractError):
    """Bytes and hash disagree: the file was changed, cut or swapped."""


class ModelError(VoxzooError):
    """A model cannot be opened or run."""


class ModelNotFoundError(ModelError):
    """What was asked for is neither a file nor a name in the zoo."""


class DeviceError(ModelError):
    """The device or precision asked for is not the one that was obtained."""


class MissingDependencyError(VoxzooError, ImportError):
    """An optional package is absent. The message holds the pip line that brings it."""


class RunError(VoxzooError):
    """A run folder that cannot be written, or that belongs to another run."""
