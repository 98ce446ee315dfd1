"""The parts of a contract: what a model is fed, what comes out, what may be done with it; each checked."""

from __future__ import annotations

from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any

from . import checks
from .errors import ContractError

ORIENTATIONS = ("RAS",)
CROPS = ("brain-center", "center")
NORMALISATIONS = ("zscore-nonzero", "none")
INTERPOLATIONS = ("linear",)
PREPROCESSINGS = ("grid", "paper")
WINDOWS = ("whole", "sliding")
IMAGE_CHANNELS = (("red", "green", "blue"), ("grey",))
RESIZES = ("pad", "stretch")
IMAGE_NORMALISATIONS = ("unit", "zscore")
KINDS = ("regions", "labels", "classes")
ACTIVATIONS = ("none", "sigmoid", "softmax")
LICENCE_STATES = ("confirmed", "unconfirmed", "research-only")
LATER = (
    *("flatten", "preprocessing", "window", "overlap"),
    *("fill_holes", "min_region_mm3", "temperature", "target"),
)
"""Fields that the first model files do not have. At their defaults they are not written either, so that an
old contract stays the text it was."""


@dataclass(frozen=True)
class InputSpec:
    """What the model is fed: one float32 tensor (1, C, D, H, W).

    Attributes:
        name: the input's name in the model file.
        channels: modality names in channel order.
        shape: (D, H, W) voxels; axes inferior->superior, posterior->anterior, left->right for "RAS".
        spacing_mm: voxel edge along (D, H, W).
        orientation: the world orientation that the axes follow.
        crop: where the window sits: the middle of the brain's own box, or of the volume.
        clip_percentiles: (low, high) percentiles over the brain to clip to first, or None.
        normalise: "zscore-nonzero" (over the brain, background stays 0) or "none".
        interpolation: how images are resampled to ``spacing_mm``.
        flatten: order of the polynomial by which uneven brightness is divided out first (``zoo/flatten.py``),
            on the model's grid, where percentiles and z-scores are then taken too; 0 leaves it.
        preprocessing: "grid" (``zoo/preprocess.py``: as the fields above say) or "paper" (``zoo/paper.py``:
            crop and intensities as in the study, so ``clip_percentiles`` is None and ``normalise`` "none").
        window: "whole" (``shape`` is all that is looked at) or "sliding" (it is moved over the brain).
        overlap: share of a sliding window that it has in common with the next along each axis, at least.
    """

    name: str
    channels: tuple[str, ...]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: str = "RAS"
    crop: str = "brain-center"
    clip_percentiles: tuple[float, float] | None = None
    normalise: str = "zscore-nonzero"
    interpolation: str = "linear"
    flatten: int = 0
    preprocessing: str = "grid"
    window: str = "whole"
    overlap: float = 0.5

    def __post_init__(self) -> None:
        checks.string("input.name", self.name)
        checks.names("input.channels", self.channels)
        checks.integers("input.shape", self.shape, 3)
        checks.numbers("input.spacing_mm", self.spacing_mm, 3)
        if min(self.shape) < 1 or min(self.spacing_mm) <= 0:
            raise ContractError("contract field input.shape / input.spacing_mm: expected positive values")
        checks.choice("input.orientation", self.orientation, ORIENTATIONS)
        checks.choice("input.crop", self.crop, CROPS)
        checks.choice("input.normalise", self.normalise, NORMALISATIONS)
        checks.choice("input.interpolation", self.interpolation, INTERPOLATIONS)
        checks.integers("input.flatten", (self.flatten,), 1)
        if not 0 <= self.flatten <= 4:
            checks.fail("input.flatten", self.flatten, "an order from 0 to 4")
        if self.clip_percentiles is not None:
            checks.numbers("input.clip_percentiles", self.clip_percentiles, 2)
            low, high = self.clip_percentiles
            if not 0 <= low < high <= 100:
                checks.fail("input.clip_percentiles", (low, high), "0 <= low < high <= 100")
        checks.choice("input.preprocessing", self.preprocessing, PREPROCESSINGS)
        checks.choice("input.window", self.window, WINDOWS)
        checks.numbers("input.overlap", (self.overlap,), 1)
        if not 0 <= self.overlap <= 0.9:
            checks.fail("input.overlap", self.overlap, "0 <= overlap <= 0.9")
        if self.preprocessing == "paper":
            _check_paper(self)


