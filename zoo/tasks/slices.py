"""Which slices of a case are shown to a model, and how: the rule that ``zoo/slices2d.py`` carries out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...rasterize.errors import InputError
from .segment import REGIONS

__all__ = ["CONTRASTS", "PAPER", "PLACES", "PLANES", "WHICH", "SliceRule"]

PLANES = {"axial": "SPL", "coronal": "AIL", "sagittal": "RIP"}
"""Where the slices are counted along (either way), where rows run to, and where columns run to."""

WHICH = ("all", "tumour", "inner")
PLACES = ("brain", "full", "crop")
CONTRASTS = ("slice", "brain")


@dataclass(frozen=True)
class SliceRule:
    """Which slices of a case are shown, and how.

    Args:
        modality: name of the image.
        plane: "axial", "coronal" or "sagittal".
        which: "all" from the first to the last with a voxel that is not 0; "tumour" from the first to the
            last with a voxel of ``region``; "inner" that range less ``margin`` slices at each end.
        margin: slices; 20 as in the study, only for "inner".
        place: "brain" scales the brain's box (over the whole volume) to fill the image, "full" the whole
            frame, both with equal mm along rows and columns; "crop" copies voxels one to one around the
            middle of the brain's box, as in the study, and cuts what does not fit.
        contrast: "slice" stretches what is shown from its least to its greatest value over 0..255,
            truncated, as in the study; "brain" from the 1st to the 99th percentile of the volume's brain.
        size: (height, width) of the image in pixels.
        region: "wt", "tc" or "et": what counts as tumour.

    Raises:
        InputError: a value that is none of these.

    Example:
        >>> SliceRule(which="all").uses_reference, SliceRule().uses_reference
        (False, True)
    """

    modality: str = "flair"
    plane: str = "axial"
    which: str = "tumour"
    margin: int = 20
    place: str = "brain"
    contrast: str = "slice"
    size: tuple[int, int] = (128, 128)
    region: str = "wt"

    def __post_init__(self) -> None:
        known = {"plane": PLANES, "which": WHICH, "place": PLACES, "contrast": CONTRASTS, "region": REGIONS}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise InputError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(values)}")
        if self.margin < 0 or len(self.size) != 2 or min(self.size) < 1:
            raise InputError(
                f"margin={self.margin}, size={self.size}: expected 0 or more, and (height, width)"
            )

    @property
    def uses_reference(self) -> bool:
        """Whether the choice of slices looks at the reference. Nothing else ever does."""
        return self.which != "all"

    def record(self) -> dict[str, Any]:
        """All of it, for a record or a hash of options."""
        return {**asdict(self), "size": list(self.size), "uses_reference": self.uses_reference}


PAPER = SliceRule(place="crop")
"""As near to the study as a rule can be that looks at no reference and throws no dice: there, volumes were
cut to 128 x 128 at random offsets, and images were shown in the array's own axis order."""
