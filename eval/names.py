"""The names of a segmentation run's figures: ``dice`` for the whole foreground, ``dice_tc`` for a region."""

from __future__ import annotations

from collections.abc import Sequence

FOREGROUND = "foreground"
OVERLAPS = ("dice", "iou", "precision", "recall", "specificity")
DISTANCES = ("hd95", "hd", "assd")
SURFACE = "nsd"
LESIONS = ("lesion_dice", "lesion_f1")
VOLUMES = ("volume_ml", "volume_ref_ml", "volume_error_ml", "volume_abs_error_ml", "volume_error_rel")
METRICS = (*OVERLAPS, *DISTANCES, SURFACE, *LESIONS, *VOLUMES)


def metric_names(regions: Sequence[str]) -> tuple[str, ...]:
    """Every figure of a model that segments ``regions``, whole foreground first.

    Example:
        >>> [name for name in metric_names(("wt", "et")) if name.startswith("hd95")]
        ['hd95', 'hd95_wt', 'hd95_et']
    """
    return tuple(full_name(m, region) for region in (FOREGROUND, *regions) for m in METRICS)


def full_name(metric: str, region: str) -> str:
    """``hd95`` of the whole foreground is ``hd95``, of a region ``hd95_et``."""
    return metric if region == FOREGROUND else f"{metric}_{region}"


def split_name(name: str) -> tuple[str, str]:
    """The inverse of ``full_name``.

    Example:
        >>> split_name("volume_error_ml_tc"), split_name("volume_error_ml")
        (('volume_error_ml', 'tc'), ('volume_error_ml', 'foreground'))
    """
    if name in METRICS:
        return name, FOREGROUND
    metric = next(m for m in sorted(METRICS, key=len, reverse=True) if name.startswith(m + "_"))
    return metric, name[len(metric) + 1 :]