def _check_paper(spec: InputSpec) -> None:
    """Refuse a contract that asks for the paper's preprocessing and for another in its place."""
    fixed = {"spacing_mm": (1, 1, 1), "crop": "brain-center", "clip_percentiles": None, "normalise": "none"}
    for name, value in {**fixed, "window": "whole"}.items():
        if getattr(spec, name) != value:
            checks.fail(f"input.{name}", getattr(spec, name), f'{value!r} with preprocessing "paper"')


@dataclass(frozen=True)
class ImageSpec:
    """What a model of 2-D images is fed: one float32 tensor (1, C, H, W), made by ``zoo/images.py``.

    Attributes:
        name: the input's name in the model file.
        channels: ("red", "green", "blue") or ("grey",).
        shape: (H, W) pixels.
        resize: "pad" (proportions kept, black around) or "stretch" (fills the whole).
        normalise: "unit" (x / 255 * 2 - 1) or "zscore" (over the whole fitted image).

    Example:
        >>> ImageSpec("image", ("red", "green", "blue"), (224, 224)).resize
        'pad'
    """

    name: str
    channels: tuple[str, ...]
    shape: tuple[int, int]
    resize: str = "pad"
    normalise: str = "unit"

    def __post_init__(self) -> None:
        checks.string("input.name", self.name)
        checks.names("input.channels", self.channels)
        if self.channels not in IMAGE_CHANNELS:
            checks.fail("input.channels", self.channels, " or ".join(map(str, IMAGE_CHANNELS)))
        checks.integers("input.shape", self.shape, 2)
        if min(self.shape) < 1:
            checks.fail("input.shape", self.shape, "positive values")
        checks.choice("input.resize", self.resize, RESIZES)
        checks.choice("input.normalise", self.normalise, IMAGE_NORMALISATIONS)


