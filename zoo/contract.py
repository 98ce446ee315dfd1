"""The contract: the facts that travel inside a model file, typed, strict, as JSON and back.

A contract says everything a stranger needs to run the model and to know what may be done with it: task,
input channels by modality name, grid, normalisation, what the output means, label names, licence, how it
was trained, and the hash of the bytes it belongs to. Unknown keys, missing keys, wrong types and wrong
values are refused with the name of the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ..rasterize.errors import InputError
from . import checks
from .errors import ContractError
from .tasks import segment

SCHEMA = "voxzoo.contract/1"
TASKS = ("segment",)
ORIENTATIONS = ("RAS",)
CROPS = ("brain-center", "center")
NORMALISATIONS = ("zscore-nonzero", "none")
INTERPOLATIONS = ("linear",)
PREPROCESSINGS = ("grid", "paper")
WINDOWS = ("whole", "sliding")
KINDS = ("regions", "labels")
ACTIVATIONS = ("none", "sigmoid", "softmax")
_OPTIONAL = ("training", "content_sha256", "attribution")
_LATER = ("preprocessing", "window", "overlap", "min_region_mm3")
"""Keys that the first model files do not have."""
LICENCE_STATES = ("confirmed", "unconfirmed", "research-only")


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
class OutputSpec:
    """What comes out: one tensor (1, K, D, H, W), and how it becomes a mask.

    Attributes:
        name: the output's name in the model file.
        kind: "regions" (overlapping, one threshold each) or "labels" (exclusive, argmax).
        channels: region or label names in channel order; "background" names the label 0.
        activation: what voxzoo still has to apply ("none" if it is inside the graph).
        threshold: a region holds the voxels whose probability is above it (regions only).
        min_component_mm3: components of the foreground smaller than this are removed (0 keeps all).
        min_component_share: so are those smaller than this share of the largest one (0 keeps all).
        min_region_mm3: region -> volume below which the region is taken for absent and its voxels for the
            region around it: enhancing tumour becomes necrosis, say (regions only).
    """

    name: str
    kind: str
    channels: tuple[str, ...]
    activation: str = "none"
    threshold: float = 0.5
    min_component_mm3: float = 0.0
    min_component_share: float = 0.0
    min_region_mm3: dict[str, float] = field(default_factory=dict)

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
        _check_floors(self)


def _check_floors(output: OutputSpec) -> None:
    floors = output.min_region_mm3
    checks.json_object("output.min_region_mm3", floors)
    for name, least in floors.items():
        checks.numbers(f"output.min_region_mm3.{name}", (least,), 1)
        if output.kind != "regions" or name not in output.channels or least < 0:
            checks.fail("output.min_region_mm3", floors, "names of region channels with 0 mm3 or more")


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


@dataclass(frozen=True)
class Contract:
    """Everything voxzoo knows about a model, as it stands in the model's own file.

    Attributes:
        name: zoo name, e.g. "cnn3d-seg".
        version: of these weights, e.g. "1.0.0".
        task: "segment".
        input: what is fed.
        output: what comes out.
        labels: mask value -> name, background (0) left out.
        licence: of weights and training data.
        training: free facts (data, cases, recipe, seed, command, scores), JSON values only.
        content_sha256: hash of the model's bytes without their metadata; "" until it is written.
        schema: "voxzoo.contract/1".

    Example:
        >>> c = Contract(
        ...     name="toy", version="0.1", task="segment",
        ...     input=InputSpec("x", ("flair",), (8, 8, 8), (1.0, 1.0, 1.0)),
        ...     output=OutputSpec("y", "regions", ("wt",)),
        ...     labels={1: "whole_tumour"},
        ...     licence=LicenceSpec("Apache-2.0", "none used", "confirmed"),
        ... )
        >>> Contract.from_json(c.to_json()) == c
        True
    """

    name: str
    version: str
    task: str
    input: InputSpec
    output: OutputSpec
    labels: dict[int, str]
    licence: LicenceSpec
    training: dict[str, Any] = field(default_factory=dict)
    content_sha256: str = ""
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        checks.choice("schema", self.schema, (SCHEMA,))
        checks.string("name", self.name)
        checks.string("version", self.version)
        checks.choice("task", self.task, TASKS)
        if self.content_sha256 != "" and not checks.is_sha256(self.content_sha256):
            checks.fail("content_sha256", self.content_sha256, "64 lower-case hexadecimal digits")
        _check_labels(self.labels)
        _check_output(self.output, self.labels)
        checks.json_object("training", self.training)

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """Region name -> the mask values it is made of."""
        if self.output.kind == "regions":
            return segment.region_values(self.output.channels)
        return segment.regions_in(self.labels)

    def to_dict(self) -> dict[str, Any]:
        """What ``to_json`` writes, as Python's dicts and lists; schema first."""
        return json.loads(self.to_json())

    def to_json(self) -> str:
        """The contract as JSON text, ``from_json``'s inverse; the same contract gives the same bytes."""
        plain = asdict(self)
        return json.dumps({"schema": plain.pop("schema"), **plain}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, source: str | bytes | Mapping[str, Any]) -> Contract:
        """Read a contract from JSON text or from a parsed object.

        Raises:
            ContractError: not JSON, or a field is missing, unknown, of a wrong type or value.
        """
        plain = _parse(source)
        _known("", plain, cls)
        parts: dict[str, Any] = {
            "input": _build("input", InputSpec, plain["input"]),
            "output": _build("output", OutputSpec, plain["output"]),
            "licence": _build("licence", LicenceSpec, plain["licence"]),
            "labels": _labels_from_json(plain["labels"]),
        }
        return cls(**{**plain, **parts})

    def with_hash(self, content_sha256: str) -> Contract:
        """The same contract, belonging to the bytes with this hash."""
        return replace(self, content_sha256=content_sha256)


