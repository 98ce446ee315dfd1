"""Made patients: four-modality MRI of a brain with a glioma and its true labels, from a seed, without a download."""

from .case import Phantom, phantom_case, phantom_grid

__all__ = ["Phantom", "phantom_case", "phantom_grid"]