@dataclass(frozen=True)
class OutputSpec:
    """What comes out, one tensor, and how it becomes a mask (1, K, D, H, W) or a class (1, K).

    Attributes:
        name: the output's name in the model file.
        kind: "regions" (overlapping, one threshold each), "labels" (exclusive, argmax), or "classes" of a
            whole case.
        channels: region, label or class names in channel order; among labels "background" names the 0.
        activation: what voxzoo still has to apply ("none" if it is inside the graph); "sigmoid" and "classes"
            do not go together: a network with one logit z is exported with the output (0, z).
        threshold: a region holds the voxels whose probability is above it (regions only).
        fill_holes: background that the foreground encloses, in a plane of the grid, becomes the outermost
            region (regions only).
        min_component_mm3: components of the foreground smaller than this are removed (0 keeps all).
        min_component_share: so are those smaller than this share of the largest one (0 keeps all).
        min_region_mm3: region -> volume below which the region is taken for absent and its voxels for the
            region around it: enhancing tumour becomes necrosis, say (regions only).
        temperature: probabilities are softmax(logits / temperature); with "classes" and "softmax" only.
        target: name of the fact of a case that holds its true class ("grade", "class"); "" if there is none.
    """

    name: str
    kind: str
    channels: tuple[str, ...]
    activation: str = "none"
    threshold: float = 0.5
    fill_holes: bool = False
    min_component_mm3: float = 0.0
    min_component_share: float = 0.0
    min_region_mm3: dict[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    target: str = ""

    def __post_init__(self) -> None:
        checks.string("output.name", self.name)
        checks.choice("output.kind", self.kind, KINDS)
        checks.names("output.channels", self.channels)
        checks.choice("output.activation", self.activation, ACTIVATIONS)
        checks.numbers("output.threshold", (self.threshold,), 1)
        checks.numbers("output.min_component_mm3", (self.min_component_mm3,), 1)
        checks.numbers("output.min_component_share", (self.min_component_share,), 1)
        if not 0 <= self.min_component_share <= 1:
            checks.fail("output.min_component_share", self.min_component_share, "0 <= share <= 1")
        if not 0 <= self.threshold < 1:
            checks.fail("output.threshold", self.threshold, "0 <= threshold < 1")
        if self.min_component_mm3 < 0:
            checks.fail("output.min_component_mm3", self.min_component_mm3, "0 or more")
        if not isinstance(self.fill_holes, bool) or (self.fill_holes and self.kind != "regions"):
            checks.fail("output.fill_holes", self.fill_holes, 'true or false; true with kind "regions" only')
        _check_floors(self)
        _check_classes(self)


def _check_floors(output: OutputSpec) -> None:
    floors = output.min_region_mm3
    checks.json_object("output.min_region_mm3", floors)
    for name, least in floors.items():
        checks.numbers(f"output.min_region_mm3.{name}", (least,), 1)
        if output.kind != "regions" or name not in output.channels or least < 0:
            checks.fail("output.min_region_mm3", floors, "names of region channels with 0 mm3 or more")


def _check_classes(output: OutputSpec) -> None:
    """What speaks of masks has no place beside classes, and the other way round."""
    classes, calibrated = output.kind == "classes", output.temperature != 1
    checks.numbers("output.temperature", (output.temperature,), 1)
    if not isinstance(output.target, str):
        checks.fail("output.target", output.target, "a string")
    if classes and output.activation == "sigmoid":
        checks.fail("output.activation", output.activation, 'softmax or none with kind "classes"')
    if output.temperature <= 0:
        checks.fail("output.temperature", output.temperature, "a number above 0")
    if calibrated and not (classes and output.activation == "softmax"):
        checks.fail("output.temperature", output.temperature, '1 unless kind is "classes" with "softmax"')
    if output.target and not classes:
        checks.fail("output.target", output.target, '"" unless kind is "classes"')
    if classes:
        _check_no_masks(output)


def _check_no_masks(output: OutputSpec) -> None:
    if len(output.channels) < 2:
        checks.fail("output.channels", output.channels, "two classes or more")
    for name in ("threshold", "fill_holes", "min_component_mm3", "min_component_share", "min_region_mm3"):
        value, default = getattr(output, name), _default(output, name)
        if value != default:
            checks.fail(f"output.{name}", value, f'{default} with kind "classes": it is for masks')


@dataclass(frozen=True)
class LicenceSpec:
    """What may be done with the weights, and whose data they saw.

    Attributes:
        weights: the licence of the weights (SPDX name or a sentence).
        data_terms: the terms of the training data, in a sentence.
        status: "confirmed", "unconfirmed", or "research-only" (research-only data makes such weights).
        attribution: the citations that the terms ask for.
    """

    weights: str
    data_terms: str
    status: str
    attribution: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.string("licence.weights", self.weights)
        checks.string("licence.data_terms", self.data_terms)
        checks.choice("licence.status", self.status, LICENCE_STATES)
        checks.strings("licence.attribution", self.attribution)

    @property
    def line(self) -> str:
        """One printable line; terms that nobody confirmed say so."""
        note = {"confirmed": "", "unconfirmed": " (UNCONFIRMED)", "research-only": " (RESEARCH USE ONLY)"}
        return f"{self.weights}{note[self.status]}; data: {self.data_terms}"


def written(spec: Any) -> dict[str, Any]:
    """A part as a dict for JSON, without the ``LATER`` fields that have their default.

    Example:
        >>> sorted(written(ImageSpec("x", ("grey",), (8, 8))))
        ['channels', 'name', 'normalise', 'resize', 'shape']
        >>> "target" in written(OutputSpec("y", "classes", ("low", "high"), "softmax"))
        False
    """
    plain = asdict(spec)
    return {k: v for k, v in plain.items() if k not in LATER or v != _default(spec, k)}


def _default(spec: Any, name: str) -> Any:
    found: Field[Any] = next(f for f in fields(spec) if f.name == name)
    return found.default if found.default_factory is MISSING else found.default_factory()