def _parse(source: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(source, Mapping):
        return dict(source)
    try:
        plain = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"the contract is not valid JSON: {error}") from error
    if not isinstance(plain, dict):
        raise ContractError(f"the contract is not a JSON object but a {type(plain).__name__}")
    return plain


def _known(where: str, plain: Mapping[str, Any], cls: type) -> None:
    """Refuse unknown keys, and missing ones: a contract in a file is complete, defaults included.

    Only what a hand-written contract cannot know, and what older files cannot, may be left out.
    """
    prefix = f"{where}." if where else ""
    expected = [f.name for f in fields(cls)]
    unknown = [str(key) for key in plain if key not in expected]
    missing = [key for key in expected if key not in plain and key not in _OPTIONAL + _LATER]
    if unknown:
        raise ContractError(f"contract field {prefix}{unknown[0]}: unknown; known are {', '.join(expected)}")
    if missing:
        raise ContractError(f"contract field {prefix}{missing[0]}: missing")


def _build(where: str, cls: type, plain: object) -> Any:
    if not isinstance(plain, Mapping):
        raise ContractError(f"contract field {where}: got {plain!r}, expected a JSON object")
    _known(where, plain, cls)
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})


def _labels_from_json(plain: object) -> dict[int, str]:
    if not isinstance(plain, Mapping) or not all(re.fullmatch("[0-9]{1,3}", str(key)) for key in plain):
        raise ContractError(f'contract field labels: got {plain!r}, expected {{"1": "name", ...}}')
    return {int(key): name for key, name in plain.items()}


def _check_labels(labels: Mapping[int, str]) -> None:
    if not isinstance(labels, Mapping) or not labels:
        checks.fail("labels", labels, "at least one value with a name")
    for value, name in labels.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 255:
            checks.fail("labels", value, "values from 1 to 255 (0 is the background and has no entry)")
        checks.string(f"labels.{value}", name)
    if len(set(labels.values())) != len(labels):
        checks.fail("labels", dict(labels), "distinct names")


def _check_output(output: OutputSpec, labels: Mapping[int, str]) -> None:
    """Channels and labels have to speak of the same things."""
    if output.kind == "labels":
        if set(output.channels) - {segment.BACKGROUND} != set(labels.values()):
            checks.fail("output.channels", output.channels, f"the names in labels: {tuple(labels.values())}")
        return
    try:
        expected = segment.region_labels(output.channels)
    except InputError as error:
        raise ContractError(f"contract field output.channels: {error}") from error
    if sorted(labels) != sorted(expected):
        checks.fail("labels", dict(labels), f"{expected}, which the regions {output.channels} make")
