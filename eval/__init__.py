"""Scores: metrics as pure functions, runs over datasets, and the results file they leave.

Names are loaded when they are first used.

Example:
    >>> from voxzoo.eval import dice
    >>> dice([1, 1, 0], [0, 1, 1])
    0.5
"""

from typing import TYPE_CHECKING

from ..rasterize.lazy import lazy

if TYPE_CHECKING:
    from .aggregate import Aggregate as Aggregate
    from .classes import ClassCounts as ClassCounts
    from .classes import accuracy as accuracy
    from .classes import balanced_accuracy as balanced_accuracy
    from .classes import count_classes as count_classes
    from .classes import macro_f1 as macro_f1
    from .classes import mcc as mcc
    from .empty import diagonal_mm as diagonal_mm
    from .label_counts import Confusion as Confusion
    from .label_counts import confusion as confusion
    from .lesion import lesion_counts as lesion_counts
    from .lesion import lesion_f1 as lesion_f1
    from .lesion import lesion_wise as lesion_wise
    from .options import Options as Options
    from .overlap import Counts as Counts
    from .overlap import count as count
    from .overlap import count_slices as count_slices
    from .overlap import dice as dice
    from .overlap import dice_slices as dice_slices
    from .overlap import iou as iou
    from .overlap import precision as precision
    from .overlap import recall as recall
    from .overlap import score as score
    from .overlap import specificity as specificity
    from .overlap import volume_error_ml as volume_error_ml
    from .overlap import volume_error_rel as volume_error_rel
    from .overlap import volume_ml as volume_ml
    from .probabilities import auc as auc
    from .probabilities import ece as ece
    from .records import CaseRecord as CaseRecord
    from .results import Results as Results
    from .results import Scores as Scores
    from .runner import evaluate as evaluate
    from .slices import hd95_slices as hd95_slices
    from .stats import bootstrap_ci as bootstrap_ci
    from .surface import SurfaceDistances as SurfaceDistances
    from .surface import assd as assd
    from .surface import hd as hd
    from .surface import hd95 as hd95
    from .surface import hd_percentile as hd_percentile
    from .surface import nsd as nsd
    from .surface import surface_metrics as surface_metrics

_HOMES = {
    "Aggregate": "aggregate",
    "CaseRecord": "records",
    "ClassCounts": "classes",
    "Confusion": "label_counts",
    "Counts": "overlap",
    "Options": "options",
    "Results": "results",
    "Scores": "results",
    "SurfaceDistances": "surface",
    "accuracy": "classes",
    "assd": "surface",
    "auc": "probabilities",
    "balanced_accuracy": "classes",
    "bootstrap_ci": "stats",
    "confusion": "label_counts",
    "count": "overlap",
    "count_classes": "classes",
    "count_slices": "overlap",
    "diagonal_mm": "empty",
    "dice": "overlap",
    "dice_slices": "overlap",
    "ece": "probabilities",
    "evaluate": "runner",
    "hd": "surface",
    "hd95": "surface",
    "hd95_slices": "slices",
    "hd_percentile": "surface",
    "iou": "overlap",
    "lesion_counts": "lesion",
    "lesion_f1": "lesion",
    "lesion_wise": "lesion",
    "macro_f1": "classes",
    "mcc": "classes",
    "nsd": "surface",
    "precision": "overlap",
    "recall": "overlap",
    "score": "overlap",
    "specificity": "overlap",
    "surface_metrics": "surface",
    "volume_error_ml": "overlap",
    "volume_error_rel": "overlap",
    "volume_ml": "overlap",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy(__name__, _HOMES)
