"""Made patients: four-modality MRI of a brain with a glioma and its true labels, from a seed.

An average brain (``template``) is bent into one person's (``anatomy``), a tumour grows in it (``tumour``), a
scanner sees both (``intensities``, ``kernels``); ``case`` does one, ``dataset`` a series, made as it is read.
"""

from .case import Phantom, phantom_case, phantom_grid
from .dataset import open_phantom, parse_phantom, phantom_dataset

__all__ = ["Phantom", "open_phantom", "parse_phantom", "phantom_case", "phantom_dataset", "phantom_grid"]
